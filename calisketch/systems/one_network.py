"""What stages that train one generator with its discriminator have in common, whichever method they are of."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import torch
from torch import Tensor, nn

from ..stage import Batch, Schedule


class OneNetworkStage(ABC):
    """A stage whose losses, scores and plateau figure are those of one method's ``networks``; see `Stage`.

    Args:
        networks: `SCN`, `ISN`, `Pix2Pix`, `PIRecGAN`, `XGans` or the like.
        schedule: iterations and Adam.

    Attributes:
        name: of the stage.
        network: what checkpoints call the generator and the discriminator.
        made: what a batch calls what the generator makes.
        columns: of the preview, as far as there are such images.
    """

    name: str
    network: str
    made: str
    columns: tuple[str, ...]

    def __init__(self, networks: Any, schedule: Schedule):
        self.networks = networks
        self.schedule = schedule
        self.generators: dict[str, nn.Module] = {self.network: networks.generator}
        self.discriminators: dict[str, nn.Module] = {self.network: networks.discriminator}
        self.frozen: dict[str, nn.Module] = getattr(networks, "frozen", {})

    @abstractmethod
    def generate(self, batch: Batch) -> Batch: ...

    def discriminator_losses(self, batch: Batch) -> Batch:
        losses: Batch = self.networks.discriminator_losses(batch)
        return losses

    def generator_losses(self, batch: Batch) -> Batch:
        losses: Batch = self.networks.generator_losses(batch)
        return losses

    def scores(self, batch: Batch) -> Batch:
        scores: Batch = self.networks.scores(batch)
        return scores

    @torch.no_grad()
    def preview(self, batch: Batch) -> Batch:
        made = self.generate(batch)
        return {name: made[name] for name in self.columns if name in made}

    @torch.no_grad()
    def plateau_figure(self, batch: Batch) -> Tensor:
        figure: Tensor = self.networks.plateau_figure(self.generate(batch)[self.made], batch)
        return figure
