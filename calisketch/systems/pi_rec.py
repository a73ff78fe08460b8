"""PI-REC (You et al., "PI-REC: Progressive Image Reconstruction Network With Edge and Color Domain", 2019).

A photo from its binary edges and its colours in a few flat areas: one generator and one discriminator, trained through
three phases as a painter learns: copying masters, painting roughly, refining. Equation numbers are that paper's.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..checks import check_image, check_positive, check_same_size
from ..losses import gram_matrix, lsgan_discriminator, lsgan_generator, perceptual, style
from ..networks import VGG19, DiscriminatorOutput, EncoderDecoder, PatchGAN70, mean_logit, without_power_iteration
from ..stage import Batch, Schedule, Stage
from .one_network import OneNetworkStage
from .system import Channels, by_stage

# The paper gives neither steps nor learning rates. A phase ends when it has converged (section 3.2): patience; the
# counts are upper bounds. Adam is EdgeConnect's, which the method builds on *(a reading)*.
PAPER_SCHEDULES = {
    "imitation": Schedule(iterations=100_000, learning_rate=1e-4, patience=10),
    "generating": Schedule(iterations=100_000, learning_rate=1e-4, patience=10),
    "refinement": Schedule(iterations=100_000, learning_rate=1e-4, patience=10),
}
LAYERS = ("conv1_1", "conv2_1", "conv3_1", "conv4_1", "conv5_1")  # Eq. 12 and 13, before activation (section 3.3)


@dataclass(frozen=True)
class PhaseWeights:
    """What the terms of Eq. 7 weigh in a phase.

    Attributes:
        pixel: alpha. adversarial: beta. feature: gamma. style: delta.

    Raises:
        ValueError: a negative weight.
    """

    pixel: float = 1.0
    adversarial: float = 0.1
    feature: float = 1.0
    style: float = 0.0

    def __post_init__(self) -> None:
        for name in ("pixel", "adversarial", "feature", "style"):
            check_positive(name, getattr(self, name), zero=True)


PAPER_WEIGHTS = {  # end of section 3.3
    "imitation": PhaseWeights(adversarial=0.01, style=150.0),
    "generating": PhaseWeights(adversarial=0.1),
    "refinement": PhaseWeights(adversarial=2.0),
}


class PIRecGAN(nn.Module):
    """G1: edges E (B, 1, H, W) beside colours I (B, 3, H, W) -> X (B, 3, H, W), with D1, which judges X alone.

    All images lie in [0, 1], as do VGG-19's inputs: the weights are EdgeConnect's kind, which belong to that range
    *(a reading)*.

    Args:
        generator: G1 on 1 + 3 channels; the paper's encoder-decoder if None: eight dilated residual blocks, no skips,
            the first up-sampling bilinear.
        discriminator: D1 on 3 channels; a 70x70 PatchGAN with spectral norm if None.
        vgg: VGG-19 for the feature and style terms; the pretrained one, on raw [0, 1] input, if None.
        sigmoid: D1 ends in a sigmoid, as the paper says, before the least squares. False leaves it linear, which is
            what least squares are meant for.
        masked_target: take Eq. 9 as it is printed, against M * X. That punishes the generator for filling the holes,
            which Eq. 2 asks it to do; False compares with X *(a reading)*.

    Raises:
        calisketch.weights.MissingWeights: ``vgg`` is None and there are no pretrained weights.
    """

    def __init__(
        self,
        generator: nn.Module | None = None,
        discriminator: nn.Module | None = None,
        vgg: VGG19 | None = None,
        sigmoid: bool = False,
        masked_target: bool = False,
    ):
        super().__init__()
        if generator is None:
            generator = EncoderDecoder(1 + 3, 3, skips=False, head="tanh", upsampling="bilinear")
        self.generator = generator
        self.discriminator = PatchGAN70(3) if discriminator is None else discriminator
        self.vgg = VGG19.from_pretrained() if vgg is None else vgg
        self.sigmoid = sigmoid
        self.masked_target = masked_target

    def forward(self, edges: Tensor, colours: Tensor) -> Tensor:
        """Eq. 1, 3 and 5: X = G1(E, I).

        edges: (B, 1, H, W) of 0 and 1, edge = 1. colours: (B, 3, H, W) in [0, 1]: M * X, C or the first result.
        Returns (B, 3, H, W) in [0, 1], RGB.

        Raises:
            TypeError, ValueError: images of other channels, or of different sizes.
        """
        check_image(edges, 1, "edges", range01=False)
        check_image(colours, 3, "colours", range01=False)
        check_same_size(edges, colours, "edges", "colours")
        painted: Tensor = self.generator(torch.cat([edges, colours.to(edges.dtype)], dim=1))
        return painted

    @property
    def frozen(self) -> dict[str, nn.Module]:
        """The fixed network that the losses look through, by name."""
        return {"vgg": self.vgg}

    def discriminator_losses(self, batch: Batch) -> Batch:
        """Eq. 8 and 10: the photo is real, X (``batch["painted"]``, detached here) is fake."""
        output = self._judged(torch.cat([batch["photo"], batch["painted"].detach().to(batch["photo"].dtype)]))
        real, fake = zip(*(scale.chunk(2) for scale in output.logits), strict=True)
        return {"pi_rec/discriminator": lsgan_discriminator(real, fake)}

    def generator_losses(self, batch: Batch, weights: PhaseWeights, mask: Tensor | None = None) -> Batch:
        """Eq. 7: alpha per-pixel + beta adversarial + gamma feature + delta style; what weighs nothing is left out.

        mask: of Eq. 9, see `pixel_loss`.
        """
        photo, painted = batch["photo"], batch["painted"]
        terms: Batch = {}
        if weights.pixel:
            terms["pi_rec/pixel"] = weights.pixel * self.pixel_loss(photo, painted, mask)  # Eq. 9
        if weights.adversarial:
            terms["pi_rec/adversarial"] = weights.adversarial * lsgan_generator(self._judged(painted).logits)  # Eq. 11
        if weights.feature or weights.style:
            with torch.no_grad():
                real = self.vgg(photo, LAYERS)
            fake = self.vgg(painted, LAYERS)
            if weights.feature:
                terms["pi_rec/feature"] = weights.feature * perceptual(real, fake)  # Eq. 12
            if weights.style:
                grams = ({layer: gram_matrix(found[layer]) for layer in LAYERS} for found in (real, fake))
                terms["pi_rec/style"] = weights.style * style(*grams)  # Eq. 13
        return terms

    def pixel_loss(self, photo: Tensor, painted: Tensor, mask: Tensor | None = None) -> Tensor:
        """Eq. 9: mean |painted - photo|, each image times F(X) / F(M), its pixels that are not 0 to those of its mask.

        photo, painted: (B, 3, H, W). mask: M, (B, 1, H, W) of 0 and 1, visible = 1; None, in later phases: weight 1.

        Raises:
            ValueError: images of other sizes.
        """
        check_same_size(photo, painted, "photo", "painted")
        weight = photo.new_ones(len(photo), dtype=torch.float32)
        target = photo.float()
        if mask is not None:
            check_same_size(photo, mask, "photo", "mask")
            visible = mask.float().sum((1, 2, 3))
            weight = (photo != 0).any(1).float().sum((1, 2)) / visible.clamp(min=1)
            target = mask * target if self.masked_target else target
        return (weight * (painted.float() - target).abs().mean((1, 2, 3))).mean()

    def _judged(self, images: Tensor) -> DiscriminatorOutput:
        output: DiscriminatorOutput = self.discriminator(images)
        if not self.sigmoid:
            return output
        return DiscriminatorOutput([torch.sigmoid(scale.float()) for scale in output.logits], output.features)

    @torch.no_grad()
    def scores(self, batch: Batch) -> Batch:
        """D1's mean output on photos and on what G1 made of them."""
        with without_power_iteration(self.discriminator):
            real, fake = (mean_logit(self._judged(batch[name])) for name in ("photo", "painted"))
        return {"pi_rec/real": real, "pi_rec/fake": fake}

    @torch.no_grad()
    def plateau_figure(self, painted: Tensor, batch: Batch) -> Tensor:
        """Mean |X - G1| + Eq. 12: the same in all phases, with no discriminator in it."""
        distance = self.pixel_loss(batch["photo"], painted)
        return distance + perceptual(self.vgg(batch["photo"], LAYERS), self.vgg(painted, LAYERS))


