"""The painter of faces: what each stage is given, what carries loss, and what its discriminator comes to know."""

from __future__ import annotations

import pytest
import torch
from scipy.stats import mannwhitneyu

from calisketch.networks import LPIPS, VGG19, EncoderDecoder, FaceDiscriminator, PaintingUNet, PlanFlow, SNPatchGAN
from calisketch.networks.painting_unet import plan_of
from calisketch.scn import SCN
from calisketch.stage import Batch, Stage
from calisketch.systems import ColourPlans, FacePainter, FacesSystem
from calisketch.systems.colour_plans import whole_plan
from calisketch.systems.face_painter import area_under_curve, within
from calisketch.systems.faces import mixed

pytestmark = pytest.mark.usefixtures("one_thread")


def painter(**more: object) -> FacePainter:
    torch.manual_seed(0)
    generator = PaintingUNet(width=8, multiples=[1, 1, 1, 1], blocks=[1, 1, 1, 1], fine_width=4)
    for weight in generator.parameters():
        if weight.ndim == 4 and not weight.any():
            torch.nn.init.normal_(weight, 0, 0.1)
    return FacePainter(generator, FaceDiscriminator(width=4, crop_width=4), LPIPS.random(), **more)  # type: ignore[arg-type]


def system(**more: object) -> FacesSystem:
    scn = SCN(EncoderDecoder(1, 1, width=4, blocks=1), SNPatchGAN(1, width=4))
    return FacesSystem(scn, painter(), PlanFlow(width=8, steps=2), **more)  # type: ignore[arg-type]


@pytest.fixture
def batch(generator: torch.Generator) -> Batch:
    photo = torch.nn.functional.interpolate(torch.rand(2, 3, 8, 8, generator=generator), size=64, mode="bilinear")
    sketch = (torch.rand(2, 1, 64, 64, generator=generator) > 0.9).float()
    inside = torch.ones(2, 1, 64, 64)
    inside[:, :, 48:] = 0
    return {"photo": photo, "sketch": sketch, "inside": inside, "detail": sketch, "contour": sketch}


def test_it_has_cali_sketchs_stages_and_one_for_the_plans() -> None:
    made = system()
    assert [stage.name for stage in made.stages] == ["scn", "isn", "plan", "joint"]
    assert all(isinstance(stage, Stage) for stage in made.stages)
    assert list(made.generators) == ["scn", "isn", "plan"]
    assert made.stages[3].generators["isn"] is made.stages[1].generators["isn"] is made.generators["isn"]
    with pytest.raises(ValueError, match="schedules"):
        system(schedules={"other": made.stages[0].schedule})


def test_strokes_are_mixed_by_a_strength_of_their_own_and_scn_does_not_learn_from_it(batch: Batch) -> None:
    made = system()
    stage = made.stages[1]
    generated = stage.generate(batch)
    refined = made.scn(batch["sketch"])
    torch.testing.assert_close(mixed(batch["sketch"], refined, 1.0), refined)
    direction = (refined - batch["sketch"]).flatten(1)
    shares = ((generated["refined"] - batch["sketch"]).flatten(1) * direction).sum(1) / direction.square().sum(1)
    assert len(set(shares.tolist())) == 2
    assert ((shares >= 0) & (shares <= 1)).all()
    sum(stage.generator_losses(generated).values()).backward()
    assert all(parameter.grad is None for parameter in made.scn.parameters())
    assert all(parameter.grad is not None for parameter in made.painter.generator.parameters())
    plain = system(synthesis_input="sketch")
    assert torch.equal(plain.stages[1].generate(batch)["refined"], batch["sketch"])
    assert [each.stages[1].builds_on for each in (made, plain)] == [("scn",), ()]  # type: ignore[attr-defined]
    other = {**batch, "detail": batch["detail"].roll(1, -1)}
    edges = system(synthesis_input="edges").stages[2]
    torch.testing.assert_close(edges.calibrated(other), other["detail"] * other["contour"])  # type: ignore[attr-defined]
    with pytest.raises(ValueError, match="synthesis_input must be"):
        system(synthesis_input="canny")


