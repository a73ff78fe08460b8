"""pix2pix and ISN without SCN: what they are fed, what they minimise, and that they can fit one batch."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from calisketch.isn import ISN
from calisketch.losses import lsgan_discriminator, lsgan_generator
from calisketch.networks import LPIPS, VGG19, DiscriminatorOutput, EncoderDecoder, PatchGAN70, SNPatchGAN, UNet
from calisketch.stage import Batch, Schedule, Stage
from calisketch.systems import ISNOnlySystem, Pix2Pix, Pix2PixSystem

pytestmark = pytest.mark.usefixtures("one_thread")


def small_pix2pix(**options: object) -> Pix2PixSystem:
    torch.manual_seed(0)
    return Pix2PixSystem(Pix2Pix(UNet(width=8, depth=5), PatchGAN70(4, width=4, spectral=False), **options))  # type: ignore[arg-type]


def small_isn() -> ISNOnlySystem:
    torch.manual_seed(0)
    generator = EncoderDecoder(1, 3, width=8, blocks=1, head="tanh")
    return ISNOnlySystem(ISN(generator, SNPatchGAN(3, width=4), VGG19.random(width=2)))


@pytest.fixture
def batch(generator: torch.Generator) -> Batch:
    photo = torch.rand(2, 3, 8, 8, generator=generator)
    sketch = torch.zeros(2, 1, 32, 32)
    sketch[0, :, 8], sketch[0, :, :, 20], sketch[1, :, 4:28, 10] = 1, 1, 1
    return {"photo": nn.functional.interpolate(photo, size=32, mode="bilinear"), "sketch": sketch}


@pytest.mark.parametrize(("make", "name"), [(small_pix2pix, "pix2pix"), (small_isn, "isn")])
def test_one_stage_paints_from_the_sketch_as_it_is(batch: Batch, make: type, name: str) -> None:
    system = make()
    (stage,) = system.stages
    assert isinstance(stage, Stage)
    assert stage.name == name
    assert getattr(stage, "needs_sketch", True)
    for module in stage.generators.values():
        module.eval()
    face = stage.generate(batch)["face"]
    assert torch.equal(face, system.generators["isn"](batch["sketch"]))
    assert list(system.generators) == ["isn"]
    assert list(stage.preview(batch)) == ["sketch", "photo", "face"]


def test_pix2pix_trains_as_its_paper_says() -> None:
    assert small_pix2pix().stages[0].schedule == Schedule(80_000, 2e-4, discriminator_ratio=1.0, betas=(0.5, 0.999))


class Judge(nn.Module):
    """Remembers what it sees, and says its mean."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[torch.Tensor] = []

    def forward(self, image: torch.Tensor) -> DiscriminatorOutput:
        self.seen.append(image)
        logits = image.mean((1, 2, 3), keepdim=True)
        return DiscriminatorOutput([logits], [logits])


def test_the_discriminator_sees_the_sketch_beside_the_photo_in_the_papers_range(batch: Batch) -> None:
    judge = Judge()
    pix2pix = Pix2Pix(UNet(width=4, depth=5), judge, objective="lsgan")
    made = {**batch, "face": torch.full_like(batch["photo"], 0.25, requires_grad=True)}
    losses = pix2pix.discriminator_losses(made)
    real, fake = judge.seen[0].chunk(2)
    torch.testing.assert_close(real, torch.cat([batch["sketch"], batch["photo"]], 1) * 2 - 1)
    torch.testing.assert_close(fake[:, 1:], torch.full_like(batch["photo"], -0.5))
    assert not losses["pix2pix/discriminator"].requires_grad  # the fakes are detached, and the judge learns nothing
    means = [part.mean((1, 2, 3), keepdim=True) for part in (real, fake)]
    torch.testing.assert_close(losses["pix2pix/discriminator"], lsgan_discriminator([means[0]], [means[1]]))
    terms = pix2pix.generator_losses(made)
    assert set(terms) == {"pix2pix/l1", "pix2pix/adversarial"}
    torch.testing.assert_close(terms["pix2pix/adversarial"], lsgan_generator([means[1]]))
    torch.testing.assert_close(
        terms["pix2pix/l1"], 100 * ((2 * batch["photo"] - 1) - (2 * made["face"] - 1)).abs().mean()
    )
    scores = pix2pix.scores(made)
    assert scores == {"pix2pix/real": means[0].mean(), "pix2pix/fake": means[1].mean()}


def test_the_papers_objective_is_cross_entropy(batch: Batch) -> None:
    pix2pix = Pix2Pix(UNet(width=4, depth=5), Judge())
    made = {**batch, "face": batch["photo"].flip(3)}
    with torch.no_grad():
        fake = pix2pix.scores(made)["pix2pix/fake"]
        logit = pix2pix.discriminator(torch.cat([batch["sketch"], made["face"]], 1) * 2 - 1).logits[0]
    torch.testing.assert_close(logit.mean(), fake)
    expected = nn.functional.binary_cross_entropy_with_logits(logit, torch.ones_like(logit))
    torch.testing.assert_close(pix2pix.generator_losses(made)["pix2pix/adversarial"], expected)


