"""calibrate: thin lines, tone, the ground it is drawn on, and a model that does nothing else."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from calisketch import CaliSketch, load_model
from calisketch.__main__ import main
from calisketch.boundary.tone import light_tone
from calisketch.networks import QuarterUNet
from calisketch.studio.painter import Painter
from calisketch.weights import folder as model_folder

pytestmark = pytest.mark.usefixtures("one_thread", "no_detector")

SIDE = 64
EXAMPLE = Path(__file__).resolve().parents[1] / "examples" / "woman-bob.png"


class Thick(nn.Module):
    """R = S, its lines two pixels wider on each side, and what is an area of ink left out."""

    def forward(self, image: Tensor) -> Tensor:
        areas = nn.functional.avg_pool2d(image, 9, 1, 4) > 0.4
        lines = image * ~nn.functional.max_pool2d(areas.float(), 9, 1, 4).bool()
        return nn.functional.max_pool2d(lines, 5, 1, 2)


@pytest.fixture(scope="module")
def model() -> CaliSketch:
    return CaliSketch(Thick(), None, SIDE, {"name": "thick"})


@pytest.fixture(scope="module")
def sketch() -> np.ndarray:
    """Dark on light: two lines, and a filled disc."""
    page = np.full((SIDE, SIDE), 255, np.uint8)
    cv2.line(page, (8, 14), (56, 14), 0, 1)
    cv2.line(page, (10, 6), (10, 58), 0, 1)
    cv2.circle(page, (42, 42), 12, 0, -1)
    return page


def ink_of(drawing: np.ndarray) -> np.ndarray:
    return 1 - drawing.astype(np.float32) / 255


def test_thin_lines_are_one_pixel_wide_and_run_where_the_thick_ones_do(model: CaliSketch, sketch: np.ndarray) -> None:
    thick, thin = (ink_of(model.calibrate(sketch, align=False, thin=thin)) for thin in (False, True))
    assert set(np.nonzero(thick[:, 30] > 0.5)[0].tolist()) == {12, 13, 14, 15, 16}
    assert np.nonzero(thin[:, 30] > 0.5)[0].tolist() == [14]
    assert (thin <= thick + 1e-6).all()
    assert thin.sum() < 0.35 * thick.sum()
    half = ink_of(model.calibrate(sketch, 0.5, align=False, thin=True))
    assert half[14, 30] == pytest.approx(1.0, abs=0.01), "the person's stroke and R's"


def test_tone_keeps_what_is_shaded_as_light_tone_and_changes_no_line(model: CaliSketch, sketch: np.ndarray) -> None:
    plain, toned = (ink_of(model.calibrate(sketch, align=False, tone=tone)) for tone in (False, True))
    assert plain[42, 42] == 0, "this network leaves areas out"
    assert 0.2 < toned[42, 42] < 0.4
    assert toned[14, 30] == plain[14, 30] == 1
    assert toned[30, 30] == plain[30, 30] == 0, "paper stays paper"
    assert np.array_equal(model.calibrate(sketch, 0, tone=True), model.calibrate(sketch, 0)), "strokes as they are"


def test_the_tone_is_of_areas_and_not_of_strokes() -> None:
    ink = np.zeros((256, 256), np.float32)
    ink[:, 100:102] = 1
    ink[150:, 180:] = 1
    ink[20:80:4, 20:80] = ink[21:80:4, 20:80] = 1  # hatching, half ink
    tone = light_tone(ink, 1.0)
    assert tone.shape == ink.shape
    assert tone[100, 101] == 0
    assert tone[220, 220] == pytest.approx(0.35, abs=1e-3)
    assert 0.1 < tone[50, 50] < 0.35
    larger = light_tone(np.kron(ink, np.ones((2, 2), np.float32)), 2.0)
    assert np.abs(larger[::2, ::2] - tone).mean() < 0.005, "the same at any size"


@pytest.mark.parametrize("light", [False, True])
def test_the_ground_is_the_sketchs_own_or_the_one_that_is_asked_for(
    model: CaliSketch, sketch: np.ndarray, light: bool
) -> None:
    given = 255 - sketch if light else sketch
    drawn = {name: model.calibrate(given, align=False, ground=name) for name in (None, "white", "black")}
    assert np.array_equal(drawn["white"], 255 - drawn["black"])
    assert np.array_equal(drawn[None], drawn["black" if light else "white"])
    assert drawn["white"][0, 0] == 255
    apart = model.calibrate(given, align=False, ground="transparent")
    assert apart.shape == (SIDE, SIDE, 4)
    assert np.array_equal(apart[..., 3], 255 - drawn["white"])
    assert (apart[..., :3] == (255 if light else 0)).all()


def test_the_ground_of_every_kind_of_sketch(model: CaliSketch, sketch: np.ndarray) -> None:
    picture = Image.fromarray(sketch)
    assert model.calibrate(picture, ground="black").mode == "L"
    strokes = model.calibrate(picture, ground="transparent")
    assert strokes.mode == "LA"
    layer = Image.merge("LA", (Image.new("L", picture.size, 0), Image.fromarray(255 - sketch)))
    assert model.calibrate(layer).mode == "LA", "its own"
    assert model.calibrate(layer, ground="white").mode == "L"
    assert np.array_equal(np.asarray(model.calibrate(layer, ground="white")), np.asarray(model.calibrate(picture)))
    batch = torch.from_numpy(sketch).float().expand(2, 3, -1, -1) / 255
    assert model.calibrate(batch, ground="transparent").shape == (2, 4, SIDE, SIDE)
    assert model.calibrate(batch, ground="black").shape == (2, 3, SIDE, SIDE)
    assert float(model.calibrate(batch, ground="black")[:, :, 0, 0].max()) == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"thin": 1}, "thin must be True or False"),
        ({"tone": None}, "tone must"),
        ({"ground": "grey"}, "ground must be"),
    ],
)
def test_options_that_are_none_are_refused(model: CaliSketch, sketch: np.ndarray, options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        model.calibrate(sketch, **options)


def test_a_model_that_only_calibrates_says_why_it_cannot_paint(
    model: CaliSketch, sketch: np.ndarray, tmp_path: Path
) -> None:
    why = r"needs an Image Synthesis Network \(ISN\), and this model has none: it calibrates sketches only"
    with pytest.raises(ValueError, match=f"synthesize {why}"):
        model.synthesize(sketch)
    with pytest.raises(ValueError, match=f"from_batch {why}"):
        model.from_batch({"sketch": torch.zeros(1, 1, SIDE, SIDE)})
    with pytest.raises(ValueError, match=f"led {why}"):
        model.led(0.7)
    with pytest.raises(ValueError, match=why):
        model.fit([sketch])
    with pytest.raises(ValueError, match="one network at least"):
        CaliSketch(None, None, SIDE)
    assert not model.takes_colours
    assert np.array_equal(model.to("cpu").calibrate(sketch), model.calibrate(sketch))


def test_its_folder_is_read_back_and_used_on_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    torch.manual_seed(0)
    whole = CaliSketch(QuarterUNet(width=4, blocks=1), None, SIDE)
    folder = whole.save_pretrained(tmp_path / "model", half=False)
    assert list(model_folder.read_config(folder)["networks"]) == ["scn"]
    again = load_model(folder)
    assert isinstance(again, CaliSketch)
    assert again.isn_generator is None
    assert again.calibrate(EXAMPLE).tobytes() == whole.calibrate(EXAMPLE).tobytes()
    out = tmp_path / "out"
    options = ["--model", str(folder), "--thin", "--tone", "--ground", "black"]
    assert main(["calibrate", str(EXAMPLE), "--out", str(out), *options]) == 0
    expected = whole.calibrate(EXAMPLE, thin=True, tone=True, ground="black")
    assert np.array_equal(np.asarray(Image.open(out / "woman-bob.png")), np.asarray(expected))
    assert main(["synthesize", str(EXAMPLE), "--out", str(out), "--model", str(folder)]) == 2
    assert "it calibrates sketches only" in capsys.readouterr().err


def test_the_studio_takes_no_model_that_cannot_paint(tmp_path: Path) -> None:
    folder = CaliSketch(QuarterUNet(width=4, blocks=1), None, SIDE).save_pretrained(tmp_path / "model", half=False)
    with pytest.raises(ValueError, match="the studio needs an Image Synthesis Network"):
        Painter({"lines": folder}).model("lines")
