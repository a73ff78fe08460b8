"""PSNR and SSIM against the published formulas written out once more."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from calisketch.evaluation import psnr, ssim, to_uint8


def test_psnr_by_hand() -> None:
    photo, face = torch.zeros(1, 3, 16, 16), torch.full((1, 3, 16, 16), 10 / 255)
    assert psnr(photo, face)[0] == pytest.approx(10 * math.log10(255**2 / 100))
    assert psnr(photo, photo)[0] == math.inf


def test_ssim_is_the_published_formula(generator: torch.Generator) -> None:
    photo, face = torch.rand(2, 3, 32, 32, generator=generator), torch.rand(2, 3, 32, 32, generator=generator)
    got = ssim(photo, face)
    for number, (true, made) in enumerate(zip(to_uint8(photo), to_uint8(face), strict=True)):
        maps = []
        for channel in range(3):
            x, y = true[..., channel].astype(float), made[..., channel].astype(float)

            def blur(image: np.ndarray) -> np.ndarray:
                return gaussian_filter(image, 1.5, truncate=3.5)

            mx, my = blur(x), blur(y)
            vx, vy, vxy = blur(x * x) - mx * mx, blur(y * y) - my * my, blur(x * y) - mx * my
            c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
            full = (2 * mx * my + c1) * (2 * vxy + c2) / ((mx**2 + my**2 + c1) * (vx + vy + c2))
            maps.append(full[5:-5, 5:-5].mean())
        assert got[number] == pytest.approx(np.mean(maps), abs=1e-9)


def test_images_of_other_sizes_are_refused() -> None:
    with pytest.raises(ValueError, match="same shape"):
        psnr(torch.zeros(1, 3, 16, 16), torch.zeros(1, 3, 16, 17))
