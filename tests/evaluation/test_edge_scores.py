"""Precision and recall of line maps: on maps of 5 x 5 by hand, and against SciPy's distance transform."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.ndimage import distance_transform_edt

from calisketch.evaluation import edge_counts, precision_recall, strokes_kept

# Two columns: the drawing has column 1 whole, and one stray pixel; the target has column 2, and column 1's upper part.
DRAWN = torch.tensor(
    [[0, 1, 0, 0, 0], [0, 1, 0, 0, 0], [0, 1, 0, 0, 0], [0, 1, 0, 0, 0], [0, 1, 0, 0, 1]], dtype=torch.float32
)[None, None]
WANTED = torch.tensor(
    [[0, 1, 1, 0, 0], [0, 1, 1, 0, 0], [0, 0, 1, 0, 0], [0, 0, 0, 0, 0], [0, 0, 0, 0, 0]], dtype=torch.float32
)[None, None]


@pytest.mark.parametrize(
    ("tolerance", "precision", "recall"),
    [
        (0, 2 / 6, 2 / 5),  # rows 0 and 1 of column 1
        (1, 3 / 6, 5 / 5),  # (2, 1) beside (2, 2); all of column 2 is beside column 1
        (1.5, 4 / 6, 5 / 5),  # (3, 1) is a diagonal step, 1.41, from (2, 2)
        (2, 4 / 6, 5 / 5),  # (4, 1) is 2.24 from (2, 2): outside the disc, inside a 5 x 5 square
        (2.24, 5 / 6, 5 / 5),
        (3, 6 / 6, 5 / 5),  # the stray (4, 4) is 2.83 from (2, 2)
    ],
)
def test_precision_and_recall_by_hand(tolerance: float, precision: float, recall: float) -> None:
    got = precision_recall(DRAWN, WANTED, tolerance=tolerance)
    assert got.precision == pytest.approx([precision])
    assert got.recall == pytest.approx([recall])


@pytest.mark.parametrize("tolerance", [0, 1, 2, 3.7])
def test_nearness_is_scipys_euclidean_distance(tolerance: float, generator: torch.Generator) -> None:
    refined, target = (torch.rand(2, 6, 1, 40, 33, generator=generator) ** 3).unbind()
    counts = edge_counts(refined, target, threshold=0.6, tolerance=tolerance)
    for number in range(len(refined)):
        drawn, wanted = refined[number, 0].numpy() >= 0.6, target[number, 0].numpy() >= 0.6
        near_wanted, near_drawn = (distance_transform_edt(~ink) <= tolerance for ink in (wanted, drawn))
        expected = [(drawn & near_wanted).sum(), drawn.sum(), (wanted & near_drawn).sum(), wanted.sum()]
        assert [part[number] for part in counts] == expected


def test_equal_maps_score_1_and_maps_apart_score_0() -> None:
    assert precision_recall(DRAWN, DRAWN) == (pytest.approx([1]), pytest.approx([1]))
    apart = torch.zeros(1, 1, 9, 9)
    other = apart.clone()
    apart[..., 0, 0], other[..., 8, 8] = 1, 1
    assert precision_recall(apart, other, tolerance=2) == (pytest.approx([0]), pytest.approx([0]))


@pytest.mark.parametrize("tolerance", [0, 2])
def test_a_map_without_ink_has_no_score_rather_than_a_good_one(tolerance: float) -> None:
    empty = torch.zeros_like(DRAWN)
    nothing_drawn = precision_recall(empty, WANTED, tolerance=tolerance)
    assert np.isnan(nothing_drawn.precision).all()
    assert (nothing_drawn.recall == 0).all()
    nothing_wanted = precision_recall(DRAWN, empty, tolerance=tolerance)
    assert (nothing_wanted.precision == 0).all()
    assert np.isnan(nothing_wanted.recall).all()
    assert np.isnan(edge_counts(empty, empty).pooled()).all()
    assert np.isnan(strokes_kept(empty, DRAWN)).all()


def test_pooled_scores_are_over_all_pixels_and_pass_over_empty_images() -> None:
    one = torch.zeros_like(DRAWN)
    one[..., 4, 4] = 1
    counts = edge_counts(torch.cat([DRAWN, torch.zeros_like(DRAWN), one]), torch.cat([WANTED, WANTED, one]))
    assert counts.pooled() == (pytest.approx((2 + 0 + 1) / (6 + 0 + 1)), pytest.approx((2 + 0 + 1) / (5 + 5 + 1)))
    assert counts.per_image().precision == pytest.approx([2 / 6, np.nan, 1], nan_ok=True)


def test_ink_is_what_reaches_the_threshold() -> None:
    drawing = torch.tensor([[0.49, 0.5, 0.51, 1.0]]).view(1, 1, 2, 2)
    assert edge_counts(drawing, drawing).drawn == 3
    assert edge_counts(drawing, drawing, threshold=1.0).drawn == 1


def test_strokes_kept_is_the_share_of_the_persons_own_ink() -> None:
    assert strokes_kept(DRAWN, WANTED, tolerance=0) == pytest.approx([2 / 6])
    assert strokes_kept(DRAWN, WANTED) == pytest.approx([4 / 6])
    assert strokes_kept(DRAWN, torch.ones_like(DRAWN)) == pytest.approx([1])
    assert strokes_kept(DRAWN, torch.zeros_like(DRAWN)) == pytest.approx([0])


def test_what_is_not_two_line_drawings_is_refused() -> None:
    with pytest.raises(ValueError, match="refined must have 1 channels"):
        precision_recall(torch.zeros(1, 3, 5, 5), WANTED)
    with pytest.raises(ValueError, match="same shape"):
        precision_recall(DRAWN, torch.zeros(1, 1, 6, 6))
    with pytest.raises(ValueError, match="sketch and refined must have the same shape"):
        strokes_kept(torch.zeros(1, 1, 6, 6), DRAWN)
    with pytest.raises(ValueError, match="tolerance must be at least 0"):
        precision_recall(DRAWN, WANTED, tolerance=-1)
    with pytest.raises(ValueError, match="threshold must be above 0"):
        precision_recall(DRAWN, WANTED, threshold=0)
