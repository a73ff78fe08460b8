"""Canonical alignment: where a face's eyes belong, how to find them, and the warp that brings them there.

Every data set and every sketch handed in at inference shares one frame: 256 x 256 with the eyes at (96, 131) and
(160, 131), scaled with the side. Points are (x, y) in pixels, matrices are 2 x 3 and map source to canonical.
"""

from __future__ import annotations

from typing import Any, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from .. import remedies, weights

Point = tuple[float, float]
Eyes = tuple[Point, Point]
Pixels = TypeVar("Pixels", NDArray[np.uint8], NDArray[np.float32])

CANONICAL_SIDE = 256
#: The eye on the image's left, then the eye on its right, in a frame of CANONICAL_SIDE.
CANONICAL_EYES: Eyes = ((96.0, 131.0), (160.0, 131.0))

_DETECTION_SIDE = 512  # YuNet finds faces of about 10 to 300 px; a larger image only costs time and loses large faces


def canonical_eyes(size: int = CANONICAL_SIDE) -> Eyes:
    """The two canonical eye positions in a frame of `size` x `size` pixels."""
    scale = size / CANONICAL_SIDE
    left, right = CANONICAL_EYES
    return (left[0] * scale, left[1] * scale), (right[0] * scale, right[1] * scale)


def similarity_from_eyes(left_xy: Point, right_xy: Point, size: int = CANONICAL_SIDE) -> NDArray[np.float64]:
    """The similarity (rotation, one scale, shift) that takes two eyes to their canonical places.

    Args:
        left_xy: the eye on the image's left, (x, y) in source pixels.
        right_xy: the eye on the image's right.
        size: side of the canonical frame.

    Returns:
        (2, 3) float64 matrix, source -> canonical.

    Raises:
        ValueError: the two points coincide.
    """
    source = complex(right_xy[0] - left_xy[0], right_xy[1] - left_xy[1])
    if abs(source) < 1e-6:
        raise ValueError(
            f"the two eyes must be two different points; got {left_xy} twice. "
            "Give the eye on the image's left, then the one on its right."
        )
    left, right = canonical_eyes(size)
    # A similarity is multiplication by one complex number, then a shift.
    turn = complex(right[0] - left[0], right[1] - left[1]) / source
    shift = complex(*left) - turn * complex(*left_xy)
    return np.array([[turn.real, -turn.imag, shift.real], [turn.imag, turn.real, shift.imag]], dtype=np.float64)


def scale_of(matrix: NDArray[np.float64]) -> float:
    """By how much a similarity enlarges: canonical pixels per source pixel."""
    return float(np.hypot(matrix[0, 0], matrix[1, 0]))


