"""The engine's settings: values with one meaning each, checked before anything is made."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import torch

from ..inference.computing import best_device
from .processes import started_by_torchrun

PRECISIONS = ("32-true", "bf16-mixed", "16-mixed")


@dataclass(frozen=True)
class Settings:
    """How stages are run, whatever they train.

    Attributes:
        precision: "32-true" (or "32"), "bf16-mixed", or "16-mixed" with a gradient scaler.
        batch_size: samples of one forward pass of one process.
        accumulate: such batches per step; the step sees batch_size * accumulate * processes samples.
        compile: compile the networks in place (their state dicts keep their keys).
        channels_last: networks and images in that memory format.
        ema_decay: of the generators' moving averages, which are validated, pictured and saved; 0: none.
        seed: of the order of the samples and the sketches drawn from them.
        log_every: steps between logged ones.
        preview_every: steps between picture grids; one also at a stage's end.
        validate_every: steps between validations; one also at a stage's end.
        validation_samples: at most so many are judged, at even distances; they stay on the device.
        checkpoint_every: steps between checkpoints; one also at a stage's end.
        preview_samples: rows of the picture grid.
        workers: processes that load data; 0 is right for data in memory.
        accelerator: as Lightning Fabric's: "auto", "cpu", "cuda", "mps" ...
        devices: processes on this machine, one a device; None: as many as torchrun has started, else 1.
        keep: how many checkpoints stay.

    Raises:
        ValueError: a value that no training can have, with its name.
    """

    precision: str = "32-true"
    batch_size: int = 8
    accumulate: int = 1
    compile: bool = False
    channels_last: bool = False
    ema_decay: float = 0.999
    seed: int = 0
    log_every: int = 100
    preview_every: int = 1000
    validate_every: int = 1000
    validation_samples: int = 1000
    checkpoint_every: int = 1000
    preview_samples: int = 6
    workers: int = 0
    accelerator: str = "auto"
    devices: int | None = None
    keep: int = 2

    def __post_init__(self) -> None:
        named = "32-true" if str(self.precision) == "32" else self.precision
        if named not in PRECISIONS:
            raise ValueError(f"precision must be one of {list(PRECISIONS)}; got {self.precision!r}.")
        object.__setattr__(self, "precision", named)
        for field in fields(self):
            value = getattr(self, field.name)
            whole = isinstance(value, int) and not isinstance(value, bool)
            least = 0 if field.name in ("seed", "workers") else 1
            if field.type == "int | None" and value is None:
                continue
            if field.type in ("int", "int | None") and not (whole and value >= least):
                raise ValueError(f"{field.name} must be a whole number, at least {least}; got {value!r}.")
            if field.type == "bool" and not isinstance(value, bool):
                raise ValueError(f"{field.name} must be true or false; got {value!r}.")
        if (
            isinstance(self.ema_decay, bool)
            or not isinstance(self.ema_decay, int | float)
            or not 0 <= self.ema_decay < 1
        ):
            raise ValueError(f"ema_decay must lie in [0, 1); got {self.ema_decay!r}. 0 switches the average off.")
        self._settle_devices()

    def _settle_devices(self) -> None:
        started = started_by_torchrun()
        devices = (started.local if started else 1) if self.devices is None else self.devices
        if started and devices != started.local:
            raise ValueError(
                f"devices must be {started.local}, the number of processes that torchrun started on this machine; got "
                f"{devices}. Leave devices out, or change torchrun's --nproc-per-node."
            )
        best = "cpu" if self.accelerator == "cpu" else best_device().type
        on_gpu = best != "cpu"
        there = {"cuda": torch.cuda.device_count(), "mps": 1}.get(best, max(2, os.cpu_count() or 1))
        if devices > there:  # every one is a process, so a slip of the finger would fill the memory
            what = "graphics processors" if on_gpu else "processor cores"
            raise ValueError(f"devices must be at most {there}, the number of {what} here; got {devices}.")
        object.__setattr__(self, "devices", devices)


def check_stages(only: Sequence[str] | None, names: Sequence[str]) -> None:
    """Raises ValueError: a stage that there is not, or none; or a name that no checkpoint could be found again by."""
    if odd := [name for name in names if not re.fullmatch(r"[a-z0-9_]{1,64}", name)]:
        raise ValueError(f"a stage's name stands in its checkpoints' and must be of a-z, 0-9 and _; got {odd}.")
    if only is None:
        return
    unknown = isinstance(only, str) or not only or any(name not in names for name in only)
    if unknown:
        raise ValueError(f"stages must be a list of some of {list(names)}; got {only if only else 'none'!r}.")


def changed_settings(before: Mapping[str, Any], now: Mapping[str, Any], prefix: str = "") -> list[str]:
    """The settings that differ between two configurations, as lines ``key: before -> now``."""
    lines = []
    for key in sorted({*before, *now}):
        old, new = before.get(key), now.get(key)
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            lines += changed_settings(old, new, f"{prefix}{key}.")
        elif old != new and not (key not in before and new in (None, False)):  # a setting that was not there yet
            lines.append(f"{prefix}{key}: {old} -> {new}")
    return lines
