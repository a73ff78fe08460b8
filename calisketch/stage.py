"""What a training stage is. The engine in ``training`` runs any list of these; ``systems`` makes them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol, TypeAlias, runtime_checkable

from torch import Tensor, nn

from .checks import check_positive

Batch: TypeAlias = dict[str, Tensor]


@dataclass(frozen=True)
class Schedule:
    """How long a stage trains and with what Adam; the defaults are the paper's.

    Attributes:
        iterations: generator steps after which the stage ends.
        learning_rate: Adam's, of the generators.
        discriminator_ratio: the discriminators' learning rate as a share of the generators'.
        betas: Adam's.
        patience: the stage ends early after this many validations without a better plateau figure; None: never.
        decay: over this last share of the iterations the learning rates fall to 0 along a half cosine; 0: constant.

    Raises:
        ValueError: a value that no training can have.
    """

    iterations: int
    learning_rate: float = 1e-4
    discriminator_ratio: float = 0.1
    betas: tuple[float, float] = (0.0, 0.9)
    patience: int | None = None
    decay: float = 0.0

    def __post_init__(self) -> None:
        try:
            object.__setattr__(self, "betas", tuple(float(beta) for beta in self.betas))
        except (TypeError, ValueError):
            raise ValueError(f"betas must be two numbers in [0, 1); got {self.betas!r}.") from None
        if self.iterations < 1 or int(self.iterations) != self.iterations:
            raise ValueError(f"iterations must be a whole number, at least 1; got {self.iterations!r}.")
        check_positive("learning_rate", self.learning_rate)
        check_positive("discriminator_ratio", self.discriminator_ratio)
        if len(self.betas) != 2 or not all(0 <= beta < 1 for beta in self.betas):
            raise ValueError(f"betas must be two numbers in [0, 1); got {self.betas!r}.")
        if self.patience is not None and self.patience < 1:
            raise ValueError(f"patience must be at least 1, or null to never end early; got {self.patience!r}.")
        if not 0 <= self.decay <= 1:
            raise ValueError(f"decay must be a share of the iterations, in [0, 1]; got {self.decay!r}.")

    def rate_factor(self, step: int) -> float:
        """What the learning rates are multiplied by after ``step`` steps: 1, then along a half cosine to 0."""
        falling = self.decay * self.iterations
        into = step - (self.iterations - falling)
        return 1.0 if into <= 0 or not falling else 0.5 * (1 + math.cos(math.pi * min(into / falling, 1.0)))


@runtime_checkable
class Stage(Protocol):
    """One stage of a system: what it trains, and what it minimises.

    A batch is a dict of tensors: ``photo`` (B, 3, H, W), ``contour`` and ``detail`` (B, 1, H, W), ``sketch``
    (B, 1, H, W), or with as many channels as ``data.draw`` makes, ``index`` (B,), and what else the data set has, such
    as ``colours``. A stage holds no optimizer, no device and no step counter. Every loss term comes back by name and
    already weighted: what is minimised is their sum.

    A stage that reads no ``sketch`` may say ``needs_sketch = False``; then the engine draws none for it. One that looks
    through a network which it does not train, but another stage does, may name it in ``builds_on``; then the engine
    says so where that is untrained.

    One whose figure not every image has, such as a drawing's without lines, may give ``plateau_figures(batch)``, (N,)
    with NaN in their places; then the validation figure is the mean over all that are there.

    One that measures more than its plateau figure may have ``figures(batch)``, which takes a plain batch and gives
    scalars by name, the plateau figure as "plateau"; then the engine logs each one's mean over the validation samples.

    ``generate`` is a step of its own, so that one run of the generators serves both the discriminators' update (on
    detached fakes) and, through the updated discriminators, the generators' terms.
    """

    name: str
    schedule: Schedule
    generators: dict[str, nn.Module]
    discriminators: dict[str, nn.Module]
    frozen: dict[str, nn.Module]

    def generate(self, batch: Batch) -> Batch:
        """The batch plus what the generators make of it, with its graph."""
        ...

    def discriminator_losses(self, batch: Batch) -> Batch:
        """Terms for the discriminators; takes ``generate``'s result and detaches the fakes itself."""
        ...

    def generator_losses(self, batch: Batch) -> Batch:
        """Terms for the generators; takes ``generate``'s result."""
        ...

    def scores(self, batch: Batch) -> Batch:
        """The discriminators' mean outputs on real and fake, without graph; takes ``generate``'s result."""
        ...

    def preview(self, batch: Batch) -> Batch:
        """Images for the grid, one entry a column, in order, without graph; takes a plain batch."""
        ...

    def plateau_figure(self, batch: Batch) -> Tensor:
        """The scalar by which a plateau is judged: lower is better, no discriminator in it; takes a plain batch."""
        ...
