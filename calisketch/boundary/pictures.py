"""The boundary inwards for pictures in colour: photos, colour domains, corrupted pictures (`images` reads drawings).

The same kinds are read, with the same errors: paths, PIL images, arrays (H, W) or (H, W, 1 | 3 | 4), tensors (H, W) or
(C, H, W); `images.flatten` takes lists and batches apart. `answers.face_in_kind` is the way back.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from . import alignment
from .images import Kind, Values, read_values
from .placement import fit_to_square


@dataclass(frozen=True)
class Picture:
    """A picture as read.

    Attributes:
        kind: what it was handed in as.
        rgb: (H, W, 3) float32 in [0, 1], grey in all three where it was grey. Transparent parts have the colour that
            the file stores there.
        alpha: (H, W) opacity in [0, 1]; None where there is no such channel.
    """

    kind: Kind
    rgb: Values
    alpha: Values | None = None

    def over_white(self) -> Values:
        """The picture (H, W, 3) on white paper, where it is transparent."""
        if self.alpha is None:
            return self.rgb
        alpha = self.alpha[..., None]
        return np.asarray(self.rgb * alpha + (1 - alpha), dtype=np.float32)


def read_picture(given: Any, name: str = "picture") -> Picture:
    """Read one picture in colour.

    Args:
        given: path, PIL image, array or tensor (see the module's head); uint8, uint16 or float in [0, 1].
        name: what messages call it; a path is called by its own name.

    Raises:
        SketchError: not an image, unreadable, too small or large, NaN, or values outside the range.
        FileNotFoundError: there is no such file.
    """
    values, kind = read_values(given, name, "RGB")
    if values.ndim == 2 or values.shape[2] == 1:
        plane = values if values.ndim == 2 else values[..., 0]
        return Picture(kind, np.ascontiguousarray(np.repeat(plane[..., None], 3, axis=2)))
    alpha = np.ascontiguousarray(values[..., 3]) if values.shape[2] == 4 else None
    return Picture(kind, np.ascontiguousarray(values[..., :3]), alpha)


@dataclass(frozen=True)
class Framed:
    """The way from a picture of (height, width) to a model's square and back: scaled, and padded by its own edge."""

    height: int
    width: int
    side: int

    @property
    def exact(self) -> bool:
        """Whether the picture is the square, pixel for pixel."""
        return self.height == self.side == self.width

    def bring_in(self, values: Values, border: float | str = "edge") -> Values:
        """(height, width) or (height, width, C) -> (side, side) or (side, side, C); border: of `alignment.warp`."""
        if self.exact:
            return values
        return alignment.warp(values, fit_to_square(self.height, self.width, self.side), self.side, border=border)

    def back(self, values: Values) -> Values:
        """(side, side) or (side, side, C) -> the picture's own size; what the padding added is cut off."""
        if self.exact:
            return values
        matrix = alignment.invert(fit_to_square(self.height, self.width, self.side))
        return alignment.warp(values, matrix, (self.height, self.width))


def to_tensor(values: Values) -> Tensor:
    """(H, W) or (H, W, C) -> (1 or C, H, W)."""
    planes = values[None] if values.ndim == 2 else values.transpose(2, 0, 1)
    return torch.from_numpy(np.ascontiguousarray(planes, dtype=np.float32))


def to_values(tensor: Tensor) -> Values:
    """(C, H, W) -> (H, W, C), float32 on the CPU."""
    found: Values = tensor.detach().float().cpu().permute(1, 2, 0).contiguous().numpy()
    return found
