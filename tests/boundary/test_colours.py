"""Colours beside a sketch: read as a person paints them, moved as the sketch is, a free choice where there are none."""

from __future__ import annotations

import importlib.util
import runpy
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from calisketch import CaliSketch
from calisketch.boundary.colours import over_paper, painted, themselves
from calisketch.boundary.images import SketchError
from calisketch.boundary.pictures import read_picture
from calisketch.isn import ISN
from calisketch.networks import VGG19, ColourLed, EncoderDecoder, SNPatchGAN
from calisketch.scn import SCN
from calisketch.stage import Schedule
from calisketch.systems import CaliSketchSystem

pytestmark = pytest.mark.usefixtures("one_thread", "no_detector")

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
TOOL = Path(__file__).resolve().parents[2] / "tools" / "add_colour.py"
RED, BLUE = (0.8, 0.1, 0.2), (0.1, 0.3, 0.9)


class Show(nn.Module):
    """A face that is the colours it is given; grey where none are."""

    def __init__(self) -> None:
        super().__init__()
        self.config: dict[str, Any] = {"in_channels": 5, "out_channels": 3}

    def forward(self, image: Tensor) -> Tensor:
        return image[:, 1:4] + 0.5 * (1 - image[:, 4:])


class Copy(nn.Module):
    """R = S."""

    def forward(self, image: Tensor) -> Tensor:
        return image


@pytest.fixture(scope="module")
def show() -> CaliSketch:
    return CaliSketch(Copy(), Show(), 64)


@pytest.fixture(scope="module")
def plain() -> CaliSketch:
    torch.manual_seed(0)
    return CaliSketch(EncoderDecoder(1, 1, 4, 1), EncoderDecoder(1, 3, 4, 1, head="tanh"), 64, {"name": "plain"})


@pytest.fixture(scope="module")
def trained() -> CaliSketch:
    """A model in which colours have weight, as after a training."""
    torch.manual_seed(0)
    isn = ColourLed(width=8, blocks=1)
    for parameter in isn.parameters():
        if parameter.ndim > 1:
            nn.init.normal_(parameter, std=0.1)
    return CaliSketch(EncoderDecoder(1, 1, 4, 1), isn, 64)


def sketch(side: int = 64, name: str = "woman-bob") -> np.ndarray:
    return np.array(Image.open(EXAMPLES / f"{name}.png").resize((side, side), Image.Resampling.BOX))


