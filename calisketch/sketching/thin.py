"""Thin lines: what is left of a drawing's strokes when each is reduced to its middle."""

from __future__ import annotations

import numpy as np
import torch
from skimage.morphology import skeletonize
from torch import Tensor

from calisketch.checks import check_image

__all__ = ["thinned"]


@torch.no_grad()
def thinned(drawing: Tensor, threshold: float = 0.5) -> Tensor:
    """The drawing's ink on the middle lines of its strokes, one pixel wide; nothing elsewhere.

    drawing: (B, 1, H, W) in [0, 1], ink = 1. threshold: what is at least this is a stroke, in (0, 1].
    Returns the same shape: where a middle line runs the drawing's own values, else 0. No gradient: the middle lines are
    found on the CPU, by `skimage.morphology.skeletonize` (Zhang and Suen 1984).
    Raises TypeError or ValueError for another shape, range or threshold.
    """
    check_image(drawing, 1, "drawing")
    if not 0 < threshold <= 1:
        raise ValueError(f"threshold must be above 0 and at most 1; got {threshold!r}.")
    strokes = (drawing[:, 0] >= threshold).cpu().numpy()
    middles = np.stack([skeletonize(each) for each in strokes])
    return drawing * torch.from_numpy(middles).unsqueeze(1).to(drawing.device)
