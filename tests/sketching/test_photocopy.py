from __future__ import annotations

import math

import numpy as np
import pytest
import reference_styles as reference
import torch
from torch import Tensor

from calisketch.sketching import photocopy
from calisketch.sketching.kernels import gaussian, grey, scaled_length
from calisketch.sketching.photocopy import blur_sigma, share_threshold


def test_the_blur_falls_to_a_255th_at_radius_plus_one() -> None:
    sigma = blur_sigma(10.0)
    assert math.exp(-0.5 * (11.0 / sigma) ** 2) == pytest.approx(1.0 / 255.0)


def test_share_threshold_by_hand() -> None:
    ratio = torch.tensor([0.1, 0.2, 0.3, 0.4, 0.5, 1.5, 1.6, 1.7]).view(1, 1, 2, 4)
    # Of the five under 1, the cumulated count is over 0.4 * 5 = 2 first at the third.
    assert float(share_threshold(ratio + 5e-4, ratio < 1.0, torch.tensor(0.4))) == pytest.approx(0.3)
    assert float(share_threshold(ratio + 5e-4, ratio > 1.0, torch.tensor(0.5))) == pytest.approx(1.6)
    assert float(share_threshold(ratio, ratio > 3.0, torch.tensor(0.5))) == 0.0


def test_equals_the_formula_written_with_scipy(faces: Tensor) -> None:
    drawn = photocopy(faces, mask_radius=14.0, sharpness=0.9, black=0.15, white=0.6, cut=0.9, floor=0.01)
    for sample, photo in zip(drawn, faces, strict=True):
        expected = reference.photocopy(photo.permute(1, 2, 0).double().numpy(), 14.0, 0.9, 0.15, 0.6, 0.9, 0.01)
        difference = np.abs(sample[0].numpy() - expected)
        # A ratio at a histogram bin's edge may fall to either side and move a ramp's end by 1/1000.
        assert difference.max() < 0.03
        assert difference.mean() < 1e-3


def test_the_stated_share_of_dark_pixels_is_black(faces: Tensor) -> None:
    luma = grey(faces)
    sharp = gaussian(luma, scaled_length(blur_sigma(1.0), luma, minimum=0.4))
    mask = gaussian(luma, scaled_length(blur_sigma(18.0), luma, minimum=0.8))
    under = (sharp + 0.05) / (mask + 0.05) < 0.88
    for black in (0.1, 0.4):
        ink = photocopy(faces, sharpness=0.9, black=black)
        full = ((ink > 0.999) & under).sum((1, 2, 3)) / under.sum((1, 2, 3))
        torch.testing.assert_close(full, torch.full((len(faces),), black), atol=0.04, rtol=0)


def test_it_is_toned_and_a_black_wall_gets_no_pepper(faces: Tensor, generator: torch.Generator) -> None:
    ink = photocopy(faces)
    assert float(((ink > 0.1) & (ink < 0.9)).float().mean()) > 0.02
    wall = 0.01 * torch.rand(1, 3, 96, 96, generator=generator)
    assert float((photocopy(wall) > 0.5).float().mean()) < 0.01
