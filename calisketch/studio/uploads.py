"""What a person may hand over to the studio: how large, how many; smaller than what the library itself takes.

Messages call a file by its name alone: where the studio keeps it is nobody's business.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from PIL import Image

from ..boundary import decoding, images
from ..boundary.images import SketchError

MOST_BYTES = 20 * 2**20
"""Of one file, and of one member of a ZIP when it is unpacked: a photographed page has 5 MB."""
MOST_PIXELS = 24_000_000
"""Of one picture: a telephone's photo has 12 to 24 million; reading one takes up to 240 MB."""
MOST_FILES = 200
"""Sketches in one batch, those in ZIPs included."""
MOST_UNPACKED = 200 * 2**20
"""Bytes of all members of a batch's ZIPs together, when they are unpacked."""
MOST_MEMBERS = 2000
"""Of one ZIP, folders and what is no picture included."""


class UploadError(ValueError):
    """A file that the studio does not take; the message says what was got, expected, and the remedy."""


def checked_upload(path: Path) -> Path:
    """The path itself, if it is of a file that the studio takes.

    Raises:
        UploadError: not there, no ordinary file (a folder, a pipe), empty, or more than `MOST_BYTES`.
    """
    name = shown_name(path)
    try:
        found = os.stat(path)
    except (OSError, ValueError) as error:  # ValueError: a name with a null byte
        reason = (isinstance(error, OSError) and error.strerror) or str(error)
        raise UploadError(f"{name} cannot be opened: {reason}; expected a file. Upload it again.") from error
    if not stat.S_ISREG(found.st_mode):
        raise UploadError(f"{name} is a folder, a pipe or a device; expected a file. Upload the files themselves.")
    if found.st_size == 0:
        raise UploadError(f"{name} is empty: got 0 bytes, expected a picture or a ZIP. Upload it again.")
    check_bytes(found.st_size, name)
    return path


def checked_picture(path: Path) -> Image.Image:
    """A picture file's first frame, decoded, upright, in its own mode.

    Args:
        path: PNG, JPEG, BMP, GIF, TIFF, WebP or PPM by its first bytes.

    Raises:
        UploadError: as `checked_upload`.
        SketchError: as `decoded_picture`.
    """
    name = shown_name(checked_upload(path))
    try:
        data = decoding.read_file(path)
    except decoding.Unreadable as error:
        raise UploadError(f"{name} {error}") from error
    return decoded_picture(data, name)


def decoded_picture(data: bytes, name: str) -> Image.Image:
    """A picture of which the bytes are known, decoded, upright, in its own mode.

    The number of pixels is taken from the header, and a picture with too many is refused before it is decoded.

    Args:
        data: the whole file. name: what messages call it.

    Raises:
        UploadError: more than `MOST_BYTES`.
        SketchError: no picture, damaged or cut short, more than `MOST_PIXELS`, or too small to hold a face.
    """
    check_bytes(len(data), name)
    try:
        image = decoding.decode(data, MOST_PIXELS)
    except decoding.Unreadable as error:
        raise SketchError(f"{name} {error}") from error
    images.check_size(image.height, image.width, name)
    return image


def check_bytes(count: int, name: str) -> None:
    """UploadError for more than `MOST_BYTES`."""
    if count > MOST_BYTES:
        raise UploadError(
            f"{name} has {in_mib(count)} MiB; expected at most {MOST_BYTES // 2**20}. Scale the picture down, or "
            "save it as JPEG or with fewer colours."
        )


def in_mib(count: int) -> str:
    """Bytes in MiB, rounded up to a tenth, so that what is too much never reads as the limit itself."""
    return f"{-(-count * 10 // 2**20) / 10:.1f}"


def shown_name(path: Path) -> str:
    """A file's own name for a message: printable, and not endless."""
    return shortened(images.shown(path.name or str(path)))


def shortened(text: str, most: int = 120) -> str:
    """A text of at most `most` letters: the middle of a longer one is left out."""
    return text if len(text) <= most else f"{text[: most // 2 - 1]}…{text[-(most // 2) :]}"
