"""Reading what people hand in, and answering in kind."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from calisketch.boundary import images
from calisketch.boundary import ink as ink_module
from calisketch.boundary.answers import drawing_in_kind, face_in_kind
from calisketch.boundary.images import SketchError, flatten, read
from calisketch.boundary.ink import clean_page, detect_polarity, paper_ground, to_ink


@pytest.fixture
def drawing() -> np.ndarray:
    """(64, 64) uint8, black strokes on white."""
    sheet = np.full((64, 64), 255, np.uint8)
    sheet[10:54, 20] = sheet[10:54, 44] = sheet[30, 12:52] = 0
    return sheet


EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


def ink_of(given: object, **options: object) -> np.ndarray:
    return to_ink(read(given), **options).ink  # type: ignore[arg-type]


def test_every_kind_of_the_same_drawing_is_the_same_ink(drawing: np.ndarray, tmp_path: Path) -> None:
    expected = 1 - drawing.astype(np.float32) / 255
    Image.fromarray(drawing).save(tmp_path / "drawing.png")
    Image.fromarray(drawing).convert("P").save(tmp_path / "palette.png")
    Image.fromarray(drawing.astype(np.uint16) * 257).save(tmp_path / "sixteen.png")
    rgb = np.repeat(drawing[..., None], 3, axis=2)
    kinds = [
        tmp_path / "drawing.png",
        str(tmp_path / "palette.png"),
        tmp_path / "sixteen.png",
        Image.fromarray(drawing),
        Image.fromarray(drawing).convert("1"),
        Image.fromarray(drawing).convert("I"),
        Image.fromarray(rgb).convert("CMYK"),
        Image.fromarray(drawing.astype(np.float32) / 255),
        drawing,
        drawing[..., None],
        rgb,
        drawing.astype(np.uint16) * 257,
        drawing.astype(np.float64) / 255,
        torch.from_numpy(drawing),
        torch.from_numpy(drawing)[None].float() / 255,
        torch.from_numpy(rgb).permute(2, 0, 1).half() / 255,
    ]
    for kind in kinds:
        np.testing.assert_allclose(ink_of(kind), expected, atol=2e-3, err_msg=str(type(kind)))


def test_colour_counts_by_its_luma() -> None:
    pure = np.zeros((16, 16, 3), np.uint8)
    pure[..., 1] = 255
    assert read(pure).luma[0, 0] == pytest.approx(0.587, abs=1e-3)
    assert read(Image.fromarray(pure)).luma[0, 0] == pytest.approx(0.587, abs=3e-3)


@pytest.mark.parametrize("orientation", [3, 6, 8])
def test_a_file_is_read_upright(drawing: np.ndarray, tmp_path: Path, orientation: int) -> None:
    turned = {3: drawing[::-1, ::-1], 6: np.rot90(drawing), 8: np.rot90(drawing, -1)}[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(np.ascontiguousarray(turned)).save(tmp_path / "turned.png", exif=exif)
    assert np.array_equal(read(tmp_path / "turned.png").luma, drawing.astype(np.float32) / 255)


def with_alpha(colour: int, alpha: np.ndarray) -> np.ndarray:
    return np.dstack([np.full((*alpha.shape, 3), colour, np.uint8), alpha])


@pytest.mark.parametrize(("colour", "polarity"), [(0, "dark_on_light"), (255, "light_on_dark")])
def test_strokes_on_a_transparent_ground_are_the_ink_and_stay_strokes(
    drawing: np.ndarray, colour: int, polarity: str
) -> None:
    sketch = read(Image.fromarray(with_alpha(colour, 255 - drawing)))
    ink = to_ink(sketch)
    assert ink.polarity == polarity
    np.testing.assert_allclose(ink.ink, 1 - drawing / 255, atol=1e-6)
    answer = drawing_in_kind(sketch, ink.ink, ink.polarity)
    assert answer.mode == "LA"
    assert np.array_equal(np.asarray(answer)[..., 1], 255 - drawing)
    assert (np.asarray(answer)[..., 0] == colour).all()


def test_lines_rubbed_out_of_a_sheet_are_the_ink(drawing: np.ndarray) -> None:
    rubbed = with_alpha(255, drawing)
    ink = to_ink(read(rubbed))
    np.testing.assert_allclose(ink.ink, 1 - drawing / 255, atol=1e-6)
    answer = drawing_in_kind(read(rubbed), ink.ink, ink.polarity)
    assert np.array_equal(answer, rubbed)


def test_a_sheet_with_a_transparent_rim_is_read_on_its_own_paper(drawing: np.ndarray) -> None:
    alpha = np.full((64, 64), 255, np.uint8)
    alpha[:4] = 0
    sketch = read(np.dstack([drawing, drawing, drawing, alpha]))
    np.testing.assert_allclose(to_ink(sketch).ink, 1 - drawing / 255, atol=1e-6)
    assert np.array_equal(drawing_in_kind(sketch, to_ink(sketch).ink, "dark_on_light")[..., 3], alpha)


def test_answers_are_of_the_kind_that_was_handed_in(drawing: np.ndarray) -> None:
    ink = 1 - drawing.astype(np.float32) / 255
    face = np.random.default_rng(0).random((64, 64, 3), np.float32)
    for given in (drawing, drawing[..., None], np.repeat(drawing[..., None], 3, 2), drawing.astype(np.float64) / 255):
        sketch = read(given)
        answer = drawing_in_kind(sketch, ink, "dark_on_light")
        assert answer.dtype == given.dtype
        np.testing.assert_allclose(answer, given, atol=1e-6)
        painted = face_in_kind(sketch.kind, face)
        assert painted.dtype == given.dtype
        assert painted.shape == (64, 64, 3)
    tensor = torch.from_numpy(drawing)[None].double() / 255
    answer = drawing_in_kind(read(tensor), ink, "dark_on_light")
    assert answer.dtype == torch.float64
    torch.testing.assert_close(answer, tensor, atol=1e-6, rtol=0)
    assert face_in_kind(read(tensor).kind, face).shape == (3, 64, 64)
    assert face_in_kind(read(Image.fromarray(drawing)).kind, face).mode == "RGB"


def test_lists_and_batches_are_taken_apart_and_put_together_again(drawing: np.ndarray) -> None:
    batch = torch.arange(6.0).reshape(6, 1, 1, 1).expand(6, 1, 16, 16)
    items, rebuild = flatten([drawing, batch[:2], [batch[2], batch[3]]], "sketch")
    assert [name for _, name in items] == ["sketch[0]", "sketch[1][0]", "sketch[1][1]", "sketch[2][0]", "sketch[2][1]"]
    again = rebuild([item for item, _ in items])
    assert again[0] is drawing
    assert torch.equal(again[1], batch[:2])
    assert torch.equal(again[2][1], batch[3])


def test_what_makes_no_sketch_is_refused_with_the_remedy(drawing: np.ndarray, tmp_path: Path) -> None:
    (tmp_path / "words.png").write_text("no image")
    Image.fromarray(drawing).save(tmp_path / "whole.png")
    (tmp_path / "cut.png").write_bytes((tmp_path / "whole.png").read_bytes()[:90])
    holey = drawing.astype(np.float32) / 255
    holey[3, 3] = np.nan
    refused = {
        "not an image": tmp_path / "words.png",
        "is cut short": tmp_path / "cut.png",
        "is a folder": tmp_path,
        "1 x 1": np.zeros((1, 1), np.uint8),
        "NaN": holey,
        "Divide by 255": drawing.astype(np.float32),
        r"\(sketch \+ 1\) / 2": drawing.astype(np.float32) / 127.5 - 1,
        "transpose": np.zeros((3, 64, 64), np.uint8),
        "list\\(array\\)": np.zeros((2, 64, 64, 3), np.uint8),
        "permute": torch.zeros(64, 64, 3),
        "int64": np.zeros((64, 64), np.int64),
        "got dict": {},
        "got bytes": b"abc",
    }
    for message, given in refused.items():
        with pytest.raises(SketchError, match=message):
            read(given)
    with pytest.raises(SketchError, match="is cut short"):
        read(Image.open(tmp_path / "cut.png"))
    with pytest.raises(FileNotFoundError, match="no such sketch"):
        read(tmp_path / "missing.png")
    with pytest.raises(SketchError, match="empty list"):
        flatten([])
    with pytest.raises(SketchError, match="empty batch"):
        flatten(torch.zeros(0, 1, 64, 64))
    with pytest.raises(ValueError, match="polarity must be"):
        read(drawing, polarity="inverted")  # type: ignore[arg-type]


def test_a_decompression_bomb_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.new("L", (200, 200), 255).save(tmp_path / "large.png")
    monkeypatch.setattr(images, "LARGEST_SKETCH", 1000)
    with pytest.raises(SketchError, match="has 200 x 200 pixels"):
        read(tmp_path / "large.png")


@pytest.mark.parametrize("tone", [0, 128, 255])
def test_a_blank_page_is_refused(tone: int) -> None:
    with pytest.raises(SketchError, match="blank page"):
        ink_of(np.full((64, 64), tone, np.uint8))


def test_a_speck_is_no_drawing() -> None:
    page = np.full((128, 128), 255, np.uint8)
    page[5:8, 5:8] = 0
    with pytest.raises(SketchError, match="blank page"):
        ink_of(page)
    page[40, 20:100] = 0
    assert ink_of(page).max() == 1


@pytest.mark.parametrize("fall", [0.0, 0.3, 0.5])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_blank_photographed_page_is_refused(seed: int, fall: float) -> None:
    random = np.random.default_rng(seed)
    light = 0.4 + fall * np.mgrid[0:1:200j, 0:1:200j][1]
    with pytest.raises(SketchError, match="blank page"):
        ink_of(np.clip(light + random.normal(0, 0.01, (200, 200)), 0, 1))


# --- polarity and paper


@pytest.mark.parametrize("name", ["woman-long-hair", "man-few-lines", "man-fringe"])
def test_the_reverse_of_a_drawing_is_the_same_ink(name: str) -> None:
    luma = read(EXAMPLES / f"{name}.png").luma
    assert detect_polarity(luma) == "dark_on_light"
    assert detect_polarity(1 - luma) == "light_on_dark"
    np.testing.assert_allclose(ink_of(1 - luma), ink_of(luma), atol=1e-6)


def test_polarity_is_told_on_grey_paper_in_uneven_light_and_can_be_forced() -> None:
    luma = read(EXAMPLES / "photographed-page.jpg").luma
    assert detect_polarity(luma) == "dark_on_light"
    assert detect_polarity(1 - luma) == "light_on_dark"
    assert to_ink(read(luma), "light_on_dark", False).ink[0, 0] == pytest.approx(luma[0, 0])


def test_a_clean_drawing_is_left_as_it_is() -> None:
    for path in EXAMPLES.glob("*.png"):
        sketch = read(path)
        ink = to_ink(sketch)
        assert not ink.cleaned
        assert np.array_equal(ink.ink, 1 - sketch.luma)


def test_a_sheet_that_is_told_to_be_no_page_is_not_searched_for_its_paper(monkeypatch: pytest.MonkeyPatch) -> None:
    def searched(luma: object) -> None:
        raise AssertionError("it takes as long as a network")

    monkeypatch.setattr(ink_module, "paper_ground", searched)
    sketch = read(EXAMPLES / "woman-bob.png")
    assert np.array_equal(to_ink(sketch, page=False).ink, 1 - sketch.luma)
    with pytest.raises(AssertionError, match="takes as long"):
        to_ink(sketch)


def test_a_photographed_page_becomes_clean_lines_as_thin_as_they_were() -> None:
    """Faint pencil on grey, unevenly lit paper against the same drawing in ink, pixel for pixel in the same place."""
    random = np.random.default_rng(0)
    ink = 1 - read(EXAMPLES / "woman-tied-hair.png").luma
    rows, columns = np.mgrid[0 : 1 : ink.shape[0] * 1j, 0 : 1 : ink.shape[1] * 1j]
    light = 0.85 - 0.3 * columns - 0.15 * rows
    page = (light * (1 - 0.3 * ink) + random.normal(0, 0.01, ink.shape)).clip(0, 1).astype(np.float32)
    got = to_ink(read(page))
    assert got.cleaned
    assert got.polarity == "dark_on_light"
    drawn, bare = ink > 0.9, ink == 0
    assert got.ink[drawn].mean() > 0.9, "faint pencil comes to full ink"
    assert got.ink[bare].mean() < 0.01, "paper goes"
    assert (got.ink[bare] > 0.25).mean() < 0.003
    assert (got.ink > 0.5).sum() == pytest.approx((ink > 0.5).sum(), rel=0.06), "lines are no wider"


def test_filled_hair_stays_dark_on_a_photographed_page() -> None:
    luma = np.full((256, 256), 0.7, np.float32)
    luma[20:100, 60:200] = 0.1
    luma[150:153, 90:170] = 0.3
    ink = clean_page(luma, paper_ground(luma))
    assert ink is not None
    assert ink[40:80, 90:170].min() > 0.9
    assert ink[200:].max() == 0


def test_files_in_lists_images_only_and_in_order(tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    for name in ("b.PNG", "a.jpg", "notes.txt", ".hidden.png", "below/c.webp"):
        (tmp_path / name).write_bytes(b"")
    assert [path.name for path in images.files_in(tmp_path)] == ["a.jpg", "b.PNG", "c.webp"]