def test_in_the_joint_stage_the_face_reaches_scn(batch: Batch) -> None:
    made = system()
    joint = made.stages[3]
    generated = joint.generate(batch)
    sum(made.painter.generator_losses(generated).values()).backward()
    assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in made.scn.generator.parameters())
    terms = joint.generator_losses(joint.generate(batch))
    assert {"scn/contour", "scn/detail", "isn/l1", "isn/lpips", "isn/adversarial", "isn/crop_adversarial"} <= set(terms)


def test_pixels_outside_the_source_photo_carry_no_loss(batch: Batch) -> None:
    look = painter(perceptual_weight=1.0, style_weight=1.0, vgg=VGG19.random(width=2), vgg_side=64, vgg_share=1.0)
    face = torch.rand(2, 3, 64, 64, requires_grad=True)
    generated = {**batch, "refined": batch["sketch"], "face": face}
    terms = look.generator_losses(generated)
    assert {"isn/perceptual", "isn/style", "isn/tv", "isn/feature_matching"} <= set(terms)
    for name, term in terms.items():
        (gradient,) = torch.autograd.grad(term, face, retain_graph=True)
        assert not gradient[:, :, 48:].any(), name
        assert gradient[:, :, :48].any(), name
    torch.manual_seed(1)
    scores = look.discriminator_losses(generated)
    torch.manual_seed(1)
    other = torch.where(batch["inside"] > 0, face, 1 - face).detach()
    look.discriminator.eval()
    again = look.discriminator_losses({**generated, "face": other})
    assert all(torch.isfinite(term) for term in (*scores.values(), *again.values()))
    assert torch.equal(within({**generated, "face": other})[:, :, 48:], batch["photo"][:, :, 48:])
    figures = look.figures(face.detach(), batch)
    torch.testing.assert_close(look.figures(other, batch), figures)
    without = {name: image for name, image in batch.items() if name != "inside"}
    assert look.figures(other, without)["l1"] != look.figures(face.detach(), without)["l1"]


def test_eyes_and_mouth_weigh_more_in_l1(batch: Batch) -> None:
    losses = []
    for top in (30, 2):  # an eye's pixels, the forehead's
        face = batch["photo"].clone()
        face[:, :, top : top + 4, 22:26] = 1 - face[:, :, top : top + 4, 22:26].round()
        terms = painter().generator_losses({**batch, "refined": batch["sketch"], "face": face})
        change = (face - batch["photo"]).abs().sum()
        losses.append(float(terms["isn/l1"] / change))
    assert losses[0] == pytest.approx(3 * losses[1], rel=1e-4)


def test_the_share_of_every_terms_gradient_is_told(batch: Batch) -> None:
    made = system()
    stage = made.stages[1]
    generated = {name: value.detach() for name, value in stage.generate(batch).items()}
    before = {name: value.clone() for name, value in made.painter.discriminator.state_dict().items()}
    scores = stage.scores(generated)
    after = {name: value.clone() for name, value in made.painter.discriminator.state_dict().items()}
    assert {name for name in before if not torch.equal(before[name], after[name])} == set()
    shares = {name: float(value) for name, value in scores.items() if name.endswith("/share")}
    assert set(shares) == {f"{name}/share" for name in stage.generator_losses(generated)}
    assert sum(shares.values()) == pytest.approx(1, abs=1e-4)
    assert {"isn/real", "isn/fake", "isn/auc", "isn/crop_auc"} <= set(scores)


def test_the_area_under_the_curve_is_mann_and_whitneys(generator: torch.Generator) -> None:
    real, fake = torch.randn(20, generator=generator).round(decimals=1), torch.randn(15, generator=generator)
    fake = fake.round(decimals=1)  # with ties
    expected = mannwhitneyu(real.numpy(), fake.numpy()).statistic / (20 * 15)
    assert float(area_under_curve(real, fake)) == pytest.approx(expected)


