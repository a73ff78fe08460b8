"""What of its colours a face is given in training: all of its plan, some of it, or nothing.

A painter that always had the photo's colours would be lost without them, and one that never had any would average over
all that a sketch cannot tell. Random numbers come from torch's generator, which a run keeps.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ..networks.painting_unet import PLAN_STRIDE, plan_of

_FINE = 4  # pixels of the image along one place of the mask of a part


class ColourPlans:
    """Photos -> plans (B, 4, H/32, W/32) as `painting_unet.plan_of` makes them, each with a draw of its own.

    Args:
        absent: share of the photos of which nothing is given.
        partial: share of those of which a part is given, of any shape and size.
        coarse: share of those whose colours are averaged over twice the cells, as flat paint would be.
        noise: deviation of each colour from the photo's, in [0, 1].

    Raises:
        ValueError: shares outside [0, 1], absent and partial above 1 together, or a negative noise.
    """

    def __init__(self, absent: float = 0.2, partial: float = 0.25, coarse: float = 0.15, noise: float = 0.01):
        if min(absent, partial, coarse, noise) < 0 or max(absent + partial, coarse) > 1:
            raise ValueError(
                "absent, partial and coarse must be shares in [0, 1], the first two at most 1 together, and noise at "
                f"least 0; got {absent!r}, {partial!r}, {coarse!r}, {noise!r}."
            )
        self.absent, self.partial, self.coarse, self.noise = absent, partial, coarse, noise

    @torch.no_grad()
    def __call__(self, photo: Tensor) -> Tensor:
        """photo: (B, 3, H, W) in [0, 1], sides divisible by 64."""
        count, device = len(photo), photo.device
        small = F.avg_pool2d(photo.float(), _FINE)
        cells = F.avg_pool2d(small, 2 * PLAN_STRIDE // _FINE)
        flat = F.interpolate(cells, size=small.shape[-2:], mode="nearest")
        coarse = torch.rand(count, 1, 1, 1, device=device) < self.coarse
        small = torch.where(coarse, flat, small)
        draw = torch.rand(count, 1, 1, 1, device=device)
        rough = torch.randn(count, 1, 5, 5, device=device)
        field = F.interpolate(rough, size=small.shape[-2:], mode="bicubic", align_corners=False)
        level = torch.randn(count, 1, 1, 1, device=device)
        part = (field > level).float()
        given = torch.where(draw < self.absent, 0.0, torch.where(draw < self.absent + self.partial, part, 1.0))
        plan = _pooled(torch.cat([small * given, given.expand_as(small[:, :1])], dim=1))
        shift = self.noise * torch.randn(count, 3, *plan.shape[-2:], device=device)
        return torch.cat([plan[:, :3] + shift * plan[:, 3:], plan[:, 3:]], dim=1)


def whole_plan(photo: Tensor) -> Tensor:
    """The plan of all of a photo's colours: (B, 3, H, W) in [0, 1] -> (B, 4, H/32, W/32)."""
    return plan_of(torch.cat([photo, torch.ones_like(photo[:, :1])], dim=1).float())


def _pooled(colours: Tensor) -> Tensor:
    """`plan_of` of colours that are `_FINE` times smaller."""
    mean = F.avg_pool2d(colours, PLAN_STRIDE // _FINE)
    return torch.cat([mean[:, :3] - 0.5 * mean[:, 3:], mean[:, 3:]], dim=1)
