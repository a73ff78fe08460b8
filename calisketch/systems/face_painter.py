"""The painter of faces: a generator that is given a colour plan beside the strokes, its discriminator and its losses.

The paper's Eq. 6 (L1, SN-PatchGAN, perceptual, style, TV) with LPIPS and feature matching beside; eyes, brows and mouth
weigh more; pixels outside the source photo carry no loss. Not the paper's ISN, whose place it takes.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..checks import check_image, check_positive
from ..losses import (
    DiffAugment,
    crop_boxes,
    crops_of,
    feature_matching,
    gram_matrix,
    hinge_discriminator,
    hinge_generator,
    perceptual,
    region_weights,
    style,
    total_variation,
    weighted_l1,
)
from ..networks import LPIPS, VGG19, DiscriminatorOutput, FaceDiscriminator, PaintingUNet, without_power_iteration
from ..stage import Batch
from .colour_plans import ColourPlans

PERCEPTUAL_LAYERS = ("conv1_1", "conv2_1", "conv3_1", "conv4_1")  # Eq. 8 without the deepest: crops are small
STYLE_LAYERS = ("relu2_2", "relu3_4", "relu4_4")  # Eq. 9, likewise
_SMALLEST_CROP = 32  # that LPIPS takes; smaller ones, of small images, are enlarged
_SHIFT = 8  # pixels by which AlexNet's grid of stride 4 is moved at random, so that it leaves no pattern


class _Looks(NamedTuple):
    """What the frozen network sees of photos and faces, and of those that the discriminator is shown."""

    real: list[Tensor]
    fake: list[Tensor]
    top: int
    left: int


class FacePainter(nn.Module):
    """G2: R (B, 1, H, W) and a colour plan (B, 4, H/32, W/32) -> P (B, 3, H, W), with D2.

    A batch may have ``inside`` (B, 1, H, W), 1 where the photo is from its source and 0 where its border was repeated:
    there the face is replaced by the photo before any loss looks, so that these pixels carry none.

    Args:
        generator: G2; a `PaintingUNet` if None.
        discriminator: D2; a `FaceDiscriminator` if None.
        lpips: of the LPIPS term, whose AlexNet D2 looks through; the pretrained one if None.
        vgg: of the perceptual and style terms; the pretrained one if None and needed.
        plans: what of the colours is given in training.
        l1_weight, adversarial_weight, perceptual_weight, style_weight, tv_weight: of Eq. 6.
        crop_adversarial_weight, lpips_weight, feature_matching_weight: beside it; the first and the last are of the
            crops' discriminator.
        region_weight: how much more eyes, brows and mouth count in L1 and LPIPS.
        vgg_side: of the square, at a place drawn for each step, that VGG looks at.
        vgg_share: share of the steps in which it looks; its terms weigh so much more then.
        augment: what D2 sees photos and faces through; None: as they are, which shares AlexNet's look with LPIPS.

    Raises:
        ValueError: a negative weight, or a share outside (0, 1].
        calisketch.weights.MissingWeights: a pretrained network is needed and not there.
    """

    def __init__(
        self,
        generator: nn.Module | None = None,
        discriminator: FaceDiscriminator | None = None,
        lpips: LPIPS | None = None,
        vgg: VGG19 | None = None,
        plans: ColourPlans | None = None,
        l1_weight: float = 4.0,
        adversarial_weight: float = 0.05,
        crop_adversarial_weight: float = 0.3,
        perceptual_weight: float = 0.0,
        style_weight: float = 0.0,
        tv_weight: float = 0.05,
        lpips_weight: float = 1.5,
        feature_matching_weight: float = 1.0,
        region_weight: float = 3.0,
        vgg_side: int = 128,
        vgg_share: float = 0.25,
        augment: DiffAugment | None = None,
    ):
        super().__init__()
        self.weights = {
            "l1": l1_weight,
            "adversarial": adversarial_weight,
            "crop_adversarial": crop_adversarial_weight,
            "perceptual": perceptual_weight,
            "style": style_weight,
            "tv": tv_weight,
            "lpips": lpips_weight,
            "feature_matching": feature_matching_weight,
        }
        for name, weight in self.weights.items():
            check_positive(f"{name}_weight", weight, zero=True)
        check_positive("region_weight", region_weight)
        check_positive("vgg_share", vgg_share)
        if vgg_share > 1:
            raise ValueError(f"vgg_share must be a share of the steps, at most 1; got {vgg_share!r}.")
        self.generator = PaintingUNet() if generator is None else generator
        self.discriminator = FaceDiscriminator() if discriminator is None else discriminator
        self.lpips = LPIPS.from_pretrained() if lpips is None else lpips
        self.vgg = VGG19.from_pretrained() if vgg is None and (perceptual_weight or style_weight) else vgg
        self.plans = ColourPlans() if plans is None else plans
        self.augment = augment
        self.region_weight, self.vgg_side, self.vgg_share = region_weight, vgg_side, vgg_share
        self._looked: tuple[Tensor, _Looks] | None = None

    def forward(self, refined: Tensor, plan: Tensor | None = None) -> Tensor:
        """P = G2(R, plan). refined (B, 1, H, W) in [0, 1], ink = 1; the face (B, 3, H, W) in [0, 1], RGB."""
        check_image(refined, 1, "refined", range01=False)
        face: Tensor = self.generator(refined, plan)
        return face

    @property
    def frozen(self) -> dict[str, nn.Module]:
        """The fixed networks that the losses look through, by name."""
        return {name: module for name, module in (("vgg", self.vgg), ("lpips", self.lpips)) if module is not None}

    def discriminator_losses(self, batch: Batch) -> Batch:
        """The photo is real, P (``batch["face"]``, detached here) is fake: the hinge loss on every scale's elements."""
        face = within(batch)
        looks = self._look(batch, face)
        terms = {}
        real, fake = self._projected(batch["photo"], face, looks, detached=True)
        terms["isn/discriminator"] = hinge_discriminator(real, fake)
        if self.discriminator.crops is not None:
            boxes = self._boxes(face)
            real_crops, fake_crops = (
                self._crops(image, batch["refined"].detach(), boxes) for image in (batch["photo"], face.detach())
            )
            terms["isn/crop_discriminator"] = hinge_discriminator(real_crops.logits, fake_crops.logits)
        return terms

    def generator_losses(self, batch: Batch) -> Batch:
        """Every term by name, weighted; what weighs nothing is left out."""
        photo, face = batch["photo"], within(batch)
        looks = self._look(batch, face)
        self._looked = None  # its graph is used up
        weight = region_weights(face.shape[-1], self.region_weight, face.device)
        seen = weight if "inside" not in batch else weight * batch["inside"]
        terms = {"l1": weighted_l1(photo, face, seen)}  # Eq. 7
        if self.weights["lpips"]:
            area = weight[..., looks.top : looks.top + _cut(face), looks.left : looks.left + _cut(face)]
            terms["lpips"] = self.lpips.compare(looks.real, looks.fake, area).mean()
        terms["tv"] = total_variation(face)  # Eq. 10
        if self.weights["adversarial"]:
            _, fake = self._projected(photo, face, looks)
            terms["adversarial"] = hinge_generator(fake)
        looks_at_crops = self.weights["crop_adversarial"] or self.weights["feature_matching"]
        if self.discriminator.crops is not None and looks_at_crops:
            boxes = self._boxes(face)
            made = self._crops(face, batch["refined"].detach(), boxes)
            terms["crop_adversarial"] = hinge_generator(made.logits)
            with torch.no_grad():
                known = self._crops(photo, batch["refined"], boxes)
            terms["feature_matching"] = feature_matching(known.features, made.features) / len(made.features)
        if self.weights["perceptual"] or self.weights["style"]:
            terms |= self._vgg_terms(photo, face)
        weights = self.weights
        return {f"isn/{name}": weights[name] * term for name, term in terms.items() if weights[name]}

    def scores(self, batch: Batch) -> Batch:
        """D2's mean logits and AUC on photos and P, and each term's share of the gradient that P is given.

        The AUC is the share of the (photo, face) pairs of the batch in which D2 prefers the photo, of its mean logit.
        """
        scores = {f"isn/{name}": value for name, value in self.verdicts(batch).items()}
        with without_power_iteration(self.discriminator), torch.enable_grad():
            face = batch["face"].detach().requires_grad_(True)
            norms = {}
            for name, term in self.generator_losses({**batch, "face": face}).items():
                if term.requires_grad:
                    (gradient,) = torch.autograd.grad(term, face, retain_graph=True)
                    norms[name] = gradient.float().norm()
                else:  # VGG's, in a step in which it does not look
                    norms[name] = face.new_zeros(())
        total = torch.stack(list(norms.values())).sum().clamp(min=1e-12)
        return scores | {f"{name}/share": norm / total for name, norm in norms.items()}

    @torch.no_grad()
    def verdicts(self, batch: Batch) -> Batch:
        """D2's mean logits on photos and P, and its AUC, of the heads and of the crops."""
        face = within(batch)
        found: Batch = {}
        with without_power_iteration(self.discriminator):
            looks = self._looks(batch, face, moved=False)
            kinds: dict[str, tuple[list[Tensor], list[Tensor]]] = {"": self._projected(batch["photo"], face, looks)}
            if self.discriminator.crops is not None:
                boxes = list(crop_boxes(face.shape[-1]).values())
                known, made = (
                    [self._crops(image, batch["refined"], boxes).logits[0].reshape(len(boxes), len(face), -1).mean(0)]
                    for image in (batch["photo"], face)
                )
                kinds["crop_"] = known, made
        for prefix, (real, fake) in kinds.items():
            real_score, fake_score = (
                torch.stack([logits.float().flatten(1).mean(1) for logits in scales]).mean(0) for scales in (real, fake)
            )
            found[f"{prefix}real"], found[f"{prefix}fake"] = real_score.mean(), fake_score.mean()
            found[f"{prefix}auc"] = area_under_curve(real_score, fake_score)
        return found

    @torch.no_grad()
    def figures(self, face: Tensor, batch: Batch) -> Batch:
        """How far P is from the photo: L1, LPIPS, LPIPS of the eyes' and of the mouth's crop; each a mean, a scalar."""
        photo, face = batch["photo"], within({**batch, "face": face})
        weight = torch.ones_like(face[:1, :1]) if "inside" not in batch else batch["inside"]
        found = {"l1": weighted_l1(photo, face, weight), "lpips": self.lpips(photo, face).mean()}
        for name, box in crop_boxes(face.shape[-1]).items():
            crops = (crops_of(image, [box]).float() for image in (photo, face))
            if box[2] < _SMALLEST_CROP:
                crops = (F.interpolate(crop, size=_SMALLEST_CROP, mode="bilinear") for crop in crops)
            part = self.lpips(*crops).mean()
            found["lpips_mouth" if name == "mouth" else "lpips_eyes"] = (
                part if name == "mouth" else part / 2 + found.get("lpips_eyes", 0.0)
            )
        return found

    def plan_of(self, batch: Batch) -> Tensor:
        """The plan that a training step gives: a draw of what is known of the photo's colours."""
        return self.plans(batch["photo"])

    def _look(self, batch: Batch, face: Tensor) -> _Looks:
        """AlexNet's looks at the photo and at P, the latter with its graph: once for both halves of a step."""
        if self._looked is None or self._looked[0] is not batch["face"]:
            self._looked = (batch["face"], self._looks(batch, face))
        return self._looked[1]

    def _looks(self, batch: Batch, face: Tensor, moved: bool = True) -> _Looks:
        top, left = torch.randint(0, _SHIFT, (2,)).tolist() if moved else (0, 0)
        real, fake = (image[..., top : top + _cut(face), left : left + _cut(face)] for image in (batch["photo"], face))
        with torch.no_grad():
            known = self.lpips.features(real)
        return _Looks(known, self.lpips.features(fake), top, left)

    def _projected(
        self, photo: Tensor, face: Tensor, looks: _Looks, detached: bool = False
    ) -> tuple[list[Tensor], list[Tensor]]:
        """The heads' logits on photos and on faces."""
        real, fake = looks.real, looks.fake
        if self.augment is not None:
            seen_photo, seen_face = self.augment(photo, face.detach() if detached else face)
            with torch.no_grad():
                real = self.lpips.features(seen_photo)
            fake = self.lpips.features(seen_face)
        if detached:
            fake = [layer.detach() for layer in fake]
        return self.discriminator.projected(real), self.discriminator.projected(fake)

    def _boxes(self, face: Tensor) -> list[tuple[int, int, int]]:
        """Eyes, mouth, and one place drawn for the step."""
        boxes = list(crop_boxes(face.shape[-1]).values())
        side = boxes[0][2]
        top, left = torch.randint(0, face.shape[-1] - side + 1, (2,)).tolist()
        return [*boxes, (top, left, side)]

    def _crops(self, image: Tensor, strokes: Tensor, boxes: list[tuple[int, int, int]]) -> DiscriminatorOutput:
        assert self.discriminator.crops is not None
        kinds = torch.arange(len(boxes), device=image.device).repeat_interleave(len(image))
        output: DiscriminatorOutput = self.discriminator.crops(
            crops_of(image, boxes), crops_of(strokes.to(image.dtype), boxes), kinds
        )
        return output

    def _vgg_terms(self, photo: Tensor, face: Tensor) -> Batch:
        """Eq. 8 and 9 of a square at a place drawn for the step; zeros in the steps in which VGG does not look."""
        assert self.vgg is not None
        side = min(self.vgg_side, face.shape[-1])
        draw = torch.rand(())
        top, left = torch.randint(0, face.shape[-1] - side + 1, (2,)).tolist()
        if draw >= self.vgg_share:
            return {"perceptual": face.new_zeros(()), "style": face.new_zeros(())}
        real, fake = (image[..., top : top + side, left : left + side] for image in (photo, face))
        layers = tuple(dict.fromkeys((*PERCEPTUAL_LAYERS, *STYLE_LAYERS)))
        with torch.no_grad():
            known = self.vgg(real, layers)
        made = self.vgg(fake, layers)
        content = ({name: found[name] for name in PERCEPTUAL_LAYERS} for found in (known, made))
        grams = ({name: gram_matrix(found[name]) for name in STYLE_LAYERS} for found in (known, made))
        return {"perceptual": perceptual(*content) / self.vgg_share, "style": style(*grams) / self.vgg_share}


def within(batch: Batch) -> Tensor:
    """P where the photo is from its source (``inside``), the photo itself elsewhere; P if nothing is said of that."""
    if "inside" not in batch:
        return batch["face"]
    return torch.lerp(batch["photo"].to(batch["face"].dtype), batch["face"], batch["inside"].to(batch["face"].dtype))


def area_under_curve(real: Tensor, fake: Tensor) -> Tensor:
    """The share of pairs in which a real one's score is above a fake one's, ties half: (B,), (C,) -> a scalar."""
    difference = real[:, None] - fake[None, :]
    return ((difference > 0).float() + 0.5 * (difference == 0).float()).mean()


def _cut(face: Tensor) -> int:
    return face.shape[-1] - _SHIFT
