"""X-GANs (Liu et al., "X-GANs: Image Reconstruction Made Easy for Extreme Cases", 2018): corrupted photos repaired.

Equation and section numbers are that paper's. One stage: the corrupted picture s itself is repaired, G(s) = x. Three
discriminators look at the pair (s, x) at full, half and quarter size, and G learns against the one that is hardest to
please; where the corruption leaves pixels of the photo standing, G is held to them (the corresponding point loss).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from ..checks import check_image, check_positive
from ..losses import feature_matching, l1, lsgan_discriminator, lsgan_generator, perceptual
from ..networks import (
    VGG19,
    DiscriminatorOutput,
    EncoderDecoder,
    MultiScaleDiscriminator,
    mean_logit,
    per_scale,
    without_power_iteration,
)
from ..stage import Batch, Schedule, Stage
from .one_network import OneNetworkStage
from .system import Channels, by_stage

# Section 4: Adam, 2e-4, batch size 1, 100,000 iterations. Its betas and D's rate are pix2pix's *(readings)*.
PAPER_SCHEDULES = {
    "x_gan": Schedule(iterations=100_000, learning_rate=2e-4, discriminator_ratio=1.0, betas=(0.5, 0.999)),
}
# Section 4: "corresponding point loss only for reconstruction of discrete point and white block task".
POINT_LOSSES = {
    "points": "l2",
    "feature_points": "l2",
    "white_block": "l2",
    "colour_noise": "none",
    "colour_block": "none",
}
PERCEPTUAL_LAYERS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")  # Eq. 5; pix2pixHD's five *(a reading)*


class XGans(nn.Module):
    """G: s (B, 3, H, W) -> x (B, 3, H, W), with D1, D2, D3, which tell (s, photo) from (s, G(s)) at three sizes.

    A batch's ``sketch`` is what `sketching.Corruption` makes: (B, 4, H, W), the corrupted picture s and the kept mask.
    G sees s alone, as the paper's does; the mask serves Eq. 6. Dropout is on in training, off in use *(a reading)*.

    The paper's images lie in [-1, 1], ours in [0, 1]. The discriminators see pairs in [-1, 1] and the point loss is
    measured there, as their weights expect; VGG-19 sees [0, 1], as everywhere here.

    Args:
        generator: G on 3 channels; Johnson's network with nine residual blocks and dropout if None.
        discriminator: on 3 + 3 channels, with as many logits as scales; three 70x70 PatchGANs if None.
        vgg: VGG-19 of Eq. 5; the pretrained one if None and needed.
        task: of the corruption that it is trained on, kept with the model: a key of `POINT_LOSSES`.
        point_loss: "l2" (Eq. 6), "l1" or "none"; "by_task": as the paper has it for the task.
        matching_weight: lambda of Eq. 4. perceptual_weight: lambda of Eq. 5. point_weight: of Eq. 6. The paper gives
            none of them: pix2pixHD's 10 and 10 and pix2pix's 100 *(readings)*.

    Raises:
        ValueError: a negative weight, an unknown task or point loss.
        calisketch.weights.MissingWeights: ``vgg`` is None and there are no pretrained weights.
    """

    def __init__(
        self,
        generator: nn.Module | None = None,
        discriminator: nn.Module | None = None,
        vgg: VGG19 | None = None,
        task: str = "points",
        point_loss: str | None = "by_task",
        matching_weight: float = 10.0,
        perceptual_weight: float = 10.0,
        point_weight: float = 100.0,
    ):
        super().__init__()
        check_positive("matching_weight", matching_weight, zero=True)
        check_positive("perceptual_weight", perceptual_weight, zero=True)
        check_positive("point_weight", point_weight, zero=True)
        if task not in POINT_LOSSES:
            raise ValueError(f"task must be one of {', '.join(POINT_LOSSES)}; got {task!r}.")
        if point_loss not in ("by_task", "l2", "l1", "none", None):
            raise ValueError(f"point_loss must be by_task, l2, l1 or none; got {point_loss!r}.")
        if generator is None:
            generator = EncoderDecoder(3, 3, blocks=9, dilation=1, skips=False, head="tanh", dropout=0.5)
        self.generator = generator
        self.discriminator = MultiScaleDiscriminator.of_patches(3 + 3) if discriminator is None else discriminator
        self.vgg = VGG19.from_pretrained() if vgg is None and perceptual_weight else vgg
        self.task = task
        self.point_loss = POINT_LOSSES[task] if point_loss == "by_task" else point_loss or "none"
        self.matching_weight = matching_weight
        self.perceptual_weight = perceptual_weight
        self.point_weight = point_weight

    def forward(self, corrupted: Tensor) -> Tensor:
        """G(s). corrupted (B, 3, H, W) in [0, 1], RGB; the result likewise."""
        check_image(corrupted, 3, "corrupted", range01=False)
        return self.generator(corrupted)

    @property
    def frozen(self) -> dict[str, nn.Module]:
        """The fixed network that Eq. 5 looks through, by name."""
        return {} if self.vgg is None else {"vgg": self.vgg}

    def discriminator_losses(self, batch: Batch) -> Batch:
        """Eq. 2 for D1, D2, D3: (s, photo) is real, (s, ``batch["restored"]``), detached here, is fake."""
        corrupted, restored = batch["sketch"][:, :3], batch["restored"].detach()
        logits = self.discriminator(torch.cat([_pairs(corrupted, batch["photo"]), _pairs(corrupted, restored)])).logits
        terms = {}
        for scale, (real, fake) in enumerate(_halves(logits), start=1):
            terms[f"x_gan/discriminator_{scale}"] = lsgan_discriminator([real], [fake])
        return terms

    def generator_losses(self, batch: Batch) -> Batch:
        """Eq. 4 + Eq. 5 + Eq. 6: the largest of three GAN losses, feature matching, VGG-19, and the kept pixels."""
        corrupted, photo, restored = batch["sketch"][:, :3], batch["photo"], batch["restored"]
        fake = self.discriminator(_pairs(corrupted, restored))
        of_scales = torch.stack([lsgan_generator([logits]) for logits in fake.logits])
        terms = {"x_gan/adversarial": of_scales.max()}  # Eq. 4: F = max, G against the best discriminator
        if self.matching_weight:
            with torch.no_grad():
                real = self.discriminator(_pairs(corrupted, photo))
            terms["x_gan/feature_matching"] = self.matching_weight * matching_of_scales(real, fake)  # Eq. 3
        if self.perceptual_weight:
            assert self.vgg is not None
            with torch.no_grad():
                features = self.vgg(photo, PERCEPTUAL_LAYERS)
            terms["x_gan/perceptual"] = self.perceptual_weight * perceptual(  # Eq. 5
                features, self.vgg(restored, PERCEPTUAL_LAYERS)
            )
        if self.point_loss != "none":
            distance = point_distance(corrupted, restored, batch["sketch"][:, 3:], self.point_loss)
            terms["x_gan/points"] = self.point_weight * distance  # Eq. 6
        return terms

    @torch.no_grad()
    def scores(self, batch: Batch) -> Batch:
        """The discriminators' mean logit on photos and on restored pictures, beside what was corrupted."""
        with without_power_iteration(self.discriminator):
            real, fake = (
                mean_logit(self.discriminator(_pairs(batch["sketch"][:, :3], batch[name])))
                for name in ("photo", "restored")
            )
        return {"x_gan/real": real, "x_gan/fake": fake}

    @torch.no_grad()
    def plateau_figure(self, restored: Tensor, batch: Batch) -> Tensor:
        """Mean |photo - G(s)| in [0, 1]."""
        return l1(batch["photo"], restored)