class _Phase(OneNetworkStage):
    """What the three phases share: G1, D1 and the terms; they differ in what is given beside the edges.

    The batch's ``sketch`` (B, 1, H, W) is E, as `sketching.SparseEdges` draws it.
    """

    network = "pi_rec"
    masked = False  # Eq. 9's mask is of the first phase alone
    made = "painted"
    columns = ("sketch", "given", "photo", "painted")

    def __init__(self, pi_rec: PIRecGAN, schedule: Schedule, weights: PhaseWeights):
        super().__init__(pi_rec, schedule)
        self.weights = weights

    @abstractmethod
    def given(self, batch: Batch) -> Tensor:
        """I, (B, 3, H, W): what G1 is given beside the edges."""

    def generate(self, batch: Batch) -> Batch:
        given = self.given(batch)
        return {**batch, "given": given, "painted": self.networks(batch["sketch"], given)}

    def generator_losses(self, batch: Batch) -> Batch:
        losses: Batch = self.networks.generator_losses(batch, self.weights, batch["mask"] if self.masked else None)
        return losses


class ImitationStage(_Phase):
    """Phase 1, Eq. 1: X1 = G1(E, M * X). M, the batch's ``mask`` (B, 1, H, W), hides up to 70 % of the photo."""

    name = "imitation"
    masked = True

    def given(self, batch: Batch) -> Tensor:
        return batch["mask"] * batch["photo"]


