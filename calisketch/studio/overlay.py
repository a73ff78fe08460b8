"""What the calibration changed: which strokes it kept, moved, removed and added, pixel by pixel, and as a picture.

Ink counts as the same stroke where the other drawing has ink within a tolerance, measured from centre to centre: the
measure of `calisketch.evaluation.strokes_kept`, so that the figures on the page are those of the reports.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ..checks import check_positive

Mask = NDArray[np.bool_]

THRESHOLD = 0.5
"""What is at least this is ink, as in the evaluation."""

# Okabe and Ito's colours, which red-green blind people tell apart; grey and pale blue also differ in lightness.
KEPT = "#3C3C3C"
ADDED = "#009E73"
REMOVED = "#D55E00"
MOVED = "#0072B2"
LEFT = "#A6D2F2"
LEGEND: list[tuple[str, str, str]] = [
    ("kept", KEPT, "your ink, where you drew it"),
    ("moved", MOVED, "a stroke of yours, where it is now"),
    ("left", LEFT, "where that stroke was"),
    ("added", ADDED, "ink where you drew none"),
    ("removed", REMOVED, "your ink that is gone"),
]
"""(name, colour, meaning), in the order in which a page shows them; the names are the attributes of `Changes`."""


@dataclass(frozen=True, eq=False)
class Changes:
    """Every pixel that has ink in the sketch or in the calibrated one belongs to exactly one class.

    Attributes:
        kept: (H, W) bool, ink of both.
        moved: ink of the calibrated one alone, within the tolerance of the sketch's.
        left: ink of the sketch alone, within the tolerance of the calibrated one's: where moved strokes came from.
        added: ink of the calibrated one farther than the tolerance from any of the sketch.
        removed: ink of the sketch farther than the tolerance from any of the calibrated one.
    """

    kept: Mask
    moved: Mask
    left: Mask
    added: Mask
    removed: Mask

    @property
    def kept_share(self) -> float | None:
        """Share of the person's ink that is where it was, in [0, 1]; None for an empty sketch.

        With `moved_share` and `removed_share` it sums to 1.
        """
        return _share(self.kept, self._own)

    @property
    def moved_share(self) -> float | None:
        """Share of the person's ink that is now elsewhere within the tolerance; None for an empty sketch."""
        return _share(self.left, self._own)

    @property
    def removed_share(self) -> float | None:
        """Share of the person's ink that is gone; None for an empty sketch."""
        return _share(self.removed, self._own)

    @property
    def strokes_kept(self) -> float | None:
        """`evaluation.strokes_kept` of the two: kept and moved together; None for an empty sketch."""
        return _share(self.kept | self.left, self._own)

    @property
    def added_share(self) -> float | None:
        """Share of the calibrated sketch's ink that is new, in [0, 1]; None where it has no ink."""
        return _share(self.added, self.kept | self.moved | self.added)

    @property
    def _own(self) -> Mask:
        return self.kept | self.left | self.removed

    def picture(self) -> NDArray[np.uint8]:
        """(H, W, 3) uint8 RGB: each class in its colour of `LEGEND` on white."""
        made = np.full((*self.kept.shape, 3), 255, np.uint8)
        for name, colour, _ in LEGEND:
            made[getattr(self, name)] = np.frombuffer(bytes.fromhex(colour[1:]), np.uint8)
        return made


def changes(sketch: NDArray[np.floating], refined: NDArray[np.floating], tolerance: float = 2.0) -> Changes:
    """Which ink the calibration kept, moved, removed and added.

    Args:
        sketch, refined: (H, W) float in [0, 1], ink = 1, of the same shape; at least `THRESHOLD` is ink.
        tolerance: pixels, Euclidean, at least 0; 0: nothing counts as moved.

    Raises:
        TypeError: not arrays of floats, or a tolerance that is no number.
        ValueError: other shapes, values outside [0, 1], NaN, or a tolerance out of range.
    """
    own, new = (_ink(drawing, name) for drawing, name in ((sketch, "sketch"), (refined, "refined")))
    if own.shape != new.shape:
        raise ValueError(
            f"sketch and refined must have the same shape; got {own.shape} and {new.shape}. "
            "Answer in the sketch's own size, as CaliSketch.calibrate does."
        )
    check_positive("tolerance", tolerance, zero=True)
    near_own, near_new = _near(own, tolerance), _near(new, tolerance)
    return Changes(
        kept=own & new,
        moved=new & ~own & near_own,
        left=own & ~new & near_new,
        added=new & ~near_own,
        removed=own & ~near_new,
    )


def _ink(drawing: Any, name: str) -> Mask:
    if not isinstance(drawing, np.ndarray) or not np.issubdtype(drawing.dtype, np.floating):
        got = drawing.dtype if isinstance(drawing, np.ndarray) else type(drawing).__name__
        raise TypeError(f"{name} must be a numpy array of floats in [0, 1], ink = 1; got {got}. Divide by 255 first.")
    if drawing.ndim != 2 or drawing.size == 0:
        raise ValueError(f"{name} must be (H, W), not empty; got {drawing.shape}. Take one drawing, e.g. batch[0, 0].")
    low, high = float(drawing.min()), float(drawing.max())  # NaN is seen in both
    if not 0 <= low <= high <= 1:
        raise ValueError(f"{name} must be in [0, 1], ink = 1; got {low:.4g} to {high:.4g}. Bring it there first.")
    return np.asarray(drawing >= THRESHOLD)


def _near(ink: Mask, tolerance: float) -> Mask:
    """Every pixel whose centre lies within `tolerance` of the centre of a pixel with ink."""
    if not ink.any():  # OpenCV's distances have no meaning then
        return np.zeros_like(ink)
    distance = cv2.distanceTransform((~ink).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    squared = np.rint(np.asarray(distance, dtype=np.float64) ** 2)  # whole numbers: no rounding decides at the rim
    return np.asarray(squared <= float(tolerance) ** 2)


def _share(part: Mask, whole: Mask) -> float | None:
    count = int(whole.sum())
    return int(part.sum()) / count if count else None