def matching_of_scales(real: DiscriminatorOutput, fake: DiscriminatorOutput) -> Tensor:
    """Eq. 3 summed over scales: for each, the sum over layers of mean |D_k^(i)(s, x) - D_k^(i)(s, G(s))|.

    The logits are no layer of it *(a reading: as in pix2pixHD, where Eq. 3 is from)*.
    """
    pairs = zip(per_scale(real), per_scale(fake), strict=True)
    return torch.stack([feature_matching(known[:-1], made[:-1]) for known, made in pairs]).sum()


def point_distance(corrupted: Tensor, restored: Tensor, kept: Tensor, kind: str) -> Tensor:
    """Eq. 6, ||s - Mask(G(s), s)||^2 in [-1, 1]: the mean over a sample's kept pixels, then over samples, a scalar.

    A mean, so that a kept pixel of few weighs no less than one of many: "the problem of unbalanced punishment" (section
    3.5) *(a reading)*. A sample that keeps nothing counts 0.

    Args:
        corrupted, restored: (B, 3, H, W) in [0, 1]. kept: (B, 1, H, W), 1 where s is the photo's own pixel.
        kind: "l2", or "l1" for the comparison of Figure 12.
    """
    error = 2 * (corrupted.float() - restored.float())
    error = error.square() if kind == "l2" else error.abs()
    count = kept.float().sum((1, 2, 3)) * error.shape[1]
    return ((error * kept).sum((1, 2, 3)) / count.clamp(min=1)).mean()


def _pairs(corrupted: Tensor, photo: Tensor) -> Tensor:
    """What the discriminators see, (B, 3 + 3, H, W) in [-1, 1]."""
    return 2 * torch.cat([corrupted, photo.to(corrupted.dtype)], dim=1) - 1


def _halves(logits: Sequence[Tensor]) -> list[tuple[Tensor, Tensor]]:
    """Of each scale, the logits on real and on fake pairs, which went through in one batch."""
    return [(halves[0], halves[1]) for halves in (scale.chunk(2) for scale in logits)]


class RestorationStage(OneNetworkStage):
    """The only stage: s -> G(s)."""

    name = "x_gan"
    network = "x_gan"
    made = "restored"
    columns = ("corrupted", "restored", "photo")

    def generate(self, batch: Batch) -> Batch:
        corrupted = batch["sketch"][:, :3]
        return {**batch, "corrupted": corrupted, "restored": self.networks(corrupted)}


class XGansSystem:
    """X-GANs as one stage.

    Args:
        x_gan: networks and losses; the paper's if None.
        schedules: for "x_gan" what to use in place of the paper's schedule.

    Raises:
        ValueError: a schedule for a stage that there is not.
    """

    name = "x_gans"

    def __init__(self, x_gan: XGans | None = None, schedules: Mapping[str, Schedule] | None = None):
        chosen = by_stage(PAPER_SCHEDULES, schedules)
        self.x_gan = XGans() if x_gan is None else x_gan
        self.stages: list[Stage] = [RestorationStage(self.x_gan, chosen["x_gan"])]

    @property
    def generators(self) -> dict[str, nn.Module]:
        """G, by the name that a model folder has for it."""
        return {"x_gan": self.x_gan.generator}

    @property
    def info(self) -> dict[str, str]:
        """What a model folder should say of it: the corruption that it repairs."""
        return {"task": self.x_gan.task, "point_loss": self.x_gan.point_loss}

    @property
    def channels(self) -> dict[str, Channels]:
        return {
            "x_gan.generator": Channels(self.x_gan.generator, 3, 3),
            "x_gan.discriminator": Channels(self.x_gan.discriminator, 3 + 3),
        }
