"""EdgeConnect's figures against its formulas written out once more."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.ndimage import uniform_filter

from calisketch.evaluation.measures.edgeconnect import grey_psnr, grey_ssim, relative_l1
from calisketch.evaluation.measures.pixel import to_uint8


def grey(images: torch.Tensor) -> np.ndarray:
    return to_uint8(images) / 255 @ np.array([0.2125, 0.7154, 0.0721])


@pytest.fixture
def pair(generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    photo = torch.rand(2, 3, 64, 60, generator=generator)
    return photo, (photo + 0.3 * torch.rand(2, 3, 64, 60, generator=generator)).clamp(0, 1)


def test_psnr_and_relative_l1_of_grey_values_by_hand(pair: tuple[torch.Tensor, torch.Tensor]) -> None:
    for true, made, decibels, relative in zip(*map(grey, pair), grey_psnr(*pair), relative_l1(*pair), strict=True):
        assert decibels == pytest.approx(-10 * math.log10(((true - made) ** 2).mean()), abs=1e-9)
        assert relative == pytest.approx(np.abs(true - made).sum() / (true.sum() + made.sum()), abs=1e-12)


def test_ssim_is_that_of_a_uniform_window_of_51_with_sample_covariances(
    pair: tuple[torch.Tensor, torch.Tensor],
) -> None:
    for x, y, got in zip(*map(grey, pair), grey_ssim(*pair), strict=True):
        mx, my = uniform_filter(x, 51), uniform_filter(y, 51)
        unbiased = 51**2 / (51**2 - 1)
        vx, vy = (unbiased * (uniform_filter(z * z, 51) - m * m) for z, m in ((x, mx), (y, my)))
        vxy = unbiased * (uniform_filter(x * y, 51) - mx * my)
        c1, c2 = 0.01**2, 0.03**2
        full = (2 * mx * my + c1) * (2 * vxy + c2) / ((mx**2 + my**2 + c1) * (vx + vy + c2))
        assert got == pytest.approx(full[25:-25, 25:-25].mean(), abs=1e-9)


def test_equal_images_are_at_the_ends_of_the_scales(pair: tuple[torch.Tensor, torch.Tensor]) -> None:
    photo = pair[0]
    assert np.isinf(grey_psnr(photo, photo)).all()
    assert grey_ssim(photo, photo) == pytest.approx(1)
    assert relative_l1(photo, photo).tolist() == [0, 0]
    black = torch.zeros(1, 3, 51, 51)
    assert np.isnan(relative_l1(black, black)).all()


def test_images_below_the_window_or_of_other_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 51"):
        grey_ssim(torch.zeros(1, 3, 50, 64), torch.zeros(1, 3, 50, 64))
    with pytest.raises(ValueError, match="same shape"):
        grey_psnr(torch.zeros(1, 3, 64, 64), torch.zeros(2, 3, 64, 64))
