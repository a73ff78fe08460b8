"""A small flow of colour plans: what colours a sketch's face may have, 8 x 8 of them, drawn or the likeliest.

Rectified flow (Liu et al., "Flow Straight and Fast", ICLR 2023): z = (1 - t) x + t e, e ~ N(0, 1). The network answers
with x itself, given z, t and the strokes. At t = 1, z tells nothing of x, so that the answer to least squares is the
mean of all plans of such a sketch: the likeliest plan.
"""

from __future__ import annotations

import itertools
import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .blocks import check_side
from .painting_unet import PLAN_CHANNELS, PLAN_STRIDE

__all__ = ["PlanFlow"]

_FOLD = 8
_SCALE = 4.0  # colours - 0.5 times this has a deviation of about 1
_FREQUENCIES = 8
_FASTEST = 1000.0


class _Conditioned(nn.Module):
    """skip(x) + f(x, time): group norm, SiLU, 3x3 convolution, twice; time scales and shifts between the two."""

    def __init__(self, in_channels: int, out_channels: int, time: int):
        super().__init__()
        self.norm1, self.norm2 = nn.GroupNorm(8, in_channels), nn.GroupNorm(8, out_channels)
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, padding=1)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1)
        self.time = nn.Linear(time, 2 * out_channels)
        self.skip = nn.Identity() if in_channels == out_channels else nn.Conv2d(in_channels, out_channels, 1)
        nn.init.zeros_(self.conv2.weight)
        assert self.conv2.bias is not None
        nn.init.zeros_(self.conv2.bias)

    def forward(self, features: Tensor, time: Tensor) -> Tensor:
        inner = self.conv1(F.silu(self.norm1(features)))
        scale, shift = self.time(time)[:, :, None, None].chunk(2, dim=1)
        added: Tensor = self.skip(features) + self.conv2(F.silu(self.norm2(inner) * (1 + scale) + shift))
        return added


class _Mixing(nn.Module):
    """x + self-attention over the plan's cells; starts as x."""

    def __init__(self, channels: int, heads: int = 4):
        super().__init__()
        self.heads = heads
        self.norm = nn.GroupNorm(8, channels)
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


