"""Drawings that lack a part of the head: no ears, no neck, no hair, or a feature of the face.

Parts lie where the canonical frame has them (eyes at (96, 131) and (160, 131) of 256 x 256).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from calisketch.sketching.by_hand.chance import Chance, Numbers
from calisketch.sketching.by_hand.exaggeration import pixels
from calisketch.sketching.by_hand.shading import step
from calisketch.sketching.kernels import REFERENCE_SIDE
from calisketch.sketching.missing import FEATURES, feature_region

_FACE = (128.0, 146.0, 66.0, 92.0)  # centre x, y, half width, half height: brow to chin, without hair and ears


def _outside_face(x: Numbers, y: Numbers, shift: Numbers) -> Numbers:
    """Distance from the face's ellipse, about in pixels, negative inside."""
    centre_x, centre_y, across, down = _FACE
    u, v = (x - centre_x - shift[0]) / across, (y - centre_y - shift[1]) / down
    return (np.sqrt(u * u + v * v) - 1.0) * 0.5 * (across + down)


def _ears(x: Numbers, y: Numbers, shift: Numbers) -> Numbers:
    beside = np.abs(x - 128.0 - shift[0]) - 56.0
    return np.minimum(beside, 34.0 - np.abs(y - 146.0 - shift[1])) / 4.0


def _neck(x: Numbers, y: Numbers, shift: Numbers) -> Numbers:
    return np.minimum(_outside_face(x, y, shift) - 2.0, y - 190.0) / 3.0


def _hair(x: Numbers, y: Numbers, shift: Numbers) -> Numbers:
    above = np.minimum(_outside_face(x, y, shift) - 2.0, 190.0 - y)
    return np.maximum(above, 84.0 + shift[1] - y) / 4.0


#: name -> what is at least 1 where the part is, and at most 0 where it is not, of x, y (pixels) and a shift.
PARTS: Mapping[str, Callable[[Numbers, Numbers, Numbers], Numbers] | None] = {
    "ears": _ears,
    "neck": _neck,
    "hair": _hair,
    **dict.fromkeys(FEATURES),
}
_STRAY = 4.0  # pixels: nobody leaves out quite the same


def left_out(parts: Sequence[str], chance: Chance) -> Numbers:
    """(256, 256) in [0, 1]: 1 where the drawing lacks these parts, fading at the rim.

    Raises:
        ValueError: an unknown part.
    """
    if unknown := sorted(set(parts) - set(PARTS)):
        raise ValueError(f"parts must be some of {list(PARTS)}; got {unknown}.")
    x, y = pixels()
    mask = np.zeros((REFERENCE_SIDE, REFERENCE_SIDE))
    for name in parts:
        shift = _STRAY * (2.0 * chance.uniforms(2) - 1.0)
        place = PARTS[name]
        if place is None:
            region = feature_region([name], (REFERENCE_SIDE, REFERENCE_SIDE))[0, 0].double().numpy()
            mask = np.maximum(mask, np.roll(region, np.rint(shift).astype(np.int64), (1, 0)))
        else:
            mask = np.maximum(mask, step(place(x, y, shift), 0.0, 1.0))
    return mask
