"""Photo to sketch: pix2pix with photo and drawing exchanged, nothing else."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from calisketch.networks import PatchGAN70, UNet
from calisketch.stage import Batch, Schedule, Stage
from calisketch.systems import PhotoToSketch, PhotoToSketchSystem, Pix2Pix

pytestmark = pytest.mark.usefixtures("one_thread")


def small(**options: object) -> PhotoToSketchSystem:
    torch.manual_seed(0)
    networks = UNet(3, 1, width=8, depth=5, dropout=0.0), PatchGAN70(4, width=4, spectral=False)
    return PhotoToSketchSystem(PhotoToSketch(*networks, **options))  # type: ignore[arg-type]


@pytest.fixture
def batch(generator: torch.Generator) -> Batch:
    photo = torch.rand(2, 3, 8, 8, generator=generator)
    sketch = torch.zeros(2, 1, 32, 32)
    sketch[0, :, 8], sketch[0, :, :, 20], sketch[1, :, 4:28, 10] = 1, 1, 1
    return {"photo": nn.functional.interpolate(photo, size=32, mode="bilinear"), "sketch": sketch}


def test_it_draws_from_the_photo_and_is_held_to_the_drawing(batch: Batch) -> None:
    system = small()
    (stage,) = system.stages
    assert isinstance(stage, Stage)
    assert stage.name == "sketcher"
    assert getattr(stage, "needs_sketch", True)  # where data.draw is null the pairs' own sketch stays
    made = stage.generate(batch)
    assert torch.equal(made["drawing"], system.generators["sketcher"](batch["photo"]))
    assert made["drawing"].shape == batch["sketch"].shape
    assert torch.equal(made["sketch"], batch["sketch"])
    assert list(stage.preview(batch)) == ["photo", "artist", "sketch"]
    torch.testing.assert_close(stage.plateau_figure(batch), (made["drawing"] - batch["sketch"]).abs().mean())


def test_its_losses_are_those_of_pix2pix_with_the_names_exchanged(batch: Batch) -> None:
    system = small()
    made = system.stages[0].generate(batch)
    forward = Pix2Pix(nn.Identity(), system.sketcher.discriminator)
    forward.given, forward.wanted, forward.made, forward.name = "sketch", "photo", "face", "sketcher"
    exchanged = {"sketch": made["photo"], "photo": made["sketch"], "face": made["drawing"]}
    for losses in ("discriminator_losses", "generator_losses", "scores"):
        there, here = getattr(forward, losses)(exchanged), getattr(system.sketcher, losses)(made)
        assert there.keys() == here.keys()
        for name, value in there.items():
            torch.testing.assert_close(value, here[name])


def test_its_default_networks_are_pix2pixs_but_for_the_channels() -> None:
    with torch.device("meta"):
        there, back = Pix2Pix(), PhotoToSketch()
    own = {"in_channels": 3, "out_channels": 1}
    assert back.generator.config == {**there.generator.config, **own}  # type: ignore[dict-item]
    shapes = [[value.shape for value in each.discriminator.state_dict().values()] for each in (there, back)]
    assert shapes[0] == shapes[1]


def test_it_trains_at_pix2pixs_rates_and_refuses_other_stages() -> None:
    assert small().stages[0].schedule == Schedule(10_000, 2e-4, discriminator_ratio=1.0, betas=(0.5, 0.999))
    with pytest.raises(ValueError, match="schedules must be for stages of"):
        PhotoToSketchSystem(small().sketcher, {"pix2pix": Schedule(1)})
    with pytest.raises(ValueError, match=r"photo must have 3 channels"):
        small().sketcher(torch.zeros(1, 1, 32, 32))


def test_it_fits_one_batch(batch: Batch) -> None:
    (stage,) = small().stages
    figure = stage.plateau_figure(batch)
    step_g, step_d = (
        torch.optim.Adam([p for network in group.values() for p in network.parameters()], 1e-3, (0.5, 0.999))
        for group in (stage.generators, stage.discriminators)
    )
    for _ in range(30):
        made = stage.generate(batch)
        step_d.zero_grad()
        sum(stage.discriminator_losses(made).values()).backward()
        step_d.step()
        step_g.zero_grad()
        sum(stage.generator_losses(made).values()).backward()
        step_g.step()
    assert stage.plateau_figure(batch) < 0.5 * figure
