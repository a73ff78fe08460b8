"""X-GANs: what its networks are fed, the largest of three GAN losses, Eq. 3, 5 and 6, and that it can fit one batch."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from calisketch.losses import lsgan_discriminator
from calisketch.networks import (
    VGG19,
    DiscriminatorOutput,
    EncoderDecoder,
    MultiScaleDiscriminator,
    PatchGAN70,
    per_scale,
)
from calisketch.sketching import Corruption
from calisketch.sketching.corruption import TASKS
from calisketch.stage import Batch, Schedule, Stage
from calisketch.systems import XGans, XGansSystem
from calisketch.systems.x_gans import PERCEPTUAL_LAYERS, POINT_LOSSES, matching_of_scales, point_distance

pytestmark = pytest.mark.usefixtures("one_thread")


def small(**options: object) -> XGansSystem:
    torch.manual_seed(0)
    generator = EncoderDecoder(3, 3, width=8, blocks=2, dilation=1, skips=False, head="tanh")
    discriminator = MultiScaleDiscriminator.of_patches(6, width=4, layers=1)
    return XGansSystem(XGans(generator, discriminator, VGG19.random(width=2), **options))  # type: ignore[arg-type]


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


@pytest.fixture
def batch(generator: torch.Generator) -> Batch:
    small_photo = torch.rand(2, 3, 8, 8, generator=generator)
    photo = nn.functional.interpolate(small_photo, size=32, mode="bilinear")
    sketch = Corruption("points", percent=20)(photo, seed=0, epoch=0, index=[0, 1])
    return {"photo": photo, "sketch": sketch, "index": torch.arange(2)}


def test_it_is_one_stage_that_repairs_the_picture_and_never_sees_the_mask(batch: Batch) -> None:
    system = small()
    (stage,) = system.stages
    assert isinstance(stage, Stage)
    assert (system.name, stage.name, list(system.generators)) == ("x_gans", "x_gan", ["x_gan"])
    system.x_gan.generator.eval()
    restored = stage.generate(batch)["restored"]
    assert torch.equal(restored, system.generators["x_gan"](batch["sketch"][:, :3]))
    other = {**batch, "sketch": torch.cat([batch["sketch"][:, :3], 1 - batch["sketch"][:, 3:]], 1)}
    assert torch.equal(stage.generate(other)["restored"], restored)
    assert list(stage.preview(batch)) == ["corrupted", "restored", "photo"]
    assert all(picture.shape == (2, 3, 32, 32) for picture in stage.preview(batch).values())
    assert stage.plateau_figure(batch) == (batch["photo"] - restored).abs().mean()
    assert stage.plateau_figure({**batch, "photo": restored.detach()}) == 0


def test_it_trains_as_its_paper_says() -> None:
    assert small().stages[0].schedule == Schedule(100_000, 2e-4, discriminator_ratio=1.0, betas=(0.5, 0.999))
    paper = XGans(vgg=VGG19.random(width=2))
    assert paper.generator.config == {
        "in_channels": 3,
        "out_channels": 3,
        "width": 64,
        "blocks": 9,
        "dilation": 1,
        "skips": False,
        "head": "tanh",
        "dropout": 0.5,
    }
    assert isinstance(paper.discriminator, MultiScaleDiscriminator)
    parts = list(paper.discriminator.discriminators)
    assert len(parts) == 3
    for part in parts:  # the 70x70 PatchGAN on the pair
        assert isinstance(part, PatchGAN70)
        assert [c.weight.shape[:2] for c in part.convolutions] == [
            (64, 6), (128, 64), (256, 128), (512, 256), (1, 512)
        ]  # fmt: skip
    assert (paper.matching_weight, paper.perceptual_weight, paper.point_weight) == (10, 10, 100)


def test_the_point_loss_is_on_by_task() -> None:
    assert POINT_LOSSES.keys() == TASKS.keys()
    for task in TASKS:
        on = task in ("points", "feature_points", "white_block")
        assert small(task=task).x_gan.point_loss == ("l2" if on else "none")
        assert small(task=task).info == {"task": task, "point_loss": "l2" if on else "none"}
    for given, kept in (("l1", "l1"), ("none", "none"), (None, "none"), ("l2", "l2")):
        assert small(task="points", point_loss=given).x_gan.point_loss == kept


class Judges(nn.Module):
    """Three scales whose logits are set beforehand, and which remember what they see."""

    def __init__(self, logits: list[float]) -> None:
        super().__init__()
        self.logits = logits
        self.seen: list[torch.Tensor] = []

    def forward(self, image: torch.Tensor) -> DiscriminatorOutput:
        self.seen.append(image)
        means = image.mean((1, 2, 3), keepdim=True)
        logits = [value + 0 * means for value in self.logits]
        features = [part for value in self.logits for part in (value * means, 2 * means, means + value)]
        return DiscriminatorOutput(logits, features)


def test_the_discriminators_see_pairs_in_the_papers_range_and_each_has_its_term(batch: Batch) -> None:
    judges = Judges([0.1, 0.5, 2.0])
    network = XGans(small().x_gan.generator, judges, VGG19.random(width=2))
    made = {**batch, "restored": torch.full_like(batch["photo"], 0.25, requires_grad=True)}
    losses = network.discriminator_losses(made)
    real, fake = judges.seen[0].chunk(2)
    torch.testing.assert_close(real, torch.cat([batch["sketch"][:, :3], batch["photo"]], 1) * 2 - 1)
    torch.testing.assert_close(fake[:, 3:], torch.full_like(batch["photo"], -0.5))
    torch.testing.assert_close(fake[:, :3], real[:, :3])
    assert list(losses) == [f"x_gan/discriminator_{scale}" for scale in (1, 2, 3)]
    for value, loss in zip(judges.logits, losses.values(), strict=True):
        logit = torch.full((2, 1, 1, 1), value)
        torch.testing.assert_close(loss, lsgan_discriminator([logit], [logit]))
        assert not loss.requires_grad  # the fakes are detached, and these judges learn nothing


def test_the_generator_learns_against_the_largest_of_three_gan_losses(batch: Batch) -> None:
    made = {**batch, "restored": batch["photo"].flip(3)}
    for logits, worst in (([0.1, 0.5, 0.9], 0.9**2 / 2), ([0.9, -0.5, 2.0], 1.5**2 / 2), ([1.0, 1.0, 3.0], 2.0)):
        terms = XGans(small().x_gan.generator, Judges(logits), VGG19.random(width=2)).generator_losses(made)
        assert float(terms["x_gan/adversarial"]) == pytest.approx(worst, rel=1e-5)


def test_only_the_hardest_judge_teaches(batch: Batch) -> None:
    """Eq. 4's maximum: with nothing else weighted, the other discriminators send the generator no gradient."""
    system = small(matching_weight=0.0, perceptual_weight=0.0, point_loss="none")
    network = system.x_gan
    restored = batch["photo"].clone().requires_grad_(True)
    terms = network.generator_losses({**batch, "restored": restored})
    assert list(terms) == ["x_gan/adversarial"]
    (gradient,) = torch.autograd.grad(terms["x_gan/adversarial"], restored)
    losses = [
        (scale - 1).square().mean() / 2
        for scale in network.discriminator(
            2 * torch.cat([batch["sketch"][:, :3], restored], 1) - 1,
        ).logits
    ]
    hardest = max(range(3), key=lambda scale: losses[scale].item())
    (expected,) = torch.autograd.grad(losses[hardest], restored)
    torch.testing.assert_close(gradient, expected)
    assert expected.abs().max() > 0