class PlanFlow(nn.Module):
    """Strokes (B, 1, H, W) -> colour plans (B, 4, H/32, W/32) as `painting_unet.plan_of` makes them.

    Sides must divide by 32 and be at least 64. A part of the plan may be given: the rest is filled in.

    Args:
        width: channels at the plan's own resolution.
        steps: of the sampler, for a drawn plan.

    Raises:
        ValueError: a width below 8 or not divisible by 8, or steps below 1.
    """

    divisor = PLAN_STRIDE
    minimum_side = 64

    def __init__(self, width: int = 112, steps: int = 8):
        super().__init__()
        if not isinstance(width, int) or width < 8 or width % 8:
            raise ValueError(f"width must be a whole number that divides by 8; got {width!r}. 112 is usual.")
        if not isinstance(steps, int) or steps < 1:
            raise ValueError(f"steps must be at least 1; got {steps!r}. 8 is usual.")
        self.config = {"width": width, "steps": steps}
        self.steps = steps
        time = 64
        given = PLAN_CHANNELS  # what is known of the plan beforehand
        self.strokes = nn.Sequential(
            nn.Conv2d(_FOLD**2, width // 2, 3, padding=1),
            nn.SiLU(),
            nn.Conv2d(width // 2, width // 2, 3, stride=2, padding=1),
            nn.SiLU(),
            nn.Conv2d(width // 2, width, 3, stride=2, padding=1),
            nn.SiLU(),
            nn.Conv2d(width, width, 3, padding=1),
        )
        self.time = nn.Sequential(nn.Linear(2 * _FREQUENCIES, time), nn.SiLU(), nn.Linear(time, time))
        self.noisy = nn.Conv2d(3 + given, width, 3, padding=1)
        self.blocks = nn.ModuleList(
            [_Conditioned(2 * width, width, time), _Conditioned(width, width, time), _Conditioned(width, width, time)]
        )
        self.mixing = nn.ModuleList([_Mixing(width), _Mixing(width)])
        self.output = nn.Conv2d(width, 3, 3, padding=1)

    def forward(
        self, strokes: Tensor, noisy: Tensor | None = None, time: Tensor | None = None, given: Tensor | None = None
    ) -> Tensor:
        """The network's guess of the colours, scaled: x of z = (1 - t) x + t e.

        Args:
            strokes: (B, 1, H, W) in [0, 1], ink = 1.
            noisy: z, (B, 3, H/32, W/32); None: zeros, with t = 1: the mean.
            time: t, (B,), 1 is noise.
            given: a plan (B, 4, H/32, W/32) of which a part is known (share > 0); None: nothing is.

        Returns:
            (B, 3, H/32, W/32): (colours - 0.5) * 4.
        """
        check_side(strokes, self.divisor, self.minimum_side)
        cells = (len(strokes), PLAN_CHANNELS, strokes.shape[-2] // PLAN_STRIDE, strokes.shape[-1] // PLAN_STRIDE)
        noisy = strokes.new_zeros(cells)[:, :3] if noisy is None else noisy
        time = strokes.new_ones(len(strokes)) if time is None else time
        given = strokes.new_zeros(cells) if given is None else given
        if tuple(given.shape) != cells or tuple(noisy.shape) != (cells[0], 3, *cells[2:]):
            raise ValueError(f"a plan for these strokes is {cells}; got {tuple(given.shape)} and {tuple(noisy.shape)}.")
        periods = torch.exp(-math.log(_FASTEST) * torch.arange(_FREQUENCIES, device=time.device) / _FREQUENCIES)
        angles = _FASTEST * time.float()[:, None] * periods
        told = self.time(torch.cat([angles.sin(), angles.cos()], dim=1))
        features = torch.cat(
            [self.noisy(torch.cat([noisy, given], dim=1)), self.strokes(F.pixel_unshuffle(strokes, _FOLD))], 1
        )
        for place, block in enumerate(self.blocks):
            features = block(features, told)
            if place < len(self.mixing):
                features = self.mixing[place](features)
        answer: Tensor = self.output(features)
        return answer.float()

    @torch.no_grad()
    def likeliest(self, strokes: Tensor, given: Tensor | None = None) -> Tensor:
        """The mean of the plans of these strokes, (B, 4, H/32, W/32); a given part stays."""
        return _filled(self(strokes, given=given), given)

    @torch.no_grad()
    def drawn(self, strokes: Tensor, seed: int, given: Tensor | None = None) -> Tensor:
        """A plan drawn for each of the strokes, (B, 4, H/32, W/32): that of a seed, alone or in a batch.

        Raises:
            ValueError: a seed that is no whole number from 0 to 2**63 - 1.
        """
        if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < 2**63:
            raise ValueError(f"seed must be a whole number from 0 to 2**63 - 1; got {seed!r}.")
        side = strokes.shape[-2] // PLAN_STRIDE, strokes.shape[-1] // PLAN_STRIDE
        noise = torch.randn(1, 3, *side, generator=torch.Generator().manual_seed(seed))
        state = noise.to(strokes.device).expand(len(strokes), -1, -1, -1)
        times = torch.linspace(1, 0, self.steps + 1).tolist()
        for now, then in itertools.pairwise(times):
            guess = self(strokes, state, state.new_full((len(strokes),), now), given)
            state = guess + (state - guess) * (then / now)
        return _filled(state, given)


def _filled(scaled: Tensor, given: Tensor | None) -> Tensor:
    """The network's colours as a whole plan. Of a cell that is given in part, the given part keeps its share."""
    drawn = (scaled / _SCALE).clamp(-0.5, 0.5)
    if given is not None:
        drawn = given[:, :3] + (1 - given[:, 3:]) * drawn
    return torch.cat([drawn, torch.ones_like(drawn[:, :1])], dim=1)


def matching_loss(network: PlanFlow, strokes: Tensor, plan: Tensor, given: Tensor) -> Tensor:
    """The flow's least squares in x, weighted by 1 / t down to t = 0.2; t is the logistic of a normal draw, or 1.

    A quarter of the draws has t = 1 and z = 0: the mean of all plans, which `PlanFlow.likeliest` answers with.

    Args:
        strokes: (B, 1, H, W). plan: whole, (B, 4, H/32, W/32). given: the part of it that is known, likewise.

    Returns:
        A scalar.
    """
    target = _SCALE * plan[:, :3]
    count = len(target)
    time = torch.sigmoid(torch.randn(count, device=target.device) + 0.3)
    noise = torch.randn_like(target)
    certain = torch.rand(count, device=target.device) < 0.25
    time = torch.where(certain, torch.ones_like(time), time)
    noise = torch.where(certain[:, None, None, None], torch.zeros_like(noise), noise)
    share = time[:, None, None, None]
    guess = network(strokes, (1 - share) * target + share * noise, time, given)
    error = (guess - target).square().mean((1, 2, 3))
    return (error / time.clamp(min=0.2)).mean()
