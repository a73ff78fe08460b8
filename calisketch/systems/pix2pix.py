"""pix2pix (Isola et al., "Image-to-Image Translation with Conditional Adversarial Networks", CVPR 2017), on faces.

Equation numbers are that paper's. One stage: the sketch x itself is painted, G(x) = y. It is the baseline that a
calibration of the strokes has to beat (Cali-Sketch, Table 1), and a method for few pairs of one person's photos.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from ..checks import check_image, check_positive
from ..losses import (
    feature_matching,
    l1,
    lsgan_discriminator,
    lsgan_generator,
    vanilla_discriminator,
    vanilla_generator,
)
from ..networks import LPIPS, PatchGAN70, UNet, mean_logit, without_power_iteration
from ..stage import Batch, Schedule, Stage
from .one_network import OneNetworkStage
from .system import Channels, by_stage

# Section 3.3: Adam with beta1 = .5, beta2 = .999, both networks at one rate, batch size 1. The count is that of its
# smallest set of photos: 200 epochs of 400 facades (section 6.2).
PAPER_SCHEDULES = {
    "pix2pix": Schedule(iterations=80_000, learning_rate=2e-4, discriminator_ratio=1.0, betas=(0.5, 0.999)),
}
OBJECTIVES: Mapping[str, tuple[Callable[..., Tensor], Callable[..., Tensor]]] = {
    "vanilla": (vanilla_discriminator, vanilla_generator),
    "lsgan": (lsgan_discriminator, lsgan_generator),
}


class Pix2Pix(nn.Module):
    """G: x (B, 1, H, W) -> y (B, 3, H, W), with D, which tells the pair (x, photo) from the pair (x, G(x)).

    The paper's images lie in [-1, 1], ours in [0, 1]. Its weight of 100 belongs to distances in [-1, 1], so the L1 term
    is measured there, and D sees the pairs there *(a reading)*. The noise z is G's dropout.

    Args:
        generator: G; the paper's U-Net 256 if None.
        discriminator: D on 1 + 3 channels; the paper's 70x70 PatchGAN, without spectral norm, if None.
        l1_weight: lambda of Eq. 4.
        objective: "vanilla", the paper's cross-entropy, or "lsgan".
        feature_matching_weight, lpips_weight: of terms that the paper does not have, hence 0: feature matching on D's
            layers (pix2pixHD), and LPIPS.
        lpips: the network of the LPIPS term; the pretrained one if None and needed.
        window: side of the square, at a random place at every step, that D and LPIPS are shown of each batch in
            training, which costs as much less as it is smaller; None: all of it, the paper's.

    Attributes:
        name: of the network, its stage and its loss terms.
        given, wanted, made: what a batch calls x, y and G(x).
        channels: of x and y.

    Raises:
        ValueError: a negative weight or an unknown objective.
        calisketch.weights.MissingWeights: LPIPS has a weight, ``lpips`` is None, and there are no pretrained weights.
    """

    name = "pix2pix"
    given, wanted, made = "sketch", "photo", "face"
    channels = (1, 3)

    def __init__(
        self,
        generator: nn.Module | None = None,
        discriminator: nn.Module | None = None,
        l1_weight: float = 100.0,
        objective: str = "vanilla",
        feature_matching_weight: float = 0.0,
        lpips_weight: float = 0.0,
        lpips: LPIPS | None = None,
        window: int | None = None,
    ):
        super().__init__()
        check_positive("l1_weight", l1_weight, zero=True)
        check_positive("feature_matching_weight", feature_matching_weight, zero=True)
        check_positive("lpips_weight", lpips_weight, zero=True)
        if objective not in OBJECTIVES:
            raise ValueError(f"objective must be one of {sorted(OBJECTIVES)}; got {objective!r}.")
        if window is not None and (isinstance(window, bool) or window < 32):
            raise ValueError(f"window must be a side of at least 32 pixels, or null; got {window!r}.")
        self.window = window
        self.generator = UNet(*self.channels) if generator is None else generator
        self.discriminator = PatchGAN70(sum(self.channels), spectral=False) if discriminator is None else discriminator
        self.lpips = LPIPS.from_pretrained() if lpips is None and lpips_weight else lpips
        self.l1_weight = l1_weight
        self.feature_matching_weight = feature_matching_weight
        self.lpips_weight = lpips_weight
        self.discriminator_objective, self.generator_objective = OBJECTIVES[objective]

    def forward(self, given: Tensor) -> Tensor:
        """G(x). Line drawings (B, 1, H, W) have ink = 1, photos are RGB (B, 3, H, W); both in [0, 1]."""
        check_image(given, self.channels[0], self.given, range01=False)
        return self.generator(given)

    def discriminator_losses(self, batch: Batch) -> Batch:
        """Eq. 1 for D: (x, y) is real, (x, G(x)), detached here, is fake."""
        batch = self._shown(batch)
        real, fake = self._pairs(batch, self.wanted), self._pairs(batch, self.made, detach=True)
        logits = self.discriminator(torch.cat([real, fake])).logits
        real_logits, fake_logits = zip(*(scale.chunk(2) for scale in logits), strict=True)
        return {f"{self.name}/discriminator": self.discriminator_objective(real_logits, fake_logits)}

    def generator_losses(self, batch: Batch) -> Batch:
        """Eq. 4: G's side of Eq. 1 + lambda * Eq. 3, and what else has a weight."""
        distance = 2 * l1(batch[self.wanted], batch[self.made])  # in [-1, 1], as the paper's images are
        batch = self._shown(batch)
        output = self.discriminator(self._pairs(batch, self.made))
        terms = {
            f"{self.name}/adversarial": self.generator_objective(output.logits),  # Eq. 1, max log D(x, G(x)) (3.3)
            f"{self.name}/l1": self.l1_weight * distance,  # Eq. 3
        }
        if self.feature_matching_weight:
            with torch.no_grad():
                real = self.discriminator(self._pairs(batch, self.wanted)).features
            matching = feature_matching(real, output.features)
            terms[f"{self.name}/feature_matching"] = self.feature_matching_weight * matching
        if self.lpips_weight:
            terms[f"{self.name}/lpips"] = self.lpips_weight * self._lpips(batch).mean()
        return terms

    @torch.no_grad()
    def scores(self, batch: Batch) -> Batch:
        """D's mean logit on what is wanted and on what is made, beside what is given."""
        with without_power_iteration(self.discriminator):
            real, fake = (mean_logit(self.discriminator(self._pairs(batch, name))) for name in (self.wanted, self.made))
        return {f"{self.name}/real": real, f"{self.name}/fake": fake}

    @torch.no_grad()
    def plateau_figure(self, made: Tensor, batch: Batch) -> Tensor:
        """Eq. 3 in our [0, 1]: mean |y - G(x)|; where LPIPS has a weight, LPIPS, which does not prefer a blur."""
        if self.lpips_weight:
            return self._lpips({**batch, self.made: made}).mean()
        return l1(batch[self.wanted], made)

    @property
    def frozen(self) -> dict[str, nn.Module]:
        """The fixed network that the losses look through, by name."""
        return {} if self.lpips is None else {"lpips": self.lpips}

    def _lpips(self, batch: Batch) -> Tensor:
        """(B,): between what is wanted and what is made; of drawings, dark on white."""
        assert self.lpips is not None
        images = batch[self.wanted], batch[self.made]
        return self.lpips(*(each if each.shape[1] == 3 else 1 - each.expand(-1, 3, -1, -1) for each in images))

    def _shown(self, batch: Batch) -> Batch:
        """The window of x, y and G(x) that D and LPIPS are shown; from torch's generator, so that resuming is exact."""
        height, width = batch[self.wanted].shape[-2:]
        if self.window is None or self.window >= min(height, width):
            return batch
        top, left = (int(torch.randint(side - self.window + 1, ())) for side in (height, width))
        return {
            name: batch[name][..., top : top + self.window, left : left + self.window]
            for name in (self.given, self.wanted, self.made)
        }

    def _pairs(self, batch: Batch, name: str, detach: bool = False) -> Tensor:
        """What D sees: x beside what the batch calls ``name``, (B, sum(channels), H, W) in [-1, 1]."""
        given, beside = batch[self.given], batch[name].detach() if detach else batch[name]
        return 2 * torch.cat([given, beside.to(given.dtype)], dim=1) - 1


