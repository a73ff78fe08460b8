"""PIRec: drawings, colours and photos in; pictures in their kind and size out; and the commands."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from calisketch import CaliSketch
from calisketch.__main__ import main
from calisketch.boundary.drafts import binary_edges
from calisketch.boundary.images import SketchError
from calisketch.boundary.pictures import Framed
from calisketch.datasets.drawn.procedural import ProceduralFaces
from calisketch.inference.computing import Computing
from calisketch.networks import EncoderDecoder
from calisketch.relatives.pi_rec import PIRec
from calisketch.sketching import color_domain
from calisketch.sketching.edges import canny
from calisketch.weights import folder as model_folder
from calisketch.weights.folder import ModelFolderError

pytestmark = pytest.mark.usefixtures("one_thread")
SIDE = 64


class Show(nn.Module):
    """Paints the colours, and edges black on them; every pass darkens by a tenth."""

    def forward(self, given: Tensor) -> Tensor:
        return 0.9 * given[:, 1:] * (1 - given[:, :1])


@pytest.fixture(scope="module")
def model() -> PIRec:
    torch.manual_seed(0)
    generator = EncoderDecoder(4, 3, width=8, blocks=1, skips=False, head="tanh", upsampling="bilinear")
    return PIRec(generator, SIDE, {"name": "random"})


@pytest.fixture(scope="module")
def shown() -> PIRec:
    return PIRec(Show(), SIDE)


@pytest.fixture(scope="module")
def photo() -> np.ndarray:
    """A drawn face, (96, 96, 3) uint8."""
    return (ProceduralFaces(1, 96)[0]["photo"].permute(1, 2, 0) * 255).round().byte().numpy()


def drawing(side: int = SIDE, width: int = 1) -> np.ndarray:
    """A cross of dark lines, (side, side) uint8."""
    sheet = np.full((side, side), 255, np.uint8)
    middle = side // 2 - width // 2
    sheet[middle : middle + width, side // 8 : -side // 8] = 0
    sheet[side // 8 : -side // 8, middle : middle + width] = 0
    return sheet


def flat(side: int = SIDE) -> np.ndarray:
    """Red on the left, blue on the right, (side, side, 3) uint8."""
    colours = np.zeros((side, side, 3), np.uint8)
    colours[:, : side // 2, 0], colours[:, side // 2 :, 2] = 200, 100
    return colours


def test_paint_gives_the_network_both_layers_as_they_are(shown: PIRec) -> None:
    painted = shown.paint(drawing(), flat(), refine=False)
    expected = np.rint(0.9 * flat() * (drawing()[..., None] > 0)).astype(np.uint8)
    assert np.abs(painted.astype(int) - expected).max() <= 1
    twice = shown.paint(drawing(), flat(), refine=True)
    assert np.abs(twice.astype(int) - np.rint(0.81 * flat() * (drawing()[..., None] > 0))).max() <= 1
    assert np.array_equal(shown.paint(drawing(), flat()), twice)
    assert np.array_equal(shown.paint(255 - drawing(), flat()), twice)  # light lines on a dark ground


def test_kinds_and_sizes_come_back_as_the_drawings(model: PIRec, tmp_path: Path) -> None:
    sheet, colours = drawing(96), flat(96)
    tensor = torch.from_numpy(sheet).double() / 255
    cases: list[tuple[Any, tuple[int, ...]]] = [
        (sheet, (96, 96, 3)),
        (sheet[:80, :, None].astype(np.float32) / 255, (80, 96, 3)),
        (tensor, (3, 96, 96)),
        (tensor[None, None].expand(2, 3, 96, 96), (2, 3, 96, 96)),
    ]
    for given, shape in cases:
        painted = model.paint(given, colours)
        assert type(painted) is type(given)
        assert painted.dtype == given.dtype
        assert tuple(painted.shape) == shape
    Image.fromarray(sheet).save(tmp_path / "lines.png")
    Image.fromarray(colours).save(tmp_path / "colours.png")
    painted = model.paint(tmp_path / "lines.png", tmp_path / "colours.png")
    assert (painted.mode, painted.size) == ("RGB", (96, 96))
    several = model.paint([sheet, tensor], [colours, colours])
    assert [type(each) for each in several] == [np.ndarray, Tensor]


def test_colours_of_another_size_are_laid_over_the_drawing_and_transparent_ones_are_white(shown: PIRec) -> None:
    exact = shown.paint(drawing(), flat(), refine=False).astype(int)
    larger = shown.paint(drawing(), flat(256), refine=False).astype(int)
    assert np.abs(larger - exact).max() <= 2
    rgba = np.dstack([flat(), np.full((SIDE, SIDE), 255, np.uint8)])
    rgba[:, :32, 3] = 0
    painted = shown.paint(drawing(), rgba, refine=False)
    paper = painted[2:6, :30]
    assert np.abs(paper.astype(int) - 230).max() <= 1  # .9 of white
    assert np.array_equal(painted[:, 34:], exact[:, 34:])


@pytest.mark.parametrize(("side", "width"), [(64, 1), (64, 5), (256, 2), (512, 1), (512, 24), (40, 1)])
def test_lines_become_binary_and_thin_whatever_they_were_drawn_with(side: int, width: int) -> None:
    ink = (1 - drawing(side, width) / 255).astype(np.float32)
    edges = binary_edges(0.6 * ink, Framed(side, side, SIDE))
    assert set(np.unique(edges)) == {0.0, 1.0}
    length = 2 * 0.75 * SIDE
    assert 0.8 * length < edges.sum() < 2.2 * length
    assert edges[:4].sum() == edges[:, -4:].sum() == 0
    assert edges[30:34, 12:52].max(0).all()  # nowhere broken


def test_cannys_own_edges_stay_as_they_are(photo: np.ndarray) -> None:
    for side in (64, 256):
        face = ProceduralFaces(1, side)[0]["photo"][None]
        edges = canny(face, sigma=3 * side / 256)[0, 0].numpy()
        assert np.array_equal(binary_edges(edges, Framed(side, side, side)), edges)


def test_reconstruct_paints_from_the_photos_edges_and_colour_domain(model: PIRec, photo: np.ndarray) -> None:
    own = (
        torch.from_numpy(photo[16:80, 16:80].copy()).permute(2, 0, 1).float() / 255
    )  # of the model's size: no resampling
    batch = {
        "sketch": canny(own[None], sigma=0.75),
        "colours": color_domain(own, blur=25, colours=3, second_blur=3, seed=0)[None],
    }
    for refine in (False, True):
        expected = model.from_batch(batch, refine=refine)[0]
        torch.testing.assert_close(model.reconstruct(own, refine=refine), expected, atol=1e-5, rtol=0)
    assert (model.from_batch(batch, refine=False) - model.from_batch(batch)).abs().max() > 1e-3
    lines, colours = model.take_apart(own)
    torch.testing.assert_close(1 - lines, batch["sketch"][0].expand(3, -1, -1))
    torch.testing.assert_close(colours, batch["colours"][0])
    painted = model.paint(lines, colours, page=False)
    torch.testing.assert_close(painted, model.reconstruct(own), atol=1e-5, rtol=0)
    sparse = model.take_apart(own, sigma=8.0, colours=2)
    assert (1 - sparse[0]).sum() < (1 - lines).sum()
    assert len(np.unique(sparse[1].reshape(3, -1).numpy(), axis=1).T) == 2


def test_photos_of_any_size_and_kind_are_reconstructed(model: PIRec, photo: np.ndarray, tmp_path: Path) -> None:
    assert model.reconstruct(photo[:, :80]).shape == (96, 80, 3)
    Image.fromarray(photo).save(tmp_path / "photo.png")
    made = model.reconstruct([tmp_path / "photo.png", torch.from_numpy(photo).permute(2, 0, 1)])
    assert made[0].size == (96, 96)
    assert made[1].shape == (3, 96, 96)
    assert made[1].dtype == torch.uint8
    assert np.abs(np.asarray(made[0]).astype(int) - made[1].permute(1, 2, 0).numpy().astype(int)).max() <= 1


def test_the_same_answer_in_any_batch_and_no_trace_is_left(model: PIRec, photo: np.ndarray) -> None:
    photos = [photo, photo[::-1].copy(), photo[:, ::-1].copy()]
    before = {key: value.clone() for key, value in model.generator.state_dict().items()}
    state = torch.get_rng_state()
    whole = model.reconstruct(photos)
    for batch_size in (1, 2):
        for one, other in zip(whole, model.reconstruct(photos, batch_size=batch_size), strict=True):
            assert np.abs(one.astype(int) - other.astype(int)).max() <= 1
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(value, before[key]) for key, value in model.generator.state_dict().items())
    assert torch.is_grad_enabled()


def test_interpolation_goes_evenly_from_one_picture_to_the_other(shown: PIRec, model: PIRec) -> None:
    one, other = flat(), 255 - flat()
    pictures = shown.interpolate(drawing(), one, other, 5, refine=False)
    assert len(pictures) == 5
    assert np.array_equal(pictures[0], shown.paint(drawing(), one, refine=False))
    assert np.array_equal(pictures[-1], shown.paint(drawing(), other, refine=False))
    steps = np.diff(np.stack(pictures)[:, 4, 4].astype(int), axis=0)
    assert np.abs(steps - steps.mean(0)).max() <= 1
    for end, colours in ((0, one), (-1, other)):
        whole = model.paint(drawing(), colours).astype(int)
        assert np.abs(model.interpolate(drawing(), one, other, 3)[end] - whole).max() <= 1


def test_a_model_is_refined_only_if_it_was_trained_for_it(shown: PIRec) -> None:
    for steps, refines in (
        ({"imitation": 5, "generating": 5}, False),
        ({"refinement": 5}, True),
        ({"imitation": 5, "generating": 5, "refinement": 1}, True),
    ):
        model = PIRec(Show(), SIDE, {"steps": steps})
        assert model.refines is refines
        assert np.array_equal(model.paint(drawing(), flat()), shown.paint(drawing(), flat(), refines))


def test_what_cannot_be_used_is_named(model: PIRec, photo: np.ndarray, tmp_path: Path) -> None:
    cases: list[tuple[Any, type[Exception], str]] = [
        (lambda: model.paint(np.full((64, 64), 255, np.uint8), flat()), SketchError, "edges is a blank page"),
        (lambda: model.paint([], flat()), SketchError, "empty list"),
        (lambda: model.paint([drawing()], [flat(), flat()]), SketchError, "colours holds 2 pictures for 1 drawings"),
        (lambda: model.paint(drawing(), flat().astype(float)), SketchError, r"colours must hold floats in \[0, 1\]"),
        (lambda: model.paint(drawing(), tmp_path / "none.png"), FileNotFoundError, r"none\.png"),
        (lambda: model.paint(drawing(), flat(), refine="yes"), ValueError, "refine must be"),  # type: ignore[arg-type]
        (lambda: model.reconstruct(photo, batch_size=0), ValueError, "batch_size must be"),
        (lambda: model.reconstruct(photo, blur=24), ValueError, "blur must be an odd"),
        (lambda: model.reconstruct(photo, batch_size=True), ValueError, "batch_size must be"),
        (
            lambda: model.interpolate(drawing(), flat(), flat(), True),
            ValueError,
            "n must be a whole number, at least 2",
        ),
        (lambda: model.paint(drawing(), flat(), device="abacus"), ValueError, "cannot compute on the device 'abacus'"),
        (lambda: model.reconstruct(photo, device="abacus"), ValueError, "cannot compute on the device 'abacus'"),
        (
            lambda: model.interpolate(drawing(), flat(), flat(), device="abacus"),
            ValueError,
            "cannot compute on the device 'abacus'",
        ),
        (lambda: model.reconstruct("none.jpg"), FileNotFoundError, r"none\.jpg"),
        (lambda: model.interpolate(drawing(), flat(), flat(), 1), ValueError, "n must be a whole number, at least 2"),
        (lambda: model.interpolate([drawing()], flat(), flat()), SketchError, "edges must be a single picture"),
        (lambda: model.to("abacus"), ValueError, "cannot compute on the device 'abacus'"),
        (
            lambda: PIRec(EncoderDecoder(1, 3, 4, 1), SIDE),
            ValueError,
            "generator must map 4 channels to 3; .* It paints",
        ),
        (lambda: PIRec(Show(), 0), ValueError, "size must be"),
    ]
    for call, kind, message in cases:
        with pytest.raises(kind, match=message):
            call()


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("sigma", (0, -1.0, float("nan"), float("inf"), 1e9, True, "3")),
        ("blur", (24, 25.5, True, -25, 2001)),
        ("colours", (0, 2.5, True, np.float64(3))),
        ("second_blur", (2, 3.0, False)),
        ("seed", (1.5, True, 2**64, None)),
    ],
)
def test_wrong_settings_are_refused_before_a_file_is_read(model: PIRec, name: str, values: tuple[Any, ...]) -> None:
    for call in (model.reconstruct, model.take_apart):
        for value in values:
            with pytest.raises(ValueError, match=f"{name} (must be .*got {re.escape(repr(value))}|of 2001 is)"):
                call("none.jpg", **{name: value})


def test_numpys_numbers_are_numbers(model: PIRec, photo: np.ndarray) -> None:
    settings = {"sigma": 5, "blur": 15, "colours": 2, "second_blur": 1, "seed": 3}
    numpys = {name: np.int64(value) for name, value in settings.items()} | {"sigma": np.float32(5)}
    answers = (
        model.reconstruct([photo, photo], **settings),
        model.reconstruct([photo, photo], **numpys, batch_size=np.int64(1)),
    )
    assert np.abs(answers[0][0].astype(int) - answers[1][0]).max() <= 1
    pictures = model.interpolate(drawing(), flat(), flat(), np.int64(3))
    assert len(pictures) == 3


def test_it_computes_where_a_call_says(shown: PIRec, monkeypatch: pytest.MonkeyPatch, photo: np.ndarray) -> None:
    asked: list[Any] = []
    run = Computing.run
    monkeypatch.setattr(
        Computing, "run", lambda self, net, given, device: asked.append(device) or run(self, net, given)
    )
    shown.paint(drawing(), flat(), device="cuda:3")
    shown.reconstruct(photo, device="cuda:3")
    shown.interpolate(drawing(), flat(), flat(), 2, device="cuda:3")
    assert asked == ["cuda:3"] * 6, "for both passes"


def test_a_saved_model_answers_as_before_and_another_kind_is_named(
    model: PIRec, photo: np.ndarray, tmp_path: Path
) -> None:
    folder = model.save_pretrained(tmp_path / "model", half=False)
    again = PIRec.from_pretrained(folder, "cpu")
    assert (again.size, again.info) == (SIDE, {"name": "random"})
    assert repr(again).startswith("PIRec(64 px, pi_rec: EncoderDecoder of ")
    assert np.array_equal(again.reconstruct(photo), model.reconstruct(photo))
    other = CaliSketch(None, EncoderDecoder(1, 3, 4, 1, head="tanh"), SIDE).save_pretrained(tmp_path / "isn")
    with pytest.raises(
        ModelFolderError,
        match=r"holds the networks \['isn'\].*no PI-REC model but one for calisketch\.CaliSketch",
    ):
        PIRec.from_pretrained(other)
    model_folder.save(tmp_path / "narrow", {"pi_rec": EncoderDecoder(1, 3, 4, 1)}, SIDE)
    with pytest.raises(ModelFolderError, match="is no PI-REC model: generator must map"):
        PIRec.from_pretrained(tmp_path / "narrow")


# --- commands


@pytest.fixture
def files(model: PIRec, photo: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    model.save_pretrained(tmp_path / "model")
    for folder, image in (("photos", photo), ("lines", drawing(96)), ("flat", flat(96)), ("other", 255 - flat(96))):
        (tmp_path / folder).mkdir()
        Image.fromarray(image).save(tmp_path / folder / "a.png")
    return tmp_path


def command(*arguments: str) -> int:
    return main(["pi-rec", *arguments])


def made(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*.png"))


def test_the_commands_write_what_the_model_answers(files: Path, photo: np.ndarray) -> None:
    loaded = PIRec.from_pretrained("model")
    common = ["--out", "out", "--model", "model"]
    assert command("reconstruct", "photos", *common, "--layers", "--sigma", "5", "--no-refine") == 0
    assert made(files / "out") == ["a.png", "colours/a.png", "edges/a.png"]
    expected = loaded.reconstruct(photo, sigma=5, refine=False)
    assert np.array_equal(np.asarray(Image.open(files / "out" / "a.png")), expected)
    assert command("paint", "lines", "--colours", "flat", "--out", "painted", "--model", "model") == 0
    painted = np.asarray(Image.open(files / "painted" / "a.png"))
    assert np.array_equal(painted, loaded.paint(drawing(96), flat(96)))
    ends = ["--from", "flat/a.png", "--to", "other/a.png"]
    assert command("interpolate", "lines/a.png", *ends, "-n", "3", "--out", "between", "--model", "model") == 0
    assert made(files / "between") == ["a-1.png", "a-2.png", "a-3.png"]
    assert np.abs(np.asarray(Image.open(files / "between" / "a-1.png")).astype(int) - painted).max() <= 1


def test_the_commands_say_what_failed(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (files / "lines" / "b.png").write_bytes((files / "lines" / "a.png").read_bytes())
    assert command("paint", "lines", "--colours", "flat", "--out", "out", "--model", "model") == 1
    assert "b.png has no colours: there is no picture b in flat" in capsys.readouterr().err
    assert made(files / "out") == ["a.png"]
    assert command("reconstruct", "photos", "--out", "out", "--model", "nowhere") == 2
    assert "no model 'nowhere'" in capsys.readouterr().err


@pytest.mark.parametrize("wrong", [["--sigma", "inf"], ["--sigma", "nan"], ["--blur", "24"], ["--flat-colours", "0"]])
def test_a_setting_that_is_wrong_for_all_photos_is_said_once(
    files: Path, wrong: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert command("reconstruct", "photos", "--out", "out", "--model", "model", *wrong) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"calisketch: {wrong[0].removeprefix('--flat').strip('-')} must be")
    assert said.count("\n") == 1


def test_layers_are_painted_from_without_a_file_renamed(files: Path, photo: np.ndarray) -> None:
    """Also of photos in subfolders, of one name with two endings, and in a folder that is called as a layer is."""
    own = photo[16:80, 16:80]  # of the model's size: what is written is what the model sees
    for name, picture in (("b/a.png", own), ("c.png", own[::-1]), ("c.bmp", own[:, ::-1]), ("edges/a.png", 255 - own)):
        (files / "photos" / name).parent.mkdir(exist_ok=True)
        Image.fromarray(picture).save(files / "photos" / name)
    Image.fromarray(own).save(files / "photos" / "a.png")
    assert command("reconstruct", "photos", "--out", "out", "--model", "model", "--layers") == 0
    layers = made(files / "out" / "colours")
    assert layers == ["a.png", "b/a.png", "c-2.png", "c.png", "edges/a-2.png"]
    assert set(layers) < set(made(files / "out" / "edges"))
    common = ["--out", "painted", "--model", "model", "--page", "no"]
    assert command("paint", "out/edges", "--colours", "out/colours", *common) == 1, (
        "edges/a-2.png is no layer but a painted picture"
    )
    for name in layers:
        one, other = (np.asarray(Image.open(files / folder / name)).astype(int) for folder in ("out", "painted"))
        assert np.abs(one - other).max() <= 1
