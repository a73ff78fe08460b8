"""The sheet: its grain, what is left of ruled lines and of grey paper, and what an eraser leaves.

Drawings here are (256, 256) float64, ink = 1, [0, 1].
"""

from __future__ import annotations

import cv2
import numpy as np

from calisketch.sketching.by_hand.chance import Chance, Numbers
from calisketch.sketching.by_hand.exaggeration import pixels, smooth
from calisketch.sketching.kernels import REFERENCE_SIDE


def grain(chance: Chance, size: float) -> Numbers:
    """(256, 256): rough paper, mean 0 and standard deviation 1; size: of its bumps, pixels (a Gaussian's sigma)."""
    rough = cv2.GaussianBlur(chance.uniforms(REFERENCE_SIDE, REFERENCE_SIDE) - 0.5, (0, 0), size)
    return rough / rough.std()


def patches(chance: Chance, share: float, cells: int = 7) -> Numbers:
    """(256, 256) in [0, 1]: smooth patches that cover about this share of the sheet."""
    field = smooth(chance.uniforms(cells, cells, 1))[..., 0]
    level = np.quantile(field, 1.0 - share)
    return np.clip((field - level) / 0.12 + 0.5, 0.0, 1.0)


def on_grain(ink: Numbers, paper: Numbers, depth: float) -> Numbers:
    """Ink as rough paper takes it: dry chalk or pencil leaves the paper's hollows blank, most where it is light.

    depth: how rough, 0 to 1.
    """
    return np.clip(ink * (1.0 + depth * paper * (1.3 - ink)), 0.0, 1.0)


def ruled(chance: Chance, *, distance: float, ink: float, width: float, squared: bool, left: float) -> Numbers:
    """(256, 256): what is left of ruled lines after the paper's ground was taken away.

    distance: between lines, pixels. squared: lines across, too. left: the share of the lines' course that is left.
    """
    turn = 0.04 * float(chance.normals(1)[0])
    x, y = pixels()
    start = distance * chance.uniforms(2)
    kept = patches(chance, left, 9)
    sheet = np.zeros((REFERENCE_SIDE, REFERENCE_SIDE))
    for axis in range(2 if squared else 1):
        across = y + turn * x if axis == 0 else x - turn * y
        off = np.abs((across + start[axis]) % distance - 0.5 * distance)
        sheet = np.maximum(sheet, np.clip(0.5 * width + 0.5 - off, 0.0, 1.0))
    return ink * sheet * kept


def ground_left(chance: Chance, paper: Numbers, level: float) -> Numbers:
    """(256, 256): what cleaning leaves of a toned sheet: its strongest grain, more of it in some places."""
    place = smooth(chance.uniforms(4, 4, 1))[..., 0]
    return np.clip(level * (0.3 + 1.2 * place) * (0.3 + 0.35 * paper), 0.0, 1.0)
