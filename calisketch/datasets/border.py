"""Where a frame reaches beyond its photo: which pixels those are, and what they show.

The four corners of the source photo, in pixels of the frame, say everything. They stand in a prepared folder's
manifest, so that training can leave the pixels that no photo shows out of its losses.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = ["Corners", "inside_mask", "soften_border", "source_corners"]

Corners = list[list[float]]
"""[[x, y]] * 4: the source's upper left, upper right, lower right and lower left corner, in pixels of the frame."""

# (distance beyond the photo, sigma of the blur there), both in pixels of a frame of 256.
_BLUR = ((0.0, 0.0), (2.0, 2.0), (6.0, 5.0), (16.0, 10.0), (40.0, 20.0))


def source_corners(matrix: NDArray[np.float64], height: int, width: int) -> Corners:
    """Where the corners of a photo of height x width pixels lie in the frame that `matrix` (2, 3) leads to.

    The outermost pixels' outer corners are meant; whole numbers are the centres of pixels.
    """
    left, top, right, bottom = -0.5, -0.5, width - 0.5, height - 0.5
    points = np.array([[left, top], [right, top], [right, bottom], [left, bottom]])
    placed = points @ matrix[:, :2].T + matrix[:, 2]
    return [[round(float(x), 2), round(float(y), 2)] for x, y in placed]


def _beyond(corners: Sequence[Sequence[float]], size: int) -> NDArray[np.float64]:
    """How far each pixel of the frame lies beyond the nearest side of the photo, (size, size); negative inside."""
    points = np.asarray(corners, dtype=np.float64)
    if points.shape != (4, 2) or not np.isfinite(points).all():
        raise ValueError(f"corners must be four finite points (x, y); got {corners!r}. Prepare the photos again.")
    grid = np.arange(size, dtype=np.float64)
    distance = np.full((size, size), -np.inf)
    for start, end in zip(points, np.roll(points, -1, axis=0), strict=True):
        (along_x, along_y), length = end - start, float(np.hypot(*(end - start)))
        if length == 0:
            raise ValueError(f"corners must be four different points; got {corners!r}. Prepare the photos again.")
        # The outward normal of a side of a quadrilateral that turns clockwise in image axes.
        outward = (along_y * (grid - start[0])[None, :] - along_x * (grid - start[1])[:, None]) / length
        distance = np.maximum(distance, outward)
    return distance


def inside_mask(corners: Sequence[Sequence[float]], size: int) -> NDArray[np.bool_]:
    """Which pixels of a frame of `size` the photo shows, (size, size). corners: as `source_corners` gives them.

    Raises ValueError for corners that are not four different points.
    """
    return _beyond(corners, size) <= 0


def soften_border(image: NDArray[np.uint8], corners: Corners) -> NDArray[np.uint8]:
    """Blur what lies beyond the photo, the more the farther away.

    image: (S, S, 3), with the photo's edge repeated outside of it, which alone would draw streaks. Inside the photo no
    pixel changes, and at its edge nothing jumps.
    """
    size = image.shape[0]
    beyond = np.maximum(_beyond(corners, size), 0.0) * 256 / size
    if not beyond.any():
        return image
    source = image.astype(np.float32)
    result, near, before = source.copy(), source, 0.0
    for distance, sigma in _BLUR[1:]:
        far = cv2.GaussianBlur(source, (0, 0), sigma * size / 256, borderType=cv2.BORDER_REPLICATE)
        here = beyond > before
        share = np.minimum((beyond - before) / (distance - before), 1.0).astype(np.float32)[..., None]
        result = np.where(here[..., None], near + share * (far - near), result)
        near, before = far, distance
    return np.rint(result).clip(0, 255).astype(np.uint8)
