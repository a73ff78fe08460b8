"""PI-REC: what each phase is fed, Eq. 7-13 by hand, and that every phase fits one batch."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from calisketch.losses import lsgan_discriminator, lsgan_generator
from calisketch.networks import VGG19, DiscriminatorOutput, EncoderDecoder, PatchGAN70
from calisketch.stage import Batch, Schedule, Stage
from calisketch.systems import PhaseWeights, PIRecGAN, PIRecSystem
from calisketch.systems.pi_rec import LAYERS, PAPER_WEIGHTS

pytestmark = pytest.mark.usefixtures("one_thread")

PHASES = ("imitation", "generating", "refinement")


def small(**options: object) -> PIRecSystem:
    torch.manual_seed(0)
    generator = EncoderDecoder(4, 3, width=8, blocks=1, skips=False, head="tanh", upsampling="bilinear")
    return PIRecSystem(PIRecGAN(generator, PatchGAN70(3, width=4), VGG19.random(width=2), **options))  # type: ignore[arg-type]


@pytest.fixture
def batch(generator: torch.Generator) -> Batch:
    photo = nn.functional.interpolate(torch.rand(2, 3, 8, 8, generator=generator), size=32, mode="bilinear")
    sketch, mask = torch.zeros(2, 1, 32, 32), torch.ones(2, 1, 32, 32)
    sketch[0, :, 8], sketch[0, :, :, 20], sketch[1, :, 4:28, 10] = 1, 1, 1
    mask[0, :, :16], mask[1, :, :8] = 0, 0
    return {"photo": photo, "sketch": sketch, "mask": mask, "colours": photo.mean((2, 3), True).expand_as(photo)}


class Spy(nn.Module):
    """A generator that keeps what it sees, and makes its own mean of it."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))
        self.seen: list[Tensor] = []

    def forward(self, given: Tensor) -> Tensor:
        self.seen.append(given)
        return self.scale * (given[:, 1:] + 0.1)


class Judge(nn.Module):
    """Says an image's mean, as logits."""

    def forward(self, image: Tensor) -> DiscriminatorOutput:
        logits = image.mean((1, 2, 3), keepdim=True)
        return DiscriminatorOutput([logits], [logits])


def spied(**options: object) -> tuple[PIRecSystem, Spy]:
    spy = Spy()
    return PIRecSystem(PIRecGAN(spy, Judge(), VGG19.random(width=2), **options)), spy  # type: ignore[arg-type]


def test_three_phases_share_one_generator_and_one_discriminator() -> None:
    system = small()
    assert [stage.name for stage in system.stages] == list(PHASES)
    for stage in system.stages:
        assert isinstance(stage, Stage)
        assert stage.generators == {"pi_rec": system.pi_rec.generator}
        assert stage.discriminators == {"pi_rec": system.pi_rec.discriminator}
        assert stage.frozen == {"vgg": system.pi_rec.vgg}
    assert list(system.generators) == ["pi_rec"]


def test_each_phase_gives_the_generator_what_its_equation_says(batch: Batch) -> None:
    system, spy = spied()
    edges, photo = batch["sketch"], batch["photo"]
    expected = {
        "imitation": [batch["mask"] * photo],  # Eq. 1
        "generating": [batch["colours"]],  # Eq. 3
        "refinement": [batch["colours"], batch["colours"] + 0.1],  # Eq. 5, of Eq. 3's result
    }
    for stage in system.stages:
        spy.seen.clear()
        made = stage.generate(batch)
        assert len(spy.seen) == len(expected[stage.name])
        for seen, given in zip(spy.seen, expected[stage.name], strict=True):
            torch.testing.assert_close(seen, torch.cat([edges, given], 1))
        torch.testing.assert_close(made["painted"], expected[stage.name][-1] + 0.1)


def test_refinement_learns_from_its_second_pass_alone(batch: Batch) -> None:
    system, spy = spied()
    made = system.stages[2].generate(batch)
    assert not made["given"].requires_grad
    made["painted"].sum().backward()
    assert spy.scale.grad is not None
    torch.testing.assert_close(spy.scale.grad, (batch["colours"] + 0.2).sum())  # d/ds s (X2 + .1) with X2 fixed


def test_the_pixel_loss_is_eq_9_by_hand() -> None:
    photo, painted = torch.full((2, 3, 4, 4), 0.5), torch.full((2, 3, 4, 4), 0.75)
    painted[1] = 1.0
    photo[1, :, 0] = 0  # a quarter of the second photo is black, which does not count
    mask = torch.ones(2, 1, 4, 4)
    mask[0, :, 2:] = 0
    mask[1, :, :, 1:] = 0
    distance = torch.tensor([0.25, 0.75 * 0.5 + 0.25 * 1.0])
    weight = torch.tensor([16 / 8, 12 / 4])
    system = small()
    torch.testing.assert_close(system.pi_rec.pixel_loss(photo, painted), distance.mean())
    torch.testing.assert_close(system.pi_rec.pixel_loss(photo, painted, mask), (weight * distance).mean())
    printed = small(masked_target=True).pi_rec.pixel_loss(photo, painted, mask)
    against = (painted - mask * photo).abs().mean((1, 2, 3))
    torch.testing.assert_close(printed, (weight * against).mean())


def test_only_the_printed_form_punishes_filling_the_holes(batch: Batch) -> None:
    hidden = batch["mask"] * batch["photo"]
    for printed in (False, True):
        loss = small(masked_target=printed).pi_rec.pixel_loss
        filled, left = loss(batch["photo"], batch["photo"], batch["mask"]), loss(batch["photo"], hidden, batch["mask"])
        assert (filled < left) is not printed


