"""Irregular masks: never more hidden than allowed, about as much as asked for, and the seed alone decides."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.ndimage import binary_dilation, label

from calisketch.sketching import IrregularMask, irregular_mask


def hidden_shares(masks: list[torch.Tensor]) -> np.ndarray:
    return np.array([1 - float(mask.mean()) for mask in masks])


@pytest.mark.parametrize("side", [64, 256])
def test_no_mask_hides_more_than_70_percent_and_shares_spread_up_to_it(side: int) -> None:
    photo = torch.zeros(3, side, side)
    masks = [IrregularMask()(photo, seed) for seed in range(120)]
    shares = hidden_shares(masks)
    assert shares.max() <= 0.7
    assert shares.min() >= 0.1
    histogram = np.histogram(shares, bins=6, range=(0.1, 0.7))[0]
    assert histogram.min() >= 8  # of 20 expected in each sixth of the range
    assert all(mask.shape == (1, side, side) and set(mask.unique().tolist()) == {0.0, 1.0} for mask in masks)


@pytest.mark.parametrize("share", [0.0, 0.2, 0.5, 0.7])
def test_a_mask_hides_about_what_it_is_asked_for(share: float) -> None:
    shares = hidden_shares([irregular_mask(64, 96, hidden=share, seed=seed) for seed in range(30)])
    assert (shares >= share).all()
    assert shares.mean() < share + 0.08  # the last stroke goes a little beyond
    bounded = hidden_shares([irregular_mask(64, 96, hidden=share, most=share, seed=seed) for seed in range(30)])
    assert (bounded <= share).all()
    assert bounded.mean() > share - 0.03


def test_masks_are_strokes_not_dust_nor_boxes() -> None:
    for seed in range(20):
        rubbed = irregular_mask(128, 128, hidden=0.4, seed=seed)[0].numpy() == 0
        assert label(rubbed)[1] < 12
        rim = binary_dilation(rubbed) & ~rubbed
        rows, columns = np.nonzero(rubbed)
        box = (np.ptp(rows) + 1) * (np.ptp(columns) + 1)
        assert rubbed.sum() < 0.8 * box
        assert rim.sum() > 0.25 * np.sqrt(rubbed.sum()) * 4  # no smoother than a square of that area, by far


def test_no_place_is_spared_and_none_always_rubbed_out() -> None:
    maker, photo = IrregularMask(), torch.zeros(3, 32, 32)
    mean = torch.stack([maker(photo, seed) for seed in range(400)]).mean((0, 1))
    assert 0.35 < mean.min() < mean.max() < 0.85


def test_the_seed_and_the_size_decide_and_nothing_else() -> None:
    maker = IrregularMask()
    state = torch.get_rng_state()
    one, other = maker(torch.zeros(3, 48, 64), 5), maker(torch.rand(3, 48, 64, generator=torch.Generator()), 5)
    assert torch.equal(one, other)
    assert torch.equal(torch.get_rng_state(), state)
    assert not torch.equal(one, maker(torch.zeros(3, 48, 64), 6))


def test_bad_arguments_are_explained() -> None:
    for hidden in ((0.7, 0.1), (0.1, 1.0), (0.5,), (-0.1, 0.5)):
        with pytest.raises(ValueError, match="hidden must be two shares"):
            IrregularMask(hidden)
    with pytest.raises(ValueError, match="hidden <= most"):
        irregular_mask(64, 64, hidden=0.8, most=0.7, seed=0)
    with pytest.raises(ValueError, match="at least 1; got 0 x 64"):
        irregular_mask(0, 64, hidden=0.5, seed=0)
