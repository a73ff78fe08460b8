"""What the calibration changed: every pixel of ink in one class, by hand, and in the evaluation's own measure."""

from __future__ import annotations

import itertools
import math

import cv2
import numpy as np
import pytest
import torch

from calisketch.evaluation import precision_recall, strokes_kept
from calisketch.studio import overlay
from calisketch.studio.overlay import LEGEND, changes

CLASSES = ("kept", "moved", "left", "added", "removed")
COLOURS = {name: colour for name, colour, _ in LEGEND}


def drawn(text: str) -> np.ndarray:
    """One letter a pixel: '#' is ink."""
    return np.array([[letter == "#" for letter in line] for line in text.split()], np.float32)


# k kept, m moved, l left, a added, r removed: a shifted stroke, a stroke that is gone, one that is new, one that stays.
WANTED = """
    kk........
    ..........
    ....lm....
    ....lm...a
    .........a
    rr........
    ..........
"""


def by_hand(wanted: str) -> tuple[np.ndarray, np.ndarray]:
    own = wanted.translate(str.maketrans("klrma", "###.."))
    new = wanted.translate(str.maketrans("kmalr", "###.."))
    return drawn(own), drawn(new)


def test_every_pixel_is_in_the_class_that_it_was_drawn_for() -> None:
    found = changes(*by_hand(WANTED))
    for name in CLASSES:
        expected = drawn(WANTED.translate({ord(letter): "." for letter in "kmlar"} | {ord(name[0]): "#"})) == 1
        np.testing.assert_array_equal(getattr(found, name), expected, err_msg=name)
    assert (found.kept_share, found.moved_share, found.removed_share) == (2 / 6, 2 / 6, 2 / 6)
    assert found.strokes_kept == 4 / 6
    assert found.added_share == 2 / 6


def test_a_pixel_in_its_classs_colour_is_all_that_is_not_white() -> None:
    picture = changes(*by_hand(WANTED)).picture()
    assert picture.shape == (7, 10, 3)
    assert picture.dtype == np.uint8
    letters = {name[0]: tuple(bytes.fromhex(colour[1:])) for name, colour in COLOURS.items()} | {".": (255, 255, 255)}
    for row, line in enumerate(WANTED.split()):
        for column, letter in enumerate(line):
            assert tuple(picture[row, column]) == letters[letter]


@pytest.mark.parametrize("tolerance", [0, 1, 1.5, 2, math.sqrt(5), 3.7, 8])
def test_shares_are_the_evaluations(tolerance: float) -> None:
    random = np.random.default_rng(int(tolerance * 10))
    sketch, refined = ((random.random((40, 33)) > level).astype(np.float32) * 0.7 for level in (0.97, 0.98))
    found = changes(sketch, refined, tolerance)
    own, new = torch.from_numpy(sketch)[None, None], torch.from_numpy(refined)[None, None]
    assert found.strokes_kept == pytest.approx(strokes_kept(own, new, tolerance=tolerance)[0])
    assert found.added_share == pytest.approx(1 - precision_recall(new, own, tolerance=tolerance).precision[0])
    assert found.kept_share is not None
    assert found.kept_share + found.moved_share + found.removed_share == pytest.approx(1)
    stack = np.stack([getattr(found, name) for name in CLASSES])
    np.testing.assert_array_equal(stack.sum(0), (sketch >= 0.5) | (refined >= 0.5))  # exactly one class each


def test_distances_are_from_centre_to_centre() -> None:
    point = np.zeros((11, 11), np.float32)
    point[5, 5] = 1
    found = changes(point, np.ones_like(point))
    across, down = np.meshgrid(np.arange(11) - 5, np.arange(11) - 5)
    disc = across**2 + down**2 <= 4
    np.testing.assert_array_equal(found.moved | found.kept, disc)
    np.testing.assert_array_equal(found.added, ~disc)
    assert found.added_share == 108 / 121


