"""Patch discriminators. All return the same thing: logits, and every layer's activations."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from .blocks import initialise


class DiscriminatorOutput(NamedTuple):
    """What every discriminator returns.

    Attributes:
        logits: one (B, 1, h, w) tensor for each scale; the least-squares loss applies to every element.
        features: the activation after each LeakyReLU, then the last convolution's output, of all scales in turn.
    """

    logits: list[Tensor]
    features: list[Tensor]


def per_scale(output: DiscriminatorOutput) -> list[list[Tensor]]:
    """The features of each scale by itself, of discriminators that are alike.

    Raises:
        ValueError: the scales have not the same number of layers.
    """
    count, uneven = divmod(len(output.features), len(output.logits))
    if uneven:
        raise ValueError(
            f"scales must have as many layers each; got {len(output.features)} features of {len(output.logits)} scales."
        )
    return [output.features[count * scale : count * (scale + 1)] for scale in range(len(output.logits))]


def mean_logit(output: DiscriminatorOutput) -> Tensor:
    """The mean over elements, averaged over scales: a discriminator's score of a batch, as a scalar."""
    return torch.stack([scale.float().mean() for scale in output.logits]).mean()


@contextmanager
def without_power_iteration(discriminator: nn.Module) -> Iterator[None]:
    """Runs a discriminator without advancing spectral norm's power iteration, so that looking changes nothing."""
    was_training = discriminator.training
    discriminator.eval()
    try:
        yield
    finally:
        discriminator.train(was_training)


class PatchDiscriminator(nn.Module):
    """A chain of convolutions with LeakyReLU 0.2 between them and a linear output.

    Either every convolution's weights are spectrally normalised, or the outputs of all but the first and the last are
    instance normalised.
    """

    def __init__(self, convolutions: Sequence[nn.Conv2d], spectral: bool = True):
        super().__init__()
        for convolution in convolutions:
            initialise(convolution)
        self.convolutions = nn.ModuleList(map(spectral_norm, convolutions) if spectral else convolutions)
        self.norms = nn.ModuleList(
            nn.Identity() if spectral or place == 0 else nn.InstanceNorm2d(convolution.out_channels, affine=True)
            for place, convolution in enumerate(convolutions[:-1])
        )

    def forward(self, image: Tensor) -> DiscriminatorOutput:
        features = []
        for convolution, norm in zip(self.convolutions[:-1], self.norms, strict=True):
            image = F.leaky_relu(norm(convolution(image)), 0.2)
            features.append(image)
        logits = self.convolutions[-1](image)
        return DiscriminatorOutput([logits], [*features, logits])


class SNPatchGAN(PatchDiscriminator):
    """Six spectrally normalised 5x5 convolutions of stride 2, 64-128-256-256-256-256: (B, C, H, W) in [0, 1].

    The last 256 channels are the logits: the loss is applied to every output element (SN-PatchGAN, Yu et al. 2019).

    Args:
        in_channels: of the images it judges: 1 (edge maps) or 3 (photos).
        width: channels of the first layer; the others are 2 and 4 times that.
    """

    def __init__(self, in_channels: int, width: int = 64):
        channels = [in_channels, width, 2 * width, 4 * width, 4 * width, 4 * width, 4 * width]
        super().__init__([nn.Conv2d(i, o, 5, 2, 2) for i, o in itertools.pairwise(channels)])


class PatchGAN70(PatchDiscriminator):
    """pix2pix's 70x70 receptive field: 4x4 convolutions, 64-128-256-512-1, strides 2 2 2 1 1.

    On few images the larger SNPatchGAN overfits; this one sees texture only. With ``layers`` other than 3 the receptive
    field is another: 16 pixels with 1, 34 with 2, 142 with 4. Sides must be at least 3 * 2 ** layers.

    Args:
        in_channels: of the images it judges.
        width: channels of the first layer; the others are 2, 4 and 8 times that.
        spectral: normalise the weights spectrally; False: the outputs of the three middle layers, as pix2pix does. (Its
            batch normalisation, on batches of one, is the instance normalisation with scale and shift that stands here:
            in larger batches too, real and fake images then do not mix.)
        layers: convolutions of stride 2.

    Raises:
        ValueError: layers outside 1 to 8.
    """

    def __init__(self, in_channels: int, width: int = 64, spectral: bool = True, layers: int = 3):
        if not 1 <= layers <= 8:
            raise ValueError(f"layers must be from 1 to 8; got {layers!r}. 3 makes the 70x70 receptive field.")
        channels = [in_channels, *(width * min(2**layer, 8) for layer in range(layers + 1)), 1]
        strides = [*([2] * layers), 1, 1]
        super().__init__(
            [nn.Conv2d(i, o, 4, s, 1) for i, o, s in zip(channels[:-1], channels[1:], strides, strict=True)], spectral
        )


class MultiScaleDiscriminator(nn.Module):
    """Several discriminators, each on the image halved once more by 3x3 average pooling (pix2pixHD).

    Args:
        discriminators: one for each scale, the finest first.

    Its output's logits and features are those of all scales in turn; `per_scale` takes the features apart.

    Raises:
        ValueError: none given.
    """

    def __init__(self, discriminators: Sequence[nn.Module]):
        super().__init__()
        if not discriminators:
            raise ValueError("discriminators must hold at least one; got an empty sequence.")
        self.discriminators = nn.ModuleList(discriminators)

    @classmethod
    def of_patches(
        cls, in_channels: int, scales: int = 3, width: int = 64, spectral: bool = False, layers: int = 3
    ) -> MultiScaleDiscriminator:
        """``scales`` discriminators `PatchGAN70`, alike but each with weights of its own; for the others see there.

        Raises:
            ValueError: scales below 1.
        """
        return cls([PatchGAN70(in_channels, width, spectral, layers) for _ in range(scales)])

    def forward(self, image: Tensor) -> DiscriminatorOutput:
        logits: list[Tensor] = []
        features: list[Tensor] = []
        for scale, discriminator in enumerate(self.discriminators):
            if scale:
                image = F.avg_pool2d(image, 3, stride=2, padding=1, count_include_pad=False)
            output = discriminator(image)
            logits += output.logits
            features += output.features
        return DiscriminatorOutput(logits, features)
