"""SCN alone: one stage, with D1 or without, and the model folder it leaves."""

from __future__ import annotations

import pytest
import torch

from calisketch.networks import QuarterUNet, SNPatchGAN
from calisketch.scn import SCN
from calisketch.stage import Schedule
from calisketch.systems import SCNOnlySystem


def system(**arguments) -> SCNOnlySystem:
    torch.manual_seed(0)
    return SCNOnlySystem(SCN(QuarterUNet(width=4, blocks=1), SNPatchGAN(1, width=4), **arguments))


@pytest.fixture
def batch(generator: torch.Generator) -> dict[str, torch.Tensor]:
    lines = (torch.rand(2, 1, 64, 64, generator=generator) > 0.9).float()
    return {"sketch": lines, "contour": lines, "detail": lines, "photo": torch.zeros(2, 3, 64, 64)}


def test_it_trains_the_first_stage_alone(batch: dict[str, torch.Tensor]) -> None:
    made = system()
    (stage,) = made.stages
    assert stage.name == "scn"
    assert set(made.generators) == set(stage.generators) == set(stage.discriminators) == {"scn"}
    refined = stage.generate(batch)["refined"]
    torch.testing.assert_close(stage.plateau_figures(batch).mean(), made.scn.plateau_figure(refined, batch))  # type: ignore[attr-defined]
    with pytest.raises(ValueError, match="schedules"):
        SCNOnlySystem(made.scn, {"isn": Schedule(1)})


def test_without_its_losses_there_is_no_discriminator(batch: dict[str, torch.Tensor]) -> None:
    (stage,) = system(calibration_weight=0.0, adversarial_weight=0.0, dice_weight=1.0).stages
    assert stage.discriminators == {}
    made = stage.generate(batch)
    assert stage.scores(made) == stage.discriminator_losses(made) == {}
    losses = stage.generator_losses(made)
    assert set(losses) == {"scn/dice"}
    losses["scn/dice"].backward()
    assert stage.generators["scn"].encoder.weight.grad is not None  # type: ignore[union-attr]
    with pytest.raises(ValueError, match="only weights of 0"):
        system(calibration_weight=0.0, adversarial_weight=0.0)


def test_a_few_steps_of_direct_losses_draw_the_lines(batch: dict[str, torch.Tensor]) -> None:
    weights = {"cross_entropy_weight": 1.0, "positive_weight": 3.0, "dice_weight": 1.0, "blurred_weight": 1.0}
    (stage,) = system(calibration_weight=0.0, adversarial_weight=0.0, targets={"product": 1.0}, **weights).stages
    network = stage.generators["scn"]
    optimizer = torch.optim.Adam(network.parameters(), 1e-2)
    figures = []
    for _ in range(40):
        losses = stage.generator_losses(stage.generate(batch))
        total = torch.stack(list(losses.values())).sum()
        figures.append(float(total.detach()))
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
    assert figures[-1] < 0.6 * figures[0]