@pytest.mark.parametrize("sigmoid", [False, True])
def test_the_terms_are_eq_7_to_13_by_hand(batch: Batch, sigmoid: bool) -> None:
    system, _ = spied(sigmoid=sigmoid)
    photo, vgg = batch["photo"], system.pi_rec.vgg
    painted = photo.flip(3).clone().requires_grad_(True)
    made = {**batch, "painted": painted}
    real, fake = (image.mean((1, 2, 3), keepdim=True) for image in (photo, painted))
    if sigmoid:
        real, fake = torch.sigmoid(real), torch.sigmoid(fake)
    found, expected = vgg(painted, LAYERS), vgg(photo, LAYERS)
    assert any((found[layer] < 0).any() for layer in LAYERS)  # before ReLU
    feature = sum((found[layer] - expected[layer]).abs().sum() / found[layer].numel() for layer in LAYERS)  # Eq. 12

    def gram(features: Tensor) -> Tensor:
        return torch.einsum("bchw,bdhw->bcd", features, features) / features[0].numel()

    style = sum((gram(found[layer]) - gram(expected[layer])).abs().mean() for layer in LAYERS)  # Eq. 13
    terms = system.pi_rec.generator_losses(made, PhaseWeights(0.5, 2.0, 3.0, 7.0))
    torch.testing.assert_close(terms["pi_rec/pixel"], 0.5 * (painted - photo).abs().mean())
    torch.testing.assert_close(terms["pi_rec/adversarial"], 2.0 * lsgan_generator([fake]))  # Eq. 11
    torch.testing.assert_close(terms["pi_rec/feature"], 3.0 * feature)
    torch.testing.assert_close(terms["pi_rec/style"], 7.0 * style)
    judged = system.pi_rec.discriminator_losses(made)["pi_rec/discriminator"]
    torch.testing.assert_close(judged, lsgan_discriminator([real], [fake]))  # Eq. 10
    assert not judged.requires_grad  # fakes are detached, and the judge learns nothing
    assert system.pi_rec.scores(made) == {"pi_rec/real": real.mean(), "pi_rec/fake": fake.mean()}


def test_the_weights_of_the_phases_are_the_papers(batch: Batch) -> None:
    """Section 3.3: alpha = gamma = 1; beta .01, .1, 2; delta 150 in the Imitation Phase alone."""
    weights = [PAPER_WEIGHTS[name] for name in PHASES]
    assert [(each.pixel, each.feature) for each in weights] == [(1, 1)] * 3
    assert [each.adversarial for each in weights] == [0.01, 0.1, 2.0]
    assert [each.style for each in weights] == [150, 0, 0]
    for stage in small().stages:
        terms = stage.generator_losses(stage.generate(batch))
        assert ("pi_rec/style" in terms) == (stage.name == "imitation")
        unweighted = stage.generator_losses({**stage.generate(batch), "mask": torch.ones_like(batch["mask"])})
        ratio = (terms["pi_rec/pixel"] / unweighted["pi_rec/pixel"]).item()
        assert (ratio > 1.2) == (stage.name == "imitation")  # Eq. 9's weight belongs to the Imitation Phase


@pytest.mark.parametrize("name", PHASES)
def test_every_phase_fits_one_batch(batch: Batch, name: str) -> None:
    # The style of a tiny random VGG-19 is not of the pretrained one's size: with 150 nothing else would count.
    lighter = {"imitation": PhaseWeights(adversarial=0.01, style=1.0)}
    stage = next(stage for stage in PIRecSystem(small().pi_rec, weights=lighter).stages if stage.name == name)
    step_g = torch.optim.Adam(stage.generators["pi_rec"].parameters(), 1e-3, (0.0, 0.9))
    step_d = torch.optim.Adam(stage.discriminators["pi_rec"].parameters(), 1e-4, (0.0, 0.9))
    distances = []
    for _ in range(25):
        made = stage.generate(batch)
        step_d.zero_grad()
        sum(stage.discriminator_losses(made).values()).backward()
        step_d.step()
        step_g.zero_grad()
        terms = stage.generator_losses(made)
        sum(terms.values()).backward()
        step_g.step()
        distances.append(sum(term.item() for key, term in terms.items() if key != "pi_rec/adversarial"))
    assert distances[-1] < 0.8 * distances[0]


def test_previews_show_what_was_given_and_what_became_of_it(batch: Batch) -> None:
    shown = [list(stage.preview(batch)) for stage in small().stages]
    assert shown == [["sketch", "given", "photo", "painted"]] * 2 + [["sketch", "colours", "first", "photo", "painted"]]


def test_wrong_parts_are_refused(batch: Batch) -> None:
    system = small()
    for name, value in (("schedules", Schedule(1)), ("weights", PhaseWeights())):
        with pytest.raises(ValueError, match=f"{name} must be for stages of"):
            PIRecSystem(system.pi_rec, **{name: {"joint": value}})  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="adversarial must be at least 0"):
        PhaseWeights(adversarial=-1)
    with pytest.raises(ValueError, match="colours must have 3 channels"):
        system.pi_rec(batch["sketch"], batch["mask"])
    with pytest.raises(ValueError, match="edges and colours must agree"):
        system.pi_rec(batch["sketch"][:1], batch["photo"])
    with pytest.raises(ValueError, match="photo and mask must agree"):
        system.pi_rec.pixel_loss(batch["photo"], batch["photo"], batch["mask"][..., :16])
