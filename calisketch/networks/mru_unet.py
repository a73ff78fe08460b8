"""Improved-2 (Table 3): a U-Net of Masked Residual Units, from SketchyGAN (Chen & Hays 2018)."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .blocks import check_side, initialise
from .heads import make_head


class MaskedResidualUnit(nn.Module):
    """y = (1 - n) * conv(x) + n * z, with gates that look at the input image again at every resolution.

    m = sigmoid(conv[x, c]), z = act(conv[m * x, c]), n = sigmoid(conv[x, c]): features x (B, I, H, W), the input image
    c resized to H x W -> (B, O, H, W).
    """

    def __init__(self, in_channels: int, out_channels: int, image_channels: int):
        super().__init__()
        both = in_channels + image_channels
        self.mask = nn.Conv2d(both, in_channels, 3, padding=1, padding_mode="reflect")
        self.candidate = nn.Conv2d(both, out_channels, 3, padding=1, padding_mode="reflect", bias=False)
        self.gate = nn.Conv2d(both, out_channels, 3, padding=1, padding_mode="reflect")
        self.carry = nn.Conv2d(in_channels, out_channels, 1, bias=False)
        self.norm = nn.InstanceNorm2d(out_channels)

    def forward(self, features: Tensor, image: Tensor) -> Tensor:
        seen = torch.cat([features, image], dim=1)
        m = torch.sigmoid(self.mask(seen))
        z = F.leaky_relu(self.norm(self.candidate(torch.cat([m * features, image], dim=1))), 0.2)
        n = torch.sigmoid(self.gate(seen))
        return (1 - n) * self.carry(features) + n * z


class MRUUNet(nn.Module):
    """U-Net whose every block is a Masked Residual Unit: (B, in_channels, H, W) -> (B, out_channels, H, W) in (0, 1).

    The encoder halves the side ``depth`` times (average pooling after each unit) with 1, 2, 4, 8, 8... times ``width``
    channels; the decoder doubles it back (nearest) and concatenates the encoder's features of the same resolution.
    Sides must divide by 2 ** depth.

    Args:
        in_channels: of the sketch.
        out_channels: of the photo.
        width: channels at full resolution.
        depth: how often the side is halved.
        head: "sigmoid" or "tanh"; or another of `heads.make_head`.

    Raises:
        ValueError: a count below 1 or an unknown head; in ``forward`` a side that does not fit.
    """

    minimum_side = 32

    def __init__(
        self, in_channels: int = 1, out_channels: int = 3, width: int = 64, depth: int = 4, head: str = "tanh"
    ):
        super().__init__()
        if min(in_channels, out_channels, width, depth) < 1:
            raise ValueError(
                "in_channels, out_channels, width and depth must be at least 1; got "
                f"{in_channels}, {out_channels}, {width}, {depth}."
            )
        self.config: dict[str, Any] = {
            "in_channels": in_channels,
            "out_channels": out_channels,
            "width": width,
            "depth": depth,
            "head": head,
        }
        self.divisor = 2**depth
        channels = [width * min(2**level, 8) for level in range(depth + 1)]
        self.stem = nn.Conv2d(in_channels, width, 7, padding=3, padding_mode="reflect")
        self.encoder = nn.ModuleList(
            MaskedResidualUnit(width if level == 0 else channels[level - 1], channels[level], in_channels)
            for level in range(depth + 1)
        )
        self.decoder = nn.ModuleList(
            MaskedResidualUnit(channels[level + 1] + channels[level], channels[level], in_channels)
            for level in reversed(range(depth))
        )
        self.output = nn.Conv2d(width, out_channels, 7, padding=3, padding_mode="reflect")
        self.head = make_head(head, out_channels)
        initialise(self)

    def forward(self, image: Tensor) -> Tensor:
        check_side(image, self.divisor, max(self.minimum_side, self.divisor))
        images = [image]
        for _ in self.decoder:
            images.append(F.avg_pool2d(images[-1], 2))
        features = self.stem(image)
        kept: list[Tensor] = []
        for level, unit in enumerate(self.encoder):
            features = unit(features if level == 0 else F.avg_pool2d(features, 2), images[level])
            kept.append(features)
        for unit, skip, seen in zip(self.decoder, kept[-2::-1], images[-2::-1], strict=True):
            features = F.interpolate(features, scale_factor=2, mode="nearest")
            features = unit(torch.cat([features, skip], dim=1), seen)
        return self.head(self.output(features))
