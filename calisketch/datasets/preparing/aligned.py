"""Photos brought to the canonical square: by the eyes where a detector finds them, else by a crop of the middle."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from calisketch.boundary.alignment import Eyes, find_eyes, similarity_from_eyes, warp
from calisketch.datasets.border import soften_border, source_corners
from calisketch.datasets.preparing.sources import Unreadable

__all__ = ["align_photo", "centre_square", "cut_rows", "resize"]


def align_photo(
    photo: NDArray[np.uint8],
    size: int = 256,
    detector: Callable[[NDArray[np.uint8]], Eyes | None] = find_eyes,
) -> tuple[NDArray[np.uint8], NDArray[np.float64]] | None:
    """Rotate, scale and shift a photo so that its eyes lie where every data set has them.

    photo: (H, W, 3) uint8 RGB. size: side of the result; the eyes come to (96, 131) and (160, 131) of 256.
    detector: gives ((x, y) of the eye on the image's left, the other one's), or None where it sees no face.
    Returns ((size, size, 3) uint8, the 2x3 matrix from source to result), or None where no face was found. What lies
    outside the photo continues its border, blurred.
    """
    eyes = detector(photo)
    if eyes is None:
        return None
    matrix = similarity_from_eyes(*eyes, size)
    warped = warp(photo, matrix, size, "edge")
    return soften_border(warped, source_corners(matrix, *photo.shape[:2])), matrix


def centre_square(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The largest square in the middle of an (H, W) or (H, W, C) image."""
    height, width = image.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return image[top : top + side, left : left + side]


def cut_rows(image: NDArray[np.uint8], rows: Mapping[str, Sequence[int]]) -> NDArray[np.uint8]:
    """The rows that belong to an (H, W) or (H, W, C) image of this size.

    rows: first row, and the row after the last, by width x height: {"200x250": (25, 225), ...}.
    Raises Unreadable for an image of another size.
    """
    shape = f"{image.shape[1]}x{image.shape[0]}"
    if shape not in rows:
        raise Unreadable(f"is {shape}, expected {' or '.join(rows)}", "Give the cropped release, not the full frames.")
    first, end = rows[shape]
    return image[first:end]


def resize(image: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """A square image at `size` x `size` by Lanczos' filter (PIL's, which widens it where the image shrinks)."""
    if image.shape[:2] == (size, size):
        return image
    return np.asarray(Image.fromarray(image).resize((size, size), Image.Resampling.LANCZOS))
