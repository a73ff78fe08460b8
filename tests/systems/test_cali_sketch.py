"""Algorithm 1: what each stage is fed, what its loss reaches, and that it can fit one batch."""

from __future__ import annotations

import pytest
import torch

from calisketch.isn import ISN
from calisketch.networks import VGG19, EncoderDecoder, SNPatchGAN
from calisketch.scn import SCN
from calisketch.stage import Schedule, Stage
from calisketch.systems import CaliSketchSystem

pytestmark = pytest.mark.usefixtures("one_thread")


def small_system(flow: str = "full", synthesis_input: str = "edges") -> CaliSketchSystem:
    torch.manual_seed(0)
    scn = SCN(EncoderDecoder(1, 1, width=8, blocks=1), SNPatchGAN(1, width=4))
    isn = ISN(EncoderDecoder(1, 3, width=8, blocks=1, head="tanh"), SNPatchGAN(3, width=4), VGG19.random(width=2))
    return CaliSketchSystem(scn, isn, flow=flow, synthesis_input=synthesis_input)


@pytest.fixture
def batch(generator: torch.Generator) -> dict[str, torch.Tensor]:
    photo = torch.rand(2, 3, 8, 8, generator=generator)
    photo = torch.nn.functional.interpolate(photo, size=32, mode="bilinear")
    detail = torch.zeros(2, 1, 32, 32)
    detail[0, :, 8], detail[0, :, :, 20], detail[1, :, 4:28, 10] = 1, 1, 1
    contour = torch.nn.functional.avg_pool2d(detail, 3, 1, 1)
    return {"photo": photo, "detail": detail, "contour": contour, "sketch": detail.roll(1, -1)}


def test_three_stages_in_the_papers_order_and_schedule() -> None:
    stages = small_system().stages
    assert [stage.name for stage in stages] == ["scn", "isn", "joint"]
    assert [stage.schedule.learning_rate for stage in stages] == [1e-4, 1e-4, 1e-5]
    assert all(stage.schedule.betas == (0.0, 0.9) and stage.schedule.discriminator_ratio == 0.1 for stage in stages)
    assert all(isinstance(stage, Stage) for stage in stages)


def test_a_name_stands_for_the_same_network_in_every_stage() -> None:
    scn, isn, joint = small_system().stages
    assert joint.generators["scn"] is scn.generators["scn"]
    assert joint.discriminators["isn"] is isn.discriminators["isn"]


def test_isn_alone_paints_from_the_product_of_detail_and_contour(batch: dict[str, torch.Tensor]) -> None:
    system = small_system()
    made = system.stages[1].generate(batch)
    assert torch.equal(made["refined"], batch["detail"] * batch["contour"])
    assert torch.equal(made["face"], system.isn(made["refined"]))


def test_isn_may_paint_from_calibrated_sketches_and_scn_does_not_learn_from_it(batch: dict[str, torch.Tensor]) -> None:
    system = small_system(synthesis_input="refined")
    stage = system.stages[1]
    assert stage.needs_sketch
    assert not system.stages[0].generators.keys() & stage.generators.keys()
    assert [each.builds_on for each in (stage, small_system().stages[1])] == [("scn",), ()]
    made = stage.generate(batch)
    assert torch.equal(made["refined"], system.scn(batch["sketch"]))
    sum(stage.generator_losses(made).values()).backward()
    assert all(parameter.grad is None for parameter in system.scn.parameters())
    assert any(parameter.grad is not None for parameter in system.isn.generator.parameters())


def test_an_unknown_synthesis_input_is_refused() -> None:
    with pytest.raises(ValueError, match="synthesis_input"):
        small_system(synthesis_input="canny")


@pytest.mark.parametrize("flow", ["full", "detach"])
def test_flow_decides_whether_isns_loss_reaches_g1(batch: dict[str, torch.Tensor], flow: str) -> None:
    system = small_system(flow)
    made = system.stages[2].generate(batch)
    sum(system.isn.generator_losses(made).values()).backward()
    reached = any(p.grad is not None and p.grad.abs().sum() > 0 for p in system.scn.generator.parameters())
    assert reached is (flow == "full")


