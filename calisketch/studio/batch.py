"""Many sketches at once, as files and ZIPs: their faces as one ZIP, and a contact sheet of what became of each.

One sketch is decoded at a time, and of those answered only thumbnails are kept. What cannot be read or answered is
told, and the rest goes on. ZIPs are read in memory, and nothing but a name's stem is taken from inside them.
"""

from __future__ import annotations

import io
import math
import os
import struct
import tempfile
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from ..boundary import images
from ..boundary.decoding import Unreadable
from ..boundary.images import SketchError
from ..datasets.preparing.sources import ImageSource, find_images
from . import uploads
from .uploads import UploadError, shortened, shown_name
from .works import dated

ARCHIVE_FILE = "results.zip"
SHEET_FILE = "contact-sheet.png"
PROBLEMS_FILE = "problems.txt"
CELL = 128
"""Side of a picture on the contact sheet, pixels."""
MOST_ROWS = 50
"""Of one block of columns on the contact sheet; more sketches make more blocks, side by side."""
LARGEST_RESULTS = 1024 * 2**20
"""Bytes of results.zip from which on no further sketch is answered: a small file can hold a very large picture."""
COLUMNS = ("sketch", "calibrated", "face")

_GAP, _CAPTION, _MARGIN = 6, 18, 12  # between pictures, a caption's height, around a block; pixels
_INK, _PALE, _FRAME = "#202020", "#6A6A6A", "#D0D0D0"
_LONGEST_STEM = 80
_TOLD = 5  # problems in an error's message
_UNFIT = frozenset('/\\:*?"<>|')  # in the names of files, on one system or another

Answer = Callable[[Image.Image, str], tuple[Image.Image, Image.Image]]
"""(sketch as it was decoded, its name) -> (calibrated sketch of mode "L", face of mode "RGB")."""


class BatchError(ValueError):
    """A batch of which there is no result at all; the message says what was got, expected, and the remedy."""


@dataclass(frozen=True)
class BatchResult:
    """What a batch came to.

    Attributes:
        archive: results.zip with faces/NAME.png, refined/NAME.png and, if there are any, problems.txt.
        sheet: contact-sheet.png.
        done: how many sketches were answered.
        problems: (name, message) of each file that was not, in the order of the files.
    """

    archive: Path
    sheet: Path
    done: int
    problems: list[tuple[str, str]]


@dataclass(frozen=True)
class _Entry:
    """One file or member of a ZIP: its name for messages, and what to read, or why it cannot be."""

    name: str
    stem: str
    source: Path | ImageSource | Exception


def _silent(done: int, total: int) -> None:
    pass


def run_batch(
    files: Sequence[Path], answer: Answer, folder: Path, progress: Callable[[int, int], None] = _silent
) -> BatchResult:
    """Answer every sketch in files and ZIPs, in their order, a ZIP's members by their names.

    Args:
        files: images and ZIPs of images, told by their first bytes. No more than `uploads` allows.
        answer: of one sketch. What it raises as SketchError, Unreadable or UploadError becomes a problem of that
            sketch; anything else ends the batch.
        folder: where results.zip and contact-sheet.png go, made if it is not there; both appear when they are whole.
        progress: called with (done, total) after each file or member, whatever became of it.

    Raises:
        BatchError: no sketch in the files, more than `uploads.MOST_FILES`, or none that could be answered; the folder
            is left as it was.
    """
    entries = _entries(files)
    problems: list[tuple[str, str]] = []
    thumbnails: list[tuple[str, Image.Image]] = []
    taken: set[str] = set()
    folder.mkdir(parents=True, exist_ok=True)
    with _aside(folder / ARCHIVE_FILE) as archive_aside, _aside(folder / SHEET_FILE) as sheet_aside:
        with zipfile.ZipFile(archive_aside, "w", zipfile.ZIP_STORED) as archive:
            for number, entry in enumerate(entries, start=1):
                try:
                    if archive_aside.stat().st_size >= LARGEST_RESULTS:
                        raise UploadError(
                            f"{entry.name} was not answered: the results before it have {LARGEST_RESULTS // 2**20} "
                            "MiB, which is the most. Hand it over in a batch of its own, or scale the sketches down."
                        )
                    name, files_of_it, row = _answered(entry, answer, taken)
                except (SketchError, Unreadable, UploadError) as error:
                    problems.append((entry.name, str(error)))
                else:
                    for kind, data in files_of_it.items():
                        archive.writestr(dated(f"{kind}/{name}.png"), data)
                    thumbnails.append((name, row))
                progress(number, len(entries))
            if problems:
                archive.writestr(dated(PROBLEMS_FILE), "".join(f"{line}\n" for line in in_lines(problems)))
        if not thumbnails:
            raise _no_result(problems)
        contact_sheet(thumbnails).save(sheet_aside, format="PNG")
        os.replace(archive_aside, folder / ARCHIVE_FILE)
        os.replace(sheet_aside, folder / SHEET_FILE)
    return BatchResult(folder / ARCHIVE_FILE, folder / SHEET_FILE, len(thumbnails), problems)