def invert(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """The (2, 3) matrix of the way back, canonical -> source."""
    return np.asarray(cv2.invertAffineTransform(np.asarray(matrix, dtype=np.float64)), dtype=np.float64)


def warp(
    image: Pixels,
    matrix: NDArray[np.float64],
    size: int | tuple[int, int],
    border: float | tuple[float, ...] | str = "edge",
) -> Pixels:
    """Draw `image` in the frame that `matrix` (source -> target) leads to.

    Args:
        image: (H, W) or (H, W, C), uint8 in 0..255 or float32 in [0, 1].
        matrix: (2, 3), source -> target.
        size: side of a square target, or (height, width).
        border: what lies outside the source: a grey value, a colour, or "edge" for its nearest pixel.

    Returns:
        The dtype and the channels as given, in the target's size. Where the warp shrinks, the source is averaged over
        areas first, so that thin lines do not break up; where it enlarges, it is cubic, clipped to the range.
    """
    height, width = (size, size) if isinstance(size, int) else size
    matrix = np.asarray(matrix, dtype=np.float64)
    scale = scale_of(matrix)
    source: NDArray[Any] = image
    if scale < 0.75:
        rows, columns = image.shape[:2]
        small = (max(1, round(columns * scale)), max(1, round(rows * scale)))
        source = np.asarray(cv2.resize(image, small, interpolation=cv2.INTER_AREA))
        # cv2.resize keeps pixel areas: x_source + .5 = (x_small + .5) * ratio, hence the half pixel beside the ratio.
        ratio_x, ratio_y = columns / small[0], rows / small[1]
        enlarge = np.array([[ratio_x, 0, ratio_x / 2 - 0.5], [0, ratio_y, ratio_y / 2 - 0.5], [0, 0, 1]])
        matrix = matrix @ enlarge
    levels: list[float] = [0.0, 0.0, 0.0, 0.0]
    mode = cv2.BORDER_REPLICATE
    if not isinstance(border, str):
        mode = cv2.BORDER_CONSTANT
        given = border if isinstance(border, tuple) else (border,) * 4
        levels[: len(given)] = [float(level) for level in given]
    elif border != "edge":
        raise ValueError(f"border must be a grey value, a colour or 'edge'; got {border!r}.")
    warped = np.asarray(
        cv2.warpAffine(
            source, matrix, (width, height), flags=cv2.INTER_CUBIC, borderMode=mode, borderValue=tuple(levels)
        )
    )
    if image.dtype != np.uint8:
        warped = np.clip(warped, 0.0, 1.0)  # the cubic overshoots beside hard lines
    return warped.astype(image.dtype, copy=False).reshape(height, width, *image.shape[2:])


#: What brings the detector back where `detector_available` says no, as a sentence for messages.
DETECTOR_REMEDY = (
    f"Install OpenCV again, {remedies.reinstall('opencv-python')}; and calisketch too, if a file of it is missing."
)


def detector_available() -> bool:
    """Whether the eye detector (YuNet) can be used: the package's file is there, and OpenCV has the class for it."""
    return hasattr(cv2, "FaceDetectorYN") and weights.available("yunet")


def _open_detector(model: str, size: tuple[int, int], minimum_score: float) -> cv2.FaceDetectorYN:
    """A fresh detector for one image size, (width, height)."""
    # OpenCV 5 warns on every opening that it cannot set a target, for a target nobody asked for.
    level = cv2.utils.logging.getLogLevel()
    cv2.utils.logging.setLogLevel(min(level, cv2.utils.logging.LOG_LEVEL_ERROR))
    try:
        return cv2.FaceDetectorYN.create(model, "", size, score_threshold=minimum_score)
    finally:
        cv2.utils.logging.setLogLevel(level)


def find_points(rgb: NDArray[np.uint8], minimum_score: float = 0.6) -> NDArray[np.float64] | None:
    """The five points of the most certain face in an image, by YuNet; it finds drawn faces too.

    Args:
        rgb: (H, W, 3) uint8, RGB.
        minimum_score: YuNet's certainty below which a face does not count.

    Returns:
        (5, 2), (x, y) in pixels of `rgb`, or None where no face is found. The order is YuNet's, as one looks at an
        upright face: left eye, right eye, tip of the nose, left and right corner of the mouth.

    Raises:
        ValueError: `rgb` is not (H, W, 3) uint8.
        MissingWeights: the package's detector is not there (`detector_available` tells beforehand).
    """
    if rgb.ndim != 3 or rgb.shape[2] != 3 or rgb.dtype != np.uint8:
        raise ValueError(
            f"rgb must be (H, W, 3) uint8; got {rgb.shape} {rgb.dtype}. Convert with PIL's image.convert('RGB')."
        )
    model = str(weights.locate("yunet"))
    height, width = rgb.shape[:2]
    shrink = min(1.0, _DETECTION_SIDE / max(height, width))
    if shrink < 1.0:
        small = (max(1, round(width * shrink)), max(1, round(height * shrink)))
        rgb = np.asarray(cv2.resize(rgb, small, interpolation=cv2.INTER_AREA), dtype=np.uint8)
    # A margin lets it find a face that fills its frame; a detector per call keeps this free of hidden state.
    margin = max(rgb.shape[:2]) // 4
    framed = cv2.copyMakeBorder(rgb, margin, margin, margin, margin, cv2.BORDER_REPLICATE)
    detector = _open_detector(model, (framed.shape[1], framed.shape[0]), minimum_score)
    _, faces = detector.detect(np.ascontiguousarray(framed[:, :, ::-1]))
    if faces is None or len(faces) == 0:
        return None
    best = faces[int(np.argmax(faces[:, -1]))]
    return (best[4:14].reshape(5, 2).astype(np.float64) - margin) / shrink


def find_eyes(rgb: NDArray[np.uint8], minimum_score: float = 0.6) -> Eyes | None:
    """The eyes of the most certain face in an image, by YuNet; it finds drawn faces too.

    Args:
        rgb: (H, W, 3) uint8, RGB.
        minimum_score: YuNet's certainty below which a face does not count.

    Returns:
        (left, right): the eye on the image's left and the one on its right, (x, y) in pixels of `rgb`, or None where no
        face is found.

    Raises:
        ValueError: `rgb` is not (H, W, 3) uint8.
        MissingWeights: the package's detector is not there (`detector_available` tells beforehand).
    """
    points = find_points(rgb, minimum_score)
    if points is None:
        return None
    left, right = sorted((float(x), float(y)) for x, y in points[:2])
    return left, right
