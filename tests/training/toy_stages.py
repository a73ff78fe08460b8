"""A stage and a data set small enough to check by hand."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import Dataset

from calisketch.stage import Batch, Schedule


class Photos(Dataset):
    """Random photos with maps, the same for the same seed."""

    def __init__(self, count: int = 10, size: int = 8, seed: int = 0) -> None:
        generator = torch.Generator().manual_seed(seed)
        self.photo = torch.rand(count, 3, size, size, generator=generator)
        self.contour = torch.rand(count, 1, size, size, generator=generator)

    def __len__(self) -> int:
        return len(self.photo)

    def __getitem__(self, place: int) -> Batch:
        return {
            "photo": self.photo[place],
            "contour": self.contour[place],
            "detail": self.contour[place],
            "index": torch.tensor(place),
        }


def draw(photo: Tensor, *, seed: int, epoch: int, index: list[int]) -> Tensor:
    """A stand-in for the mixture: grey plus noise of each sample's own."""
    noise = [
        torch.rand(1, *photo.shape[-2:], generator=torch.Generator().manual_seed(seed * 7919 + epoch * 101 + sample))
        for sample in index
    ]
    return photo.mean(1, keepdim=True) * 0.5 + torch.stack(noise) * 0.5


def generator(width: int = 4) -> nn.Module:
    return nn.Sequential(nn.Conv2d(1, width, 3, padding=1), nn.Tanh(), nn.Conv2d(width, 1, 3, padding=1))


def discriminator(width: int = 4) -> nn.Module:
    return nn.Sequential(
        nn.utils.parametrizations.spectral_norm(nn.Conv2d(1, width, 3, 2, 1)), nn.Tanh(), nn.Conv2d(width, 1, 3, 2, 1)
    )


class ToyStage:
    """sketch -> contour with LSGAN and L1; ``draws_noise`` makes it depend on the global random generator."""

    def __init__(
        self, name: str, network: nn.Module, critic: nn.Module, schedule: Schedule, draws_noise: bool = False
    ) -> None:
        self.name = name
        self.schedule = schedule
        self.network, self.critic = network, critic
        self.generators: dict[str, nn.Module] = {"scn": network}
        self.discriminators: dict[str, nn.Module] = {"scn": critic}
        self.frozen: dict[str, nn.Module] = {}
        self.draws_noise = draws_noise

    def generate(self, batch: Batch) -> Batch:
        sketch = batch["sketch"]
        if self.draws_noise:
            sketch = sketch + 0.1 * torch.randn_like(sketch)
        return {**batch, "refined": self.network(sketch)}

    def discriminator_losses(self, batch: Batch) -> Batch:
        real, fake = self.critic(batch["contour"]), self.critic(batch["refined"].detach())
        return {"real": (real - 1).square().mean() / 2, "fake": fake.square().mean() / 2}

    def generator_losses(self, batch: Batch) -> Batch:
        return {
            "adversarial": (self.critic(batch["refined"]) - 1).square().mean() / 2,
            "l1": 10 * F.l1_loss(batch["refined"], batch["contour"]),
        }

    @torch.no_grad()
    def scores(self, batch: Batch) -> Batch:
        training = self.critic.training
        self.critic.eval()
        result = {"real": self.critic(batch["contour"]).mean(), "fake": self.critic(batch["refined"]).mean()}
        self.critic.train(training)
        return result

    @torch.no_grad()
    def preview(self, batch: Batch) -> Batch:
        made = {**batch, "refined": self.network(batch["sketch"])}
        return {name: made[name] for name in ("sketch", "refined", "contour", "photo")}

    @torch.no_grad()
    def plateau_figure(self, batch: Batch) -> Tensor:
        return F.l1_loss(self.network(batch["sketch"]), batch["contour"])


def stages(
    first: int = 6, second: int = 4, seed: int = 0, draws_noise: bool = False, patience: int | None = None
) -> list[ToyStage]:
    """Two stages of one network, as in Algorithm 1."""
    torch.manual_seed(seed)
    network, critic = generator(), discriminator()
    schedules = [Schedule(first, 1e-2, patience=patience), Schedule(second, 1e-3, decay=0.5)]
    names = ["scn", "joint"]
    return [
        ToyStage(name, network, critic, schedule, draws_noise) for name, schedule in zip(names, schedules, strict=True)
    ]
