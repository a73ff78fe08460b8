"""Where images are read from: files in folders and members of zip archives, and how they become RGB arrays.

Archives are never extracted: a member is read into memory, up to a size, so nothing in an archive can write anywhere.
A name that could not be a file's name again (control characters, no UTF-8, too long) is a problem, not a file.
"""

from __future__ import annotations

import os
import struct
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import IO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from calisketch.boundary.decoding import LARGEST_FILE, LARGEST_IMAGE, Unreadable, decode, kind_of, read_file, too_large

__all__ = ["IMAGE_SUFFIXES", "ImageSource", "Problem", "Unreadable", "decode_grey", "decode_rgb", "find_images"]

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".jfif", ".png", ".bmp", ".tif", ".tiff", ".webp", ".gif", ".ppm", ".pgm"})
_UNREAD_SUFFIXES = frozenset({".heic", ".heif", ".avif", ".jxl", ".jp2", ".dng", ".cr2", ".cr3", ".nef", ".arw"})
MOST_MEMBERS = 500_000
_LARGEST_DIRECTORY = 96 * 2**20  # bytes of an archive's table of contents; each of its lines takes ten times as much
_LONGEST_NAME = 200  # bytes of all parts together, of which the prepared files' names are made; file systems take 255
_SMALLEST_SIDE = 16  # pixels; narrower ones, which would be blown up to a flat colour, show no face


@dataclass(frozen=True)
class Problem:
    """One file that was not taken: which, why, and what to do."""

    file: str
    reason: str
    remedy: str


@dataclass(frozen=True)
class ImageSource:
    """An image file, or a member of a zip archive.

    path: the file, or the archive. member: the name inside the archive, None for a file.
    parts: the path's components from the searched root down, archive name included, for telling what the image is.
    """

    path: Path
    member: str | None
    parts: tuple[str, ...]

    @property
    def stem(self) -> str:
        """The file's name without its suffix."""
        return PurePosixPath(self.parts[-1]).stem

    @property
    def shown(self) -> str:
        """The file's address for a message."""
        return f"{self.path}:{self.member}" if self.member else str(self.path)

    def read(self) -> bytes:
        """The file's bytes. Raises Unreadable (missing, no ordinary file, too large, encrypted, damaged)."""
        if self.member is None:
            return read_file(self.path)
        try:
            state = self.path.stat()
            archive = _opened(str(self.path), state.st_size, state.st_mtime_ns)
            with archive.open(self.member) as stream:
                return _unpacked(stream)
        except Unreadable:
            raise
        except KeyError as error:
            raise Unreadable("is no longer in its archive", "Start again: the archive was changed.") from error
        except RuntimeError as error:  # zipfile's answer to an encrypted member
            raise Unreadable(f"cannot be read: {error}", "Unpack the archive with its password first.") from error
        except (OSError, zipfile.BadZipFile, zipfile.LargeZipFile, NotImplementedError, EOFError, ValueError) as error:
            raise Unreadable(f"cannot be read: {error}", "Copy or download it again.") from error
        except MemoryError:
            raise
        except Exception as error:  # zlib.error, lzma.LZMAError: whatever the archive's compression raises
            raise Unreadable(f"cannot be unpacked: {error}", "Download the archive again.") from error


@lru_cache(maxsize=2)
def _opened(path: str, size: int, changed: int) -> zipfile.ZipFile:
    """An archive, whose table of contents is read once and not again for each of its members."""
    return zipfile.ZipFile(path)


def _unpacked(stream: IO[bytes]) -> bytes:
    # What the archive claims about the size is not trusted, and what is no image is not unpacked at all.
    data = stream.read(64)
    if kind_of(data) is not None:
        data += stream.read(LARGEST_FILE + 1 - len(data))
        if len(data) > LARGEST_FILE:
            raise too_large()
    return data


