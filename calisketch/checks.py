"""Checks of what a caller hands in. Every error says what was got, what was expected, and how to mend it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor


def check_image(
    image: Any, channels: int | Iterable[int] | None = None, name: str = "image", *, range01: bool = True
) -> None:
    """Checks that ``image`` is a float tensor (B, C, H, W), and, with ``range01``, that it lies in [0, 1].

    Args:
        image: what was handed in.
        channels: the number of channels C, several that are allowed, or None for any.
        name: the name of the argument, for the message.
        range01: check for NaN and for values outside [0, 1] (with a tolerance of 1e-3 for resampling).

    Raises:
        TypeError: not a tensor, or not a floating-point one.
        ValueError: wrong number of axes or channels, an empty axis, NaN, or values outside [0, 1].
    """
    allowed = None if channels is None else (channels,) if isinstance(channels, int) else tuple(channels)
    shown = "C" if allowed is None else " or ".join(str(count) for count in allowed)
    if not isinstance(image, Tensor):
        raise TypeError(
            f"{name} must be a float tensor (B, {shown}, H, W); got {type(image).__name__}. "
            "Files, PIL images and arrays go through calisketch.CaliSketch."
        )
    if not image.is_floating_point():
        raise TypeError(f"{name} must be floating point in [0, 1]; got {image.dtype}. Convert it: {name}.float() / 255")
    if image.ndim != 4:
        remedy = f"Add a batch axis with {name}[None]." if image.ndim == 3 else "Reshape it to four axes."
        raise ValueError(f"{name} must be (B, {shown}, H, W); got {tuple(image.shape)}. {remedy}")
    if allowed is not None and image.shape[1] not in allowed:
        raise ValueError(f"{name} must have {shown} channels, (B, {shown}, H, W); got {tuple(image.shape)}.")
    if 0 in image.shape:
        raise ValueError(f"{name} must not be empty; got {tuple(image.shape)}.")
    if range01:
        low, high = (float(bound) for bound in torch.aminmax(image.detach()))
        if not (low >= -1e-3 and high <= 1 + 1e-3):  # written so that NaN fails too
            raise ValueError(
                f"{name} must lie in [0, 1]; got values from {low:.4g} to {high:.4g}. "
                "Divide 8-bit values by 255, and replace NaN before the call."
            )


def check_same_size(first: Tensor, second: Tensor, first_name: str = "first", second_name: str = "second") -> None:
    """Checks that two image tensors (B, C, H, W) agree in B, H and W.

    Raises:
        ValueError: they do not.
    """
    agree = first.shape[0] == second.shape[0] and first.shape[-2:] == second.shape[-2:]
    if not agree:
        raise ValueError(
            f"{first_name} and {second_name} must agree in batch, height and width; got {tuple(first.shape)} and "
            f"{tuple(second.shape)}. Resize one to the other first."
        )


def check_same_shape(first: Tensor, second: Tensor, first_name: str = "first", second_name: str = "second") -> None:
    """Checks that two tensors have one shape, so that no loss broadcasts in silence.

    Raises:
        ValueError: they have not.
    """
    if first.shape != second.shape:
        raise ValueError(
            f"{first_name} and {second_name} must have the same shape; got {tuple(first.shape)} and "
            f"{tuple(second.shape)}."
        )


def check_positive(name: str, value: float, *, zero: bool = False) -> None:
    """Checks that a setting is a finite number above 0 (or at least 0 with ``zero``).

    Raises:
        ValueError: it is not.
    """
    fine = value >= 0 if zero else value > 0
    if not (fine and value < float("inf")):
        bound = "at least 0" if zero else "above 0"
        raise ValueError(f"{name} must be {bound} and finite; got {value!r}.")
