"""Edge maps: Canny equals scikit-image's, equalisation equals its definition, HED covers Canny as measured."""

from __future__ import annotations

import math
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image
from skimage.feature import canny as skimage_canny

from calisketch.networks.hed import HED
from calisketch.sketching.edges import canny, edge_maps, equalise_luma


def _photo(seed: int, side: int = 64) -> torch.Tensor:
    """A smooth random photo with edges in it, (1, 3, side, side) float64."""
    generator = torch.Generator().manual_seed(seed)
    rough = torch.rand(1, 3, 8, 8, generator=generator, dtype=torch.float64)
    return torch.nn.functional.interpolate(rough, side, mode="bilinear").mul(255).round().div(255)


@pytest.mark.parametrize("sigma", [1.0, 2.0, 3.5])
def test_canny_is_exactly_scikit_images(sigma: float) -> None:
    photo = torch.cat([_photo(seed) for seed in range(3)])
    edges = canny(photo, sigma=sigma)
    weights = np.array([0.2125, 0.7154, 0.0721])  # skimage.color.rgb2gray's documented weights
    for index in range(3):
        grey = photo[index].permute(1, 2, 0).numpy() @ weights
        assert np.array_equal(edges[index, 0].numpy() > 0, skimage_canny(grey, sigma=sigma))
    assert 0 < edges.mean() < 0.5


def test_canny_of_a_grey_image_is_that_of_its_grey() -> None:
    grey = _photo(5)[:, :1]
    assert np.array_equal(canny(grey)[0, 0].numpy() > 0, skimage_canny(grey[0, 0].numpy(), sigma=2.0))


def test_canny_of_a_flat_photo_is_empty_and_of_a_step_a_line() -> None:
    assert canny(torch.full((1, 3, 40, 40), 0.5)).sum() == 0
    step = torch.zeros(1, 1, 40, 40)
    step[..., 20:] = 1
    edges = canny(step)[0, 0]
    columns = edges.sum(0)
    assert columns[19:21].max() > 30
    assert columns.sum() == columns[19:21].sum()


def test_equalising_spreads_luma_as_opencv_does_and_keeps_chroma() -> None:
    grey = (_photo(7)[:, :1] * 0.3 + 0.4).mul(255).round().div(255)
    equalised = equalise_luma(grey.expand(1, 3, -1, -1))
    reference = cv2.equalizeHist((grey[0, 0] * 255).round().byte().numpy())
    for channel in range(3):
        assert np.abs(equalised[0, channel].numpy() * 255 - reference).max() <= 1  # OpenCV rounds to levels
    assert equalised.min() == 0
    assert equalised.max() == pytest.approx(1)

    colour = _photo(8) * 0.2 + 0.4
    moved = equalise_luma(colour) - colour
    unclipped = ((equalise_luma(colour) > 0) & (equalise_luma(colour) < 1)).all(dim=1)
    assert unclipped.any()
    assert (moved[:, 0] - moved[:, 2])[unclipped].abs().max() < 1e-9


def test_equalising_a_flat_photo_changes_nothing() -> None:
    flat = torch.full((2, 3, 16, 16), 0.3)
    assert torch.equal(equalise_luma(flat), flat)


def test_equalising_treats_each_photo_alone() -> None:
    photos = torch.cat([_photo(1), _photo(2) * 0.5])
    alone = torch.cat([equalise_luma(photos[:1]), equalise_luma(photos[1:])])
    assert torch.equal(equalise_luma(photos), alone)


def test_a_brighter_darker_photo_equalises_to_the_same() -> None:
    photo = (_photo(3)[:, :1] * 200).round().div(255).expand(1, 3, -1, -1)
    shifted = photo + 50 / 255
    torch.testing.assert_close(equalise_luma(photo), equalise_luma(shifted), atol=1e-9, rtol=0)


def test_bad_arguments_are_explained() -> None:
    for sigma in (0, -1.0, math.nan, math.inf):
        with pytest.raises(ValueError, match="sigma must be above 0 and finite; got"):
            canny(torch.rand(1, 3, 20, 20), sigma=sigma)
    with pytest.raises(ValueError, match="got"):
        canny(torch.rand(1, 2, 20, 20))


def test_hed_covers_cannys_pixels_as_measured(shared_weights: Path, cuhk_root: Path) -> None:
    """On the sharper CUHK crops HED > 0.5 covers 71 % and HED > 0.2 86 % of Canny's pixels (three photos: loosely)."""
    folder = cuhk_root / "aligned_400x500" / "photos"
    if not folder.is_dir():
        pytest.skip("needs aligned_400x500")
    network, shares = HED.from_pretrained(), []
    for path in sorted(folder.glob("*.jpg"))[::64]:
        with Image.open(path) as image:
            square = image.convert("RGB").crop((0, 50, 400, 450)).resize((256, 256), Image.Resampling.LANCZOS)
        photo = torch.from_numpy(np.array(square)).permute(2, 0, 1)[None].float() / 255
        maps = edge_maps(photo, network)
        on = maps["contour"][maps["detail"] > 0]
        shares.append([float((on > 0.5).float().mean()), float((on > 0.2).float().mean())])
    strong, weak = np.mean(shares, axis=0)
    assert strong == pytest.approx(0.71, abs=0.06)
    assert weak == pytest.approx(0.86, abs=0.06)
