"""CaliSketch: sketches in, answers in their own geometry, polarity and kind."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

import calisketch
from calisketch import CaliSketch, pipeline
from calisketch.boundary.images import SketchError
from calisketch.networks import EncoderDecoder, MRUUNet
from calisketch.weights import names as model_names

pytestmark = pytest.mark.usefixtures("one_thread", "no_detector")

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
NAMES = sorted(path.stem for path in EXAMPLES.glob("*.png"))


class Copy(nn.Module):
    """R = S."""

    def forward(self, image: Tensor) -> Tensor:
        return image


class Paint(nn.Module):
    """A face whose red is the paper and whose green is the ink; it takes sides that divide by 24, from 72 on."""

    divisor = 24
    minimum_side = 72

    def forward(self, image: Tensor) -> Tensor:
        assert image.shape[-1] % 24 == 0
        assert image.shape[-1] >= 72
        return torch.cat([1 - image, image, torch.full_like(image, 0.5)], dim=1)


@pytest.fixture(scope="module")
def model() -> CaliSketch:
    torch.manual_seed(0)
    return CaliSketch(EncoderDecoder(1, 1, 8, 2), EncoderDecoder(1, 3, 8, 2, head="tanh"), 64, {"name": "random"})


@pytest.fixture(scope="module")
def mirror() -> CaliSketch:
    return CaliSketch(Copy(), Paint(), 64)


def example(name: str = "woman-bob", side: int = 256) -> np.ndarray:
    image = Image.open(EXAMPLES / f"{name}.png").resize((side, side), Image.Resampling.BOX)
    return np.array(image)


def test_kinds_come_back_as_they_were_handed_in(model: CaliSketch) -> None:
    grey = example(side=96)
    tensor = torch.from_numpy(grey).float() / 255
    cases: list[tuple[Any, tuple[int, ...], tuple[int, ...]]] = [
        (grey, (96, 96), (96, 96, 3)),
        (grey[..., None], (96, 96, 1), (96, 96, 3)),
        (np.repeat(grey[..., None], 3, 2).astype(np.float32) / 255, (96, 96, 3), (96, 96, 3)),
        (tensor, (96, 96), (3, 96, 96)),
        (tensor[None], (1, 96, 96), (3, 96, 96)),
        (tensor[None, None].expand(2, 3, 96, 96).double(), (2, 3, 96, 96), (2, 3, 96, 96)),
    ]
    for given, drawing_shape, face_shape in cases:
        refined, face = model.calibrate(given), model.synthesize(given)
        assert type(refined) is type(face) is type(given)
        assert refined.dtype == face.dtype == given.dtype
        assert tuple(refined.shape) == drawing_shape
        assert tuple(face.shape) == face_shape
    path = EXAMPLES / "woman-bob.png"
    for given in (path, str(path), Image.open(path)):
        assert (model.calibrate(given).mode, model.calibrate(given).size) == ("L", (512, 512))
        assert (model.synthesize(given).mode, model.synthesize(given).size) == ("RGB", (512, 512))
    several = model.synthesize([path, grey, tensor])
    assert [type(each) for each in several] == [Image.Image, np.ndarray, Tensor]
    face, refined = model.synthesize(grey, return_refined=True)
    assert face.shape == (96, 96, 3)
    assert np.array_equal(refined, model.calibrate(grey))


def test_a_canonical_sketch_of_the_models_size_is_not_resampled(mirror: CaliSketch) -> None:
    grey = example(side=64)
    assert np.array_equal(mirror.calibrate(grey), grey)
    face = mirror.synthesize(grey)
    assert np.array_equal(face[..., 0], grey)
    assert np.array_equal(face[..., 1], 255 - grey)


def test_polarity_comes_back_as_it_was(mirror: CaliSketch) -> None:
    grey = example(side=64)
    assert np.array_equal(mirror.calibrate(255 - grey), 255 - grey)
    assert np.array_equal(mirror.synthesize(255 - grey), mirror.synthesize(grey))
    forced = mirror.synthesize(grey, polarity="light_on_dark", align=False, page=False)
    assert np.array_equal(forced[..., 1], grey)


@pytest.mark.parametrize("shape", [(64, 64), (300, 200), (90, 700), (700, 90)])
@pytest.mark.parametrize("align", ["auto", True, False])
def test_a_drawing_comes_back_in_its_own_place(mirror: CaliSketch, shape: tuple[int, int], align: Any) -> None:
    large = CaliSketch(Copy(), Paint(), 256)
    side = min(shape) - 8
    sheet = np.full(shape, 255, np.uint8)
    top, left = (shape[0] - side) // 2, (shape[1] - side) // 2
    sheet[top : top + side, left : left + side] = example("man-few-lines", side)
    drawing, face = large.calibrate(sheet, align=align), large.synthesize(sheet, align=align)
    assert drawing.shape == shape
    assert face.shape == (*shape, 3)
    # Coarsely: an elongated sheet that is not cropped to its face loses its detail in the model's small square.
    coarse = [cv2.blur(each, (9, 9)).ravel() for each in (drawing, face[..., 0], sheet)]
    assert np.corrcoef(coarse[0], coarse[2])[0, 1] > 0.8
    seen = cv2.blur(face[..., 2], (9, 9)).ravel() < 129  # blue is a half in the field of view, and fades outside
    assert np.corrcoef(coarse[1][seen], coarse[2][seen])[0, 1] > 0.8


def test_outside_the_field_of_view_strokes_stay_as_they_are_and_no_face_is_painted(mirror: CaliSketch) -> None:
    sheet = np.full((400, 1200), 255, np.uint8)
    sheet[40:360, 40:360] = example(side=320)
    sheet[180:184, 1100:1106] = 0
    drawing, face = mirror.calibrate(sheet), mirror.synthesize(sheet)
    assert np.array_equal(drawing[:, 1000:], sheet[:, 1000:])
    assert face[:, 1000:].min() == 255
    assert np.abs(face[100:300, 100:300, 2].astype(int) - 128).max() <= 1


def test_a_transparent_drawing_comes_back_transparent(model: CaliSketch) -> None:
    alpha = 255 - example(side=64)
    rgba = np.dstack([np.zeros((64, 64, 3), np.uint8), alpha])
    answer = model.calibrate(Image.fromarray(rgba))
    assert answer.mode == "LA"
    opaque = model.calibrate(example(side=64))
    assert np.abs(np.asarray(answer)[..., 1].astype(int) - (255 - opaque.astype(int))).max() <= 1
    assert model.calibrate(rgba).shape == (64, 64, 4)
    assert model.synthesize(Image.fromarray(rgba)).mode == "RGB"


def test_strength_blends_the_strokes_with_the_refined_ones(model: CaliSketch) -> None:
    sketch = torch.from_numpy(example(side=64)).double() / 255
    none, half, full = (model.calibrate(sketch, strength) for strength in (0.0, 0.5, 1.0))
    torch.testing.assert_close(none, sketch, atol=1e-6, rtol=0)
    torch.testing.assert_close(half, (none + full) / 2, atol=1e-6, rtol=0)
    assert (full - none).abs().max() > 0.1
    face, refined = model.synthesize(sketch, 0.5, return_refined=True)
    torch.testing.assert_close(refined, half, atol=1e-6, rtol=0)
    with torch.inference_mode():
        expected = model.isn_generator(1 - half.float()[None, None])[0]
    torch.testing.assert_close(face.float(), expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize("strength", [-0.1, 1.5, float("nan")])
def test_a_strength_outside_0_to_1_is_refused(model: CaliSketch, strength: float) -> None:
    with pytest.raises(ValueError, match="strength must be in"):
        model.calibrate(example(side=64), strength)


def test_the_same_sketch_gives_the_same_answer_in_any_batch(model: CaliSketch) -> None:
    sketches = [example(name, 96) for name in NAMES[:5]]
    whole = model.synthesize(sketches)
    for batch_size in (1, 2, 3):
        for one, other in zip(whole, model.synthesize(sketches, batch_size=batch_size), strict=True):
            assert np.abs(one.astype(int) - other.astype(int)).max() <= 1
    assert np.array_equal(model.synthesize(sketches[1]), model.synthesize(sketches[1]))
    stacked = torch.stack([torch.from_numpy(sketch) for sketch in sketches])[:, None]
    for one, other in zip(whole, model.synthesize(stacked), strict=True):
        assert np.abs(one.astype(int) - other.permute(1, 2, 0).numpy().astype(int)).max() <= 1
    with pytest.raises(ValueError, match="batch_size"):
        model.synthesize(sketches, batch_size=0)


def test_inference_leaves_no_trace(model: CaliSketch) -> None:
    torch.set_num_threads(2)  # the fixture one_thread puts it back
    before = {key: value.clone() for key, value in model.scn_generator.state_dict().items()}
    sketch = torch.from_numpy(example(side=64)).float() / 255
    kept, random, threads = sketch.clone(), torch.get_rng_state(), torch.get_num_threads()
    answer = model.synthesize(sketch)
    assert not answer.requires_grad
    answer.requires_grad_(True)  # an ordinary tensor, not one of inference mode
    assert torch.equal(sketch, kept)
    assert torch.equal(torch.get_rng_state(), random)
    assert torch.get_num_threads() == threads
    assert torch.is_grad_enabled()
    assert all(torch.equal(value, before[key]) for key, value in model.scn_generator.state_dict().items())


def test_the_networks_handed_in_are_not_touched() -> None:
    generator = EncoderDecoder(1, 1, 4, 1).train()
    CaliSketch(generator, EncoderDecoder(1, 3, 4, 1, head="tanh"), 32)
    assert generator.training
    assert all(parameter.requires_grad for parameter in generator.parameters())
    with pytest.raises(ValueError, match="size must be"):
        CaliSketch(generator, generator, 0)


def test_a_photographed_page_is_read_as_the_drawing_it_shows() -> None:
    copy = CaliSketch(Copy(), Paint(), 256)
    page = copy.calibrate(EXAMPLES / "photographed-page.jpg")
    assert page.size == (640, 800)
    values = np.asarray(page)
    assert np.median(values) == 255
    assert 0.01 < (values < 100).mean() < 0.1
    toned = copy.calibrate(EXAMPLES / "photographed-page.jpg", page=False, polarity="dark_on_light")
    assert np.median(np.asarray(toned)) < 200


def test_what_was_told_of_a_sketch_is_said(caplog: pytest.LogCaptureFixture) -> None:
    copy = CaliSketch(Copy(), Paint(), 256)
    with caplog.at_level("INFO", logger="calisketch"):
        copy.calibrate([EXAMPLES / "photographed-page.jpg", 255 - example()])
    page, drawing = caplog.messages[:2]
    assert "photographed-page.jpg: dark on light; taken for a photographed page and cleaned; face placed by" in page
    assert "sketch[1]: light on dark; not moved" in drawing


def test_what_cannot_be_used_is_named(model: CaliSketch, tmp_path: Path) -> None:
    good = example(side=64)
    with pytest.raises(SketchError, match=r"sketch\[1\] is a blank page"):
        model.calibrate([good, np.full((64, 64), 255, np.uint8)])
    with pytest.raises(SketchError, match="empty list"):
        model.synthesize([])
    with pytest.raises(FileNotFoundError, match=r"missing\.png"):
        model.calibrate(tmp_path / "missing.png")
    with pytest.raises(ValueError, match="align must be"):
        model.calibrate(good, align="eyes")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="cannot compute on the device 'abacus'"):
        model.calibrate(good, device="abacus")
    with pytest.raises(ValueError, match="page must be"):
        model.calibrate(good, page="clean")  # type: ignore[arg-type]


# --- models by folder and name


def test_a_saved_model_answers_as_before(model: CaliSketch, tmp_path: Path) -> None:
    folder = model.save_pretrained(tmp_path / "model", half=False)
    again = CaliSketch.from_pretrained(folder, device="cpu")
    assert (again.size, again.info) == (64, {"name": "random"})
    sketch = example("man-fringe", 80)
    assert np.array_equal(again.synthesize(sketch), model.synthesize(sketch))
    model.save_pretrained(folder)
    halved = CaliSketch.from_pretrained(str(folder)).synthesize(sketch)
    assert np.abs(halved.astype(int) - model.synthesize(sketch)).mean() < 1


def test_improved_2_is_saved_and_loaded_too(tmp_path: Path) -> None:
    model = CaliSketch(EncoderDecoder(1, 1, 4, 1), MRUUNet(1, 3, width=4), 64)
    again = CaliSketch.from_pretrained(model.save_pretrained(tmp_path))
    assert isinstance(again.isn_generator, MRUUNet)


def test_an_unknown_name_lists_the_shipped_models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_names, "_MODELS", tmp_path)
    (tmp_path / "small-one").mkdir()
    (tmp_path / "small-one" / "config.json").write_text("{}")
    with pytest.raises(FileNotFoundError, match=r"no model 'large-one'.*Shipped: small-one"):
        CaliSketch.from_pretrained("large-one")


def test_a_model_of_other_networks_is_refused(model: CaliSketch, tmp_path: Path) -> None:
    calisketch.weights.folder.save(tmp_path, {"scn": model.scn_generator, "sketcher": model.scn_generator}, 64)
    with pytest.raises(ValueError, match=r"holds the networks \['scn', 'sketcher'\]; expected 'scn', 'isn' or both"):
        CaliSketch.from_pretrained(tmp_path)


def test_networks_in_each_others_place_are_refused(model: CaliSketch, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="scn_generator must map 1 channel to 1; got 1 to 3"):
        CaliSketch(model.isn_generator, model.scn_generator, 64)
    swapped = {"scn": model.isn_generator, "isn": model.scn_generator}
    calisketch.weights.folder.save(tmp_path, swapped, 64)
    with pytest.raises(calisketch.weights.folder.ModelFolderError, match="no Cali-Sketch model"):
        CaliSketch.from_pretrained(tmp_path)


def test_the_module_functions_use_the_default_model_loaded_once(
    model: CaliSketch, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(model_names, "_MODELS", tmp_path)
    model.save_pretrained(tmp_path / model_names.DEFAULT_MODEL, half=False)
    pipeline._default_model.cache_clear()
    try:
        sketch = example(side=64)
        assert np.array_equal(calisketch.calibrate(sketch, align=False), model.calibrate(sketch, align=False))
        assert np.array_equal(calisketch.synthesize(sketch, 0.5), model.synthesize(sketch, 0.5))
        assert pipeline._default_model.cache_info().misses == 1
    finally:
        pipeline._default_model.cache_clear()


def test_the_shipped_model_paints_the_examples() -> None:
    shipped = CaliSketch.from_pretrained()
    folder = Path(pipeline.__file__).parent / "models" / model_names.DEFAULT_MODEL
    assert (folder / "model.safetensors").stat().st_size <= 12e6
    faces, drawings = shipped.synthesize([EXAMPLES / f"{name}.png" for name in NAMES[:3]], return_refined=True)
    for face, drawing in zip(faces, drawings, strict=True):
        skin = np.asarray(face)[280:360, 180:230].reshape(-1, 3).mean(0)  # the cheek
        assert skin[0] > skin[2] + 5, f"skin is warmer than grey; got {skin}"
        assert np.asarray(face).std() > 20
        assert 0.005 < (np.asarray(drawing) < 128).mean() < 0.4
