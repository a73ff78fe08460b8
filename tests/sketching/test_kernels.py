from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from reference_styles import blur
from reference_styles import smooth_field as reference_field
from scipy.ndimage import map_coordinates
from torch import Tensor

from calisketch.sketching.kernels import (
    centre_lines,
    draw_parameters,
    draw_uniforms,
    drop_specks,
    gaussian,
    grey,
    per_sample,
    pixel_grid,
    ramp,
    sample_at,
    scaled_length,
    smooth_field,
    unit_grid,
)


def test_gaussian_equals_scipy_for_each_sample_s_own_sigma(generator: torch.Generator) -> None:
    image = torch.rand(3, 1, 40, 52, generator=generator)
    sigma = torch.tensor([0.4, 1.3, 4.0])
    blurred = gaussian(image, sigma)
    for k in range(3):
        np.testing.assert_allclose(blurred[k, 0], blur(image[k, 0].numpy(), float(sigma[k])), atol=2e-6)


def test_gaussian_does_not_see_its_batch_mates(generator: torch.Generator) -> None:
    image = torch.rand(2, 1, 32, 32, generator=generator)
    together = gaussian(image, torch.tensor([0.6, 6.0]))
    torch.testing.assert_close(together[:1], gaussian(image[:1], 0.6), atol=1e-6, rtol=0)


def test_grey_has_the_luma_weights_and_passes_grey_through() -> None:
    colours = torch.eye(3).view(3, 3, 1, 1)
    torch.testing.assert_close(grey(colours).flatten(), torch.tensor([0.299, 0.587, 0.114]))
    single = torch.rand(2, 1, 4, 4)
    assert grey(single) is single


@pytest.mark.parametrize("bad", [torch.rand(3, 8, 8), torch.rand(1, 2, 8, 8), 255 * torch.rand(1, 3, 8, 8)])
def test_grey_refuses_what_is_no_photo(bad: Tensor) -> None:
    with pytest.raises(ValueError, match="photo must"):
        grey(bad)


def test_per_sample_names_a_parameter_of_the_wrong_shape() -> None:
    with pytest.raises(ValueError, match=r"sigma must be a float or one value per sample, shape \(2,\); got \(3,\)"):
        per_sample(torch.ones(3), torch.zeros(2, 1, 4, 4), "sigma")


def test_lengths_scale_with_the_shorter_side() -> None:
    assert scaled_length(2.0, torch.zeros(1, 1, 128, 300)) == 1.0
    assert scaled_length(2.0, torch.zeros(1, 1, 16, 16), minimum=0.5) == 0.5
    torch.testing.assert_close(
        scaled_length(torch.tensor([1.0, 4.0]), torch.zeros(2, 1, 512, 512)), torch.tensor([2.0, 8.0])
    )


def test_sample_at_the_grid_is_the_image_and_off_it_is_bilinear(generator: torch.Generator) -> None:
    image = torch.rand(1, 1, 9, 14, generator=generator)
    grid, pixel = unit_grid(image)
    torch.testing.assert_close(sample_at(image, grid), image, atol=1e-5, rtol=0)
    shift = torch.tensor([0.3, -0.6]).view(1, 2, 1, 1)
    x, y = (plane[0, 0].numpy() for plane in pixel_grid(image))
    expected = map_coordinates(image[0, 0].numpy(), [y - 0.6, x + 0.3], order=1, mode="nearest")
    np.testing.assert_allclose(sample_at(image, grid + shift * pixel)[0, 0], expected, atol=1e-5)


def test_ramp_is_the_cubic_step() -> None:
    values = ramp(torch.tensor([0.0, 1.0, 1.5, 2.0, 3.0]), 1.0, 2.0)
    torch.testing.assert_close(values, torch.tensor([0.0, 0.0, 0.5, 1.0, 1.0]))


def test_smooth_field_equals_cubic_convolution_by_hand(generator: torch.Generator) -> None:
    uniforms = draw_uniforms(1, 25, generator)
    field = smooth_field(uniforms, 5, torch.zeros(1, 1, 33, 41))
    np.testing.assert_allclose(field[0, 0], reference_field(uniforms[0].double().numpy(), 5, (33, 41)), atol=1e-4)


def ridge(size: int, angle: float, offset: float, sigma: float = 1.5) -> Tensor:
    """A straight soft line through the middle, moved by `offset` pixels along its normal."""
    y, x = torch.meshgrid(torch.arange(size) - size // 2, torch.arange(size) - size // 2, indexing="ij")
    distance = x * math.cos(angle) + y * math.sin(angle) - offset
    return torch.exp(-0.5 * (distance / sigma) ** 2)[None, None]


@pytest.mark.parametrize("angle", [0.0, 0.4, math.pi / 4, 2.5])
@pytest.mark.parametrize("offset", [0.0, 0.35])
def test_centre_lines_finds_a_line_to_a_tenth_of_a_pixel_with_the_width_asked(angle: float, offset: float) -> None:
    drawn = centre_lines(ridge(256, angle, offset), 1.5, 3.0, 0.02, 0.03)[0, 0]
    inner = drawn[64:192, 64:192]
    y, x = torch.meshgrid(torch.arange(-64, 64), torch.arange(-64, 64), indexing="ij")
    distance = x * math.cos(angle) + y * math.sin(angle)
    assert abs(float((inner * distance).sum() / inner.sum()) - offset) < 0.1
    length = 128.0 / max(abs(math.cos(angle)), abs(math.sin(angle)))
    assert abs(float(inner.sum()) / length - 3.0) < 0.15


def test_centre_lines_leaves_nothing_of_round_specks_and_flat_areas() -> None:
    y, x = torch.meshgrid(torch.arange(64) - 30.0, torch.arange(64) - 33.0, indexing="ij")
    speck = torch.exp(-0.5 * (x**2 + y**2) / 4.0)[None, None]
    assert float(centre_lines(speck, 1.5, 2.0, 0.03, 0.04).sum()) < 1.0
    assert float(centre_lines(torch.full((1, 1, 64, 64), 0.7), 1.5, 2.0, 0.03, 0.04).max()) == 0.0


def test_drop_specks_keeps_lines_and_drops_dots() -> None:
    drawing = torch.zeros(1, 1, 256, 256)
    drawing[..., 60:62, 20:236] = 1.0
    drawing[..., 180:182, 100:102] = 1.0
    kept = drop_specks(drawing, 0.1)
    torch.testing.assert_close(kept[..., 60:62, 40:216], drawing[..., 60:62, 40:216])
    assert float(kept[..., 150:210, :].max()) == 0.0
    torch.testing.assert_close(drop_specks(drawing, 0.0), drawing)


def test_draw_parameters_fills_each_range_and_repeats_with_the_seed() -> None:
    ranges = {"sigma": (1.0, 2.0), "phi": (100.0, 250.0)}
    drawn = draw_parameters(ranges, 500, torch.Generator().manual_seed(3))
    for name, (low, high) in ranges.items():
        assert drawn[name].shape == (500,)
        assert low <= float(drawn[name].min()) < low + 0.02 * (high - low)
        assert high - 0.02 * (high - low) < float(drawn[name].max()) <= high
    again = draw_parameters(ranges, 500, torch.Generator().manual_seed(3))
    assert all(torch.equal(drawn[name], again[name]) for name in ranges)
    assert abs(float(torch.corrcoef(torch.stack(list(drawn.values())))[0, 1])) < 0.15
