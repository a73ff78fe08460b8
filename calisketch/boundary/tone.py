"""Tone: where a drawing is dark over an area (hatching, filled hair, shadow) and not just along a stroke."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

_REACH = 5.0  # sigma of the mean, pixels of a frame of 256: wider than hatching is apart, narrower than a head of hair
_STROKES, _FILLED = 0.18, 0.7  # mean ink: single strokes have less than the first, what is blackened the second
_DARKEST = 0.35  # ink of the tone where a drawing is filled: strokes over it are still seen


def light_tone(ink: NDArray[np.float32], scale: float) -> NDArray[np.float32]:
    """The light tone of what a drawing shades, strokes left out.

    Args:
        ink: (H, W) in [0, 1], strokes = 1.
        scale: pixels of the drawing to one of a frame of 256.

    Returns:
        (H, W) in [0, 0.35]: 0 on paper and on single strokes, 0.35 where all of a neighbourhood is ink.
    """
    mean = cv2.GaussianBlur(ink, (0, 0), max(0.5, _REACH * scale), borderType=cv2.BORDER_REPLICATE)
    return np.asarray(_DARKEST * ((mean - _STROKES) / (_FILLED - _STROKES)).clip(0.0, 1.0), dtype=np.float32)