class TranslationStage(OneNetworkStage):
    """The only stage: x -> G(x), on what is given as it is."""

    columns = ("sketch", "photo", "face")

    def __init__(self, pix2pix: Pix2Pix, schedule: Schedule):
        self.name = self.network = pix2pix.name
        self.made = pix2pix.made
        super().__init__(pix2pix, schedule)

    def generate(self, batch: Batch) -> Batch:
        return {**batch, self.made: self.networks(batch[self.networks.given])}


class Pix2PixSystem:
    """pix2pix as one stage.

    Args:
        pix2pix: networks and losses; the paper's if None.
        schedules: for "pix2pix" what to use in place of the paper's schedule.

    Raises:
        ValueError: a schedule for a stage that there is not.
    """

    name = "pix2pix"

    def __init__(self, pix2pix: Pix2Pix | None = None, schedules: Mapping[str, Schedule] | None = None):
        chosen = by_stage(PAPER_SCHEDULES, schedules)
        self.pix2pix = Pix2Pix() if pix2pix is None else pix2pix
        self.stages: list[Stage] = [TranslationStage(self.pix2pix, chosen["pix2pix"])]

    @property
    def generators(self) -> dict[str, nn.Module]:
        """The network that paints, by the name that a model folder has for it."""
        return {"isn": self.pix2pix.generator}

    @property
    def channels(self) -> dict[str, Channels]:
        return {
            "pix2pix.generator": Channels(self.pix2pix.generator, 1, 3),
            "pix2pix.discriminator": Channels(self.pix2pix.discriminator, 1 + 3),
        }