def layer(height: int = 64, width: int = 64, colour: tuple[float, float, float] = RED) -> np.ndarray:
    """A transparent layer with one rectangle of a colour, (height, width, 4)."""
    rgba = np.zeros((height, width, 4), np.float32)
    rgba[height // 4 : height // 2, width * 3 // 8 : width * 5 // 8] = (*colour, 1)
    return rgba


# --- what of a picture is a colour


def test_on_a_transparent_layer_what_is_opaque_is_painted_white_too() -> None:
    rgba = layer(colour=(1, 1, 1))
    rgba[40:50] = (*BLUE, 0.3)  # the soft edge of a brush
    for unpainted in ("auto", "transparent"):
        found = painted(read_picture(rgba), unpainted)
        assert np.array_equal(found[..., 3], rgba[..., 3] == 1)
        assert np.array_equal(found[..., :3], np.where(rgba[..., 3:] == 1, rgba[..., :3], 0))
    assert not painted(read_picture(rgba), "white").any()


def test_on_white_paper_white_is_not_painted_and_a_jpegs_noise_is_white() -> None:
    paper = np.random.default_rng(0).uniform(0.985, 1, (64, 64, 3)).astype(np.float32)
    paper[10:20, 10:20] = BLUE
    for unpainted in ("auto", "white"):
        found = painted(read_picture(paper), unpainted)
        assert found[..., 3].sum() == 100
        assert found[12, 12].tolist() == pytest.approx([*BLUE, 1])
    assert painted(read_picture(paper), "transparent")[..., 3].all(), "an opaque picture is painted all over"
    opaque = np.dstack([paper, np.ones((64, 64), np.float32)])
    assert painted(read_picture(opaque))[..., 3].sum() == 100, "an alpha channel that hides nothing says nothing"


# --- on the way through


@pytest.mark.parametrize("shape", [(64, 64), (200, 200), (128, 128), (300, 200), (120, 260)])
@pytest.mark.parametrize("align", ["auto", False])
def test_colours_lie_where_they_were_painted(show: CaliSketch, shape: tuple[int, int], align: Any) -> None:
    sheet = np.full(shape, 255, np.uint8)
    side = min(shape) - 8
    top, left = (shape[0] - side) // 2, (shape[1] - side) // 2
    sheet[top : top + side, left : left + side] = sketch(side)
    rgba = layer(*shape)
    face = show.synthesize(sheet, colours=rgba, align=align).astype(int)
    rows, columns = np.nonzero(rgba[..., 3])
    rim = max(3, max(shape) // 24)
    inside = slice(rows.min() + rim, rows.max() + 1 - rim), slice(columns.min() + rim, columns.max() + 1 - rim)
    assert np.abs(face[inside] - np.array([204, 26, 51])).max() <= 2
    beside_it = face[rows.max() + rim, shape[1] // 2]
    assert np.abs(beside_it - 128).max() <= 2, "the model's own choice"


@pytest.mark.parametrize("size", [(32, 32), (64, 64), (500, 500), (90, 60)])
def test_colours_of_any_size_are_stretched_to_the_sheet(show: CaliSketch, size: tuple[int, int]) -> None:
    face = show.synthesize(sketch(), colours=layer(*size)).astype(int)
    assert np.abs(face[19:29, 27:37] - np.array([204, 26, 51])).max() <= 2
    assert np.abs(face[40:, :] - 128).max() <= 2
    given = np.abs(face - 128).max(2) > 3
    assert abs(given.sum() - 16 * 16) < 40


def test_kinds_of_colours(show: CaliSketch, tmp_path: Path) -> None:
    rgba = layer()
    levels = (rgba * 255).round().astype(np.uint8)
    Image.fromarray(levels).save(tmp_path / "layer.png")
    expected = show.synthesize(sketch(), colours=levels)
    tensor = torch.from_numpy(levels).permute(2, 0, 1)
    for given in (tmp_path / "layer.png", str(tmp_path / "layer.png"), Image.fromarray(levels), tensor, rgba):
        assert np.array_equal(show.synthesize(sketch(), colours=given), expected)
    white = np.where(levels[..., 3:] > 0, levels[..., :3], 255).astype(np.uint8)
    assert np.array_equal(show.synthesize(sketch(), colours=white), expected)
    assert not np.array_equal(show.synthesize(sketch(), colours=white, unpainted="transparent"), expected)


def test_one_for_all_or_one_for_each(trained: CaliSketch) -> None:
    sketches = [sketch(64, name) for name in ("woman-bob", "man-fringe", "man-glasses")]
    layers = [layer(), None, layer(80, 80, BLUE)]
    alone = [trained.synthesize(one, colours=other) for one, other in zip(sketches, layers, strict=True)]
    for batch_size in (1, 2, 8):
        for one, other in zip(alone, trained.synthesize(sketches, colours=layers, batch_size=batch_size), strict=True):
            assert np.abs(one.astype(int) - other).max() <= 1
    assert np.abs(alone[1].astype(int) - trained.synthesize(sketches[1])).max() == 0, "None: as without colours"
    assert np.abs(alone[0].astype(int) - trained.synthesize(sketches[0])).max() > 10
    same = trained.synthesize(sketches, colours=layer())
    for one, other in zip(sketches, same, strict=True):
        assert np.abs(trained.synthesize(one, colours=layer()).astype(int) - other).max() <= 1
    stacked = torch.from_numpy(np.stack([layer(), layer(64, 64, BLUE), layer()])).permute(0, 3, 1, 2)
    assert len(trained.synthesize(sketches, colours=stacked)) == 3


def test_a_picture_for_all_is_read_once(show: CaliSketch, monkeypatch: pytest.MonkeyPatch) -> None:
    from calisketch.boundary import colours as module

    read: list[Any] = []
    monkeypatch.setattr(module, "read_picture", lambda *given: (read.append(given), read_picture(*given))[1])
    show.synthesize([sketch()] * 3, colours=layer())
    assert len(read) == 1


def test_strength_and_the_refined_sketch_are_as_without_colours(trained: CaliSketch) -> None:
    face, refined = trained.synthesize(sketch(), 0.5, True, colours=layer())
    plain_face, same = trained.synthesize(sketch(), 0.5, True)
    assert np.array_equal(refined, same)
    assert not np.array_equal(face, plain_face)


def test_what_was_given_is_said(show: CaliSketch, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO", logger="calisketch"):
        show.synthesize(sketch(), colours=layer())
    assert "colours on 6 % of the frame" in caplog.text


def test_colours_that_cannot_be_used_are_named(show: CaliSketch, plain: CaliSketch, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"this model takes no colours: its ISN has one input channel"):
        plain.synthesize(sketch(), colours=layer())
    with pytest.raises(SketchError, match=r"colours holds 2 pictures for 3 sketches"):
        show.synthesize([sketch()] * 3, colours=[layer()] * 2)
    with pytest.raises(SketchError, match=r"colours: got an empty list"):
        show.synthesize([sketch()], colours=[])
    with pytest.raises(SketchError, match=r"colours must hold floats in \[0, 1\]; got 2 to 2"):
        show.synthesize(sketch(), colours=2 * np.ones((64, 64, 3)))
    with pytest.raises(SketchError, match=r"colours\[1\] must be \(H, W\)"):
        show.synthesize([sketch()] * 2, colours=[layer(), np.zeros((2, 64, 64))])
    with pytest.raises(FileNotFoundError, match=r"missing\.png"):
        show.synthesize(sketch(), colours=tmp_path / "missing.png")
    with pytest.raises(ValueError, match="unpainted must be one of auto, transparent, white; got 'black'"):
        show.synthesize(sketch(), colours=layer(), unpainted="black")  # type: ignore[arg-type]


def test_a_batch_as_training_has_it(trained: CaliSketch, plain: CaliSketch, generator: torch.Generator) -> None:
    strokes = (torch.rand(10, 1, 64, 64, generator=generator) > 0.9).float()
    given = (torch.rand(10, 1, 64, 64, generator=generator) > 0.5).float()
    rgb = torch.rand(10, 3, 64, 64, generator=generator) * given
    batch = {"sketch": strokes, "colours": torch.cat([rgb, given], 1)}
    faces = trained.from_batch(batch)
    assert faces.shape == (10, 3, 64, 64)
    torch.testing.assert_close(trained.from_batch({k: v[9:] for k, v in batch.items()}), faces[9:], atol=1e-4, rtol=0)
    without = trained.from_batch({"sketch": strokes})
    assert (faces - without).abs().max() > 0.05
    options = {"align": False, "page": False, "polarity": "light_on_dark"}
    torch.testing.assert_close(trained.synthesize(strokes, **options), without, atol=1e-4, rtol=0)
    assert torch.equal(plain.from_batch(batch), plain.from_batch({"sketch": strokes})), "one that takes none"
    assert not torch.equal(trained.from_batch(batch, strength=0.0), faces)
    with pytest.raises(ValueError, match=r"sketch must be \(N, 1, 64, 64\) for this model; got \(10, 1, 32, 32\)"):
        trained.from_batch({"sketch": strokes[..., :32, :32]})
    with pytest.raises(ValueError, match=r"colours must have 4 channels"):
        trained.from_batch({**batch, "colours": batch["colours"][:, :3]})


# --- networks


def test_add_colour_makes_a_model_folder_that_paints_as_before(
    plain: CaliSketch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    plain.save_pretrained(tmp_path / "old")
    monkeypatch.setattr(sys, "argv", ["add_colour.py", str(tmp_path / "old"), str(tmp_path / "new")])
    runpy.run_path(str(TOOL), run_name="__main__")
    assert "init_from=" in capsys.readouterr().out
    old, new = (CaliSketch.from_pretrained(tmp_path / name) for name in ("old", "new"))
    assert (old.takes_colours, new.takes_colours) == (False, True)
    assert new.info == {"name": "plain", "colour": "added, not trained yet"}
    expected = old.synthesize(sketch())
    assert np.array_equal(new.synthesize(sketch()), expected)
    led = new.synthesize(sketch(), colours=layer()).astype(int)
    wanted = np.array(RED) * 255
    assert (np.abs(led - wanted) < np.abs(expected - wanted))[18:30, 26:38].all()
    monkeypatch.setattr(sys, "argv", ["add_colour.py", str(tmp_path / "new"), str(tmp_path / "more")])
    with pytest.raises(SystemExit, match="takes colours already"):
        runpy.run_path(str(TOOL), run_name="__main__")


def test_the_isn_takes_colours_where_its_generator_does() -> None:
    refined, colours = torch.zeros(2, 1, 32, 32), torch.zeros(2, 4, 32, 32)
    made = [
        ISN(EncoderDecoder(channels, 3, 4, 1, head="tanh"), SNPatchGAN(3, 4), VGG19.random(2)) for channels in (1, 5)
    ]
    assert [isn.takes_colours for isn in made] == [False, True]
    assert made[1](refined, colours).shape == (2, 3, 32, 32)
    assert torch.equal(made[1](refined), made[1](refined, colours))
    with pytest.raises(ValueError, match="this model takes no colours"):
        made[0](refined, colours)
    with pytest.raises(ValueError, match=r"colours must have 4 channels"):
        made[1](refined, colours[:, :3])
    with pytest.raises(ValueError, match="refined"):
        made[1](refined, colours[:1])
    assert torch.equal(over_paper(colours), torch.ones(2, 3, 32, 32))
    assert torch.equal(themselves({"colours": colours, "photo": refined}), torch.ones(2, 3, 32, 32))


def test_other_channels_are_refused() -> None:
    with pytest.raises(ValueError, match="isn_generator must map 1 channel to 3; got 4 to 3"):
        CaliSketch(None, EncoderDecoder(4, 3, 4, 1), 32)


# --- export and engines


def test_exported_files_take_colours_as_an_input_of_their_own(trained: CaliSketch, tmp_path: Path) -> None:
    for package in ("onnx", "onnxscript", "onnxruntime"):
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"needs {package} (the extra export)")
    import onnx
    import onnxruntime

    from calisketch.export import TOLERANCE, export

    files = export(CaliSketch(None, trained.isn_generator, 64), tmp_path)
    session = onnxruntime.InferenceSession(files["isn"], providers=["CPUExecutionProvider"])
    assert [each.name for each in session.get_inputs()] == ["refined", "colours"]
    notes = {entry.key: entry.value for entry in onnx.load(files["isn"]).metadata_props}
    assert "all 0: none" in notes["colours"]
    ink = (torch.rand(2, 1, 64, 64) > 0.8).float()
    colours = torch.cat([torch.rand(2, 3, 64, 64), torch.ones(2, 1, 64, 64)], 1)
    for given in (colours, torch.zeros_like(colours)):
        (face,) = session.run(None, {"refined": ink.numpy(), "colours": given.numpy()})
        expected = trained.from_batch({"sketch": ink, "colours": given}, 0.0)
        np.testing.assert_allclose(face, expected.numpy(), atol=TOLERANCE)


def test_both_joined_take_colours_too(trained: CaliSketch) -> None:
    from calisketch.export import Coloured, Joined
    from calisketch.inference.computing import Framed

    joined = Joined(Framed(trained.scn_generator, 64), Coloured(Framed(trained.isn_generator, 64))).eval()
    ink = (torch.rand(2, 1, 64, 64) > 0.8).float()
    colours = torch.cat([torch.rand(2, 3, 64, 64), torch.ones(2, 1, 64, 64)], 1)
    with torch.inference_mode():
        face, _ = joined(ink, torch.tensor([0.3]), colours)
    torch.testing.assert_close(face, trained.from_batch({"sketch": ink, "colours": colours}, 0.3), atol=1e-4, rtol=0)


def test_openvino_takes_colours() -> None:
    for package in ("onnx", "onnxscript", "openvino"):
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"needs {package} (the extra export)")
    quick, slow = CaliSketch(None, Show(), 64, engine="openvino", precision="fp32"), CaliSketch(None, Show(), 64)
    for colours in (None, layer()):
        one, other = (model.synthesize(sketch(), colours=colours).astype(int) for model in (quick, slow))
        assert np.abs(one - other).max() <= 1


def test_half_precision_answers_almost_the_same(trained: CaliSketch) -> None:
    half = trained.to(precision="bf16").synthesize(sketch(), colours=layer()).astype(int)
    assert np.abs(half - trained.synthesize(sketch(), colours=layer())).mean() < 2


# --- the command line, and fit


def test_the_command_takes_a_file_for_all_or_a_folder_of_the_sketches_names(
    trained: CaliSketch, plain: CaliSketch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from calisketch.__main__ import main

    model, other = str(trained.save_pretrained(tmp_path / "model")), str(plain.save_pretrained(tmp_path / "plain"))
    given = Image.fromarray((layer() * 255).round().astype(np.uint8))
    for name in ("a", "more/b", "c"):
        for folder, picture, ending in (("sketches", Image.fromarray(sketch()), ".png"), ("colours", given, ".webp")):
            path = tmp_path / folder / f"{name}{ending}"
            path.parent.mkdir(parents=True, exist_ok=True)
            picture.save(path, lossless=True)
    (tmp_path / "colours" / "c.webp").unlink()
    sketches, out = str(tmp_path / "sketches"), str(tmp_path / "out")
    assert main(["synthesize", sketches, "--out", out, "--model", model, "--colours", str(tmp_path / "colours")]) == 1
    assert "c.png has no colours: there is no picture c in" in capsys.readouterr().err
    loaded = CaliSketch.from_pretrained(model)
    expected = np.asarray(loaded.synthesize(tmp_path / "sketches" / "a.png", colours=given))
    for name in ("a.png", "more/b.png"):
        assert np.array_equal(np.asarray(Image.open(tmp_path / "out" / name)), expected)
    one = [sketches, "--out", str(tmp_path / "again"), "--colours", str(tmp_path / "colours" / "a.webp")]
    assert main(["synthesize", *one, "--model", model, "--unpainted", "transparent"]) == 0
    assert np.array_equal(np.asarray(Image.open(tmp_path / "again" / "c.png")), expected)
    capsys.readouterr()
    assert main(["synthesize", *one, "--model", other]) == 2
    assert "this model takes no colours" in capsys.readouterr().err
    assert main(["synthesize", *one[:3], "--colours", str(tmp_path / "nothing.png"), "--model", model]) == 2
    assert "nothing.png" in capsys.readouterr().err


def test_fit_trains_a_model_that_takes_colours_with_colours(trained: CaliSketch) -> None:
    pytest.importorskip("lightning_fabric", reason="needs the extra `train`")
    seen: list[Tensor] = []

    class Watched(ISN):
        def forward(self, refined: Tensor, colours: Tensor | None = None) -> Tensor:
            assert colours is not None
            seen.append(colours)
            return super().forward(refined, colours)

    photos = [np.full((64, 64, 3), level, np.uint8) for level in (60, 120, 180)]
    for photo in photos:
        photo[20:40, 20:40, 0] = 250

    def system(scn: nn.Module, isn: nn.Module, schedules: Any) -> CaliSketchSystem:
        own = Watched(isn, SNPatchGAN(3, 4), VGG19.random(2), keep_features=False)
        return CaliSketchSystem(SCN(scn, SNPatchGAN(1, 4)), own, schedules)

    fitted = trained.fit(
        photos,
        contour=lambda photo: photo.mean(1, keepdim=True),
        align=False,
        system=system,
        schedules={"isn": Schedule(4)},
        stages=["isn"],
        quiet=True,
        batch_size=2,
        accelerator="cpu",
    )
    assert fitted.takes_colours
    shares = {round(float(each[3].mean()), 3) for batch in seen for each in batch}
    assert len(shares) > 1, "not the same for every photo"


def test_colours_that_come_to_nothing_are_told(show: CaliSketch, caplog: pytest.LogCaptureFixture) -> None:
    sketch = EXAMPLES / "woman-bob.png"
    faint = np.full((64, 64, 4), (0.8, 0.1, 0.2, 0.4))
    for colours, told in ((faint, True), (np.ones((64, 64, 3)), True), (np.zeros((64, 64, 4)), False), (None, False)):
        caplog.clear()
        show.synthesize(sketch, colours=colours)
        said = [record for record in caplog.records if record.levelname == "WARNING" and "painted" in record.message]
        assert len(said) == told, colours


def test_colours_may_lead_farther_and_without_them_nothing_changes() -> None:
    torch.manual_seed(0)
    model = CaliSketch(Copy(), ColourLed(width=8, blocks=1), 32)
    red = torch.cat([torch.tensor(RED).view(1, 3, 1, 1).expand(1, 3, 32, 32), torch.ones(1, 1, 32, 32)], 1)
    batch = {"sketch": torch.zeros(1, 1, 32, 32), "colours": red}
    near = [(model.from_batch(batch, lead=lead) - red[:, :3]).abs().mean() for lead in (0.1, 0.5, 0.9)]
    assert near[0] > near[1] > near[2]
    assert torch.equal(model.from_batch(batch), model.from_batch(batch, lead=0.5))
    blank = {"sketch": batch["sketch"]}
    assert torch.equal(model.from_batch(blank), model.led(0.9).from_batch(blank))
    assert model.isn_generator.lead == 0.5
    for wrong in (1.0, -0.1, True):
        with pytest.raises(ValueError, match="lead must be in"):
            model.led(wrong)
    with pytest.raises(ValueError, match="colours lead a ColourLed ISN; this model's is a EncoderDecoder"):
        CaliSketch(Copy(), EncoderDecoder(1, 3, 4, 1, head="tanh"), 32).led(0.5)
