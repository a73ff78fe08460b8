"""Line drawings against line maps: precision and recall of the calibrated sketch (Table 2), and strokes that it kept.

A map is made binary at a threshold. Ink counts as found where the other map has ink within `tolerance` pixels, measured
from centre to centre (Euclidean): 0 asks for the very pixel, 2 takes the 13 pixels of a disc. Pixels are not matched
one to one, so a thick line next to a thin one loses nothing at tolerance 2. What has no ink has no score: NaN.
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ...checks import check_image, check_positive, check_same_shape

Scores = NDArray[np.float64]


class PrecisionRecall(NamedTuple):
    """Of drawings against targets, image by image: (B,) each, NaN where there is no ink to have a share of."""

    precision: Scores
    recall: Scores


class EdgeCounts(NamedTuple):
    """Pixels of each image, (B,) int64 each: what both scores are ratios of.

    correct: ink of the drawing near the target's ink; drawn: all ink of the drawing;
    found: ink of the target near the drawing's ink; wanted: all ink of the target.
    """

    correct: NDArray[np.int64]
    drawn: NDArray[np.int64]
    found: NDArray[np.int64]
    wanted: NDArray[np.int64]

    def per_image(self) -> PrecisionRecall:
        """(B,) and (B,): correct / drawn and found / wanted; NaN where there is nothing to divide by."""
        return PrecisionRecall(_ratio(self.correct, self.drawn), _ratio(self.found, self.wanted))

    def pooled(self) -> tuple[float, float]:
        """Precision and recall over the pixels of all images together: one with many lines counts more."""
        correct, drawn, found, wanted = (np.asarray(part.sum()) for part in self)
        return float(_ratio(correct, drawn)), float(_ratio(found, wanted))


def edge_counts(refined: Tensor, target: Tensor, threshold: float = 0.5, tolerance: float = 0) -> EdgeCounts:
    """Counts the ink of a drawing and of a target, and how much of each lies near the other's.

    Args:
        refined, target: (B, 1, H, W) in [0, 1], ink = 1. threshold: what is at least this is ink, in (0, 1].
        tolerance: pixels, Euclidean, at least 0.

    Raises:
        TypeError, ValueError: not line drawings of one shape, or a threshold or tolerance out of range.
    """
    check_image(refined, 1, "refined")
    check_image(target, 1, "target")
    check_same_shape(refined, target, "refined", "target")
    check_positive("tolerance", tolerance, zero=True)
    if not 0 < threshold <= 1:
        raise ValueError(f"threshold must be above 0 and at most 1; got {threshold!r}.")
    drawing, wanted = (_binary(part, threshold) for part in (refined, target))
    correct = [drawn & _widened(lines, tolerance) for drawn, lines in zip(drawing, wanted, strict=True)]
    found = [lines & _widened(drawn, tolerance) for drawn, lines in zip(drawing, wanted, strict=True)]
    return EdgeCounts(*(np.array([int(image.sum()) for image in part]) for part in (correct, drawing, found, wanted)))


def precision_recall(refined: Tensor, target: Tensor, threshold: float = 0.5, tolerance: float = 0) -> PrecisionRecall:
    """Which share of R's ink is right, and which share of the target's ink R has, image by image (Table 2).

    Args:
        refined, target: (B, 1, H, W) in [0, 1], ink = 1. threshold: what is at least this is ink, in (0, 1].
        tolerance: pixels that a line may lie off, Euclidean.

    Returns:
        (precision, recall), (B,) each. An empty drawing's precision and an empty target's recall are NaN, never 1.

    Raises:
        TypeError, ValueError: as `edge_counts`, which also gives both pooled over images.
    """
    return edge_counts(refined, target, threshold, tolerance).per_image()


def strokes_kept(sketch: Tensor, refined: Tensor, threshold: float = 0.5, tolerance: float = 2) -> Scores:
    """Which share of the person's own ink the calibrated sketch still has within `tolerance` pixels.

    Args:
        sketch, refined: (B, 1, H, W) in [0, 1], ink = 1; threshold and tolerance as in `precision_recall`.

    Returns:
        (B,); NaN for an empty sketch.

    Raises:
        TypeError, ValueError: as `edge_counts`.
    """
    check_image(sketch, 1, "sketch")
    check_same_shape(sketch, refined, "sketch", "refined")
    return precision_recall(refined, sketch, threshold, tolerance).recall


def _binary(drawing: Tensor, threshold: float) -> NDArray[np.bool_]:
    """(B, 1, H, W) -> (B, H, W)."""
    return np.asarray((drawing.detach()[:, 0] >= threshold).cpu().numpy())


def _widened(ink: NDArray[np.bool_], tolerance: float) -> NDArray[np.bool_]:
    """Every pixel whose centre lies within `tolerance` of the centre of a pixel with ink."""
    reach = int(tolerance)
    if reach == 0:
        return ink
    offsets = np.arange(-reach, reach + 1)
    disc = (offsets[:, None] ** 2 + offsets[None, :] ** 2 <= tolerance**2).astype(np.uint8)
    return np.asarray(cv2.dilate(ink.astype(np.uint8), disc)).astype(bool)


def _ratio(part: NDArray[np.int64], whole: NDArray[np.int64]) -> Scores:
    return np.divide(part, whole, out=np.full(np.shape(whole), np.nan), where=whole > 0)
