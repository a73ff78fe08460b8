"""Canonical alignment: geometry, the ink box, the detector, and the way back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from calisketch.boundary import alignment, placement
from calisketch.boundary.alignment import invert, similarity_from_eyes, warp
from calisketch.boundary.images import read
from calisketch.boundary.ink import to_ink
from calisketch.boundary.placement import place

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
NAMES = sorted(path.stem for path in EXAMPLES.glob("*.png"))


@pytest.fixture
def no_detector(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alignment, "detector_available", lambda: False)


def ink_of(name: str) -> np.ndarray:
    return to_ink(read(EXAMPLES / f"{name}.png")).ink


def on_sheet(ink: np.ndarray, height: int, width: int, top: int, left: int) -> np.ndarray:
    sheet = np.zeros((height, width), np.float32)
    sheet[top : top + ink.shape[0], left : left + ink.shape[1]] = ink
    return sheet


def carried(matrix: np.ndarray, point: tuple[float, float]) -> np.ndarray:
    return matrix[:, :2] @ np.array(point) + matrix[:, 2]


def test_the_similarity_carries_the_eyes_to_their_places_and_keeps_angles() -> None:
    matrix = similarity_from_eyes((310.0, 205.0), (402.0, 260.0), 128)
    np.testing.assert_allclose(carried(matrix, (310, 205)), (48, 65.5))
    np.testing.assert_allclose(carried(matrix, (402, 260)), (80, 65.5))
    linear = matrix[:, :2]
    np.testing.assert_allclose(linear @ linear.T, np.eye(2) * np.linalg.det(linear), atol=1e-12)
    np.testing.assert_allclose(carried(invert(matrix), (48, 65.5)), (310, 205))
    with pytest.raises(ValueError, match="two different points"):
        similarity_from_eyes((1, 1), (1, 1))


def test_warp_by_the_identity_changes_nothing_and_keeps_the_dtype() -> None:
    random = np.random.default_rng(0)
    identity = np.array([[1.0, 0, 0], [0, 1, 0]])
    for image in (random.integers(0, 256, (40, 50, 3), np.uint8), random.random((40, 50), np.float32)):
        same = warp(image, identity, (40, 50), border=0)
        assert same.dtype == image.dtype
        np.testing.assert_allclose(same, image, atol=1e-6)


def test_a_shrinking_warp_averages_areas() -> None:
    lines = np.zeros((256, 256), np.float32)
    lines[::8] = 1
    quarter = np.array([[0.25, 0, 0.125 - 0.5], [0, 0.25, 0.125 - 0.5]])
    small = warp(lines, quarter, 64, border=0)
    np.testing.assert_allclose(small[2:-2].mean(), 1 / 8, atol=1e-3)
    assert small.shape == (64, 64)
    with pytest.raises(ValueError, match="border must be"):
        warp(lines, quarter, 64, border="wrap")


@pytest.mark.parametrize("name", NAMES)
def test_a_canonical_drawing_is_only_scaled(no_detector: None, name: str) -> None:
    assert place(ink_of(name), 128).found_by == "frame"


def test_a_drawing_of_the_models_own_size_is_passed_through_untouched(no_detector: None) -> None:
    ink = ink_of("woman-bob")
    placed = place(ink, 512)
    assert placed.exact
    assert placed.bring_in(ink) is ink
    assert placed.drawing_back(ink, ink) is ink


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("height", "width", "top", "left"), [(1000, 1400, 300, 700), (1300, 900, 60, 200)])
def test_the_ink_box_finds_a_head_anywhere_on_a_sheet(
    no_detector: None, name: str, height: int, width: int, top: int, left: int
) -> None:
    placed = place(on_sheet(ink_of(name), height, width, top, left), 256)
    assert placed.found_by == "ink"
    for eye, goal in zip(alignment.CANONICAL_EYES, alignment.CANONICAL_EYES, strict=True):
        found = carried(placed.matrix, (left + 2 * eye[0], top + 2 * eye[1]))
        assert np.abs(found - goal).max() < 20, f"{name}: eye at {found}, expected about {goal}"


@pytest.mark.parametrize("name", ["woman-long-hair", "man-glasses", "man-few-lines"])
@pytest.mark.parametrize("degrees", [0, 15])
def test_the_detector_brings_the_eyes_to_their_places(shared_weights: Path, name: str, degrees: int) -> None:
    drawing = Image.open(EXAMPLES / f"{name}.png").rotate(degrees, fillcolor=255, resample=Image.Resampling.BICUBIC)
    sheet = Image.new("L", (1000, 1200), 255)
    sheet.paste(drawing, (300, 400))
    placed = place(to_ink(read(sheet)).ink, 256)
    assert placed.found_by == "eyes"
    angle = np.deg2rad(degrees)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    for eye in alignment.CANONICAL_EYES:
        on_drawing = turn @ (np.array(eye) * 2 - 256) + 256
        found = carried(placed.matrix, (300 + on_drawing[0], 400 + on_drawing[1]))
        assert np.abs(found - eye).max() < 10


def test_nonsense_from_the_detector_is_not_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    ink = on_sheet(ink_of("woman-bob"), 1000, 1400, 300, 700)
    monkeypatch.setattr(alignment, "detector_available", lambda: True)
    for eyes in (
        ((10.0, 10.0), (60.0, 10.0)),
        ((900.0, 560.0), (905.0, 561.0)),
        ((900.0, 400.0), (950.0, 700.0)),
        None,
    ):
        monkeypatch.setattr(placement, "_detected", lambda rgb, eyes=eyes: eyes)
        assert place(ink, 256).found_by == "ink"


@pytest.mark.parametrize("shape", [(512, 512), (400, 900), (900, 300)])
def test_there_and_back_keeps_the_drawing_in_its_place(no_detector: None, shape: tuple[int, int]) -> None:
    height, width = shape
    side = min(shape) - 20
    ink = np.asarray(Image.fromarray(ink_of("man-fringe")).resize((side, side)), np.float32).clip(0, 1)
    sheet = on_sheet(ink, height, width, (height - side) // 2, (width - side) // 2)
    for align in ("auto", False):
        placed = place(sheet, 512, align)
        back = placed.drawing_back(placed.bring_in(sheet), np.zeros_like(sheet))
        assert back.shape == shape
        together = np.corrcoef(back.ravel(), sheet.ravel())[0, 1]
        assert together > 0.9, f"{align}: {together}"


@pytest.mark.parametrize("name", NAMES)
def test_a_caption_beside_the_drawing_does_not_move_its_place(no_detector: None, name: str) -> None:
    plain = np.zeros((700, 560), np.float32)
    plain[150:662, 24:536] = ink_of(name)
    captioned = plain.copy()
    captioned[40:48, 80:480:3] = 1  # a line of writing above
    captioned[690:696, 270:290:2] = 1  # a page number below
    without, with_caption = place(plain, 256), place(captioned, 256)
    assert without.found_by == with_caption.found_by == "ink"
    assert np.abs(without.matrix - with_caption.matrix).max() < 1


def test_without_alignment_every_shape_fits_whole_into_the_square() -> None:
    for height, width in ((100, 400), (400, 100), (1, 300), (777, 512)):
        placed = place(np.ones((height, width), np.float32), 64, align=False)
        assert placed.found_by == "frame"
        corners = [carried(placed.matrix, corner) for corner in ((-0.5, -0.5), (width - 0.5, height - 0.5))]
        assert np.min(corners) >= -0.5 - 1e-9
        assert np.max(corners) <= 63.5 + 1e-9
        assert np.ptp([corner[int(height > width)] for corner in corners]) == pytest.approx(64)


def test_thin_lines_stay_visible_when_a_large_sheet_is_shrunk() -> None:
    sheet = np.zeros((2048, 2048), np.float32)
    sheet[500:1500, 1000:1002] = 1
    placed = place(sheet, 128, align=False).bring_in(sheet)
    assert placed.max() > 0.7


def test_a_wrong_align_is_refused() -> None:
    with pytest.raises(ValueError, match="align must be"):
        place(np.ones((64, 64), np.float32), 64, align="eyes")  # type: ignore[arg-type]