def in_lines(problems: Sequence[tuple[str, str]]) -> list[str]:
    """Problems as lines of text, each with its file's name once."""
    return [message if name in message else f"{name}: {message}" for name, message in problems]


def free_name(stem: str, taken: set[str]) -> str:
    """A stem as the name of a file on any system, with a number where it is taken; it is added to `taken`.

    Names that differ in small and capital letters only count as one, since some systems' files do.
    """
    clean = "".join("_" if letter in _UNFIT or not letter.isprintable() else letter for letter in stem)
    clean = clean[:_LONGEST_STEM].strip(". ") or "sketch"
    name, number = clean, 1
    while name.casefold() in taken:
        number += 1
        name = f"{clean}-{number}"
    taken.add(name.casefold())
    return name


def contact_sheet(rows: Sequence[tuple[str, Image.Image]]) -> Image.Image:
    """Rows of sketch | calibrated | face, each under its name, in blocks of at most `MOST_ROWS` rows.

    Args:
        rows: (name, picture of three cells); at least one.
    """
    blocks = math.ceil(len(rows) / MOST_ROWS)
    deep = math.ceil(len(rows) / blocks)
    wide, high = rows[0][1].width, rows[0][1].height + _CAPTION + _GAP
    page = Image.new("RGB", (_MARGIN + blocks * (wide + _MARGIN), 2 * _MARGIN + _CAPTION + deep * high - _GAP), "white")
    pen = ImageDraw.Draw(page)
    font, small = ImageFont.load_default(12), ImageFont.load_default(11)
    for block in range(blocks):
        left = _MARGIN + block * (wide + _MARGIN)
        for place, column in enumerate(COLUMNS):
            pen.text((left + place * (CELL + _GAP) + CELL // 2, _MARGIN), column, _PALE, small, anchor="ma")
        for place, (name, picture) in enumerate(rows[block * deep : (block + 1) * deep]):
            top = _MARGIN + _CAPTION + place * high
            pen.text((left, top + 2), _fitting(name, pen, font, wide), _INK, font)
            page.paste(picture, (left, top + _CAPTION))
    return page


def _entries(files: Sequence[Path]) -> list[_Entry]:
    if len(files) > uploads.MOST_FILES:
        raise _too_many(len(files), "files;")
    entries: list[_Entry] = []
    claimed = 0
    for path in files:
        name = shown_name(path)
        try:
            uploads.checked_upload(path)
            if not _is_archive(path, name):
                entries.append(_Entry(name, path.stem, path))
                continue
            members = _checked_members(path, name)
            size = sum(member.file_size for member in members)  # zipfile gives no more of a member than it claims
            if claimed + size > uploads.MOST_UNPACKED:
                raise UploadError(
                    f"{name} and the ZIPs before it unpack to {uploads.in_mib(claimed + size)} MiB; expected at most "
                    f"{uploads.MOST_UNPACKED // 2**20}. Hand them over in several batches."
                )
            claimed += size
            inside = list(_images_in(path, name, members))
            if not inside:
                raise UploadError(
                    f"{name} holds no images; expected files that end in {', '.join(images.FILE_ENDINGS)}. "
                    "Pack the sketches themselves."
                )
            entries += inside
        except UploadError as error:
            entries.append(_Entry(name, path.stem, error))
    count = sum(not isinstance(entry.source, Exception) for entry in entries)
    if count > uploads.MOST_FILES:
        raise _too_many(count, "sketches, those in ZIPs included;")
    if not entries:
        raise BatchError(
            f"there is no sketch in what was handed over ({len(files)} files); expected images, or ZIPs with images "
            f"in them ({', '.join(images.FILE_ENDINGS)}). Add at least one."
        )
    return entries


def _is_archive(path: Path, name: str) -> bool:
    try:
        with open(path, "rb") as stream:
            return stream.read(4) in (b"PK\3\4", b"PK\5\6")
    except OSError as error:
        raise UploadError(f"{name} cannot be read: {error.strerror}. Upload it again.") from error


def _checked_members(path: Path, name: str) -> list[zipfile.ZipInfo]:
    """A ZIP's table of contents; UploadError for one that is damaged or too long."""
    try:
        # Counted before any is read: each line takes ten times its bytes in memory.
        count = path.read_bytes().count(b"PK\1\2")
        if count > uploads.MOST_MEMBERS:
            raise UploadError(
                f"{name} has {count} members; expected at most {uploads.MOST_MEMBERS}, folders included. "
                "Pack only the sketches."
            )
        with zipfile.ZipFile(path) as archive:
            return archive.infolist()
    except UploadError:
        raise
    except (OSError, zipfile.BadZipFile, NotImplementedError, ValueError, struct.error, IndexError) as error:
        raise UploadError(f"{name} is no whole ZIP ({error}). Pack or upload it again.") from error


def _images_in(path: Path, name: str, members: Sequence[zipfile.ZipInfo]) -> Iterator[_Entry]:
    found, problems = find_images(path)
    times = Counter(member.filename for member in members)
    listed = {member.filename: member for member in members}
    told: set[str] = set()
    for source in found:
        inside = source.member or ""
        shown = _shown_member(name, inside)
        fault = None
        if times[inside] > 1:
            if inside in told:
                continue
            told.add(inside)
            fault = f"{shown} is in its ZIP {times[inside]} times; expected once. Pack it again."
        elif listed[inside].compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            fault = f"{shown} is packed in a rare way; expected deflate. Pack it again as an ordinary ZIP."
        elif listed[inside].file_size > uploads.MOST_BYTES:
            fault = (
                f"{shown} claims {uploads.in_mib(listed[inside].file_size)} MiB unpacked; expected at most "
                f"{uploads.MOST_BYTES // 2**20}. Scale it down."
            )
        yield _Entry(shown, source.stem, source if fault is None else UploadError(fault))
    for problem in problems:
        shown = _shown_member(name, problem.file.removeprefix(f"{path}").removeprefix(":"))
        yield _Entry(shown, "", UploadError(f"{shown} {problem.reason}. {problem.remedy}"))


def _shown_member(archive: str, member: str) -> str:
    return shortened(f"{archive}: {images.shown(member)}" if member else archive)


def _answered(entry: _Entry, answer: Answer, taken: set[str]) -> tuple[str, dict[str, bytes], Image.Image]:
    """The result's name, its PNGs by the folder that they go to, and its row on the sheet; no full picture outlives it.

    Raises what `answer` raises, SketchError and UploadError.
    """
    sketch = _read(entry)
    name = free_name(entry.stem, taken)
    refined, face = answer(sketch, name)
    return name, {"faces": _png(face), "refined": _png(refined)}, _row(sketch, refined, face)


def _read(entry: _Entry) -> Image.Image:
    if isinstance(entry.source, Exception):
        raise entry.source
    if isinstance(entry.source, Path):
        return uploads.checked_picture(entry.source)
    try:
        data = entry.source.read()
    except Unreadable as error:
        raise UploadError(f"{entry.name} {error}") from error
    return uploads.decoded_picture(data, entry.name)


@contextmanager
def _aside(path: Path) -> Iterator[Path]:
    """A new file beside `path` to write to and rename; gone afterwards if it was not."""
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=".calisketch-", suffix=path.suffix)
    os.close(descriptor)
    os.chmod(name, 0o644)  # mkstemp's files are private
    try:
        yield Path(name)
    finally:
        Path(name).unlink(missing_ok=True)


def _png(image: Image.Image) -> bytes:
    stream = io.BytesIO()
    image.save(stream, format="PNG")
    return stream.getvalue()


def _row(*pictures: Image.Image) -> Image.Image:
    """Pictures side by side, each in a framed cell."""
    row = Image.new("RGB", (len(pictures) * (CELL + _GAP) - _GAP, CELL), "white")
    pen = ImageDraw.Draw(row)
    for place, picture in enumerate(pictures):
        left = place * (CELL + _GAP)
        small = _thumbnail(picture)
        row.paste(small, (left + (CELL - small.width) // 2, (CELL - small.height) // 2))
        pen.rectangle((left, 0, left + CELL - 1, CELL - 1), outline=_FRAME)
    return row


def _thumbnail(picture: Image.Image) -> Image.Image:
    """A picture of any mode as RGB, transparency laid on white, as large as fits a cell."""
    if picture.mode.startswith("I") or picture.mode == "F":  # 16 bits
        picture = Image.fromarray((images.read(picture).luma * 255).round().astype("uint8"))
    scale = CELL / max(picture.size)
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    small = images.converted(picture, "RGBA" if picture.has_transparency_data else "RGB", "a sketch")
    small = small.resize(size, Image.Resampling.BOX if scale < 1 else Image.Resampling.BICUBIC)
    if small.mode == "RGBA":
        small = Image.alpha_composite(Image.new("RGBA", size, "white"), small).convert("RGB")
    return small


def _fitting(text: str, pen: ImageDraw.ImageDraw, font: ImageFont.ImageFont | ImageFont.FreeTypeFont, wide: int) -> str:
    if pen.textlength(text, font) <= wide:
        return text
    while text and pen.textlength(f"{text}…", font) > wide:
        text = text[:-1]
    return f"{text}…"


def _too_many(count: int, what: str) -> BatchError:
    return BatchError(
        f"the batch has {count} {what} expected at most {uploads.MOST_FILES}. Hand them over in several batches."
    )


def _no_result(problems: Sequence[tuple[str, str]]) -> BatchError:
    lines = in_lines(problems)
    more = f" And {len(lines) - _TOLD} more." if len(lines) > _TOLD else ""
    return BatchError(
        f"none of {len(lines)} sketches could be answered; expected one at least. {' '.join(lines[:_TOLD])}{more}"
    )
