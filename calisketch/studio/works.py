"""A person's work as one ZIP that loads back: sketch, calibrated sketch, face, what changed, colours and settings.

What is read was perhaps made by somebody else: only members of a fixed list are read, each up to a limit, whatever its
header claims; nothing is written to disk; of a PNG only its header and pixels count.
"""

from __future__ import annotations

import io
import json
import struct
import zipfile
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..boundary import decoding, images
from ..weights.files import parse_strictly
from .uploads import MOST_BYTES, MOST_PIXELS, in_mib, shortened

FORMAT = 1
"""Of the ZIP; the newest that is read. A settings.json that does not say its format has this one."""
SETTINGS_FILE = "settings.json"
LARGEST_SETTINGS = 64 * 2**10  # bytes
_CHANNELS = {"sketch": 1, "refined": 1, "face": 3, "changes": 3, "colours": 4}
_FILES = {f"{name}.png": name for name in _CHANNELS}
_KINDS = {1: "8-bit grey", 3: "8-bit RGB", 4: "8-bit RGBA"}  # without transparency but the last
_COLOUR_TYPES = {0: "grey", 2: "RGB", 3: "palette", 4: "grey with transparency", 6: "RGBA"}  # of PNG's header
_SETTINGS = ("model", "strength", "version")
_LONGEST_TEXT = 200
_MOST_ENTRIES = 64  # of a ZIP's table of contents; a work has six


class WorkError(ValueError):
    """A work that cannot be packed or loaded; the message says what was got, expected, and the remedy."""


@dataclass(frozen=True, eq=False)
class Work:
    """What a person made, checked: there is no Work that cannot be packed but for its size.

    Attributes:
        sketch: (H, W) uint8, dark on white.
        refined: (H, W) uint8, the calibrated sketch, dark on white; None where a ZIP has none.
        face: (H, W, 3) uint8 RGB; None where a ZIP has none.
        changes: (H, W, 3) uint8 RGB, `overlay.Changes.picture`; None where a ZIP has none.
        settings: "model": its name; "strength": in [0, 1]; "version": of the calisketch that made it. No others.
        colours: (H, W, 4) uint8 RGBA, what was given of colours; None: nothing was.

    Raises:
        WorkError: other shapes or types, more than `uploads.MOST_PIXELS`, too small, or other settings.
    """

    sketch: NDArray[np.uint8]
    refined: NDArray[np.uint8] | None
    face: NDArray[np.uint8] | None
    changes: NDArray[np.uint8] | None
    settings: dict[str, Any]
    colours: NDArray[np.uint8] | None = None

    def __post_init__(self) -> None:
        shape = getattr(self.sketch, "shape", ())
        for name, channels in _CHANNELS.items():
            picture = getattr(self, name)
            if picture is None and name != "sketch":
                continue
            if not isinstance(picture, np.ndarray) or picture.dtype != np.uint8:
                got = picture.dtype if isinstance(picture, np.ndarray) else type(picture).__name__
                raise WorkError(f"{name} must be a numpy array of uint8; got {got}. Convert it to 0 to 255 first.")
            if name == "sketch" and picture.ndim == 2:
                _check_size(*shape)
            expected = tuple(shape[:2]) if channels == 1 else (*shape[:2], channels)
            if picture.shape != expected or len(shape) != 2:
                wanted = "(H, W)" if len(shape) != 2 else str(expected)
                raise WorkError(f"{name} must be {wanted}; got {picture.shape}. All pictures have the sketch's size.")
        _check_settings(self.settings)


