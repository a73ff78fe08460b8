"""One step of the engine against the same step written out by hand."""

from __future__ import annotations

import copy
import math

import pytest
import torch
from lightning_fabric import Fabric
from torch import Tensor
from toy_stages import Photos, ToyStage, discriminator, draw, generator

from calisketch.stage import Batch, Schedule
from calisketch.training import NonFiniteLoss
from calisketch.training.step import AdversarialStep, check_finite


def make_stage(seed: int = 0) -> ToyStage:
    torch.manual_seed(seed)
    return ToyStage("scn", generator(), discriminator(), Schedule(10, 1e-2, discriminator_ratio=0.5))


def make_batch(first: int = 0, count: int = 4) -> Batch:
    photos = Photos(12)
    batch = torch.utils.data.default_collate([photos[place] for place in range(first, first + count)])
    batch["sketch"] = draw(batch["photo"], seed=0, epoch=0, index=batch["index"].tolist())
    return batch


def weights(stage: ToyStage) -> list[Tensor]:
    return [p.detach().clone() for module in (stage.network, stage.critic) for p in module.parameters()]


def make_step(stage: ToyStage, precision: str = "32-true") -> AdversarialStep:
    fabric = Fabric(accelerator="cpu", devices=1, precision=precision)
    fabric.launch()
    return AdversarialStep(fabric, stage)


def test_steps_equal_a_loop_written_by_hand():
    stage = make_stage()
    by_hand = copy.deepcopy(stage)
    step = make_step(stage)
    reports = [step([make_batch(first)]).read() for first in (0, 4, 8)]

    network, critic = by_hand.network, by_hand.critic
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-2, betas=(0.0, 0.9))
    critic_optimizer = torch.optim.Adam(critic.parameters(), lr=5e-3, betas=(0.0, 0.9))
    for first, report in zip((0, 4, 8), reports, strict=True):
        batch = make_batch(first)
        fake = network(batch["sketch"])
        real_loss = (critic(batch["contour"]) - 1).square().mean() / 2
        fake_loss = critic(fake.detach()).square().mean() / 2
        critic_optimizer.zero_grad()
        (real_loss + fake_loss).backward()
        critic_optimizer.step()
        adversarial = (critic(fake) - 1).square().mean() / 2
        pixel = 10 * (fake - batch["contour"]).abs().mean()
        optimizer.zero_grad()
        (adversarial + pixel).backward()
        norm = torch.cat([p.grad.flatten() for p in network.parameters()]).norm()
        optimizer.step()
        assert report["discriminator"] == pytest.approx({"real": real_loss.item(), "fake": fake_loss.item()}, rel=1e-4)
        assert report["generator"] == pytest.approx({"adversarial": adversarial.item(), "l1": pixel.item()}, rel=1e-4)
        assert report["gradient_norm"]["scn/generator"] == pytest.approx(norm.item(), rel=1e-4)
    for ours, theirs in zip(weights(stage), weights(by_hand), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-6)


def test_two_accumulated_halves_equal_the_whole_batch():
    whole, halves = make_stage(), make_stage()
    for stage in (whole, halves):
        # Each forward pass in training mode advances a spectral norm's power iteration: halves would advance it twice.
        torch.nn.utils.parametrize.remove_parametrizations(stage.critic[0], "weight")
    one = make_step(whole)([make_batch(0, 8)]).read()
    other = make_step(halves)([make_batch(0, 4), make_batch(4, 4)]).read()
    for group in one:
        assert other[group] == pytest.approx(one[group], rel=1e-4)
    for left, right in zip(weights(whole), weights(halves), strict=True):
        torch.testing.assert_close(left, right, rtol=1e-4, atol=1e-6)