@pytest.mark.parametrize("make", [small_pix2pix, small_isn])
def test_every_system_fits_one_batch(batch: Batch, make: type) -> None:
    (stage,) = make().stages
    figure = stage.plateau_figure(batch)
    generators = [p for network in stage.generators.values() for p in network.parameters()]
    discriminators = [p for network in stage.discriminators.values() for p in network.parameters()]
    step_g = torch.optim.Adam(generators, 1e-3, stage.schedule.betas)  # at 3e-3 it goes up and down
    step_d = torch.optim.Adam(discriminators, 1e-4, stage.schedule.betas)
    for _ in range(30):
        made = stage.generate(batch)
        step_d.zero_grad()
        sum(stage.discriminator_losses(made).values()).backward()
        step_d.step()
        step_g.zero_grad()
        sum(stage.generator_losses(made).values()).backward()
        step_g.step()
    assert stage.plateau_figure(batch) < 0.8 * figure


def test_wrong_schedules_objectives_and_weights_are_refused() -> None:
    for system in (small_pix2pix(), small_isn()):
        network = getattr(system, "pix2pix", None) or system.isn  # type: ignore[union-attr]
        with pytest.raises(ValueError, match="schedules must be for stages of"):
            type(system)(network, {"joint": Schedule(1)})
    with pytest.raises(ValueError, match=r"objective must be one of \['lsgan', 'vanilla'\]; got 'wgan'"):
        small_pix2pix(objective="wgan")
    with pytest.raises(ValueError, match="l1_weight must be at least 0"):
        small_pix2pix(l1_weight=-1.0)
    with pytest.raises(ValueError, match="window must be a side of at least 32 pixels"):
        small_pix2pix(window=16)


def test_feature_matching_and_lpips_are_added_where_they_have_a_weight(batch: Batch) -> None:
    torch.manual_seed(0)
    judge, looks = PatchGAN70(4, width=4, spectral=False), LPIPS.random()
    plain = Pix2Pix(UNet(width=4, depth=5), judge)
    more = Pix2Pix(plain.generator, judge, feature_matching_weight=3.0, lpips_weight=2.0, lpips=looks)
    made = {**batch, "face": batch["photo"].flip(3).requires_grad_(True)}
    own, terms = plain.generator_losses(made), more.generator_losses(made)
    assert set(own) == {"pix2pix/l1", "pix2pix/adversarial"}
    assert {name: terms[name] for name in own} == own
    real, fake = (judge(torch.cat([batch["sketch"], made[name]], 1) * 2 - 1).features for name in ("photo", "face"))
    apart = torch.stack([(a - b).abs().mean() for a, b in zip(real, fake, strict=True)]).sum()
    torch.testing.assert_close(terms["pix2pix/feature_matching"], 3 * apart)
    torch.testing.assert_close(terms["pix2pix/lpips"], 2 * looks(batch["photo"], made["face"]).mean())
    assert set(terms) == {*own, "pix2pix/feature_matching", "pix2pix/lpips"}
    assert dict(Pix2PixSystem(more).stages[0].frozen) == {"lpips": looks}
    assert plain.frozen == {}
    torch.testing.assert_close(more.plateau_figure(made["face"], batch), looks(batch["photo"], made["face"]).mean())


def test_a_window_is_one_square_of_sketch_photo_and_face_alike() -> None:
    judge = Judge()
    pix2pix = Pix2Pix(UNet(width=4, depth=5), judge, window=32)
    place = torch.arange(64.0)[:, None] / 128 + torch.arange(48.0) / 4096  # tells rows and columns apart
    sketch = place.expand(2, 1, 64, 48)
    made = {"sketch": sketch, "photo": sketch.expand(-1, 3, -1, -1), "face": sketch.expand(-1, 3, -1, -1)}
    torch.manual_seed(0)
    for _ in range(6):
        pix2pix.discriminator_losses(made)
        terms = pix2pix.generator_losses(made)
        assert terms["pix2pix/l1"] == 0
    for seen in judge.seen:
        assert seen.shape[-2:] == (32, 32)
        assert torch.equal(seen[:, 0], seen[:, 3]), "sketch and photo are cut at the same place"
    corners = {float(seen[0, 0, 0, 0]) for seen in judge.seen}
    assert len(corners) > 6
    pix2pix.discriminator = again = Judge()
    torch.manual_seed(0)
    pix2pix.discriminator_losses(made)
    assert torch.equal(again.seen[0], judge.seen[0]), "torch's own generator draws it"


def test_a_window_as_large_as_the_images_changes_nothing(batch: Batch) -> None:
    made = {**batch, "face": batch["photo"].flip(3)}
    whole, window = (Pix2Pix(UNet(width=4, depth=5), Judge(), window=side) for side in (None, 32))
    for losses in ("discriminator_losses", "generator_losses"):
        assert getattr(whole, losses)(made) == getattr(window, losses)(made)
