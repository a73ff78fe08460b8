"""Irregular masks: what PI-REC's Imitation Phase hides of a photo.

The paper asks for a binary random mask that covers at most 70 % of the image, and draws irregular ones (Figure 2)
without saying how. Here they are what a brush rubs out *(a reading)*: strokes of random length, width and direction
that turn as they go, with round ends, as the free-form masks of Yu et al. (ICCV 2019) are.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from calisketch.sketching.edges import REFERENCE_SIZE

__all__ = ["IrregularMask", "irregular_mask"]

TURNS = 8  # pieces of a stroke, at most
PIECE = (10.0, 60.0)  # length of one, in pixels of a 256 pixel image
WIDTH = (12.0, 40.0)  # of a stroke, likewise
BEND = math.radians(50)  # between two pieces, at most
MOST_STROKES = 400  # then the mask stays as it is


def irregular_mask(height: int, width: int, *, hidden: float, seed: int, most: float = 1.0) -> Tensor:
    """A mask of brush strokes that hides about a share of the image.

    Args:
        height, width: of the image; strokes scale with the shorter side.
        hidden: share of the pixels that is to be hidden; strokes are drawn until it is reached.
        seed: of the strokes.
        most: share that the last stroke may not go beyond; one that would is left out, and others are tried.

    Returns:
        (1, height, width) float32 of 0 and 1; 1 = visible: M in PI-REC's Eq. 1.

    Raises:
        ValueError: an empty image, or not 0 <= hidden <= most <= 1.
    """
    if min(height, width) < 1:
        raise ValueError(f"height and width must be at least 1; got {height} x {width}.")
    if not 0.0 <= hidden <= most <= 1.0:
        raise ValueError(f"hidden and most must be shares of the image, hidden <= most; got {hidden} and {most}.")
    generator = torch.Generator().manual_seed(seed)
    rubbed = np.zeros((height, width), np.uint8)
    for _ in range(MOST_STROKES):
        if rubbed.mean() >= hidden:
            break
        with_stroke = _stroke(rubbed, torch.rand(5 + 2 * TURNS, generator=generator, dtype=torch.float64).tolist())
        if with_stroke.mean() <= most:
            rubbed = with_stroke
    return torch.from_numpy(1.0 - rubbed.astype(np.float32))[None]


class IrregularMask:
    """The maker of masks: for every seed another share of the photo is hidden, by other strokes.

    Args:
        hidden: smallest and largest share, uniform between; never more than the larger is hidden. The paper's largest
            is .7; that at least a tenth is hidden, so that there is something to learn, is ours.

    Raises:
        ValueError: not two shares below 1, the lower first: something has to be visible, by Eq. 9.
    """

    def __init__(self, hidden: Sequence[float] = (0.1, 0.7)) -> None:
        if len(hidden) != 2 or not 0.0 <= hidden[0] <= hidden[1] < 1.0:
            raise ValueError(f"hidden must be two shares in [0, 1), the lower first; got {list(hidden)}.")
        self.hidden = float(hidden[0]), float(hidden[1])

    def __call__(self, photo: Tensor, seed: int) -> Tensor:
        """photo: (3, H, W). Returns (1, H, W) of 0 and 1, visible = 1: a pure function of its size and the seed."""
        generator = torch.Generator().manual_seed(seed)
        low, high = self.hidden
        share = low + float(torch.rand((), generator=generator, dtype=torch.float64)) * (high - low)
        strokes = int(torch.randint(2**62, (), generator=generator))
        return irregular_mask(*photo.shape[-2:], hidden=share, seed=strokes, most=high)


def _stroke(rubbed: NDArray[np.uint8], draws: list[float]) -> NDArray[np.uint8]:
    """The mask with one more stroke: `draws` are 5 + 2 * TURNS uniform numbers."""
    height, width = rubbed.shape
    unit = min(height, width) / REFERENCE_SIZE
    thickness = max(1, round(unit * _between(WIDTH, draws[0])))
    # It begins anywhere in the image; where it leaves it, it is lost, which the next strokes make up for.
    x, y, angle = draws[2] * (width - 1), draws[3] * (height - 1), 2 * math.pi * draws[4]
    points = [(x, y)]
    for bend, length in zip(draws[5 : 5 + 1 + int(TURNS * draws[1])], draws[5 + TURNS :], strict=False):
        angle += BEND * (2 * bend - 1)
        x += unit * _between(PIECE, length) * math.cos(angle)
        y += unit * _between(PIECE, length) * math.sin(angle)
        points.append((x, y))
    with_stroke = rubbed.copy()
    # A thick line of OpenCV has round ends.
    cv2.polylines(with_stroke, [np.round(np.array(points)).astype(np.int32)], False, 1, thickness)
    return with_stroke


def _between(limits: tuple[float, float], draw: float) -> float:
    return limits[0] + draw * (limits[1] - limits[0])