def find_images(root: Path, out: Path | None = None) -> tuple[list[ImageSource], list[Problem]]:
    """Every image under a folder or in a zip archive, archives in the folder included, in the order of their names.

    Files with other suffixes, the hidden files of operating systems and the folder `out`, which is written to, are
    passed over. Returns (images, problems); problems are damaged archives, members that point outside the archive,
    photos in formats that are not read, and links to folders.
    Raises FileNotFoundError if `root` does not exist, ValueError if it is a file that is no zip archive, or `out`.
    """
    if not root.exists():
        raise FileNotFoundError(f"no such file or folder: {root}. Give a folder of images or a zip archive.")
    out = out.resolve() if out is not None else None
    if root.resolve() == out:
        raise ValueError(f"{root} is the source and the folder to prepare into. Give another folder with out=...")
    images: list[ImageSource] = []
    problems: list[Problem] = []
    if root.is_file():
        if not zipfile.is_zipfile(root):
            raise ValueError(f"{root} is no zip archive and no folder. Give a folder of images or a zip archive.")
        _add_archive(root, (root.name,), images, problems)
        return images, problems

    def closed(error: OSError) -> None:
        problems.append(
            Problem(str(error.filename), f"cannot be listed: {error.strerror}", "Give the right to read it.")
        )

    for folder, subfolders, names in os.walk(root, onerror=closed):
        here = Path(folder).resolve()
        subfolders[:] = sorted(name for name in subfolders if not _hidden(name) and here / name != out)
        for path in (Path(folder) / name for name in subfolders):
            if path.is_symlink() and Path(os.path.realpath(path)) != out:
                remedy = "Give the folder that it leads to as one more source, or ignore this."
                problems.append(Problem(str(path), "is a link to a folder, which is not followed", remedy))
        for name in sorted(names):
            path = Path(folder) / name
            parts = (root.resolve().name, *path.relative_to(root).parts)
            if _hidden(name):
                continue
            if path.suffix.lower() in IMAGE_SUFFIXES:
                if (fault := _name_fault(parts[1:])) is not None:
                    problems.append(Problem(str(path), fault, "Rename it."))
                else:
                    images.append(ImageSource(path, None, parts))
            elif path.suffix.lower() == ".zip":
                _add_archive(path, parts, images, problems)
            elif path.suffix.lower() in _UNREAD_SUFFIXES:
                problems.append(Problem(str(path), "is in a format that is not read here", "Save it as JPEG or PNG."))
    return images, problems


def _hidden(name: str) -> bool:
    return name.startswith(".") or name == "__MACOSX"


def _name_fault(parts: tuple[str, ...]) -> str | None:
    """Why the prepared files cannot be named after this, None if they can."""
    whole = "--".join(parts)
    if not whole.isprintable():  # neither are the stand-ins for bytes that are no UTF-8
        return "has a name with control characters or bytes that are no UTF-8"
    if len(whole.encode()) > _LONGEST_NAME:
        return f"has a name of {len(whole.encode())} bytes, folders included; expected at most {_LONGEST_NAME}"
    return None


def _add_archive(path: Path, parts: tuple[str, ...], images: list[ImageSource], problems: list[Problem]) -> None:
    try:
        if not path.is_file():
            raise OSError("it is no ordinary file, or a link that leads nowhere")
        _check_directory(path)
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
    except Unreadable as error:
        problems.append(Problem(str(path), error.reason, error.remedy))
        return
    except (OSError, zipfile.BadZipFile, NotImplementedError, ValueError, struct.error) as error:
        problems.append(Problem(str(path), f"is no readable zip archive: {error}", "Download it again."))
        return
    if len(members) > MOST_MEMBERS:
        problems.append(Problem(str(path), f"has {len(members)} members", "Unpack it, and give the folder."))
        return
    inner = PurePosixPath(parts[-1]).stem  # CUHK_training_cropped_photos.zip tells what is in it
    for member in _sorted_images(members):
        name = PurePosixPath(member.filename.replace("\\", "/"))
        shown = f"{path}:{member.filename}"
        own = (*parts[:-1], inner, *name.parts)
        if name.is_absolute() or ".." in name.parts or (name.parts and name.parts[0].endswith(":")):
            reason = "points outside its archive; it was not read"
            problems.append(Problem(shown, reason, "Get the archive from its publisher."))
        elif any(_hidden(part) for part in name.parts):
            continue
        elif (fault := _name_fault(own[1:])) is not None:
            problems.append(Problem(shown, fault, "Rename it, or unpack the archive and give the folder."))
        else:
            images.append(ImageSource(path, member.filename, own))


