"""Colours in training: which stages are fed with them, that they are learned from, and that the rest stays as it is."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from calisketch.isn import ISN
from calisketch.networks import VGG19, ColourLed, EncoderDecoder, SNPatchGAN
from calisketch.scn import SCN
from calisketch.stage import Batch, Stage
from calisketch.systems import CaliSketchSystem, ISNOnlySystem

pytestmark = pytest.mark.usefixtures("one_thread")


def isn(channels: int = 5) -> ISN:
    torch.manual_seed(0)
    led = channels == 5
    generator = ColourLed(width=8, blocks=1) if led else EncoderDecoder(channels, 3, width=8, blocks=1, head="tanh")
    return ISN(generator, SNPatchGAN(3, width=4), VGG19.random(width=2))


def system(channels: int = 5, **options: str) -> CaliSketchSystem:
    torch.manual_seed(0)
    scn = SCN(EncoderDecoder(1, 1, width=8, blocks=1), SNPatchGAN(1, width=4))
    return CaliSketchSystem(scn, isn(channels), **options)


@pytest.fixture
def batch(generator: torch.Generator) -> Batch:
    """Two faces of the same strokes, one red and one blue, and what is given of their colours."""
    photo = torch.zeros(2, 3, 32, 32)
    photo[0, 0], photo[1, 2] = 0.8, 0.8
    detail = torch.zeros(2, 1, 32, 32)
    detail[:, :, 8], detail[:, :, :, 20] = 1, 1
    given = torch.ones(2, 1, 32, 32)
    given[..., :4] = 0
    lines = {"detail": detail, "contour": detail, "sketch": detail.roll(1, -1)}
    return {"photo": photo, **lines, "colours": torch.cat([photo * given, given], 1)}


def trained(made: CaliSketchSystem | ISNOnlySystem) -> list[Stage]:
    return [stage for stage in made.stages if "isn" in stage.generators]


@pytest.mark.parametrize("make", [system, lambda: system(synthesis_input="refined"), lambda: ISNOnlySystem(isn())])
def test_every_stage_that_trains_the_isn_gives_it_the_batchs_colours(make: object, batch: Batch) -> None:
    made = make()  # type: ignore[operator]
    for stage in trained(made):
        face = stage.generate(batch)
        refined = face.get("refined", batch["sketch"])
        torch.testing.assert_close(face["face"], made.isn(refined, batch["colours"]))
        stage.generator_losses(face)
        lost = {name: value for name, value in batch.items() if name != "colours"}
        with pytest.raises(ValueError, match=r"this ISN takes colours .* and the batch has none; it has \['contour'"):
            stage.generate(lost)


def test_an_isn_without_colours_passes_over_a_batchs(batch: Batch) -> None:
    plain = system(channels=1)
    lost = {name: value for name, value in batch.items() if name != "colours"}
    for stage in trained(plain):
        assert torch.equal(stage.generate(batch)["face"], stage.generate(lost)["face"])
        assert "colours" not in stage.preview(batch)


def test_the_first_stage_needs_none(batch: Batch) -> None:
    lost = {name: value for name, value in batch.items() if name != "colours"}
    assert "refined" in system().stages[0].generate(lost)


def test_previews_show_colours_over_paper_in_their_place(batch: Batch) -> None:
    columns = ["sketch", "refined", "colours", "contour", "detail", "photo", "face"]
    for made in (system(), ISNOnlySystem(isn())):
        for stage in trained(made):
            shown: dict[str, Tensor] = stage.preview(batch)
            assert list(shown) == [name for name in columns if name in shown]
            assert shown["colours"].shape == (2, 3, 32, 32)
            assert (shown["colours"][..., :4] == 1).all()
            assert torch.equal(shown["colours"][..., 4:], batch["photo"][..., 4:])


def test_the_system_says_how_many_channels_its_isn_is_given() -> None:
    for channels, given in ((1, 1), (5, 5), (3, 1)):
        assert system(channels).channels["isn.generator"].given == given
        assert ISNOnlySystem(isn(channels)).channels["isn.generator"].given == given
    assert system().channels["isn.discriminator"].given == 3, "which sees photos, as without colours"


def test_it_learns_to_paint_the_same_strokes_in_the_given_colours(batch: Batch) -> None:
    """And a middle between the two photos where nothing is given."""
    made = ISNOnlySystem(isn())
    (stage,) = made.stages
    step = torch.optim.Adam(made.isn.generator.parameters(), lr=3e-3, betas=(0.5, 0.99))
    free = {**batch, "colours": torch.zeros_like(batch["colours"])}
    for _ in range(40):
        for fed in (batch, free):
            step.zero_grad()
            sum(stage.generator_losses(stage.generate(fed)).values()).backward()  # type: ignore[union-attr]
            step.step()
    with torch.no_grad():
        given, chosen = (stage.generate(fed)["face"] for fed in (batch, free))
    assert (given[:, :, :, 4:] - batch["photo"][:, :, :, 4:]).abs().mean() < 0.1
    torch.testing.assert_close(chosen[0], chosen[1])
    swapped = stage.generate({**batch, "colours": batch["colours"].flip(0)})["face"]
    torch.testing.assert_close(swapped, given.flip(0), atol=1e-4, rtol=0)