class GeneratingStage(_Phase):
    """Phase 2, Eq. 3: X2 = G1(E, C). C is the batch's ``colours`` (B, 3, H, W), its colour domain."""

    name = "generating"

    def given(self, batch: Batch) -> Tensor:
        return batch["colours"]


class RefinementStage(_Phase):
    """Phase 3, Eq. 5: X3 = G1(E, X2). X2 = G1(E, C) is the same generator's, as it is now, and is given as it is: no
    gradient goes through it.
    """

    name = "refinement"

    def given(self, batch: Batch) -> Tensor:
        with torch.no_grad():
            first: Tensor = self.networks(batch["sketch"], batch["colours"])
        return first

    @torch.no_grad()
    def preview(self, batch: Batch) -> Batch:
        made = {**super().preview(batch), "colours": batch["colours"]}
        made["first"] = made.pop("given")
        return {name: made[name] for name in ("sketch", "colours", "first", "photo", "painted")}


class PIRecSystem:
    """PI-REC as its three phases.

    A batch needs ``photo``, ``sketch`` (the edges) and ``colours``, and ``mask`` in the Imitation Phase.

    Args:
        pi_rec: networks and losses; the paper's if None.
        schedules: for any of "imitation", "generating", "refinement" what to use in place of `PAPER_SCHEDULES`.
        weights: likewise in place of `PAPER_WEIGHTS`.

    Raises:
        ValueError: a schedule or weights for a phase that there is not.
    """

    name = "pi_rec"

    def __init__(
        self,
        pi_rec: PIRecGAN | None = None,
        schedules: Mapping[str, Schedule] | None = None,
        weights: Mapping[str, PhaseWeights] | None = None,
    ):
        lasting, weighing = by_stage(PAPER_SCHEDULES, schedules), by_stage(PAPER_WEIGHTS, weights, "weights")
        self.pi_rec = PIRecGAN() if pi_rec is None else pi_rec
        self.stages: list[Stage] = [
            phase(self.pi_rec, lasting[phase.name], weighing[phase.name])
            for phase in (ImitationStage, GeneratingStage, RefinementStage)
        ]

    @property
    def generators(self) -> dict[str, nn.Module]:
        """G1 by the name that the stages and the model folder use."""
        return {"pi_rec": self.pi_rec.generator}

    @property
    def channels(self) -> dict[str, Channels]:
        return {
            "pi_rec.generator": Channels(self.pi_rec.generator, 1 + 3, 3),
            "pi_rec.discriminator": Channels(self.pi_rec.discriminator, 3),
        }