def test_feature_matching_is_summed_over_the_layers_of_each_scale() -> None:
    """Eq. 3 by hand: two scales of two layers and the logits, which do not count."""
    real = [torch.full((1, 2, 3, 3), value) for value in (1.0, 2.0, 50.0, 4.0, 5.0, 60.0)]
    fake = [torch.full((1, 2, 3, 3), value) for value in (1.5, 2.0, 10.0, 1.0, 5.25, 20.0)]
    outputs = [DiscriminatorOutput([part[2], part[5]], part) for part in (real, fake)]
    assert float(matching_of_scales(*outputs)) == pytest.approx(0.5 + 0 + 3 + 0.25)
    assert per_scale(outputs[0])[1] == real[3:]
    with pytest.raises(ValueError, match="as many layers each; got 5 features of 2 scales"):
        per_scale(DiscriminatorOutput([real[0], real[1]], real[:5]))


def test_the_point_loss_is_eq_6_on_kept_pixels_only(batch: Batch) -> None:
    corrupted, kept = batch["sketch"][:, :3], batch["sketch"][:, 3:]
    restored = torch.rand(2, 3, 32, 32)
    squares, distances = [], []
    for sample in range(2):  # pixel by pixel, in the paper's [-1, 1]
        rows, columns = (kept[sample, 0] > 0).nonzero(as_tuple=True)
        error = (2 * corrupted[sample] - 1)[:, rows, columns] - (2 * restored[sample] - 1)[:, rows, columns]
        squares.append(error.square().mean())
        distances.append(error.abs().mean())
    torch.testing.assert_close(point_distance(corrupted, restored, kept, "l2"), torch.stack(squares).mean())
    torch.testing.assert_close(point_distance(corrupted, restored, kept, "l1"), torch.stack(distances).mean())
    elsewhere = torch.where(kept > 0, restored, torch.rand_like(restored))
    assert torch.equal(
        point_distance(corrupted, elsewhere, kept, "l2"), point_distance(corrupted, restored, kept, "l2")
    )
    assert point_distance(corrupted, restored, torch.zeros_like(kept), "l2") == 0
    network = small().x_gan
    terms = network.generator_losses({**batch, "restored": restored})
    torch.testing.assert_close(terms["x_gan/points"], 100 * torch.stack(squares).mean())
    features, found = (network.vgg(picture, PERCEPTUAL_LAYERS) for picture in (batch["photo"], restored))
    expected = sum((features[layer] - found[layer]).abs().mean() for layer in PERCEPTUAL_LAYERS)
    torch.testing.assert_close(terms["x_gan/perceptual"], 10 * expected)  # Eq. 5


