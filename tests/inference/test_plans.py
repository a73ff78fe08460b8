"""Colours of a model's own choice, around what a person gave."""

from __future__ import annotations

import pytest
import torch

from calisketch.inference.plans import LARGEST_SEED, check_seed, colours_of_plan, need_plans, planned_colours
from calisketch.networks import PlanFlow
from calisketch.networks.painting_unet import plan_of

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def network() -> PlanFlow:
    torch.manual_seed(0)
    made = PlanFlow(width=8, steps=2)
    for weight in made.parameters():
        if weight.ndim == 4 and not weight.any():
            torch.nn.init.normal_(weight, 0, 0.1)
    return made.eval()


def test_a_plan_is_the_plan_of_its_colours(generator: torch.Generator) -> None:
    plan = torch.cat([torch.rand(2, 3, 2, 3, generator=generator) - 0.5, torch.ones(2, 1, 2, 3)], dim=1)
    colours = colours_of_plan(plan)
    assert colours.shape == (2, 4, 64, 96)
    torch.testing.assert_close(plan_of(colours), plan, atol=1e-4, rtol=0)


def test_a_seed_is_a_plan_and_given_colours_keep_their_share(network: PlanFlow, generator: torch.Generator) -> None:
    strokes = (torch.rand(3, 1, 64, 64, generator=generator) > 0.8).float()
    likeliest = planned_colours(network, strokes, None, 0)
    drawn = planned_colours(network, strokes, None, 7)
    assert (drawn - likeliest).abs().max() > 1e-3
    assert (likeliest[:, 3] == 1).all()
    torch.testing.assert_close(planned_colours(network, strokes[1:2], None, 7), drawn[1:2])
    given = torch.zeros(3, 4, 64, 64)
    given[:, :, :32, :32] = torch.tensor([0.75, 0.5, 0.25, 1.0]).view(1, 4, 1, 1)
    given[:, :, 32:48, 32:] = torch.tensor([1.0, 1.0, 1.0, 1.0]).view(1, 4, 1, 1)  # half of a cell
    for seed in (0, 7):
        plan = plan_of(planned_colours(network, strokes, given, seed))
        torch.testing.assert_close(plan[:, :, 0, 0], torch.tensor([0.25, 0.0, -0.25, 1.0]).expand(3, 4))
        whole = network.likeliest(strokes, plan_of(given)) if seed == 0 else network.drawn(strokes, 7, plan_of(given))
        torch.testing.assert_close(plan, whole, atol=1e-4, rtol=0)
        assert (plan[:, :3, 1, 1] >= 0.25 - 0.25).all()  # 0.25 of the given half, at least -0.25 of the other
        assert (plan[:, :3, 1, 1] <= 0.5).all()


def test_what_makes_no_sense_is_refused() -> None:
    check_seed(0, None)
    check_seed(LARGEST_SEED, 1)
    for seed, variants in ((-1, None), (True, None), (1.0, None), (0, 0), (0, True), (0, 1.5), (LARGEST_SEED, 2)):
        with pytest.raises(ValueError, match="must be"):
            check_seed(seed, variants)
    with pytest.raises(ValueError, match="variants=2 needs a network of colour plans"):
        need_plans(None, "variants=2")