def test_joint_minimises_both_networks_losses(batch: dict[str, torch.Tensor]) -> None:
    system = small_system()
    joint = system.stages[2]
    made = joint.generate(batch)
    assert set(joint.generator_losses(made)) == {
        "scn/adversarial", "scn/contour", "scn/detail",
        "isn/l1", "isn/adversarial", "isn/perceptual", "isn/style", "isn/tv",
    }  # fmt: skip
    assert set(joint.discriminator_losses(made)) == {"scn/discriminator", "isn/discriminator"}
    assert set(joint.scores(made)) == {"scn/real", "scn/fake", "isn/real", "isn/fake"}


def test_the_joint_stage_may_weigh_calibration_differently(batch: dict[str, torch.Tensor]) -> None:
    system = small_system()
    plain, lighter = (CaliSketchSystem(system.scn, system.isn, joint_calibration_weight=w) for w in (None, 1.0))
    for critic in (system.scn.discriminator, system.isn.discriminator):
        critic.eval()  # no power iteration between the three
    made = plain.stages[2].generate(batch)
    with torch.no_grad():
        heavy, light = (dict(each.stages[2].generator_losses(made)) for each in (plain, lighter))
        alone = lighter.stages[0].generator_losses(made)
    for name in ("scn/contour", "scn/detail"):
        torch.testing.assert_close(heavy[name], 10 * light[name])
        torch.testing.assert_close(alone[name], heavy[name])  # stage 1 keeps SCN's own
    torch.testing.assert_close(heavy["isn/l1"], light["isn/l1"])
    torch.testing.assert_close(heavy["scn/adversarial"], light["scn/adversarial"])
    with pytest.raises(ValueError, match="joint_calibration_weight"):
        CaliSketchSystem(system.scn, system.isn, joint_calibration_weight=-1.0)


def test_previews_come_in_the_order_of_the_grid(batch: dict[str, torch.Tensor]) -> None:
    columns = ["sketch", "refined", "contour", "detail", "photo", "face"]
    for stage in small_system().stages:
        shown = list(stage.preview(batch))
        assert shown == [name for name in columns if name in shown]
    assert shown == columns


@pytest.mark.parametrize("number", [0, 1, 2])
def test_every_stage_fits_one_batch(batch: dict[str, torch.Tensor], number: int) -> None:
    stage = small_system().stages[number]
    before = stage.plateau_figure(batch)
    generators = [p for network in stage.generators.values() for p in network.parameters()]
    discriminators = [p for network in stage.discriminators.values() for p in network.parameters()]
    step_g = torch.optim.Adam(generators, lr=1e-3, betas=(0.0, 0.9))  # at 3e-3 it goes up and down
    step_d = torch.optim.Adam(discriminators, lr=1e-4, betas=(0.0, 0.9))
    for _ in range(30):
        made = stage.generate(batch)
        step_d.zero_grad()
        sum(stage.discriminator_losses(made).values()).backward()
        step_d.step()
        step_g.zero_grad()
        sum(stage.generator_losses(made).values()).backward()
        step_g.step()
    assert stage.plateau_figure(batch) < 0.8 * before


def test_wrong_schedules_and_flows_are_refused() -> None:
    with pytest.raises(ValueError, match="flow must be one of"):
        small_system("sideways")
    system = small_system()
    with pytest.raises(ValueError, match="schedules must be for stages of"):
        CaliSketchSystem(system.scn, system.isn, {"scm": Schedule(1)})
    for arguments in ({"iterations": 0}, {"iterations": 1, "learning_rate": -1}, {"iterations": 1, "betas": (1, 0)}):
        with pytest.raises(ValueError, match="got"):
            Schedule(**arguments)
