"""Exponential moving average of a network's weights."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn


class Ema:
    """A slowly moving copy of ``module``'s weights: average <- d * average + (1 - d) * weight.

    The decay warms up as d = min(decay, (1 + n) / (10 + n)) in the n-th update, so that the average forgets the random
    start at once and moves slowly only when there is something to keep. Buffers are copied, not averaged.

    Args:
        module: the network that is followed; it is only read, except within ``swapped``.
        decay: d after the warm-up, in [0, 1). With 0 the average is the weights themselves.

    Raises:
        ValueError: ``decay`` outside [0, 1).
    """

    def __init__(self, module: nn.Module, decay: float = 0.999) -> None:
        if not 0 <= decay < 1:
            raise ValueError(f"ema_decay must lie in [0, 1); got {decay!r}. 0 switches the average off.")
        self.module = module
        self.decay = decay
        self.updates = 0
        self.average = {name: value.detach().clone() for name, value in module.state_dict().items()}

    @torch.no_grad()
    def update(self, skipped: Tensor | None = None) -> None:
        """Moves the average one step towards the module's present weights.

        skipped: () on the device: where it is not 0, the weights were not updated, and the average stays as it is; the
            warm-up counts the step all the same, since the count is kept on the host.
        """
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates)) if self.decay else 0.0
        self.updates += 1
        current = self.module.state_dict()
        floating = [name for name, value in self.average.items() if value.is_floating_point()]
        averages, weights = [self.average[name] for name in floating], [current[name] for name in floating]
        if skipped is not None:
            weights = [
                torch.where(skipped > 0, average, weight) for average, weight in zip(averages, weights, strict=True)
            ]
        torch._foreach_lerp_(averages, weights, 1 - decay)
        for name, value in self.average.items():
            if not value.is_floating_point():
                value.copy_(current[name])

    @contextmanager
    def swapped(self) -> Iterator[None]:
        """Within this context the module holds the average; afterwards its own weights again, bit for bit."""
        own = {name: value.detach().clone() for name, value in self.module.state_dict().items()}
        _copy(self.average, self.module)
        try:
            yield
        finally:
            _copy(own, self.module)

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        return {"updates": self.updates, "average": self.average}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Takes up a kept state; the tensors must be those of the module."""
        if set(state["average"]) != set(self.average):
            odd = sorted(set(state["average"]) ^ set(self.average))
            raise ValueError(f"the moving average is of another network: {', '.join(odd[:4])} is on one side only.")
        self.updates = int(state["updates"])
        for name, value in self.average.items():
            value.copy_(state["average"][name])


@torch.no_grad()
def _copy(source: dict[str, Tensor], module: nn.Module) -> None:
    for name, value in module.state_dict().items():
        value.copy_(source[name])
