"""The boundary inwards for pictures in colour: photos, colour domains, corrupted pictures (`images` reads drawings).

The same kinds are read, with the same errors: paths, PIL images, arrays (H, W) or (H, W, 1 | 3 | 4), tensors (H, W) or
(C, H, W); `images.flatten` takes lists and batches apart. `answers.face_in_kind` is the way back.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from . import alignment, images
from .images import SketchError
from .placement import fit_to_square

Values = NDArray[np.float32]


@dataclass(frozen=True)
class Picture:
    """A picture as read, and what is needed to answer in kind.

    Attributes:
        rgb: (H, W, 3) float32 in [0, 1], grey in all three where it was grey. Transparent parts have the colour that
            the file stores there.
        name: what messages call it.
        holder: "pil" (also for paths), "array" or "tensor".
        alpha: (H, W) opacity in [0, 1]; None where there is no such channel.
        dtype: of the array or tensor.
        device: of the tensor.
    """

    rgb: Values
    name: str
    holder: Literal["pil", "array", "tensor"]
    alpha: Values | None = None
    dtype: Any = None
    device: torch.device | None = None


def read_picture(given: Any, name: str = "picture") -> Picture:
    """Read one picture in colour.

    Args:
        given: path, PIL image, array or tensor (see the module's head); uint8, uint16 or float in [0, 1].
        name: what messages call it; a path is called by its own name.

    Raises:
        SketchError: not an image, unreadable, too small or large, NaN, or values outside the range.
        FileNotFoundError: there is no such file.
    """
    if isinstance(given, str | os.PathLike):
        path = Path(given)
        return _read_pil(images.open_image(path, images.LARGEST_SKETCH), images.shown(path))
    if isinstance(given, Image.Image):
        return _read_pil(images.decoded(given, name), name)
    if isinstance(given, Tensor):
        return _read_tensor(given, name)
    if isinstance(given, np.ndarray):
        return _read_array(given, name)
    raise SketchError(
        f"{name} must be a path, a PIL image, a numpy array, a tensor or a list of these; "
        f"got {type(given).__name__}. Open it with PIL.Image.open first."
    )


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


def _read_pil(image: Image.Image, name: str) -> Picture:
    images.check_size(image.height, image.width, name)
    if image.mode.startswith("I") or image.mode == "F":
        values = np.asarray(image)
        if image.mode != "F":
            full = 255 if image.mode == "I" and values.max() <= 255 else 65535  # as in `images`
            values = values.astype(np.float32) / np.float32(full)
        return Picture(_three(images.checked_range(values, name)), name, "pil")
    if image.has_transparency_data:
        rgba = np.asarray(images.converted(image, "RGBA", name), dtype=np.float32) / np.float32(255.0)
        return Picture(np.ascontiguousarray(rgba[..., :3]), name, "pil", alpha=np.ascontiguousarray(rgba[..., 3]))
    rgb = np.asarray(images.converted(image, "RGB", name), dtype=np.float32) / np.float32(255.0)
    return Picture(rgb, name, "pil")


def _read_array(array: NDArray[Any], name: str) -> Picture:
    channels = None if array.ndim == 2 else array.shape[2] if array.ndim == 3 else 0
    if channels not in (None, 1, 3, 4):
        last = array.ndim == 3 and array.shape[0] in (1, 3, 4)
        remedy = " Channels come last in arrays: array.transpose(1, 2, 0)." if last else ""
        remedy = " For a batch pass a list: list(array)." if array.ndim == 4 else remedy
        raise SketchError(f"{name} must be (H, W) or (H, W, 1 | 3 | 4); got {array.shape}.{remedy}")
    images.check_size(array.shape[0], array.shape[1], name)
    if array.dtype in (np.uint8, np.uint16):
        values = array.astype(np.float32) / np.float32(np.iinfo(array.dtype).max)
    elif np.issubdtype(array.dtype, np.floating):
        values = images.checked_range(array, name)
    else:
        raise SketchError(
            f"{name} must be uint8, uint16 or float in [0, 1]; got {array.dtype}. Convert it: array.astype('uint8')."
        )
    rgb, alpha = _colours(values)
    return Picture(rgb, name, "array", alpha, array.dtype)


def _read_tensor(tensor: Tensor, name: str) -> Picture:
    channels = None if tensor.ndim == 2 else tensor.shape[0] if tensor.ndim == 3 else 0
    if channels not in (None, 1, 3, 4):
        last = tensor.ndim == 3 and tensor.shape[2] in (1, 3, 4)
        remedy = " Channels come first in tensors: tensor.permute(2, 0, 1)." if last else ""
        raise SketchError(
            f"{name} must be (H, W), (C, H, W) or (B, C, H, W) with C = 1, 3 or 4; got {tuple(tensor.shape)}.{remedy}"
        )
    images.check_size(tensor.shape[-2], tensor.shape[-1], name)
    if tensor.dtype != torch.uint8 and not tensor.is_floating_point():
        raise SketchError(
            f"{name} must be uint8 or float in [0, 1]; got {tensor.dtype}. Convert it: tensor.to(torch.uint8)."
        )
    if tensor.layout != torch.strided or tensor.device.type == "meta":
        raise SketchError(f"{name} must be an ordinary tensor that holds values; got {tensor.layout}, {tensor.device}.")
    values = tensor.detach().cpu().float().numpy()
    values = values / np.float32(255.0) if tensor.dtype == torch.uint8 else images.checked_range(values, name)
    values = values if channels is None else values.transpose(1, 2, 0)
    rgb, alpha = _colours(values)
    return Picture(rgb, name, "tensor", alpha, tensor.dtype, tensor.device)


def _colours(values: Values) -> tuple[Values, Values | None]:
    """(H, W) or (H, W, 1 | 3 | 4) as RGB, and the opacity if there is a fourth channel."""
    if values.ndim == 2 or values.shape[2] == 1:
        return _three(values), None
    alpha = np.ascontiguousarray(values[..., 3]) if values.shape[2] == 4 else None
    return np.ascontiguousarray(values[..., :3]), alpha


def _three(values: Values) -> Values:
    """Grey (H, W) or (H, W, 1) as three equal channels."""
    plane = values if values.ndim == 2 else values[..., 0]
    return np.ascontiguousarray(np.repeat(plane[..., None], 3, axis=2))