def _check_directory(path: Path) -> None:
    """Raises Unreadable for an archive whose table of contents would fill the memory when it is read."""
    with open(path, "rb") as stream:
        stream.seek(0, os.SEEK_END)
        stream.seek(max(0, stream.tell() - 2**16 - 128))
        tail = stream.read()
    at = tail.rfind(b"PK\5\6")
    if at < 0 or len(tail) < at + 22:
        return  # zipfile says what is wrong with it
    (size,) = struct.unpack_from("<I", tail, at + 12)
    far = tail.rfind(b"PK\6\6", 0, at)
    if far >= 0 and len(tail) >= far + 56:
        size = max(size if size != 0xFFFFFFFF else 0, struct.unpack_from("<Q", tail, far + 40)[0])
    if size > _LARGEST_DIRECTORY:
        reason = f"has a table of contents of {size / 2**20:.0f} MB; expected at most {_LARGEST_DIRECTORY // 2**20}"
        raise Unreadable(reason, "Unpack it, and give the folder.")


def _sorted_images(members: list[zipfile.ZipInfo]) -> Iterator[zipfile.ZipInfo]:
    for member in sorted(members, key=lambda info: info.filename):
        if not member.is_dir() and PurePosixPath(member.filename).suffix.lower() in IMAGE_SUFFIXES:
            yield member


def decode_rgb(data: bytes) -> NDArray[np.uint8]:
    """An image file's bytes as (H, W, 3) uint8 RGB, upright.

    EXIF rotation is applied; grey, palette, CMYK and 16-bit images are converted, transparency is laid on white.
    Takes up to 11 bytes a pixel, of which there may be `decoding.LARGEST_IMAGE`. Raises Unreadable.
    """
    return np.asarray(_converted(data, "RGB"))


def decode_grey(data: bytes) -> NDArray[np.uint8]:
    """An image file's bytes as (H, W) uint8, upright. Raises Unreadable."""
    return np.asarray(_converted(data, "L"))


def _converted(data: bytes, mode: str) -> Image.Image:
    upright = decode(data, LARGEST_IMAGE)
    if min(upright.size) < _SMALLEST_SIDE:
        reason = f"has {upright.width} x {upright.height} pixels; expected at least {_SMALLEST_SIDE} on each side"
        raise Unreadable(reason, "Leave it out.")
    try:
        if upright.mode in ("I", "F") or upright.mode.startswith("I;16"):
            upright = Image.fromarray(_to_eight_bits(np.asarray(upright)))
        if upright.has_transparency_data:
            layer = upright.convert("RGBA")
            upright = Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer)
        return upright if upright.mode == mode else upright.convert(mode)
    except Unreadable:
        raise
    except ValueError as error:
        reason = f"has pixels of the kind {upright.mode!r}, which cannot be brought to {mode}: {error}"
        raise Unreadable(reason, "Save it as an RGB image.") from error


def _to_eight_bits(values: NDArray) -> NDArray[np.uint8]:
    """16-bit and float greys: 0..65535 for integers beyond 8 bit, 0..1 for small floats, else 0..255."""
    low, high = float(values.min()), float(values.max())  # NaN and infinity are seen in these two
    if np.issubdtype(values.dtype, np.floating):
        full = 1.0 if high <= 1.0 else 255.0
    else:
        full = 65535.0 if values.dtype == np.uint16 or high > 255 else 255.0
    if not 0 <= low <= high <= full:
        reason = f"has values from {low:.4g} to {high:.4g}; expected 0 to 1, 0 to 255, or 16 bits"
        raise Unreadable(reason, "Save it with 8 bits a channel.")
    return np.asarray(np.rint(values * np.float32(255.0 / full)), dtype=np.uint8)
