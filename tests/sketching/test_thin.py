"""Thin lines: one pixel wide, in the middle, with the drawing's own values."""

from __future__ import annotations

import pytest
import torch

from calisketch.sketching.thin import thinned


def test_a_thick_stroke_becomes_its_middle_line() -> None:
    drawing = torch.zeros(1, 1, 20, 40)
    drawing[..., 8:13, 5:35] = 0.8
    thin = thinned(drawing)
    rows, columns = thin[0, 0].nonzero(as_tuple=True)
    assert set(rows.tolist()) <= {9, 10, 11}, "the middle, to a pixel"
    assert int((thin > 0).sum(2).max()) == 1, "one pixel wide"
    assert len(columns) >= 24
    assert thin.unique().tolist() == pytest.approx([0.0, 0.8])


def test_thin_lines_stay_as_they_are_and_faint_ones_go() -> None:
    drawing = torch.zeros(2, 1, 16, 16)
    drawing[0, 0, 4, :] = 1.0
    drawing[1, 0, 4, :] = 0.3
    thin = thinned(drawing)
    assert torch.equal(thin[0], drawing[0])
    assert not thin[1].any()
    assert torch.equal(thinned(thin), thin)


def test_a_threshold_out_of_range_is_refused() -> None:
    with pytest.raises(ValueError, match="threshold"):
        thinned(torch.zeros(1, 1, 8, 8), 0.0)
