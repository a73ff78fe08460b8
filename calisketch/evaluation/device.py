"""Where an evaluation computes, and that float32 is float32 there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from ..inference.computing import best_device, checked_device, drawing_device

__all__ = ["chosen_device", "device_in_words", "drawing_device", "exact_float32"]


def chosen_device(device: str | torch.device | None = None) -> torch.device:
    """The device by its name; None or "auto": CUDA's or Apple's where there is one, else the CPU.

    Raises:
        ValueError: there is no such device, or it holds no values.
    """
    chosen = checked_device(best_device() if device is None else device)
    if chosen.type == "meta":
        raise ValueError("cannot compute on the device 'meta', which holds no values. Use 'cpu' or 'cuda'.")
    if chosen == torch.device("cuda"):  # with its number, as networks there have it
        return torch.device("cuda", torch.cuda.current_device())
    return chosen


def device_in_words(device: torch.device) -> str:
    """The device's name, for a report; CUDA's with the maker's."""
    if device.type != "cuda":
        return str(device)
    return f"{device} ({torch.cuda.get_device_name(device)}), TF32 off"


@contextmanager
def exact_float32() -> Iterator[None]:
    """Within this context products of float32 are not rounded to TF32's ten bits, as CUDA's convolutions are by
    default, so that a GPU's figures can be compared with a CPU's. Afterwards all is as before."""
    switches = _switches()
    before = [getattr(holder, name) for holder, name, _ in switches]
    try:
        for holder, name, exact in switches:
            setattr(holder, name, exact)
        yield
    finally:
        for (holder, name, _), value in zip(switches, before, strict=True):
            setattr(holder, name, value)


def _switches() -> list[tuple[Any, str, Any]]:
    """What PyTorch decides on TF32 by: holder, name, and the value for none."""
    backends: Any = torch.backends
    every_version = [(backends.cudnn, "allow_tf32", False), (backends.cuda.matmul, "allow_tf32", False)]
    try:
        for holder, name, _ in every_version:
            getattr(holder, name)
    except RuntimeError:  # the newer ones were set, beside which PyTorch refuses the older ones
        holders = (backends.cudnn.conv, backends.cudnn.rnn, backends.cuda.matmul)
        return [(holder, "fp32_precision", "ieee") for holder in holders]
    return every_version