def pack(work: Work) -> bytes:
    """A work as a ZIP with sketch.png, refined.png, face.png, changes.png, colours.png and settings.json.

    What the work has none of is left out. The same work gives the same bytes.

    Raises:
        WorkError: the ZIP would have more than `uploads.MOST_BYTES`, which could not be loaded again.
    """
    _check_settings(work.settings)  # a dict can have been changed since
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as archive:  # a PNG is compressed already
        for file, name in _FILES.items():
            picture = getattr(work, name)
            if picture is not None:
                written = io.BytesIO()
                Image.fromarray(picture).save(written, format="PNG")
                archive.writestr(dated(file), written.getvalue())
        settings = {"format": FORMAT} | work.settings | {"strength": float(work.settings["strength"])}
        text = json.dumps(settings, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n"
        archive.writestr(dated(SETTINGS_FILE), text.encode())
    data = stream.getvalue()
    if len(data) > MOST_BYTES:
        raise WorkError(
            f"the work as a ZIP has {in_mib(len(data))} MiB; expected at most {MOST_BYTES // 2**20}, or it could not "
            "be loaded again. Start from a smaller sketch, or save the pictures one by one."
        )
    return data


def dated(name: str) -> zipfile.ZipInfo:
    """A ZIP's member that is the same at any time and on any system."""
    info = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
    info.create_system, info.external_attr = 3, 0o644 << 16
    return info


def unpack(data: bytes) -> Work:
    """The work in a ZIP that `pack` made, or a person by hand.

    Args:
        data: the whole ZIP. It must hold sketch.png and settings.json, and may hold refined.png, face.png, changes.png
            and colours.png; these are None in the work where they are missing. Nothing else is taken.

    Raises:
        WorkError: no ZIP or a damaged one, too large, members missing, unknown, twice, encrypted or larger than they
            may be, pictures that are no whole PNG, of another kind or size, or settings that are not those of a work.
    """
    if len(data) > MOST_BYTES:
        raise WorkError(
            f"the work has {in_mib(len(data))} MiB; expected at most {MOST_BYTES // 2**20}. Give the ZIP that the "
            "studio saved."
        )
    with _opened(data) as archive:
        members = _members(archive)
        settings = _read_settings(_read(archive, members[SETTINGS_FILE], LARGEST_SETTINGS))
        if unknown := sorted(members.keys() - _FILES.keys() - {SETTINGS_FILE}):
            raise WorkError(
                f"the work holds {_quoted(unknown[0])}, which belongs to none; expected only {', '.join(_FILES)} and "
                f"{SETTINGS_FILE}. Pack it again without."
            )
        pictures: dict[str, NDArray[np.uint8]] = {}
        for file, name in _FILES.items():
            if file in members:
                raw = _read(archive, members[file], MOST_BYTES)
                pictures[name] = _decoded(raw, file, name, pictures.get("sketch"))
    return Work(
        sketch=pictures["sketch"],
        refined=pictures.get("refined"),
        face=pictures.get("face"),
        changes=pictures.get("changes"),
        settings=settings,
        colours=pictures.get("colours"),
    )


def _opened(data: bytes) -> zipfile.ZipFile:
    if not data.startswith((b"PK\3\4", b"PK\5\6")):
        raise WorkError(f"the work is no ZIP: it begins with {data[:4]!r}. Give the ZIP that the studio saved.")
    # Counted before any is read: each line of a table of contents takes ten times its bytes in memory.
    if (count := data.count(b"PK\1\2")) > _MOST_ENTRIES:
        raise WorkError(f"the work lists {count} members; expected at most {len(_FILES) + 1}. Pack only these.")
    try:
        return zipfile.ZipFile(io.BytesIO(data))
    except (OSError, zipfile.BadZipFile, NotImplementedError, ValueError, struct.error, IndexError) as error:
        raise WorkError(f"the work is no whole ZIP ({error}). Copy or download it again.") from error


def _members(archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    """By name; WorkError for one that is there twice, encrypted, packed in a rare way, or one that is missing."""
    members: dict[str, zipfile.ZipInfo] = {}
    for info in archive.infolist():
        name = info.orig_filename  # `filename` ends at a null byte
        if name in members:
            raise WorkError(f"the work holds {_quoted(name)} twice; expected once. Pack it again.")
        if info.flag_bits & 0x41:
            raise WorkError(f"the work's {_quoted(name)} is encrypted. Pack it again without a password.")
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise WorkError(
                f"the work's {_quoted(name)} is packed by the method {info.compress_type}; expected 0 or 8 (deflate). "
                "Pack it again as an ordinary ZIP."
            )
        members[name] = info
    for needed in ("sketch.png", SETTINGS_FILE):
        if needed not in members:
            held = ", ".join(_quoted(name) for name in sorted(members)[:6]) or "nothing"
            raise WorkError(
                f"the work has no {needed}; it holds {held}. Pack the files themselves, not a folder with them."
            )
    return members


def _read(archive: zipfile.ZipFile, info: zipfile.ZipInfo, most: int) -> bytes:
    """A member's bytes, at most `most` of them whatever it claims."""
    limit = f"expected at most {most // 2**10} KiB. Give the ZIP that the studio saved."
    if info.file_size > most:
        raise WorkError(f"the work's {info.filename} claims {info.file_size} bytes unpacked; {limit}")
    try:
        with archive.open(info) as stream:
            data = stream.read(most + 1)
    except MemoryError:
        raise
    except Exception as error:  # BadZipFile, EOFError, zlib.error and others: the archive is damaged, or contrived
        raise WorkError(
            f"the work's {info.filename} cannot be unpacked ({error or type(error).__name__}). "
            "Copy or download the ZIP again."
        ) from error
    if len(data) > most:
        raise WorkError(f"the work's {info.filename} unpacks to more than it may; {limit}")
    return data


def _decoded(data: bytes, file: str, name: str, sketch: NDArray[np.uint8] | None) -> NDArray[np.uint8]:
    """(H, W) or (H, W, C); what kind and size it is of is known from its header, before any of it is decoded."""
    if decoding.kind_of(data) != "PNG" or data[12:16] != b"IHDR" or len(data) < 33:
        raise WorkError(f"the work's {file} is no PNG. Save it as one, of the kind {_KINDS[_CHANNELS[name]]}.")
    width, height, depth, colour_type = struct.unpack_from(">IIBB", data, 16)
    if (depth, colour_type) != (8, {1: 0, 3: 2, 4: 6}[_CHANNELS[name]]):
        got = f"{depth}-bit {_COLOUR_TYPES.get(colour_type, f'colour type {colour_type}')}"
        raise WorkError(f"the work's {file} is {got}; expected {_KINDS[_CHANNELS[name]]}. Save it anew as such.")
    _check_size(height, width, f"the work's {file}")
    if sketch is not None and (height, width) != sketch.shape:
        raise WorkError(
            f"the work's {file} has {width} x {height} pixels; expected {sketch.shape[1]} x {sketch.shape[0]}, the "
            "sketch's. Scale it, or leave it out."
        )
    try:
        return np.array(decoding.decode(_bare(data), MOST_PIXELS))
    except decoding.Unreadable as error:
        raise WorkError(f"the work's {file} {error}") from error


def _bare(data: bytes) -> bytes:
    """A PNG's header and pixels without its texts, EXIF tags and whatever else could turn or tint the picture."""
    kept, at = [data[:8]], 8
    while at + 12 <= len(data):
        length, name = struct.unpack_from(">I4s", data, at)
        if name in (b"IHDR", b"IDAT", b"IEND"):
            kept.append(data[at : at + 12 + length])
        at += 12 + length
    return b"".join(kept)


def _read_settings(data: bytes) -> dict[str, Any]:
    try:
        found = parse_strictly(data.decode("utf-8-sig"))  # some editors begin with a mark
    except (ValueError, RecursionError) as error:
        raise WorkError(f"the work's {SETTINGS_FILE} is not JSON ({shortened(str(error))}). Save it again.") from error
    if not isinstance(found, dict):
        raise WorkError(
            f"the work's {SETTINGS_FILE} holds a {type(found).__name__}; expected an object. Save it again."
        )
    version = found.pop("format", FORMAT)
    if type(version) is not int or version < 1:
        raise WorkError(f"the work has the format {_quoted(version)}; expected a whole number from 1 to {FORMAT}.")
    if version > FORMAT:
        raise WorkError(f"the work has the format {_quoted(version)}; expected at most {FORMAT}. Upgrade calisketch.")
    _check_settings(found)
    return found | {"strength": float(found["strength"])}


def _check_settings(given: Any) -> None:
    if not isinstance(given, dict) or set(given) != set(_SETTINGS):
        got = _quoted(sorted(map(str, given))) if isinstance(given, dict) else type(given).__name__
        raise WorkError(f"the work's settings must be exactly {', '.join(_SETTINGS)}; got {got}. Save it again.")
    for name in ("model", "version"):
        text = given[name]
        if not isinstance(text, str) or not 1 <= len(text) <= _LONGEST_TEXT or not text.isprintable():
            raise WorkError(
                f"the work's setting {name} must be a text of 1 to {_LONGEST_TEXT} printable letters; "
                f"got {_quoted(text)}. Save it again."
            )
    strength = given["strength"]
    number = isinstance(strength, int | float) and not isinstance(strength, bool)
    if not number or not 0 <= strength <= 1:  # nor is NaN
        raise WorkError(f"the work's setting strength must be in [0, 1]; got {_quoted(strength)}. Save it again.")


def _check_size(height: int, width: int, name: str = "sketch") -> None:
    if height * width > MOST_PIXELS:
        raise WorkError(
            f"{name} has {width} x {height} pixels; expected at most {MOST_PIXELS // 1_000_000} million. Scale it down."
        )
    try:
        images.check_size(height, width, name)
    except images.SketchError as error:
        raise WorkError(str(error)) from error


def _quoted(value: object) -> str:
    """A value for a message, on one line and not endless, whatever it is."""
    try:
        return shortened(repr(value))
    except ValueError:  # a whole number of more digits than Python writes
        return f"a {type(value).__name__} of very many digits"
