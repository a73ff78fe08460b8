"""A network for line drawings whose body works at a quarter of the side and less: quick, and one pixel exact."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .blocks import check_side
from .heads import make_head


class PlainBlock(nn.Module):
    """x + f(x), f two 3x3 convolutions with a ReLU between them, the first dilated: (B, C, H, W) -> (B, C, H, W).

    No normalisation, which costs a CPU as much as the convolutions; f starts as nothing instead.
    """

    def __init__(self, channels: int, dilation: int = 1):
        super().__init__()
        self.dilated = nn.Conv2d(channels, channels, 3, padding=dilation, dilation=dilation)
        self.plain = nn.Conv2d(channels, channels, 3, padding=1)
        nn.init.zeros_(self.plain.weight)

    def forward(self, features: Tensor) -> Tensor:
        return features + self.plain(F.relu(self.dilated(F.relu(features))))


class QuarterUNet(nn.Module):
    """(B, in_channels, H, W) -> (B, out_channels, H, W) in (0, 1), nearly all of it computed at H/4 and H/8.

    Squares of 4x4 pixels become channels (pixel unshuffle), so that no pixel is averaged away; residual blocks at H/4,
    then at H/8, then at H/4 again beside what was skipped; channels become squares again, and two thin convolutions at
    full resolution see the input beside that answer and correct it. Not the paper's. Sides must be at least 64 and
    divide by 8, or the call raises ValueError.

    Args:
        in_channels, out_channels: of the images.
        width: channels at H/4; twice as many at H/8.
        blocks: residual blocks at H/8, with dilations of 1, 2 and 4 in turn; beside them one at H/4 on each side.
        fine_width: channels at full resolution.
        head: as for `EncoderDecoder`.

    Raises:
        ValueError: a count below 1, or an unknown head.
    """

    divisor = 8
    minimum_side = 64

    def __init__(
        self,
        in_channels: int = 1,
        out_channels: int = 1,
        width: int = 64,
        blocks: int = 4,
        fine_width: int = 8,
        head: str = "sigmoid",
    ):
        super().__init__()
        if min(in_channels, out_channels, width, blocks, fine_width) < 1:
            raise ValueError(
                "in_channels, out_channels, width, blocks and fine_width must be at least 1; got "
                f"{in_channels}, {out_channels}, {width}, {blocks}, {fine_width}."
            )
        self.config: dict[str, Any] = {
            "in_channels": in_channels,
            "out_channels": out_channels,
            "width": width,
            "blocks": blocks,
            "fine_width": fine_width,
            "head": head,
        }
        self.encoder = nn.Conv2d(16 * in_channels, width, 3, padding=1)
        self.before = PlainBlock(width)
        self.down = nn.Conv2d(width, 2 * width, 4, 2, 1)
        self.body = nn.Sequential(*(PlainBlock(2 * width, (1, 2, 4)[place % 3]) for place in range(blocks)))
        self.up = nn.Conv2d(2 * width, 4 * width, 1)
        self.join = nn.Conv2d(2 * width, width, 3, padding=1)
        self.after = PlainBlock(width)
        self.decoder = nn.Conv2d(width, 16 * out_channels, 3, padding=1)
        last = nn.Conv2d(fine_width, out_channels, 3, padding=1)
        nn.init.zeros_(last.weight)
        self.fine = nn.Sequential(nn.Conv2d(in_channels + out_channels, fine_width, 3, padding=1), nn.ReLU(), last)
        self.head = make_head(head, out_channels)

    def forward(self, image: Tensor) -> Tensor:
        check_side(image, self.divisor, self.minimum_side)
        skipped = self.before(self.encoder(F.pixel_unshuffle(image, 4)))  # (B, w, H/4, W/4)
        features = self.body(self.down(skipped))  # (B, 2w, H/8, W/8)
        features = F.pixel_shuffle(self.up(features), 2)  # (B, w, H/4, W/4)
        features = self.after(self.join(F.relu(torch.cat([features, skipped], dim=1))))
        painted = F.pixel_shuffle(self.decoder(F.relu(features)), 4)  # (B, out, H, W)
        return self.head(painted + self.fine(torch.cat([painted, image], dim=1)))
