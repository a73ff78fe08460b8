"""Several faces for one sketch: by seed, alone or in a batch, in the sketch's kind."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from calisketch import CaliSketch
from calisketch.networks import EncoderDecoder, PaintingUNet, PlanFlow
from calisketch.weights.folder import ModelFolderError

pytestmark = pytest.mark.usefixtures("one_thread", "no_detector")


def painting() -> PaintingUNet:
    network = PaintingUNet(width=8, multiples=[1, 1, 1, 1], blocks=[1, 1, 1, 1], fine_width=4)
    _enliven(network, 0.3)
    return network


def planning() -> PlanFlow:
    network = PlanFlow(width=8, steps=2)
    _enliven(network, 0.3)
    return network


def _enliven(network: torch.nn.Module, deviation: float) -> None:
    for weight in network.parameters():
        if weight.ndim == 4:
            torch.nn.init.normal_(weight, 0, deviation)


@pytest.fixture(scope="module")
def model() -> CaliSketch:
    torch.manual_seed(0)
    scn = EncoderDecoder(1, 1, width=4, blocks=1)
    return CaliSketch(scn, painting(), 64, plan_network=planning(), precision="fp32")


@pytest.fixture
def sketch() -> np.ndarray:
    drawing = np.full((80, 64), 255, np.uint8)
    drawing[20:60, 16] = drawing[20:60, 48] = drawing[40, 20:44] = 0
    return drawing


def faces(model: CaliSketch, sketch: Any, **options: Any) -> Any:
    return model.synthesize(sketch, align=False, page=False, **options)


def test_each_variant_is_the_face_of_its_seed_alone_and_in_a_batch(model: CaliSketch, sketch: np.ndarray) -> None:
    assert model.varies
    several = faces(model, sketch, variants=3, seed=7)
    assert several.shape == (3, 80, 64, 3)
    assert several.dtype == np.uint8
    for place in range(3):
        assert np.abs(faces(model, sketch, seed=7 + place).astype(int) - several[place]).max() <= 1
    assert np.abs(several[0].astype(int) - several[1]).max() > 2
    assert np.array_equal(faces(model, sketch), faces(model, sketch, variants=1)[0])  # seed 0, the likeliest
    both = faces(model, [255 - sketch, sketch], variants=3, seed=7)
    assert np.abs(both[1].astype(int) - several).max() <= 1


def test_they_come_in_the_sketchs_kind(model: CaliSketch, sketch: np.ndarray, tmp_path: Path) -> None:
    image = Image.fromarray(sketch)
    image.save(tmp_path / "sketch.png")
    for given in (image, tmp_path / "sketch.png"):
        several = faces(model, given, variants=2, seed=1)
        assert [(each.mode, each.size) for each in several] == [("RGB", (64, 80))] * 2
    assert [len(each) for each in faces(model, [image, image, image], variants=2)] == [2, 2, 2]
    tensor = torch.from_numpy(sketch)[None].float() / 255
    assert faces(model, tensor, variants=2).shape == (2, 3, 80, 64)
    assert faces(model, tensor[None], variants=2).shape == (1, 2, 3, 80, 64)
    got, refined = faces(model, sketch, variants=2, return_refined=True)
    assert got.shape == (2, 80, 64, 3)
    assert refined.shape == sketch.shape


def test_colours_that_are_given_stay_and_the_seed_fills_in_the_rest(model: CaliSketch, sketch: np.ndarray) -> None:
    sketch = sketch[8:72]  # square, so that its colours fill the frame
    everywhere = np.full((64, 64, 3), (200, 40, 90), np.uint8)
    red = faces(model, sketch, variants=2, seed=3, colours=everywhere)
    assert np.abs(red[0].astype(int) - red[1]).max() <= 1  # nothing is left to draw
    none = np.zeros((64, 64, 4), np.uint8)
    assert np.array_equal(faces(model, sketch, seed=3, colours=none), faces(model, sketch, seed=3))
    half = none.copy()
    half[:32] = (200, 40, 90, 255)
    assert not np.array_equal(faces(model, sketch, seed=3, colours=half), faces(model, sketch, seed=3))


def test_the_model_comes_back_from_its_folder_with_its_plans(
    model: CaliSketch, sketch: np.ndarray, tmp_path: Path
) -> None:
    again = CaliSketch.from_pretrained(model.save_pretrained(tmp_path / "model", half=False), precision="fp32")
    assert again.varies
    assert "plan: PlanFlow" in repr(again)
    assert np.array_equal(faces(again, sketch, variants=2, seed=5), faces(model, sketch, variants=2, seed=5))
    batch = {"sketch": torch.from_numpy(1 - sketch[:64] / np.float32(255))[None, None]}
    torch.testing.assert_close(again.from_batch(batch), model.from_batch(batch))
    from calisketch.weights import folder

    folder.save(tmp_path / "plan", {"plan": planning()}, 64)
    with pytest.raises(ModelFolderError, match="expected 'scn', 'isn' or both"):
        CaliSketch.from_pretrained(tmp_path / "plan")


def test_what_a_model_without_plans_cannot_do_is_said(model: CaliSketch, sketch: np.ndarray) -> None:
    plain = CaliSketch(None, painting(), 64)
    assert not plain.varies
    assert faces(plain, sketch, variants=1, seed=0).shape == (1, 80, 64, 3)
    for options in ({"seed": 1}, {"variants": 2}):
        with pytest.raises(ValueError, match="needs a network of colour plans, and this model has none"):
            faces(plain, sketch, **options)
    for options in ({"seed": -1}, {"seed": 0.5}, {"variants": 0}, {"variants": True}):
        with pytest.raises(ValueError, match=f"{next(iter(options))} must be a whole number"):
            faces(model, sketch, **options)
    with pytest.raises(ValueError, match="plan_network must be a PlanFlow beside"):
        CaliSketch(None, EncoderDecoder(1, 3, width=4, blocks=1), 64, plan_network=planning())
