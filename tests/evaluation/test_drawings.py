"""Figures about drawings: PSNR where a feature lies, and F1 of strokes, against numbers made by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from calisketch.evaluation.measures.identity import FaceIdentity
from calisketch.evaluation.measures.pixel import psnr
from calisketch.evaluation.running.drawings import AsDrawn, InkShare, LikenessToPhoto, RegionPSNR, StrokesF1
from calisketch.sketching import feature_region


def test_region_psnr_sees_the_region_and_nothing_else() -> None:
    photo = torch.full((2, 3, 64, 64), 0.4)
    inside = feature_region(["eyes"], (64, 64))[0, 0] > 0
    made = torch.where(inside, photo + 10 / 255, torch.rand(2, 3, 64, 64))
    figure = RegionPSNR(["eyes"])
    values = figure({"photo": photo}, made)
    assert values.tolist() == pytest.approx([10 * math.log10(255**2 / 100)] * 2, rel=1e-4)
    assert float(figure({"photo": photo}, photo)[0]) == float("inf")
    everywhere = photo + 10 / 255
    assert float(figure({"photo": photo}, everywhere)[0]) == pytest.approx(psnr(photo, everywhere)[0], rel=1e-4)
    assert figure.higher_is_better
    assert "inside" in figure.says
    with pytest.raises(ValueError, match="parts must be some of"):
        RegionPSNR(["ear"])


def test_strokes_f1_forgives_a_pixel_and_counts_ink_on_white() -> None:
    artist = torch.zeros(2, 1, 16, 16)
    artist[:, :, 8] = 1
    beside = artist.roll(1, 2)
    made = (1 - beside).expand(-1, 3, -1, -1)
    assert StrokesF1()({"artist": artist}, made).tolist() == pytest.approx([1.0, 1.0])
    assert StrokesF1(tolerance=0)({"artist": artist}, made).tolist() == [0.0, 0.0]
    half = beside.clone()
    half[..., :8] = 0  # all that is drawn is right, half of what is wanted is there (and a pixel more in reach)
    expected = 2 * 1 * (9 / 16) / (1 + 9 / 16)
    assert float(StrokesF1()({"artist": artist}, (1 - half).expand(-1, 3, -1, -1))[0]) == pytest.approx(expected)
    assert torch.isnan(StrokesF1()({"artist": artist}, torch.ones(2, 3, 16, 16))).all(), "no ink, no figure"


def test_a_sketch_is_its_own_picture() -> None:
    sketch = torch.rand(2, 1, 8, 8)
    assert torch.equal(AsDrawn()({"sketch": sketch}), sketch)


def test_ink_is_the_share_of_black() -> None:
    made = torch.ones(2, 3, 8, 8)
    made[0, :, :2] = 0.0
    made[1] = 0.5
    assert InkShare()({}, made).tolist() == [0.25, 0.5]


def test_likeness_is_the_cosine_of_drawing_and_photo_by_the_photos_points() -> None:
    asked = []

    class Known(FaceIdentity):
        def points(self, photo: torch.Tensor) -> np.ndarray:
            asked.append(photo)
            return super().points(photo)

    def embed(faces: np.ndarray) -> np.ndarray:
        return faces.mean((2, 3)) + np.array([0.0, 0.0, 0.1])

    likeness = LikenessToPhoto(Known(embed, None))
    photo = torch.rand(3, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    assert likeness({"photo": photo}, photo).tolist() == pytest.approx([1.0] * 3)
    assert float(likeness({"photo": photo}, 1 - photo).max()) < 1.0
    assert all(each is photo for each in asked), "the drawing's own points are not looked for"
