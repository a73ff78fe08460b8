"""Where a face's likeness lies: eyes with their brows, and mouth, whose places in the frame are known.

The frame has the eyes at (96, 131) and (160, 131) of 256 (`calisketch.alignment`); the mouth is about 70 px below them.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

FRAME = 256
CROP = 64
CROPS: dict[str, tuple[int, int]] = {"left_eye": (96, 64), "right_eye": (96, 128), "mouth": (168, 96)}
"""Of each region the (top, left) of its square of 64 px in a frame of 256: an eye with its brow, the mouth."""


def crop_boxes(size: int) -> dict[str, tuple[int, int, int]]:
    """(top, left, side) of each of `CROPS` in a frame of ``size`` px."""
    scale = size / FRAME
    return {name: (round(top * scale), round(left * scale), round(CROP * scale)) for name, (top, left) in CROPS.items()}


def region_weights(size: int, weight: float, device: torch.device | str = "cpu") -> Tensor:
    """(1, 1, size, size), mean 1: eyes, brows and mouth count ``weight`` times as much as the rest.

    Raises:
        ValueError: a weight below 0, or one that is not finite.
    """
    if not 0 <= weight < float("inf"):
        raise ValueError(f"the weight of regions must be at least 0 and finite; got {weight!r}. 3 is usual, 1 is none.")
    weights = torch.ones(1, 1, size, size, device=device)
    for top, left, side in crop_boxes(size).values():
        weights[..., top + side // 8 : top + side - side // 8, left : left + side] = weight
    return weights / weights.mean().clamp(min=1e-6)


def crops_of(image: Tensor, boxes: Sequence[tuple[int, int, int]]) -> Tensor:
    """Squares of (B, C, H, W) images, (len(boxes) * B, C, side, side): all images' first box, then their second ...

    Raises:
        ValueError: no boxes, of different sides, or one that leaves the image.
    """
    sides = {side for _, _, side in boxes}
    height, width = image.shape[-2:]
    fits = all(0 <= top <= height - side and 0 <= left <= width - side for top, left, side in boxes)
    if len(sides) != 1 or not fits:
        raise ValueError(f"boxes must be of one side and lie in the {height} x {width} image; got {list(boxes)}.")
    return torch.cat([image[..., top : top + side, left : left + side] for top, left, side in boxes])
