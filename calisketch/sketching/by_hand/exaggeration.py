"""Exaggeration: features of the face shifted or scaled, by a smooth warp of the whole drawing.

Features lie where the canonical frame has them (eyes at (96, 131) and (160, 131) of 256 x 256).
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from calisketch.sketching.by_hand.chance import Chance, Numbers
from calisketch.sketching.kernels import REFERENCE_SIDE

Drawing = NDArray[np.uint8]

#: name -> centre x, y, and the reach across and down within which the warp fades (a Gaussian's standard deviations).
PLACES: Mapping[str, tuple[float, float, float, float]] = {
    "left eye": (96.0, 128.0, 22.0, 18.0),
    "right eye": (160.0, 128.0, 22.0, 18.0),
    "nose": (128.0, 163.0, 22.0, 24.0),
    "mouth": (128.0, 199.0, 32.0, 16.0),
    "jaw": (128.0, 218.0, 62.0, 34.0),
    "forehead": (128.0, 72.0, 66.0, 36.0),
    "head": (128.0, 130.0, 92.0, 112.0),
}
_EYES_APART = 64.0  # pixels: shifts are shares of it


@lru_cache(maxsize=8)
def pixels(side: int = REFERENCE_SIDE) -> tuple[Numbers, Numbers]:
    """The places x and y of a square's pixels, each (side, side), the first pixel's centre at 0. Read-only."""
    y, x = np.mgrid[0:side, 0:side].astype(np.float64)
    x.flags.writeable = y.flags.writeable = False
    return x, y


def exaggeration(chance: Chance, most: float) -> tuple[Numbers, dict[str, tuple[float, float, float, float]]]:
    """Where each pixel of an exaggerated drawing is found in the true one.

    Args:
        chance: which features change, and how: two to four of `PLACES`.
        most: the largest change: of a feature's scale, across and down, and of its place, as a share of the distance
            between the eyes.

    Returns:
        (256, 256, 2) offsets x, y in pixels, to be added to a pixel's place; and of each feature that changes its
        shift right and down (pixels) and its scale across and down.
    """
    order = np.argsort(chance.uniforms(len(PLACES)))
    count = 2 + int(3 * chance.uniforms(1)[0])
    draws = 2.0 * chance.uniforms(len(PLACES), 4) - 1.0
    # Half of the range at least: what is exaggerated is seen.
    draws = np.sign(draws) * (0.5 + 0.5 * np.abs(draws))
    x, y = pixels()
    offset = np.zeros((REFERENCE_SIDE, REFERENCE_SIDE, 2))
    changes = {}
    names = list(PLACES)
    for k in sorted(order[:count]):
        centre_x, centre_y, across, down = PLACES[names[k]]
        shift = most * _EYES_APART * draws[k, :2]
        scale = 1.0 + most * draws[k, 2:]
        inside = np.exp(-0.5 * (((x - centre_x) / across) ** 2 + ((y - centre_y) / down) ** 2))
        offset[..., 0] -= inside * (shift[0] + (x - centre_x) * (1.0 - 1.0 / scale[0]))
        offset[..., 1] -= inside * (shift[1] + (y - centre_y) * (1.0 - 1.0 / scale[1]))
        changes[names[k]] = (float(shift[0]), float(shift[1]), float(scale[0]), float(scale[1]))
    return offset, changes


def wobble(chance: Chance, amount: float, cells: int = 6) -> Numbers:
    """(256, 256, 2): offsets of a smooth random field, `amount` pixels about (a standard deviation at its knots)."""
    knots = amount * chance.normals(cells, cells, 2)
    return smooth(knots)


def smooth(knots: Numbers) -> Numbers:
    """(n, n, C) -> (256, 256, C): knots at even distances, the corners' at the corners, joined by a smooth surface."""
    count = knots.shape[0]
    weights = _between_knots(count)
    planes = [weights @ knots[..., channel] @ weights.T for channel in range(knots.shape[2])]
    return np.stack(planes, -1)


@lru_cache(maxsize=16)
def _between_knots(count: int) -> Numbers:
    """(256, count): the share of each knot in each pixel of a line."""
    at = np.linspace(0, count - 1, REFERENCE_SIDE)
    below = np.minimum(at.astype(np.int64), count - 2)
    share = at - below
    share = share * share * (3.0 - 2.0 * share)
    weights = np.zeros((REFERENCE_SIDE, count))
    rows = np.arange(REFERENCE_SIDE)
    weights[rows, below], weights[rows, below + 1] = 1.0 - share, share
    return weights


def moved(drawing: Drawing, offset: Numbers, movement: Numbers | None = None) -> Drawing:
    """A drawing seen through offsets and, after them, a movement of the sheet; outside of it nothing is drawn.

    Args:
        drawing: (256, 256) uint8.
        offset: (256, 256, 2), from a pixel of the unmoved result to where it is found.
        movement: (2, 3), from a pixel of the result to the pixel of the unmoved one; None: not at all.
    """
    x, y = pixels()
    if movement is not None:
        x, y = (row[0] * x + row[1] * y + row[2] for row in movement)
        columns, rows = (np.clip(np.rint(place), 0, REFERENCE_SIDE - 1).astype(np.int64) for place in (x, y))
        offset = offset[rows, columns]
    at_x, at_y = (x + offset[..., 0]).astype(np.float32), (y + offset[..., 1]).astype(np.float32)
    return np.asarray(cv2.remap(drawing, at_x, at_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT), np.uint8)