def test_classes_swap_when_the_drawings_do() -> None:
    sketch, refined = by_hand(WANTED)
    there, back = changes(sketch, refined), changes(refined, sketch)
    for one, other in (("kept", "kept"), ("moved", "left"), ("added", "removed"), ("left", "moved")):
        np.testing.assert_array_equal(getattr(there, one), getattr(back, other))


def test_the_same_drawing_is_kept_whole_and_half_is_ink() -> None:
    sketch = np.array([[0.49, 0.5], [1, 0]], np.float32)
    found = changes(sketch, sketch)
    np.testing.assert_array_equal(found.kept, [[False, True], [True, False]])
    assert (found.kept_share, found.removed_share, found.added_share) == (1, 0, 0)


def test_without_ink_there_is_no_share_and_nothing_is_near() -> None:
    empty, line = np.zeros((8, 8), np.float32), np.eye(8, dtype=np.float32)
    neither = changes(empty, empty)
    assert [neither.kept_share, neither.strokes_kept, neither.removed_share, neither.added_share] == [None] * 4
    assert (neither.picture() == 255).all()
    only_new = changes(empty, line)
    assert (only_new.moved_share, only_new.added_share) == (None, 1)
    np.testing.assert_array_equal(only_new.added, line == 1)
    only_own = changes(line, empty, 1e12)
    assert (only_own.removed_share, only_own.kept_share, only_own.added_share) == (1, 0, None)


@pytest.mark.parametrize(
    ("sketch", "refined", "tolerance", "said"),
    [
        (np.zeros((4, 4)), np.zeros((4, 5)), 2, r"same shape; got \(4, 4\) and \(4, 5\)"),
        (np.zeros((1, 4, 4)), np.zeros((4, 4)), 2, r"sketch must be \(H, W\)"),
        (np.zeros((4, 4)), np.zeros((0, 4)), 2, "refined must be .* not empty"),
        (np.zeros((4, 4), np.uint8), np.zeros((4, 4)), 2, "got uint8. Divide by 255"),
        ([[0.0]], np.zeros((1, 1)), 2, "got list"),
        (np.zeros((4, 4)), np.full((4, 4), np.nan), 2, r"refined must be in \[0, 1\]"),
        (np.zeros((4, 4)), np.full((4, 4), 1.5), 2, "got 1.5 to 1.5"),
        (np.zeros((4, 4)), np.zeros((4, 4)), -1, "tolerance"),
        (np.zeros((4, 4)), np.zeros((4, 4)), math.nan, "tolerance"),
    ],
)
def test_what_cannot_be_compared_is_refused(sketch: object, refined: object, tolerance: float, said: str) -> None:
    with pytest.raises((TypeError, ValueError), match=said):
        changes(sketch, refined, tolerance)  # type: ignore[arg-type]


# Machado, Oliveira and Fernandes 2009, severity 1, on linear RGB.
_BLIND = {
    "protan": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deutan": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
}


@pytest.mark.parametrize("kind", sorted(_BLIND))
def test_no_two_colours_look_alike_to_red_green_blind_people(kind: str) -> None:
    rgb = np.array([list(bytes.fromhex(colour[1:])) for colour in ["#FFFFFF", *COLOURS.values()]], np.float32) / 255
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    seen = (linear @ np.array(_BLIND[kind]).T).clip(0, 1).astype(np.float32)
    lab = cv2.cvtColor(seen[None], cv2.COLOR_LRGB2Lab)[0]
    assert min(np.linalg.norm(one - other) for one, other in itertools.combinations(lab, 2)) > 15


def test_the_legend_names_every_class_once() -> None:
    assert sorted(name for name, _, _ in LEGEND) == sorted(CLASSES)
    assert (COLOURS["added"], COLOURS["removed"], COLOURS["moved"]) == ("#009E73", "#D55E00", "#0072B2")
    assert all(len({entry[part] for entry in LEGEND}) == len(LEGEND) for part in (0, 1, 2))
    assert COLOURS["kept"] == overlay.KEPT
