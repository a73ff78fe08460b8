"""Figures of calibrated sketches: by hand, and that strokes are taken out where there are some."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from calisketch.evaluation.measures.calibrated import (
    FIGURES,
    LineFigures,
    grouped,
    line_figures,
    means,
    recall_of_taken,
    take_strokes,
)


@pytest.fixture
def lines() -> torch.Tensor:
    """Two horizontal lines in 32 x 32."""
    drawing = torch.zeros(1, 1, 32, 32)
    drawing[..., 8, :] = drawing[..., 24, :] = 1
    return drawing


def test_the_figures_by_hand(lines: torch.Tensor) -> None:
    refined = torch.zeros_like(lines)
    refined[..., 8, :] = 1  # right, to the pixel
    refined[..., 22, :16] = 1  # two pixels off, and half as long
    contour = torch.zeros_like(lines)
    contour[..., :16, :] = 1  # HED has the upper line only
    (found,) = line_figures(refined, lines, contour)
    assert found.ink == pytest.approx(48 / 1024)
    assert found.precision == pytest.approx(32 / 48)
    assert found.recall == pytest.approx(0.5)
    assert found.f1 == pytest.approx(2 * (2 / 3) * 0.5 / (2 / 3 + 0.5))
    assert found.precision_2 == 1
    assert found.recall_2 == pytest.approx((32 + 16) / 64)  # beside its end nothing is 2 pixels near
    assert found.product_recall_2 == 1
    assert found.product_precision_2 == pytest.approx(32 / 48)
    assert set(FIGURES) == set(LineFigures._fields)


def test_outside_of_the_photo_nothing_counts(lines: torch.Tensor) -> None:
    inside = torch.ones_like(lines)
    inside[..., 16:, :] = 0
    refined = lines.clone()
    refined[..., 16:, :] = 1
    (found,) = line_figures(refined, lines, torch.ones_like(lines), inside)
    assert (found.precision, found.recall, found.f1_2) == (1, 1, 1)
    assert found.ink == pytest.approx(32 / 512)


def test_no_lines_no_figure_and_no_ink_no_f1(lines: torch.Tensor) -> None:
    nothing = torch.zeros_like(lines)
    (of_nothing,) = line_figures(lines, nothing, nothing)
    assert math.isnan(of_nothing.recall)
    assert math.isnan(of_nothing.f1_2)
    (empty,) = line_figures(nothing, lines, lines)
    assert math.isnan(empty.precision)
    assert empty.f1 == empty.f1_2 == empty.ink == 0
    both = means([of_nothing, empty])
    assert both["f1_2"] == 0, "the mean of the one that has it"
    assert grouped({"all": [of_nothing, empty]})["all"]["count"] == 2
    assert math.isnan(means([])["ink"])


def test_a_share_of_the_strokes_is_taken_out_and_found_again(lines: torch.Tensor) -> None:
    left, holes = take_strokes(lines[0], 0.2, seed=3)
    gone = 1 - float(left.sum() / lines.sum())
    assert 0.2 <= gone < 0.4
    assert torch.equal(left, lines[0] * (1 - holes))
    again, _ = take_strokes(lines[0], 0.2, seed=3)
    assert torch.equal(left, again)
    other, _ = take_strokes(lines[0], 0.2, seed=4)
    assert not torch.equal(left, other)
    args = (lines, holes[None], lines)
    assert recall_of_taken(lines, *args) == 1
    assert recall_of_taken(left[None], *args)[0] < 0.9, "only what lies beside what was left"
    nothing = recall_of_taken(lines, lines, torch.zeros_like(lines), lines)
    assert np.isnan(nothing).all()
    with pytest.raises(ValueError, match="share"):
        take_strokes(lines[0], 1.0, 0)
