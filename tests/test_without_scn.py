"""Models without a Stroke Calibration Network: saved, loaded and used, and what they refuse."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from calisketch import CaliSketch
from calisketch.__main__ import main
from calisketch.networks import EncoderDecoder, UNet
from calisketch.weights import folder as model_folder

pytestmark = pytest.mark.usefixtures("one_thread", "no_detector")

EXAMPLE = Path(__file__).resolve().parents[1] / "examples" / "woman-bob.png"


@pytest.fixture(scope="module")
def model() -> CaliSketch:
    torch.manual_seed(0)
    return CaliSketch(None, UNet(width=4, depth=6), 64, {"system": "pix2pix"})


@pytest.fixture(scope="module")
def sketch() -> np.ndarray:
    return np.array(Image.open(EXAMPLE).resize((64, 64), Image.Resampling.BOX))


def test_it_paints_from_the_strokes_as_they_are(model: CaliSketch, sketch: np.ndarray) -> None:
    face, strokes = model.synthesize(sketch, return_refined=True)
    assert np.array_equal(strokes, sketch)
    ink = 1 - torch.from_numpy(sketch).float()[None, None] / 255
    with torch.inference_mode():
        expected = model.isn_generator(ink)[0].permute(1, 2, 0).numpy()
    assert np.abs(face / 255 - expected).max() <= 0.51 / 255
    assert np.array_equal(model.synthesize(sketch, 0), face)
    assert np.array_equal(model.to("cpu").synthesize(sketch), face)
    assert model.synthesize([EXAMPLE, sketch])[0].size == (512, 512)


def test_a_folder_of_the_painting_network_alone_is_read_back(
    model: CaliSketch, sketch: np.ndarray, tmp_path: Path
) -> None:
    folder = model.save_pretrained(tmp_path / "model", half=False)
    assert list(model_folder.read_config(folder)["networks"]) == ["isn"]
    again = CaliSketch.from_pretrained(folder)
    assert again.scn_generator is None
    assert isinstance(again.isn_generator, UNet)
    assert (again.size, again.info) == (64, {"system": "pix2pix"})
    assert np.array_equal(again.synthesize(sketch), model.synthesize(sketch))


def test_what_calibrates_is_refused_with_the_reason_and_the_remedy(model: CaliSketch, sketch: np.ndarray) -> None:
    with pytest.raises(
        ValueError, match=r"calibrate needs a Stroke Calibration Network \(SCN\), and this model has none"
    ):
        model.calibrate(sketch)
    with pytest.raises(ValueError, match=r"strength=0\.5 needs a Stroke.*Call synthesize without a strength"):
        model.synthesize(sketch, 0.5)
    with pytest.raises(ValueError, match="strength must be in"):
        model.synthesize(sketch, -1)
    with pytest.raises(ValueError, match="fit, which trains both networks, needs a Stroke"):
        model.fit([sketch])


def test_a_network_that_is_no_painter_is_refused() -> None:
    with pytest.raises(ValueError, match="isn_generator must map 1 channel to 3; got 1 to 1"):
        CaliSketch(None, EncoderDecoder(1, 1, 4, 1), 64)


def test_a_sheet_of_another_size_is_padded_to_what_the_u_net_takes(sketch: np.ndarray) -> None:
    model = CaliSketch(None, UNet(width=2, depth=6), 48)
    assert model.synthesize(sketch).shape == (64, 64, 3)


def test_the_command_line_synthesizes_and_says_why_it_does_not_calibrate(
    model: CaliSketch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = str(model.save_pretrained(tmp_path / "model"))
    assert main(["synthesize", str(EXAMPLE), "--model", folder, "--out", str(tmp_path / "faces")]) == 0
    assert (tmp_path / "faces" / "woman-bob.png").is_file()
    assert main(["calibrate", str(EXAMPLE), "--model", folder, "--out", str(tmp_path / "lines")]) == 1
    assert "this model has none" in capsys.readouterr().err
