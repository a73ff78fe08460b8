"""A drawing's panes: what each shows, at any strength, by any model; and a sketch from elsewhere on the sheet."""

from __future__ import annotations

import math
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from calisketch import CaliSketch
from calisketch.boundary.images import SketchError
from calisketch.boundary.sheet import Sheets, inks_of
from calisketch.networks import EncoderDecoder
from calisketch.studio.overlay import LEGEND
from calisketch.studio.painter import CANVAS, Painter, Panes, StrengthError, UnknownModelError, on_white, strokes_layer

pytestmark = pytest.mark.usefixtures("one_thread", "no_detector")

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
PAGE = EXAMPLES / "photographed-page.jpg"
SHOWN = ("sketch", "refined", "face", "changes")


class Right(nn.Module):
    """R = S, an eighth of the side to the right."""

    def forward(self, image: Tensor) -> Tensor:
        return torch.roll(image, image.shape[-1] // 8, dims=-1)


class Paint(nn.Module):
    """A face whose red is the paper and whose green is the ink."""

    def forward(self, image: Tensor) -> Tensor:
        return torch.cat([1 - image, image, torch.full_like(image, 0.5)], dim=1)


class Show(nn.Module):
    """A face that is the colours it is given; grey where none are."""

    def __init__(self) -> None:
        super().__init__()
        self.config: dict[str, Any] = {"in_channels": 5, "out_channels": 3}

    def forward(self, image: Tensor) -> Tensor:
        return image[:, 1:4] + 0.5 * (1 - image[:, 4:])


@pytest.fixture(scope="module")
def painter() -> Painter:
    torch.manual_seed(0)
    random = CaliSketch(EncoderDecoder(1, 1, 8, 2), EncoderDecoder(1, 3, 8, 2, head="tanh"), 64)
    return Painter(
        {
            "random": random,
            "right": CaliSketch(Right(), Paint(), 64),
            "without": CaliSketch(None, Paint(), 64),
            "colours": CaliSketch(Right(), Show(), 64),
        }
    )


def strokes() -> Image.Image:
    """Blocks of eight pixels, so that a model of 64 pixels sees them as they are."""
    sheet = np.full((CANVAS, CANVAS), 255, np.uint8)
    sheet[64:448, 128:144] = 0
    sheet[64:80, 128:320] = 0
    sheet[240:256, 128:320] = 0
    return Image.fromarray(sheet)


def colours() -> Image.Image:
    layer = np.zeros((CANVAS, CANVAS, 4), np.uint8)
    layer[256:384, 192:320] = (200, 20, 60, 255)
    return Image.fromarray(layer)


def same(one: Panes, other: Panes) -> bool:
    return all(np.array_equal(getattr(one, name), getattr(other, name)) for name in SHOWN)


@pytest.mark.parametrize("model", ["random", "right", "without", "colours"])
@pytest.mark.parametrize("strength", [0.0, 0.5, 1.0])
def test_all_panes_have_the_sheets_size(painter: Painter, model: str, strength: float) -> None:
    panes = painter.paint(strokes(), model, strength)
    assert panes.sketch.shape == panes.refined.shape == (CANVAS, CANVAS)
    assert panes.face.shape == panes.changes.shape == (CANVAS, CANVAS, 3)
    assert {getattr(panes, name).dtype for name in SHOWN} == {np.dtype(np.uint8)}
    assert 0 < panes.seconds < 60
    np.testing.assert_array_equal(panes.sketch, np.asarray(strokes()))


def test_strength_0_leaves_the_strokes_and_1_replaces_them(painter: Painter) -> None:
    drawn = np.asarray(strokes()).astype(int)
    none, half, full = (painter.paint(strokes(), "right", each).refined.astype(int) for each in (0, 0.5, 1))
    ink = [np.flatnonzero((each < 128).any(0)) for each in (drawn, none, full)]
    assert ink[1][0] == pytest.approx(ink[0][0], abs=4)
    assert ink[2][0] == pytest.approx(ink[0][0] + CANVAS // 8, abs=4)
    assert np.abs(none - drawn).mean() < 4, "but for the resampling to the model's side and back"
    assert np.abs(full - drawn).mean() > 10
    assert np.abs(half - (none + full) / 2).mean() < 1, "but for what the resampling cuts off"


def test_what_changed_is_told_of_the_whole_calibration_at_any_strength(painter: Painter) -> None:
    whole = painter.paint(strokes(), "right", 1).changes
    for strength in (0, 0.35):
        np.testing.assert_array_equal(painter.paint(strokes(), "right", strength).changes, whole)
    shown = {tuple(colour) for colour in whole.reshape(-1, 3).tolist()}
    named = {name: tuple(bytes.fromhex(colour[1:])) for name, colour, _ in LEGEND}
    assert named["removed"] in shown
    assert named["added"] in shown
    assert shown <= {*named.values(), (255, 255, 255)}


def test_a_model_without_an_scn_shows_the_strokes_at_any_strength(painter: Painter) -> None:
    panes = [painter.paint(strokes(), "without", strength) for strength in (0, 0.5, 1)]
    assert same(panes[0], panes[1])
    assert same(panes[0], panes[2])
    assert np.abs(panes[0].refined.astype(int) - panes[0].sketch).mean() < 4
    named = {name: tuple(bytes.fromhex(colour[1:])) for name, colour, _ in LEGEND}
    shown = {tuple(colour) for colour in panes[0].changes.reshape(-1, 3).tolist()}
    assert not shown & {named["added"], named["removed"]}


def test_colours_reach_a_model_that_takes_them_and_no_other(painter: Painter) -> None:
    face = painter.paint(strokes(), "colours", 1, colours()).face
    assert np.abs(face[300:340, 230:280].astype(int) - (200, 20, 60)).max() <= 2
    assert np.abs(painter.paint(strokes(), "colours", 1).face[300:340, 230:280].astype(int) - 128).max() <= 2
    for model in ("random", "without"):
        assert same(painter.paint(strokes(), model, 1, colours()), painter.paint(strokes(), model, 1))


def test_a_call_leaves_nothing_behind(painter: Painter) -> None:
    first = painter.paint(strokes(), "colours", 0.4)
    given = strokes(), colours()
    before = [np.asarray(each).copy() for each in given]
    painter.paint(given[0], "colours", 1, given[1])
    painter.paint(Image.fromarray(255 - np.asarray(strokes())), "random", 0.2)
    assert same(painter.paint(strokes(), "colours", 0.4), first)
    for each, kept in zip(given, before, strict=True):
        np.testing.assert_array_equal(np.asarray(each), kept)


def test_several_at_once_get_their_own_answers(painter: Painter) -> None:
    wanted = {strength: painter.paint(strokes(), "random", strength) for strength in (0, 0.25, 0.5, 0.75, 1)}
    found: dict[float, Panes] = {}

    def ask(strength: float) -> None:
        found[strength] = painter.paint(strokes(), "random", strength)

    threads = [threading.Thread(target=ask, args=(strength,)) for strength in wanted]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(same(found[strength], panes) for strength, panes in wanted.items())


def test_a_model_is_loaded_when_it_is_first_asked_for_and_once(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded: list[Any] = []
    made = CaliSketch(None, Paint(), 64)

    def load(cls: type[CaliSketch], model: Any) -> CaliSketch:
        loaded.append(model)
        return made

    monkeypatch.setattr(CaliSketch, "from_pretrained", classmethod(load))
    painter = Painter({"a": "one", "b": Path("two")})
    assert painter.names == ["a", "b"]
    assert loaded == []
    for _ in range(2):
        painter.paint(strokes(), "b", 1)
    assert painter.model("b") is made
    assert loaded == [Path("two")]


@pytest.mark.parametrize("name", ["other", "", "RANDOM", "../random"])
def test_a_model_that_is_not_offered_is_not_looked_for(painter: Painter, name: str) -> None:
    for ask in (
        lambda: painter.paint(strokes(), name, 1),
        lambda: painter.answer(strokes(), name, 1),
        lambda: painter.imported(strokes(), name),
        lambda: painter.model(name),
    ):
        with pytest.raises(UnknownModelError, match="there are: random, right, without, colours"):
            ask()
    with pytest.raises(ValueError, match="at least one model; got none"):
        Painter({})


@pytest.mark.parametrize("strength", [-0.1, 1.01, math.nan, math.inf, None, "1", True, [0.5]])
def test_a_strength_out_of_range_is_refused(painter: Painter, strength: Any) -> None:
    with pytest.raises(StrengthError, match=r"strength must be a number in \[0, 1\]; got"):
        painter.paint(strokes(), "random", strength)
    with pytest.raises(StrengthError, match=r"strength must be a number in \[0, 1\]; got"):
        painter.answer(strokes(), "random", strength)


def test_a_blank_sheet_is_told_in_words(painter: Painter) -> None:
    with pytest.raises(SketchError):
        painter.paint(Image.new("L", (CANVAS, CANVAS), 255), "random", 1)
    with pytest.raises(SketchError, match="nothing is drawn yet"):
        on_white(Image.new("RGBA", (CANVAS, CANVAS)))
    with pytest.raises(SketchError, match="nothing is drawn yet"):
        on_white(Image.new("RGBA", (CANVAS, CANVAS), (0, 0, 0, 100)))


def test_a_sketch_becomes_a_layer_and_the_layer_the_sketch() -> None:
    grey = np.random.default_rng(0).integers(0, 256, (CANVAS, CANVAS), dtype=np.uint8)
    layer = strokes_layer(Image.fromarray(grey))
    assert layer.mode == "LA"
    np.testing.assert_array_equal(np.asarray(on_white(layer)), grey)


def test_a_photographed_page_comes_onto_the_sheet_where_the_model_reads_it(painter: Painter) -> None:
    with Image.open(PAGE) as photo:
        photo.load()
    sheet = painter.imported(photo, "random")
    assert (sheet.mode, sheet.size) == ("L", (CANVAS, CANVAS))
    (read,) = next(iter(Sheets(photo, CANVAS)))
    ink = inks_of([read])[0, 0].numpy()
    assert np.abs((255 - np.asarray(sheet)) / 255 - ink).max() <= 0.5 / 255 + 1e-6
    assert np.median(np.asarray(sheet)) == 255, "the paper is white"
    assert 0.005 < (np.asarray(sheet) < 128).mean() < 0.3
    # The answer to the photo itself and the panes of the sheet are the same face, once in the page and once in its own.
    panes = painter.paint(sheet, "right", 1)
    _, face = painter.answer(photo, "right", 1)
    assert face.size == photo.size
    ink_of_page, ink_of_sheet = ((np.asarray(each)[..., 1] > 100).any(0).nonzero()[0] for each in (face, panes.face))
    assert (ink_of_page[-1] - ink_of_page[0]) > 0
    assert (ink_of_sheet[-1] - ink_of_sheet[0]) > CANVAS / 4


def test_what_is_imported_stays_where_it_is_when_it_is_painted_again(painter: Painter) -> None:
    with Image.open(EXAMPLES / "woman-bob.png") as picture:
        sheet = painter.imported(picture, "random")
    again = painter.imported(sheet, "random")
    assert np.abs(np.asarray(sheet).astype(int) - np.asarray(again)).mean() < 1


def test_a_program_gets_what_the_library_answers(painter: Painter) -> None:
    with Image.open(EXAMPLES / "woman-bob.png") as picture:
        refined, face = painter.answer(picture, "random", 0.5)
        wanted, drawing = painter.model("random").synthesize(picture, 0.5, return_refined=True)
    assert (refined.mode, face.mode) == ("L", "RGB")
    assert face.size == picture.size
    np.testing.assert_array_equal(np.asarray(face), np.asarray(wanted))
    np.testing.assert_array_equal(np.asarray(refined), np.asarray(drawing.convert("L")))
