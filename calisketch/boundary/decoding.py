"""Image files to pixels, with nothing taken on trust: what is not whole, not listed or too large is refused.

Only the formats in `FORMATS` are decoded, told by their first bytes and not by the file's name, so that none of
Pillow's rarer readers is reached. The size is looked at before anything is decoded.
"""

from __future__ import annotations

import io
import os
import re
import stat
import threading
import warnings
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, ImageFile

from . import wholeness
from .wholeness import Unreadable, check_pixels

__all__ = [
    "FORMATS",
    "LARGEST_FILE",
    "LARGEST_IMAGE",
    "Unreadable",
    "decode",
    "kind_of",
    "read_file",
    "too_large",
    "upright",
]

LARGEST_FILE = 128 * 2**20  # bytes; a photo is a few MB, a bomb in an archive claims gigabytes
LARGEST_IMAGE = 120_000_000  # pixels: most telephones' largest photos, of 108 million; reading one takes up to 1.3 GiB
FORMATS = ("PNG", "JPEG", "BMP", "GIF", "TIFF", "WEBP", "PPM")

_CHECKS: dict[str, Callable[[bytes, int], None]] = {
    "PNG": wholeness.check_png,
    "PPM": wholeness.check_ppm,
    "TIFF": wholeness.check_tiff,
    "WEBP": wholeness.check_webp,
}
_PROBES: dict[str, Callable[[bytes, int], tuple[bytes, ...]]] = {
    "JPEG": wholeness.probes_of_jpeg,
    "GIF": wholeness.probes_of_gif,
}
_STARTS = (
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"\xff\xd8\xff", "JPEG"),
    (b"BM", "BMP"),
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
)
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_STRICTNESS = threading.RLock()  # what Pillow lets pass, and what is warned of, is one for the whole process


def read_file(path: Path) -> bytes:
    """The bytes of an ordinary file. Raises Unreadable for any other (a pipe would wait for ever) or a larger one."""
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)
    try:
        descriptor = os.open(path, flags)
    except (OSError, ValueError) as error:  # ValueError: a name with a null byte
        reason = (isinstance(error, OSError) and error.strerror) or str(error)
        raise Unreadable(f"cannot be opened: {reason}", "Check the path and the right to read it.") from error
    with os.fdopen(descriptor, "rb") as stream:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise Unreadable("is no ordinary file but a pipe, a device or a folder", "Give an image file.")
        try:
            data = stream.read(LARGEST_FILE + 1)
        except OSError as error:
            raise Unreadable(f"cannot be read: {error}", "Copy or download it again.") from error
    if len(data) > LARGEST_FILE:
        raise too_large()
    return data


def too_large() -> Unreadable:
    """What is said of a file of more than `LARGEST_FILE` bytes."""
    return Unreadable(f"is larger than {LARGEST_FILE // 2**20} MB", "Make it smaller, or leave it out.")


def kind_of(data: bytes) -> str | None:
    """Which of `FORMATS` a file is by its first bytes, None for any other."""
    for start, kind in _STARTS:
        if data.startswith(start):
            return kind
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WEBP"
    return "PPM" if re.match(rb"P[1-6fF]\s", data) else None


def decode(data: bytes, largest: int = LARGEST_IMAGE) -> Image.Image:
    """The first frame of an image file, upright as its EXIF tag says, in its own mode; a 16-bit PGM as "I;16".

    Takes up to 10 bytes a pixel beside the file.

    Args:
        data: the whole file.
        largest: pixels; a larger one is refused before it is decoded.

    Raises:
        Unreadable: none of `FORMATS`, too large, damaged or cut short.
    """
    kind = kind_of(data)
    if kind is None:
        raise Unreadable("is not an image that can be read here", f"Save it as one of {', '.join(FORMATS)}.")
    try:
        with _strict(kind):
            if kind in _CHECKS:
                _CHECKS[kind](data, largest)
            probes = _PROBES[kind](data, largest) if kind in _PROBES else ()
            checksums = {_checksum(_load(probe, kind, largest)) for probe in probes}
            image = _load(data, kind, largest)
            if kind == "JPEG":
                checksums.add(_checksum(image))
            if len(checksums) > 1:
                raise wholeness.cut_short()
            image = upright(image)
    except (Unreadable, MemoryError):
        raise
    except Image.DecompressionBombError as error:
        raise Unreadable(f"has too many pixels to be decoded safely ({error})", "Scale it, or leave it out.") from error
    except Exception as error:  # struct.error, KeyError and others from deep inside the decoders, on damaged files
        reason = f"cannot be decoded ({type(error).__name__}: {str(error)[:200]})"
        raise Unreadable(reason, "It may be damaged or cut short: get or save it again.") from error
    if kind == "PPM" and image.mode == "I":  # Pillow scales all that has more than 8 bits to 16
        return Image.fromarray(np.asarray(image).astype(np.uint16))
    return image


def upright(image: Image.Image) -> Image.Image:
    """The image as its EXIF tag says, without the tag; itself where it is upright already.

    `ImageOps.exif_transpose` writes all the other tags anew, and fails at those that cameras get wrong.
    """
    image.load()  # the tag may stand behind the pixels
    turn = _TURNS.get(image.getexif().get(ExifTags.Base.Orientation, 1))
    if turn is None:
        return image
    turned = image.transpose(turn)
    for key in ("exif", "Raw profile type exif", "xmp", "XML:com.adobe.xmp"):
        turned.info.pop(key, None)
    return turned


@contextmanager
def _strict(kind: str) -> Iterator[None]:
    """Pillow at its strictest, whatever the program around has set."""
    if kind != "TIFF" and not ImageFile.LOAD_TRUNCATED_IMAGES:
        yield
        return
    with _STRICTNESS, warnings.catch_warnings():
        if kind == "TIFF":
            # A tag that its reader passes over with a warning may be one that says what the pixels mean.
            warnings.simplefilter("error", UserWarning)
            # Of a list where one value belongs, the first is taken, as libtiff does: scanners write such.
            warnings.filterwarnings("ignore", "Metadata Warning", UserWarning)
        lenient, ImageFile.LOAD_TRUNCATED_IMAGES = ImageFile.LOAD_TRUNCATED_IMAGES, False
        try:
            yield
        finally:
            ImageFile.LOAD_TRUNCATED_IMAGES = lenient


def _load(data: bytes, kind: str, largest: int) -> Image.Image:
    with Image.open(io.BytesIO(data), formats=[kind]) as image:
        check_pixels(image.width, image.height, largest)
        if kind == "TIFF":  # the others say in one piece where the picture is
            boxes = [tile[1] or (0, 0, *image.size) for tile in image.tile]
            if sum((right - left) * (low - high) for left, high, right, low in boxes) < image.width * image.height:
                raise wholeness.cut_short()
        image.load()
        return image


def _checksum(image: Image.Image) -> int:
    """Over all pixels, a strip at a time."""
    checksum = 0
    for top in range(0, image.height, 256):
        strip = image.crop((0, top, image.width, min(top + 256, image.height)))
        checksum = zlib.crc32(strip.tobytes(), checksum)
    return checksum
