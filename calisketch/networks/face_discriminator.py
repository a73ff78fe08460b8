"""A discriminator of faces that works on thousands of photos: heads on a frozen network's features, and crops.

After Projected GANs (Sauer et al., NeurIPS 2021): the heads need not learn what the frozen network sees, so that they
tell photos from paintings within minutes, where a discriminator of pixels takes hours. Beside them a small patch
discriminator of pixels looks at the eyes, the mouth and a place anywhere, with their strokes (the facial component
discriminators of GFPGAN, Wang et al., CVPR 2021, are of that kind). Not the paper's.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from .blocks import initialise
from .lpips import CHANNELS
from .patchgan import DiscriminatorOutput

__all__ = ["CropDiscriminator", "FaceDiscriminator", "ProjectedDiscriminator"]


class _Head(nn.Module):
    """1x1, 4x4 of stride 2, 3x3 to one channel, LeakyReLU 0.2; spectrally normalised but for a free last gain."""

    def __init__(self, in_channels: int, width: int):
        super().__init__()
        convolutions = [
            nn.Conv2d(in_channels, width, 1),
            nn.Conv2d(width, width, 4, 2, 1),
            nn.Conv2d(width, 1, 3, 1, 1),
        ]
        for convolution in convolutions:
            nn.init.orthogonal_(convolution.weight)
            assert convolution.bias is not None
            nn.init.zeros_(convolution.bias)
        self.convolutions = nn.ModuleList(map(spectral_norm, convolutions))
        self.gain = nn.Parameter(torch.ones(()))

    def forward(self, features: Tensor) -> Tensor:
        for convolution in self.convolutions[:-1]:
            features = F.leaky_relu(convolution(features), 0.2)
        logits: Tensor = self.gain * self.convolutions[-1](features)
        return logits


class ProjectedDiscriminator(nn.Module):
    """One small patch discriminator on each of LPIPS's five layers of AlexNet: features -> logits, a scale a layer.

    Args:
        layers: which of the five, from 0 (the finest).
        width: channels of each.

    Raises:
        ValueError: no layer, or one that there is not.
    """

    def __init__(self, layers: Sequence[int] = (0, 1, 2, 3, 4), width: int = 64):
        super().__init__()
        if not layers or not set(layers) <= set(range(len(CHANNELS))) or len(set(layers)) != len(layers):
            raise ValueError(f"layers must be some of 0 to {len(CHANNELS) - 1}, each once; got {list(layers)}.")
        self.layers = tuple(layers)
        self.heads = nn.ModuleList(_Head(CHANNELS[layer], width) for layer in self.layers)

    def forward(self, features: Sequence[Tensor]) -> list[Tensor]:
        """features: as `LPIPS.features`, of unit length over channels. Returns one (B, 1, h, w) a layer."""
        return [
            head(features[layer] * CHANNELS[layer] ** 0.5) for layer, head in zip(self.layers, self.heads, strict=True)
        ]


class CropDiscriminator(nn.Module):
    """A patch discriminator of small crops beside their strokes, that is told which part of a face each one is.

    Args:
        kinds: how many kinds of crops there are.
        width: channels of the first layer; the others are 2 and 4 times that.
    """

    def __init__(self, kinds: int, width: int = 48):
        super().__init__()
        self.first = nn.Conv2d(3 + 1, width, 4, 2, 1)
        self.inner = nn.ModuleList([nn.Conv2d(width, 2 * width, 4, 2, 1), nn.Conv2d(2 * width, 4 * width, 4, 2, 1)])
        self.last = nn.Conv2d(4 * width, 1, 3, 1, 1)
        for convolution in (self.first, *self.inner, self.last):
            initialise(convolution)
        self.inner = nn.ModuleList(map(spectral_norm, self.inner))
        self.kind = nn.Parameter(torch.zeros(kinds, width))

    def forward(self, crops: Tensor, strokes: Tensor, kinds: Tensor) -> DiscriminatorOutput:
        """crops (N, 3, s, s) and strokes (N, 1, s, s) in [0, 1], kinds (N,) -> logits (N, 1, s/8, s/8), features."""
        features = [
            F.leaky_relu(self.first(torch.cat([2 * crops - 1, strokes], 1)) + self.kind[kinds, :, None, None], 0.2)
        ]
        for convolution in self.inner:
            features.append(F.leaky_relu(convolution(features[-1]), 0.2))
        logits = self.last(features[-1])
        return DiscriminatorOutput([logits], features)


class FaceDiscriminator(nn.Module):
    """`ProjectedDiscriminator` and `CropDiscriminator` as one network to be trained.

    Args:
        layers, width: of the former.
        crops: whether there is the latter.
        crop_width: its width.
        kinds: kinds of crops.
    """

    def __init__(
        self,
        layers: Sequence[int] = (0, 1, 2, 3, 4),
        width: int = 64,
        crops: bool = True,
        crop_width: int = 48,
        kinds: int = 4,
    ):
        super().__init__()
        self.projected = ProjectedDiscriminator(layers, width)
        self.crops = CropDiscriminator(kinds, crop_width) if crops else None
