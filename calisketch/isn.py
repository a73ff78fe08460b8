"""Image Synthesis Network: a calibrated sketch R in, a face P out (section 3.2, Eq. 5-10)."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from .boundary.colours import beside, need_colours, takes_colours
from .checks import check_image, check_positive
from .losses import (
    DiffAugment,
    feature_matching,
    gram_matrix,
    l1,
    lsgan_discriminator,
    lsgan_generator,
    perceptual,
    r1_penalty,
    style,
    total_variation,
)
from .networks import (
    LPIPS,
    VGG19,
    DiscriminatorOutput,
    EncoderDecoder,
    FeatureDiscriminator,
    SNPatchGAN,
    mean_logit,
    without_power_iteration,
)
from .stage import Batch

PERCEPTUAL_LAYERS = ("conv1_1", "conv2_1", "conv3_1", "conv4_1", "conv5_1")  # Eq. 8, before activation
STYLE_LAYERS = ("relu2_2", "relu3_4", "relu4_4", "relu5_2")  # Eq. 9, EdgeConnect's


class Looks(NamedTuple):
    """What VGG sees in images, by layer: activations for Eq. 8, Gram matrices for Eq. 9, activations for D2."""

    content: dict[str, Tensor]
    grams: dict[str, Tensor]
    judged: dict[str, Tensor]


class ISN(nn.Module):
    """G2: R (B, 1, H, W) -> P (B, 3, H, W), with D2, which tells photos from P.

    A generator with 5 input channels reads colours beside R (`boundary.colours`; not part of the paper). The losses
    stay the same: where colours are given, following them brings P nearer to the photo, so G2 learns to follow them.

    Args:
        generator: G2; the paper's encoder-decoder with a (tanh + 1) / 2 head if None.
        discriminator: D2 on 3 channels; the paper's SN-PatchGAN if None. A `networks.FeatureDiscriminator` is given
            VGG's features of the images (not the paper's).
        vgg: VGG-19 for the perceptual and style terms and for such a D2; the pretrained one, on raw [0, 1] input, if
            None and needed.
        lpips: the network of the LPIPS term; the pretrained one if None and needed.
        l1_weight, adversarial_weight, perceptual_weight, style_weight, tv_weight: the weights of Eq. 6. The style
            weight of 200 belongs to VGG input in [0, 1] without ImageNet normalisation.
        lpips_weight, feature_matching_weight, r1_weight: weights of terms that the paper does not have; 0 by default.
            LPIPS, feature matching on D2's layers (pix2pixHD), and R1 on D2 at photos (half of gamma times the squared
            gradient).
        augment: augmentation of the images that D2 sees (not part of the paper); None: none.
        keep_features: keep the VGG features of each training photo, which never change, by ``batch["index"]``.
        feature_bytes: keep at most so many bytes of them on the training device; then warn, and compute the rest again.

    Attributes:
        judged_layers: layers of VGG whose features D2 judges; empty if D2 judges images.

    Raises:
        ValueError: a negative weight, or a D2 for a VGG of another width.
        calisketch.weights.MissingWeights: ``vgg`` is None and there are no pretrained weights.
    """

    def __init__(
        self,
        generator: nn.Module | None = None,
        discriminator: nn.Module | None = None,
        vgg: VGG19 | None = None,
        l1_weight: float = 1.0,
        adversarial_weight: float = 0.1,
        perceptual_weight: float = 0.1,
        style_weight: float = 200.0,
        tv_weight: float = 1.0,
        lpips_weight: float = 0.0,
        feature_matching_weight: float = 0.0,
        r1_weight: float = 0.0,
        lpips: LPIPS | None = None,
        augment: DiffAugment | None = None,
        keep_features: bool = True,
        feature_bytes: float = 6e9,
    ):
        super().__init__()
        weights = {
            "l1_weight": l1_weight,
            "adversarial_weight": adversarial_weight,
            "perceptual_weight": perceptual_weight,
            "style_weight": style_weight,
            "tv_weight": tv_weight,
            "lpips_weight": lpips_weight,
            "feature_matching_weight": feature_matching_weight,
            "r1_weight": r1_weight,
        }
        for name, weight in weights.items():
            check_positive(name, weight, zero=True)
        check_positive("feature_bytes", feature_bytes, zero=True)
        self.generator = EncoderDecoder(1, 3, head="tanh") if generator is None else generator
        self.discriminator = SNPatchGAN(3) if discriminator is None else discriminator
        self.judged_layers = self.discriminator.layers if isinstance(self.discriminator, FeatureDiscriminator) else ()
        self.shared_layers = () if augment is not None else self.judged_layers  # else D2 sees other images than Eq. 8
        needs_vgg = perceptual_weight or style_weight or self.judged_layers
        self.vgg = VGG19.from_pretrained() if vgg is None and needs_vgg else vgg
        if isinstance(self.discriminator, FeatureDiscriminator):
            assert self.vgg is not None
            if self.discriminator.vgg_width != self.vgg.width:
                raise ValueError(
                    f"the discriminator takes features of a VGG of width {self.discriminator.vgg_width}; this one is "
                    f"{self.vgg.width} wide. Set the discriminator's vgg_width to that."
                )
        self.lpips = LPIPS.from_pretrained() if lpips is None and lpips_weight else lpips
        self.augment = augment
        self.l1_weight = l1_weight
        self.adversarial_weight = adversarial_weight
        self.perceptual_weight = perceptual_weight
        self.style_weight = style_weight
        self.tv_weight = tv_weight
        self.lpips_weight = lpips_weight
        self.feature_matching_weight = feature_matching_weight
        self.r1_weight = r1_weight
        self.content_layers = PERCEPTUAL_LAYERS if perceptual_weight else ()
        self.style_layers = STYLE_LAYERS if style_weight else ()
        self.keep_features = keep_features
        self.feature_bytes = feature_bytes
        self._kept: dict[int, Looks] = {}
        self._looked: tuple[Tensor, tuple[Looks, Looks]] | None = None
        self._kept_bytes = 0
        self._warned = False

    @property
    def takes_colours(self) -> bool:
        """Whether G2 is given colours beside R."""
        return takes_colours(self.generator)

    def forward(self, refined: Tensor, colours: Tensor | None = None) -> Tensor:
        """Eq. 5: P = G2(R), or G2(R, colours).

        Args:
            refined: (B, 1, H, W) in [0, 1], ink = 1.
            colours: (B, 4, H, W) in [0, 1], colours * given and given; None: none are.

        Returns:
            (B, 3, H, W) in [0, 1], RGB.

        Raises:
            ValueError: another shape, or colours for a generator that takes none.
        """
        check_image(refined, 1, "refined", range01=False)
        if colours is not None:
            need_colours(self.generator)
        return self.generator(beside(refined, colours) if self.takes_colours else refined)

    def colours_of(self, batch: Batch) -> Tensor | None:
        """What `forward` is to be given as colours in training: the batch's; None if G2 takes none.

        Raises:
            ValueError: G2 takes colours, and the batch has none.
        """
        if not self.takes_colours:
            return None
        if "colours" not in batch:
            raise ValueError(
                f"this ISN takes colours (generator.in_channels is 5), and the batch has none; it has {sorted(batch)}. "
                "Train it on photos with the maker sketching.ColorStrokes, called colours, as experiment=own/colour "
                "does (calisketch.datasets.photos_with), or set generator.in_channels to 1."
            )
        return batch["colours"]

    @property
    def frozen(self) -> dict[str, nn.Module]:
        """The fixed networks that the losses look through, by name."""
        return {name: module for name, module in (("vgg", self.vgg), ("lpips", self.lpips)) if module is not None}

    def discriminator_losses(self, batch: Batch) -> Batch:
        """Eq. 3 for D2: the photo is real, P (``batch["face"]``, detached here) is fake; and R1 where it has weight.

        Where D2 judges VGG's features, VGG's look at P is kept, with its graph, for `generator_losses`.
        """
        if self.shared_layers and not self.r1_weight and batch["face"].requires_grad:
            looks = self._looks_at_both(batch)
            pairs = (torch.cat([look.judged[name].detach() for look in looks]) for name in self.shared_layers)
            output = self.discriminator(dict(zip(self.shared_layers, pairs, strict=True)))
        else:
            photo, face = self._seen(batch["photo"], batch["face"].detach())
            if self.r1_weight:
                photo = photo.detach().requires_grad_(True)
            output = self._judge(torch.cat([photo, face]))
        real, fake = zip(*(scale.chunk(2) for scale in output.logits), strict=True)
        terms = {"isn/discriminator": lsgan_discriminator(real, fake)}
        if self.r1_weight:
            terms["isn/r1"] = self.r1_weight * r1_penalty(real, photo)
        return terms

    def generator_losses(self, batch: Batch) -> Batch:
        """Eq. 6: L1 + 0.1 adversarial + 0.1 perceptual + 200 style + TV, and what else has a weight."""
        photo, face = batch["photo"], batch["face"]
        if self.content_layers or self.style_layers or self.shared_layers:
            real, fake = self._looks_at_both(batch)
            self._looked = None  # its graph is used up
        if self.shared_layers:
            output = self.discriminator(fake.judged)
        else:
            seen_photo, seen_face = self._seen(photo, face)
            output = self._judge(seen_face)
        terms = {
            "isn/l1": self.l1_weight * l1(photo, face),  # Eq. 7
            "isn/adversarial": self.adversarial_weight * lsgan_generator(output.logits),  # Eq. 3
        }
        if self.content_layers:
            terms["isn/perceptual"] = self.perceptual_weight * perceptual(real.content, fake.content)  # Eq. 8
        if self.style_layers:
            terms["isn/style"] = self.style_weight * style(real.grams, fake.grams)  # Eq. 9
        terms["isn/tv"] = self.tv_weight * total_variation(face)  # Eq. 10
        if self.feature_matching_weight:
            with torch.no_grad():
                judged = self.discriminator(real.judged) if self.shared_layers else self._judge(seen_photo)
            matched = judged.features
            terms["isn/feature_matching"] = self.feature_matching_weight * feature_matching(matched, output.features)
        if self.lpips_weight:
            assert self.lpips is not None
            terms["isn/lpips"] = self.lpips_weight * self.lpips(photo, face).mean()
        return terms

    def _seen(self, photo: Tensor, face: Tensor) -> Sequence[Tensor]:
        """What D2 is shown of the two: both through one draw of the augmentation, if there is one."""
        return (photo, face) if self.augment is None else self.augment(photo, face)

    @torch.no_grad()
    def scores(self, batch: Batch) -> Batch:
        """D2's mean output on photos and on P."""
        with without_power_iteration(self.discriminator):
            real, fake = (mean_logit(self._judge(batch[name])) for name in ("photo", "face"))
        return {"isn/real": real, "isn/fake": fake}

    @torch.no_grad()
    def plateau_figure(self, face: Tensor, batch: Batch) -> Tensor:
        """Eq. 6 without its adversarial, style and TV terms: weighted L1 + perceptual (+ LPIPS)."""
        photo = batch["photo"]
        figure = self.l1_weight * l1(photo, face)
        if self.vgg is not None and self.perceptual_weight:
            real, fake = self.vgg(photo, PERCEPTUAL_LAYERS), self.vgg(face, PERCEPTUAL_LAYERS)
            figure = figure + self.perceptual_weight * perceptual(real, fake)
        if self.lpips is not None and self.lpips_weight:
            figure = figure + self.lpips_weight * self.lpips(photo, face).mean()
        return figure

    def forget_photos(self) -> None:
        """Drops the kept features; needed before training on other photos that carry the same indices."""
        self._kept.clear()
        self._looked = None
        self._kept_bytes = 0
        self._warned = False

    def _judge(self, images: Tensor) -> DiscriminatorOutput:
        """D2 on images, or on VGG's features of them."""
        if not self.judged_layers:
            return self.discriminator(images)
        assert self.vgg is not None
        return self.discriminator(self.vgg(images, self.judged_layers))

    def _looks(self, images: Tensor) -> Looks:
        assert self.vgg is not None
        layers = dict.fromkeys((*self.content_layers, *self.style_layers, *self.shared_layers))
        activations = self.vgg(images, tuple(layers))
        content, judged = ({name: activations[name] for name in of} for of in (self.content_layers, self.shared_layers))
        return Looks(content, {name: gram_matrix(activations[name]) for name in self.style_layers}, judged)

    def _looks_at_both(self, batch: Batch) -> tuple[Looks, Looks]:
        """VGG's looks at the photo and at P, the latter with its graph: once for both halves of a step."""
        photo, face = batch["photo"], batch["face"]
        if self._looked is not None and self._looked[0] is face:
            return self._looked[1]
        looks = self._photo_looks(photo, batch.get("index")), self._looks(face)
        self._looked = (face, looks)
        return looks

    @torch.no_grad()
    def _photo_looks(self, photo: Tensor, index: Tensor | None) -> Looks:
        if index is None or not self.keep_features:
            return self._looks(photo)
        # One photo at a time, so that a photo's features do not depend, in their last bits, on its batch mates: a
        # resumed run meets the photos for the first time in another order, and has to equal an uninterrupted one.
        samples = [self._kept.get(key) or self._keep(key, photo[i : i + 1]) for i, key in enumerate(index.tolist())]
        return Looks(
            *({name: torch.cat([each[name] for each in of]) for name in of[0]} for of in zip(*samples, strict=True))
        )

    def _keep(self, key: int, photo: Tensor) -> Looks:
        sample = self._looks(photo)
        tensors = {id(tensor): tensor for of in sample for tensor in of.values()}  # D2 may share Eq. 8's
        size = sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())
        if self._kept_bytes + size <= self.feature_bytes:
            self._kept[key] = sample
            self._kept_bytes += size
        elif not self._warned:
            self._warned = True
            warnings.warn(
                f"the VGG features of {len(self._kept)} photos fill feature_bytes = {self.feature_bytes:.3g}; the rest "
                "are computed at every step. For a set of this size keep_features=False is faster.",
                stacklevel=2,
            )
        return sample
