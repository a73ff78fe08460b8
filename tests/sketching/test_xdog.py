from __future__ import annotations

import math

import numpy as np
import pytest
import reference_styles as reference
import torch
from torch import Tensor

from calisketch.sketching import xdog


def test_a_flat_photo_has_the_ink_computed_by_hand() -> None:
    # D = (1 - 0.98) 0.5 = 0.01 under epsilon = 0.02: T = 1 + tanh(100 (0.01 - 0.02)) = 1 - tanh(1)
    ink = xdog(torch.full((1, 1, 16, 16), 0.5), gamma=0.98, epsilon=0.02, phi=100.0, specks=0.0)
    torch.testing.assert_close(ink, torch.full_like(ink, math.tanh(1.0)), atol=1e-5, rtol=0)


def test_the_branch_is_not_reversed_paper_stays_blank_and_the_dark_line_is_inked() -> None:
    photo = torch.full((1, 1, 64, 64), 0.9)
    photo[..., 30:33, :] = 0.2
    ink = xdog(photo, sigma=4.0)  # one pixel at this size
    assert float(ink[..., 30:33, :].min()) > 0.99
    assert float(ink[..., :24, :].max()) == 0.0
    assert float(ink[..., 40:, :].max()) == 0.0


@pytest.mark.parametrize("specks", [0.0, 0.1])
def test_equals_the_formula_written_with_scipy(faces: Tensor, specks: float) -> None:
    drawn = xdog(faces, sigma=1.7, k=1.5, gamma=0.985, epsilon=-0.003, phi=150.0, specks=specks)
    for sample, photo in zip(drawn, faces, strict=True):
        expected = reference.xdog(photo.permute(1, 2, 0).double().numpy(), 1.7, 1.5, 0.985, -0.003, 150.0, specks)
        np.testing.assert_allclose(sample[0], expected, atol=1e-3)


def test_a_larger_sigma_draws_bolder(faces: Tensor) -> None:
    assert float(xdog(faces, sigma=2.0).mean()) > 1.2 * float(xdog(faces, sigma=1.0).mean())
