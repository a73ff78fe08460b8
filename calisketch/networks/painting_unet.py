"""A U-Net whose body works at a quarter of the image's side: most of a painter's work where a multiplication is cheap.

Not the paper's. Strokes are folded into channels (space to depth by 4); residual blocks at 1/4, 1/8, 1/16 and 1/32 of
the side, with attention at the last two; then two doublings and a thin end at full resolution, which sees the strokes
again. There is no depth to space at the end: it left a grid of 4 pixels in flat parts.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .blocks import check_side, resize_kernel
from .heads import make_head

__all__ = ["PLAN_CHANNELS", "PLAN_STRIDE", "PaintingUNet", "plan_of"]

PLAN_CHANNELS = 4
"""Of colours beside the strokes: red, green and blue where they are given, and where that is (`calisketch.colours`)."""

PLAN_STRIDE = 32
"""Pixels of the image along a side of one cell of the colour plan, which has 8 x 8 at 256."""

_FOLD = 4
_GROUP = 32  # channels of a group of group norm: of fewer, its gradient is many times slower on CPUs


def plan_of(colours: Tensor) -> Tensor:
    """Colours (B, 4, H, W), colours * given and given, as their plan (B, 4, H / 32, W / 32).

    A cell's first three channels are (mean of the colours given in it - 0.5) * share, its last is the share of it that
    has a colour. All zeros are no colours at all.
    """
    mean = F.avg_pool2d(colours, PLAN_STRIDE)
    return torch.cat([mean[:, :3] - 0.5 * mean[:, 3:], mean[:, 3:]], dim=1)


class _Block(nn.Module):
    """skip(x) + f(x), f twice group norm, SiLU, 3x3 convolution; starts as skip(x): (B, I, h, w) -> (B, O, h, w)."""

    def __init__(self, in_channels: int, out_channels: int, dilation: int = 1):
        super().__init__()
        self.norm1 = _norm(in_channels)
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, padding=dilation, dilation=dilation)
        self.norm2 = _norm(out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1)
        self.skip = nn.Identity() if in_channels == out_channels else nn.Conv2d(in_channels, out_channels, 1)
        nn.init.zeros_(self.conv2.weight)
        assert self.conv2.bias is not None
        nn.init.zeros_(self.conv2.bias)

    def forward(self, features: Tensor) -> Tensor:
        inner = self.conv1(F.silu(self.norm1(features)))
        added: Tensor = self.skip(features) + self.conv2(F.silu(self.norm2(inner)))
        return added


class _Attention(nn.Module):
    """x + attention over all places, in heads; starts as x: (B, C, h, w) -> (B, C, h, w)."""

    def __init__(self, channels: int, heads: int):
        super().__init__()
        self.heads = heads
        self.norm = _norm(channels)
        self.query_key_value = nn.Conv2d(channels, 3 * channels, 1)
        self.out = nn.Conv2d(channels, channels, 1)
        nn.init.zeros_(self.out.weight)
        assert self.out.bias is not None
        nn.init.zeros_(self.out.bias)

    def forward(self, features: Tensor) -> Tensor:
        batch, channels, height, width = features.shape
        folded = self.query_key_value(self.norm(features))
        folded = folded.reshape(batch, 3, self.heads, channels // self.heads, height * width).transpose(-1, -2)
        query, key, value = folded.unbind(1)
        seen = F.scaled_dot_product_attention(query, key, value).transpose(-1, -2)
        added: Tensor = features + self.out(seen.reshape(batch, channels, height, width))
        return added


class _Doubling(nn.Module):
    """Nearest resize x2, then 3x3 convolution, computed in 4/9 of the multiplications (`blocks.resize_kernel`)."""

    def __init__(self, in_channels: int, out_channels: int):
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, 3, padding=1)

    def forward(self, features: Tensor) -> Tensor:
        return F.conv_transpose2d(features, resize_kernel(self.conv.weight), self.conv.bias, stride=2, padding=1)


def _norm(channels: int) -> nn.GroupNorm:
    return nn.GroupNorm(max(1, channels // _GROUP) if channels % _GROUP == 0 else 1, channels)


class PaintingUNet(nn.Module):
    """(B, in_channels, H, W) -> (B, out_channels, H, W) in [0, 1], its body at H/4 x W/4.

    With 1 + 4 input channels the last four are colours (`calisketch.colours`), of which it takes no more than a plan of
    one colour for each 32 x 32 pixels (`plan_of`): what a sketch cannot tell, skin, hair, ground and light. Any part
    of it may be given. Sides must divide by 32 and be at least 64, or the call raises ValueError.

    Args:
        in_channels: 1, the strokes; or 5, strokes and colours.
        out_channels: of the answer.
        width: channels at 1/4 of the side.
        multiples: of the width, at 1/4, 1/8, 1/16 and 1/32 of the side.
        blocks: residual blocks at each of these on the way down, and as many on the way up.
        attended: how many of the coarsest levels have attention.
        heads: of the attention.
        dilation: of each block's first convolution at 1/16 of the side.
        fine_width: channels at full resolution; twice that at half of it.
        head: as `heads.make_head`.

    Raises:
        ValueError: other channels, lists that are not of four numbers, widths that heads do not divide, or counts below
            1; as `heads.make_head`.
    """

    divisor = PLAN_STRIDE
    minimum_side = 64

    def __init__(
        self,
        in_channels: int = 1 + PLAN_CHANNELS,
        out_channels: int = 3,
        width: int = 64,
        multiples: Sequence[float] = (1, 2, 4, 4),
        blocks: Sequence[int] = (1, 2, 2, 2),
        attended: int = 2,
        heads: int = 4,
        dilation: int = 2,
        fine_width: int = 16,
        head: str = "sigmoid",
    ):
        super().__init__()
        multiples, blocks = list(multiples), list(blocks)
        if in_channels not in (1, 1 + PLAN_CHANNELS):
            raise ValueError(
                f"in_channels must be 1, strokes, or {1 + PLAN_CHANNELS}, strokes and colours; got {in_channels!r}."
            )
        if len(multiples) != 4 or len(blocks) != 4:
            raise ValueError(f"multiples and blocks must be four numbers each; got {multiples} and {blocks}.")
        widths = [round(width * multiple) for multiple in multiples]
        if min(*widths, *blocks, fine_width, heads) < 1 or not 0 <= attended <= 4:
            raise ValueError(
                "widths, blocks, heads and fine_width must be at least 1, and attended from 0 to 4; got widths "
                f"{widths}, blocks {blocks}, heads {heads}, fine_width {fine_width}, attended {attended}."
            )
        if any(each % heads for each in widths[4 - attended :]):
            raise ValueError(f"widths with attention must divide by heads, {heads}; got {widths[4 - attended :]}.")
        self.config = {
            "in_channels": in_channels,
            "out_channels": out_channels,
            "width": width,
            "multiples": multiples,
            "blocks": blocks,
            "attended": attended,
            "heads": heads,
            "dilation": dilation,
            "fine_width": fine_width,
            "head": head,
        }
        self.planned = in_channels > 1
        plan = PLAN_CHANNELS if self.planned else 0
        self.input = nn.Conv2d(_FOLD**2 + plan, widths[0], 3, padding=1)
        self.plan_input = nn.Conv2d(plan, widths[-1], 1) if self.planned else None

        def level(place: int, first: int) -> nn.Sequential:
            spread = dilation if place == 2 else 1
            own = widths[place]
            made: list[nn.Module] = [_Block(first, own, spread)]
            made += [_Block(own, own, spread) for _ in range(blocks[place] - 1)]
            made += [_Attention(own, heads)] if place >= 4 - attended else []
            return nn.Sequential(*made)

        self.down = nn.ModuleList([level(0, widths[0])])
        self.halve = nn.ModuleList()
        for place in range(1, 4):
            self.halve.append(nn.Conv2d(widths[place - 1], widths[place], 3, stride=2, padding=1))
            self.down.append(level(place, widths[place]))
        self.up = nn.ModuleList([level(3, widths[3])])
        self.enlarge = nn.ModuleList()
        for place in reversed(range(3)):
            self.enlarge.append(nn.Conv2d(widths[place + 1], widths[place], 3, padding=1))
            self.up.append(level(place, 2 * widths[place]))
        self.norm = _norm(widths[0])
        self.fine1 = _Doubling(widths[0], 2 * fine_width)  # to H/2
        self.fine2 = _Doubling(2 * fine_width, fine_width)  # to H
        self.fine3 = nn.Conv2d(fine_width + 1, fine_width, 3, padding=1)
        self.output = nn.Conv2d(fine_width, out_channels, 3, padding=1)
        self.head = make_head(head, out_channels)

    def forward(self, image: Tensor, plan: Tensor | None = None) -> Tensor:
        """The picture that is painted from strokes.

        Args:
            image: (B, 1, H, W) strokes, ink = 1; or (B, 5, H, W), strokes and colours.
            plan: (B, 4, H/32, W/32) as `plan_of` makes it, for strokes alone; None: that of the colours, or none.

        Returns:
            (B, out_channels, H, W) float32.

        Raises:
            ValueError: sides that it cannot take, other channels, or a plan beside colours or for a network without.
        """
        check_side(image, self.divisor, self.minimum_side)
        strokes = image[:, :1]
        features = F.pixel_unshuffle(strokes, _FOLD)  # (B, 16, H/4, W/4)
        plan = self._plan(image, plan)
        if plan is not None:
            wide = F.interpolate(plan, scale_factor=float(PLAN_STRIDE // _FOLD), mode="bilinear", align_corners=False)
            features = torch.cat([features, wide.to(features.dtype)], dim=1)
        features = self.input(features)
        kept = []
        for place, level in enumerate(self.down):
            if place:
                features = self.halve[place - 1](features)
            if place == 3 and plan is not None:
                assert self.plan_input is not None
                features = features + self.plan_input(plan.to(features.dtype))
            features = level(features)
            kept.append(features)
        features = self.up[0](features)
        for place, level in enumerate(self.up):
            if place:
                features = F.interpolate(self.enlarge[place - 1](features), scale_factor=2.0, mode="nearest")
                features = level(torch.cat([features, kept[3 - place]], dim=1))
        features = F.relu(self.fine1(F.silu(self.norm(features))))  # (B, 2f, H/2, W/2)
        features = F.relu(self.fine2(features))  # (B, f, H, W); ReLU, since SiLU's gradient costs as much as a body
        features = F.relu(self.fine3(torch.cat([features, strokes.to(features.dtype)], dim=1)))
        answer: Tensor = self.head(self.output(features).float())
        return answer

    def _plan(self, image: Tensor, plan: Tensor | None) -> Tensor | None:
        channels = image.shape[1]
        if channels == self.config["in_channels"] and plan is None:
            return plan_of(image[:, 1:]) if self.planned else None
        if channels != 1 or not self.planned:
            raise ValueError(
                f"expected {self.config['in_channels']} channels, or strokes (1 channel) and a plan if that is 5; got "
                f"{channels} channels and {'a' if plan is not None else 'no'} plan."
            )
        cells = (len(image), PLAN_CHANNELS, image.shape[-2] // PLAN_STRIDE, image.shape[-1] // PLAN_STRIDE)
        if plan is None:
            return image.new_zeros(cells)
        if tuple(plan.shape) != cells:
            raise ValueError(f"plan must be {cells} for {tuple(image.shape)} strokes; got {tuple(plan.shape)}.")
        return plan