def test_the_terms_are_those_that_have_weight(batch: Batch) -> None:
    restored = batch["photo"].flip(3)
    everything = {"x_gan/adversarial", "x_gan/feature_matching", "x_gan/perceptual", "x_gan/points"}
    assert small().x_gan.generator_losses({**batch, "restored": restored}).keys() == everything
    noise = small(task="colour_noise").x_gan.generator_losses({**batch, "restored": restored})
    assert noise.keys() == everything - {"x_gan/points"}
    assert XGans(nn.Identity(), nn.Identity(), perceptual_weight=0.0).frozen == {}


def test_the_scores_are_means_over_scales(batch: Batch) -> None:
    network = small().x_gan
    made = {**batch, "restored": batch["photo"].flip(2)}
    scores = network.scores(made)
    for name, picture in (("real", batch["photo"]), ("fake", made["restored"])):
        logits = network.discriminator(torch.cat([batch["sketch"][:, :3], picture], 1) * 2 - 1).logits
        assert len(logits) == 3
        expected = torch.stack([scale.mean() for scale in logits]).mean()
        torch.testing.assert_close(scores[f"x_gan/{name}"], expected.detach())


def test_it_fits_one_batch(batch: Batch) -> None:
    (stage,) = small().stages
    figure = stage.plateau_figure(batch)
    step_g = torch.optim.Adam(stage.generators["x_gan"].parameters(), 2e-3, stage.schedule.betas)
    step_d = torch.optim.Adam(stage.discriminators["x_gan"].parameters(), 1e-4, stage.schedule.betas)
    for _ in range(40):
        made = stage.generate(batch)
        step_d.zero_grad()
        sum(stage.discriminator_losses(made).values()).backward()
        step_d.step()
        step_g.zero_grad()
        sum(stage.generator_losses(made).values()).backward()
        step_g.step()
    assert stage.plateau_figure(batch) < 0.8 * figure


def test_small_pictures_take_discriminators_of_fewer_layers() -> None:
    pair = torch.rand(1, 6, 64, 64)
    with pytest.raises(ValueError, match="more than 1 spatial element"):
        MultiScaleDiscriminator.of_patches(6, width=2)(pair)
    logits = MultiScaleDiscriminator.of_patches(6, width=2, layers=2)(pair).logits
    assert [scale.shape[-1] for scale in logits] == [14, 6, 2]
    with pytest.raises(ValueError, match="layers must be from 1 to 8"):
        PatchGAN70(3, layers=0)


def test_wrong_settings_are_refused() -> None:
    with pytest.raises(ValueError, match="schedules must be for stages of"):
        XGansSystem(small().x_gan, {"isn": Schedule(1)})
    with pytest.raises(ValueError, match="task must be one of points"):
        small(task="holes")
    with pytest.raises(ValueError, match="point_loss must be by_task, l2, l1 or none; got 'l3'"):
        small(point_loss="l3")
    with pytest.raises(ValueError, match="point_weight must be at least 0"):
        small(point_weight=-1.0)
