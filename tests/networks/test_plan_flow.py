"""Colour plans: the likeliest is the mean, drawn ones differ by their seed alone, and a given part stays."""

from __future__ import annotations

import pytest
import torch

from calisketch.networks import PlanFlow
from calisketch.networks.plan_flow import matching_loss

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def strokes(generator: torch.Generator) -> torch.Tensor:
    return (torch.rand(3, 1, 64, 64, generator=generator) > 0.8).float()


def lively() -> PlanFlow:
    torch.manual_seed(0)
    network = PlanFlow(width=16, steps=3)
    for weight in network.parameters():
        if weight.ndim == 4 and not weight.any():
            torch.nn.init.normal_(weight, 0, 0.1)
    return network.eval()


def test_it_has_about_1_m_parameters() -> None:
    assert 0.8e6 < sum(weight.numel() for weight in PlanFlow().parameters()) < 1.3e6


def test_a_seed_draws_the_same_plan_alone_and_in_a_batch(strokes: torch.Tensor) -> None:
    network = lively()
    plans = network.drawn(strokes, seed=7)
    assert plans.shape == (3, 4, 2, 2)
    assert (plans[:, 3] == 1).all()
    assert plans[:, :3].abs().max() <= 0.5
    for place in range(3):
        torch.testing.assert_close(network.drawn(strokes[place : place + 1], seed=7)[0], plans[place])
    assert (network.drawn(strokes, seed=8) - plans).abs().max() > 1e-3
    assert torch.equal(network.likeliest(strokes), network.likeliest(strokes))


def test_what_is_given_of_a_plan_stays(strokes: torch.Tensor) -> None:
    network = lively()
    given = torch.zeros(3, 4, 2, 2)
    given[:, :, 0, 1] = torch.tensor([0.25, -0.125, 0.5, 1.0])
    for plan in (network.likeliest(strokes, given), network.drawn(strokes, 1, given)):
        assert torch.equal(plan[:, :, 0, 1], given[:, :, 0, 1])
        assert (plan[:, 3] == 1).all()
    empty = network.likeliest(strokes, torch.zeros(3, 4, 2, 2))
    assert torch.equal(empty, network.likeliest(strokes))
    assert (network.likeliest(strokes, given) - empty)[:, :, 1, 0].abs().max() > 1e-5  # the rest follows the part


@pytest.mark.parametrize("seed", [-1, 2**63, 1.5, True])
def test_seeds_that_are_none_are_refused(strokes: torch.Tensor, seed: object) -> None:
    with pytest.raises(ValueError, match="seed must be"):
        lively().drawn(strokes, seed)  # type: ignore[arg-type]


def test_trained_on_two_kinds_of_faces_it_draws_both_and_thinks_their_mean_likeliest() -> None:
    """Blank strokes tell nothing: half of the plans are dark (-0.25), half are light (0.25)."""
    torch.manual_seed(0)
    network = PlanFlow(width=16, steps=8)
    optimizer = torch.optim.Adam(network.parameters(), lr=4e-3)
    strokes, given = torch.zeros(16, 1, 64, 64), torch.zeros(16, 4, 2, 2)
    for _ in range(150):
        side = (torch.rand(16, 1, 1, 1) > 0.5).float() - 0.5
        plan = torch.cat([(side / 2).expand(16, 3, 2, 2), torch.ones(16, 1, 2, 2)], dim=1)
        optimizer.zero_grad()
        matching_loss(network, strokes, plan, given).backward()
        optimizer.step()
    network.eval()
    assert network.likeliest(strokes[:1])[:, :3].abs().max() < 0.12
    means = torch.tensor([float(network.drawn(strokes[:1], seed)[:, :3].mean()) for seed in range(40)])
    assert 8 < (means > 0).sum() < 32
    assert means.abs().median() > 0.15
