"""Where images are read from: files in folders and members of zip archives, and how they become RGB arrays.

Archives are never extracted: a member is read into memory, up to a size, so nothing in an archive can write anywhere.
"""

from __future__ import annotations

import io
import os
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

__all__ = ["IMAGE_SUFFIXES", "ImageSource", "Problem", "Unreadable", "decode_grey", "decode_rgb", "find_images"]

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp", ".gif", ".ppm", ".pgm"})
LARGEST_FILE = 128 * 2**20  # bytes; a photo is a few MB, a bomb in an archive claims gigabytes
LARGEST_IMAGE = 120_000_000  # pixels
MOST_MEMBERS = 500_000


class Unreadable(ValueError):
    """A file that cannot be taken; `reason` and `remedy` go into the report."""

    def __init__(self, reason: str, remedy: str) -> None:
        super().__init__(f"{reason}. {remedy}")
        self.reason, self.remedy = reason, remedy

    def __reduce__(self) -> tuple[type, tuple[str, str]]:  # so that it survives the way back from a worker process
        return Unreadable, (self.reason, self.remedy)


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
        """The file's bytes. Raises Unreadable (missing, too large, encrypted, damaged)."""
        try:
            if self.member is None:
                if self.path.stat().st_size > LARGEST_FILE:
                    raise _too_large()
                return self.path.read_bytes()
            with zipfile.ZipFile(self.path) as archive, archive.open(self.member) as stream:
                data = stream.read(LARGEST_FILE + 1)  # what the archive claims about the size is not trusted
                if len(data) > LARGEST_FILE:
                    raise _too_large()
                return data
        except Unreadable:
            raise
        except RuntimeError as error:  # zipfile's answer to an encrypted member
            raise Unreadable(f"cannot be read: {error}", "Unpack the archive with its password first.") from error
        except (OSError, zipfile.BadZipFile, zipfile.LargeZipFile, NotImplementedError, EOFError, ValueError) as error:
            raise Unreadable(f"cannot be read: {error}", "Copy or download it again.") from error
        except Exception as error:  # zlib.error, lzma.LZMAError: whatever the archive's compression raises
            raise Unreadable(f"cannot be unpacked: {error}", "Download the archive again.") from error


def _too_large() -> Unreadable:
    return Unreadable(f"is larger than {LARGEST_FILE // 2**20} MB", "Make it smaller, or leave it out.")


def find_images(root: Path) -> tuple[list[ImageSource], list[Problem]]:
    """Every image under a folder or in a zip archive, archives in the folder included, in the order of their names.

    Files with other suffixes and the hidden files of operating systems are passed over. Returns (images, problems);
    problems are damaged archives and members that point outside the archive.
    Raises FileNotFoundError if `root` does not exist, ValueError if it is a file that is no zip archive.
    """
    if not root.exists():
        raise FileNotFoundError(f"no such file or folder: {root}. Give a folder of images or a zip archive.")
    images: list[ImageSource] = []
    problems: list[Problem] = []
    if root.is_file():
        if not zipfile.is_zipfile(root):
            raise ValueError(f"{root} is no zip archive and no folder. Give a folder of images or a zip archive.")
        _add_archive(root, (root.name,), images, problems)
        return images, problems
    for folder, subfolders, names in os.walk(root):
        subfolders[:] = sorted(name for name in subfolders if not _hidden(name))
        for name in sorted(names):
            path = Path(folder) / name
            parts = (root.resolve().name, *path.relative_to(root).parts)
            if _hidden(name):
                continue
            if path.suffix.lower() in IMAGE_SUFFIXES:
                images.append(ImageSource(path, None, parts))
            elif path.suffix.lower() == ".zip":
                _add_archive(path, parts, images, problems)
    return images, problems


def _hidden(name: str) -> bool:
    return name.startswith(".") or name == "__MACOSX"


def _add_archive(path: Path, parts: tuple[str, ...], images: list[ImageSource], problems: list[Problem]) -> None:
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
    except (OSError, zipfile.BadZipFile, NotImplementedError, ValueError) as error:
        problems.append(Problem(str(path), f"is no readable zip archive: {error}", "Download it again."))
        return
    if len(members) > MOST_MEMBERS:
        problems.append(Problem(str(path), f"has {len(members)} members", "Unpack it, and give the folder."))
        return
    inner = PurePosixPath(parts[-1]).stem  # CUHK_training_cropped_photos.zip tells what is in it
    for member in _sorted_images(members):
        name = PurePosixPath(member.filename.replace("\\", "/"))
        if name.is_absolute() or ".." in name.parts or (name.parts and name.parts[0].endswith(":")):
            problems.append(
                Problem(
                    f"{path}:{member.filename}",
                    "points outside its archive; it was not read",
                    "Get the archive from its publisher.",
                )
            )
        elif not any(_hidden(part) for part in name.parts):
            images.append(ImageSource(path, member.filename, (*parts[:-1], inner, *name.parts)))


def _sorted_images(members: list[zipfile.ZipInfo]) -> Iterator[zipfile.ZipInfo]:
    for member in sorted(members, key=lambda info: info.filename):
        if not member.is_dir() and PurePosixPath(member.filename).suffix.lower() in IMAGE_SUFFIXES:
            yield member


def decode_rgb(data: bytes) -> NDArray[np.uint8]:
    """An image file's bytes as (H, W, 3) uint8 RGB, upright.

    EXIF rotation is applied; grey, palette, CMYK and 16-bit images are converted, transparency is laid on white.
    Raises Unreadable.
    """
    return np.asarray(_decode(data, "RGB"))


def decode_grey(data: bytes) -> NDArray[np.uint8]:
    """An image file's bytes as (H, W) uint8, upright. Raises Unreadable."""
    return np.asarray(_decode(data, "L"))


def _decode(data: bytes, mode: str) -> Image.Image:
    try:
        with Image.open(io.BytesIO(data)) as image:
            if image.width * image.height > LARGEST_IMAGE:
                raise Unreadable(f"has {image.width}x{image.height} pixels", "Make it smaller, or leave it out.")
            image.load()
            upright = ImageOps.exif_transpose(image)
    except Unreadable:
        raise
    except (OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError) as error:
        raise Unreadable("is no readable image", "Open it in a viewer; if it is damaged, get it again.") from error
    except Exception as error:  # struct.error and others from deep inside the decoders, on damaged files
        raise Unreadable(f"cannot be decoded ({type(error).__name__})", "Get the file again.") from error
    if upright.mode in ("I", "F") or upright.mode.startswith("I;16"):
        upright = Image.fromarray(_to_eight_bits(np.asarray(upright)))
    if upright.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in upright.info:
        layer = upright.convert("RGBA")
        upright = Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer)
    return upright.convert(mode)


def _to_eight_bits(values: NDArray) -> NDArray[np.uint8]:
    """16-bit and float greys: 0..65535 for integers beyond 8 bit, 0..1 for small floats, else 0..255."""
    if np.issubdtype(values.dtype, np.floating):
        values = np.nan_to_num(values.astype(np.float64))
        scale = 255.0 if values.max(initial=0) <= 1.0 else 1.0
    else:
        scale = 255.0 / 65535.0 if values.dtype == np.uint16 or values.max(initial=0) > 255 else 1.0
        values = values.astype(np.float64)
    return np.clip(np.rint(values * scale), 0, 255).astype(np.uint8)
