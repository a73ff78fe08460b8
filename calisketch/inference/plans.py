"""Colours where none are given: the plan of a face's colours, the likeliest or one drawn by its seed."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..networks.painting_unet import PLAN_STRIDE, plan_of
from ..networks.plan_flow import PlanFlow
from .computing import device_of

__all__ = ["check_seed", "colours_of_plan", "need_plans", "planned_colours"]

LARGEST_SEED = 2**63 - 1


def need_plans(network: nn.Module | None, what: str) -> PlanFlow:
    """The network that draws plans.

    Raises:
        ValueError: a model has none; says what needs it.
    """
    if not isinstance(network, PlanFlow):
        raise ValueError(
            f"{what} needs a network of colour plans, and this model has none: it paints one face for each sketch. "
            "Leave out variants and seed, or load a model that has one (`model.varies` says whether it does)."
        )
    return network


def check_seed(seed: object, variants: object = None) -> None:
    """Checks what a call asks for.

    Raises:
        ValueError: a seed that is no whole number from 0 to 2**63 - 1 (that of the last variant too), or variants that
            are neither None nor at least 1.
    """
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed <= LARGEST_SEED:
        raise ValueError(
            f"seed must be a whole number from 0 to {LARGEST_SEED}; got {seed!r}. 0 is the likeliest face."
        )
    if variants is None:
        return
    if isinstance(variants, bool) or not isinstance(variants, int) or variants < 1:
        raise ValueError(f"variants must be a whole number, at least 1, or None; got {variants!r}.")
    if seed + variants - 1 > LARGEST_SEED:
        raise ValueError(f"seed + variants - 1 must be at most {LARGEST_SEED}; got seed {seed}, variants {variants}.")


@torch.no_grad()
def planned_colours(network: PlanFlow, refined: Tensor, colours: Tensor | None, seed: int) -> Tensor:
    """What a painter is given beside the strokes: colours everywhere, those that a person gave among them.

    A plan depends on its own sketch, on what is given with it, and on the seed: alone or in a batch.

    Args:
        network: which draws plans; it is run where it is, in float32.
        refined: (B, 1, H, W) in [0, 1], ink = 1.
        colours: (B, 4, H, W), colours * given and given; None: none are.
        seed: 0: the likeliest plan; any other: one drawn by it.

    Returns:
        (B, 4, H, W) on refined's device: one colour for each 32 x 32 pixels.
    """
    here = device_of(network)
    strokes = refined.to(here, torch.float32)
    given = None if colours is None else plan_of(colours.to(here, torch.float32))
    plan = network.likeliest(strokes, given) if seed == 0 else network.drawn(strokes, seed, given)
    return colours_of_plan(plan).to(refined.device, refined.dtype)


def colours_of_plan(plan: Tensor) -> Tensor:
    """A whole plan (B, 4, h, w) as colours (B, 4, 32 h, 32 w), whose `plan_of` it is."""
    rgb = F.interpolate(plan[:, :3] + 0.5, scale_factor=float(PLAN_STRIDE), mode="nearest")
    return torch.cat([rgb, torch.ones_like(rgb[:, :1])], dim=1)