def test_a_discriminator_is_frozen_for_the_generators_terms_only():
    stage = make_stage()
    seen = []
    terms = stage.generator_losses

    def watched(batch: Batch) -> Batch:
        seen.append([parameter.requires_grad for parameter in stage.critic.parameters()])
        return terms(batch)

    stage.generator_losses = watched  # type: ignore[method-assign]
    make_step(stage)([make_batch()])
    assert seen
    assert not any(seen[0])
    assert all(parameter.requires_grad for parameter in stage.critic.parameters())


@pytest.mark.parametrize("place", ["generator", "discriminator", "gradient"])
def test_what_is_not_finite_never_reaches_the_weights_and_is_named(place: str):
    stage = make_stage()
    step = make_step(stage)
    step([make_batch()])
    before = weights(stage)
    moments = [value.clone() for state in step.generator_optimizer.state.values() for value in state.values()]
    generator_losses, discriminator_losses = stage.generator_losses, stage.discriminator_losses
    if place == "generator":
        stage.generator_losses = lambda b: {**generator_losses(b), "l1": b["refined"].sum() * math.nan}  # type: ignore
    elif place == "discriminator":
        stage.discriminator_losses = lambda b: {**discriminator_losses(b), "fake": b["contour"].sum() * math.inf}  # type: ignore
    else:  # a finite value, 0, whose derivative is infinite
        stage.generator_losses = lambda b: {**generator_losses(b), "root": (b["refined"].sum() * 0).sqrt()}  # type: ignore
    report = step([make_batch(4)]).read()
    named = {
        "generator": "generator l1 = nan",
        "discriminator": "discriminator fake = inf",
        "gradient": "scn/generator",
    }
    with pytest.raises(NonFiniteLoss, match=rf"stage scn, step 7: .*{named[place]}"):
        check_finite(report, "scn", 7)
    after = weights(stage)
    unchanged = len(list(stage.network.parameters()))
    for left, right in zip(before[:unchanged], after[:unchanged], strict=True):
        assert torch.equal(left, right)
    if place == "discriminator":
        assert all(torch.equal(left, right) for left, right in zip(before, after, strict=True))
    kept = [value for state in step.generator_optimizer.state.values() for value in state.values()]
    assert all(torch.equal(left, right) for left, right in zip(moments, kept, strict=True))
    step([make_batch(4)])  # the flag stays up, so nothing moves until the caller has read the report
    assert all(torch.equal(left, right) for left, right in zip(before[:unchanged], weights(stage), strict=False))


def test_overflowing_gradients_under_a_scaler_skip_the_step_but_a_bad_term_counts():
    report = {"discriminator": {"fake": 0.1}, "generator": {"l1": 0.2}, "gradient_norm": {"scn/generator": math.inf}}
    check_finite(report, "scn", 1, scaled=True)
    with pytest.raises(NonFiniteLoss, match="l1"):
        check_finite({**report, "generator": {"l1": math.nan}}, "scn", 1, scaled=True)


def test_both_learning_rates_follow_the_schedule() -> None:
    stage = make_stage()
    stage.schedule = Schedule(10, 1e-2, discriminator_ratio=0.5, decay=0.4)
    step = make_step(stage)
    for done, factor in ((0, 1.0), (6, 1.0), (8, 0.5), (10, 0.0)):
        step.follow_schedule(done)
        assert step.generator_optimizer.param_groups[0]["lr"] == pytest.approx(1e-2 * factor)
        assert step.discriminator_optimizer is not None
        assert step.discriminator_optimizer.param_groups[0]["lr"] == pytest.approx(5e-3 * factor)


def test_a_decayed_step_moves_the_weights_less() -> None:
    moved = []
    for done in (0, 9):
        stage = make_stage()
        stage.schedule = Schedule(10, 1e-2, decay=1.0)
        step = make_step(stage)
        before = weights(stage)
        step.follow_schedule(done)
        step([make_batch()])
        moved.append(sum(float((a - b).abs().sum()) for a, b in zip(before, weights(stage), strict=True)))
    assert moved[1] < 0.05 * moved[0]