def test_trained_on_faces_that_are_flat_the_discriminator_knows_them(batch: Batch, generator: torch.Generator) -> None:
    look = painter()
    optimizer = torch.optim.Adam(look.discriminator.parameters(), lr=2e-3, betas=(0.5, 0.99))
    for _ in range(25):
        photo = torch.rand(4, 3, 64, 64, generator=generator)
        face = photo.mean((2, 3), keepdim=True).expand_as(photo)
        made = {"photo": photo, "face": face, "refined": batch["sketch"].repeat(2, 1, 1, 1)}
        optimizer.zero_grad()
        sum(look.discriminator_losses(made).values()).backward()
        optimizer.step()
    verdicts = look.verdicts(made)
    assert float(verdicts["auc"]) == 1
    assert float(verdicts["crop_auc"]) == 1
    assert float(verdicts["real"]) > float(verdicts["fake"])


def test_plans_are_whole_partial_and_absent_in_their_shares(generator: torch.Generator) -> None:
    torch.manual_seed(0)
    photo = torch.rand(1, 3, 256, 256, generator=generator).expand(400, -1, -1, -1)
    plans = ColourPlans(absent=0.2, partial=0.3, coarse=0.0, noise=0.0)(photo)
    assert plans.shape == (400, 4, 8, 8)
    share = plans[:, 3].mean((1, 2))
    assert 0.12 < (share == 0).float().mean() < 0.32  # a part may be empty, too
    assert 0.4 < (share == 1).float().mean() < 0.62
    whole = plans[share == 1][0]
    torch.testing.assert_close(whole, whole_plan(photo[:1])[0], atol=1e-5, rtol=0)
    part = plans[(share > 0.2) & (share < 0.8)][0]
    assert not part[:, part[3] == 0].any()
    full = part[3] == 1
    torch.testing.assert_close(part[:3, full], whole[:3, full], atol=1e-5, rtol=0)
    for wrong in ({"absent": 0.6, "partial": 0.5}, {"noise": -1.0}, {"coarse": 1.5}):
        with pytest.raises(ValueError, match="must be shares"):
            ColourPlans(**wrong)


def test_the_whole_plan_is_that_of_colours_given_everywhere(batch: Batch) -> None:
    colours = torch.cat([batch["photo"], torch.ones_like(batch["sketch"])], dim=1)
    torch.testing.assert_close(whole_plan(batch["photo"]), plan_of(colours))


def test_validation_figures_are_of_faces_with_and_without_their_plan(batch: Batch) -> None:
    made = system()
    stage = made.stages[1]
    figures = stage.figures(batch)
    assert {"l1", "lpips", "lpips_eyes", "lpips_mouth", "auc", "without_plan_lpips"} <= set(figures)
    names = ("lpips", "lpips_eyes", "lpips_mouth")
    parts = [figures[f"{prefix}{name}"] for prefix in ("", "without_plan_") for name in names]
    torch.testing.assert_close(figures["plateau"], torch.stack(parts).mean())
    torch.testing.assert_close(stage.plateau_figure(batch), figures["plateau"])
    torch.manual_seed(5)
    torch.testing.assert_close(stage.figures(batch), figures)  # nothing in it is drawn
    perfect = made.painter.figures(batch["photo"], batch)
    assert max(float(value) for value in perfect.values()) < 1e-6


def test_the_plan_stage_learns_plans_and_shows_several(batch: Batch) -> None:
    stage = system().stages[2]
    (loss,) = stage.generator_losses(stage.generate(batch)).values()
    loss.backward()
    assert all(parameter.grad is not None for parameter in stage.generators["plan"].parameters())
    assert list(stage.preview(batch)) == ["sketch", "likeliest", "seed_1", "seed_2", "seed_3", "photo"]
    assert 0 < stage.plateau_figure(batch) < 1
