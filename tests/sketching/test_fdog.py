from __future__ import annotations

import math

import numpy as np
import pytest
import reference_styles as reference
import torch
from torch import Tensor

from calisketch.sketching import edge_tangent_flow, fdog
from calisketch.sketching.fdog import across_flow, along_flow, smoothed_once
from calisketch.sketching.kernels import gaussian, grey


def middle_coordinates(size: int) -> tuple[Tensor, Tensor]:
    y, x = torch.meshgrid(torch.arange(size) - (size - 1) / 2, torch.arange(size) - (size - 1) / 2, indexing="ij")
    return x, y


def angle_error(flow: Tensor, tangent_x: Tensor, tangent_y: Tensor, where: Tensor) -> Tensor:
    """Degrees between flow (1, 2, H, W) and a known unit tangent, sign ignored, at the pixels of `where`."""
    cosine = (flow[0, 0] * tangent_x + flow[0, 1] * tangent_y).abs().clamp(max=1.0)
    return torch.rad2deg(torch.acos(cosine))[where]


@pytest.mark.parametrize("degrees", [0.0, 30.0, 45.0, 110.0])
def test_flow_runs_along_stripes(degrees: float, generator: torch.Generator) -> None:
    x, y = middle_coordinates(96)
    along = torch.tensor(math.radians(degrees))
    stripes = 0.5 + 0.4 * torch.sin((-x * torch.sin(along) + y * torch.cos(along)) * 2 * math.pi / 16)
    noisy = (stripes + 0.02 * torch.randn(stripes.shape, generator=generator))[None, None].clamp(0, 1)
    middle = torch.zeros(96, 96, dtype=torch.bool)
    middle[16:-16, 16:-16] = True
    tangents = (torch.cos(along).expand(96, 96), torch.sin(along).expand(96, 96), middle)
    raw = angle_error(edge_tangent_flow(noisy, radius=10.0, iterations=0), *tangents)
    smooth = angle_error(edge_tangent_flow(noisy, radius=10.0, iterations=2), *tangents)
    assert float(smooth.mean()) < 2.0
    assert float(smooth.mean()) < 0.5 * float(raw.mean())


def test_flow_runs_around_concentric_circles() -> None:
    x, y = middle_coordinates(128)
    radius = torch.sqrt(x**2 + y**2)
    circles = (0.5 + 0.4 * torch.sin(radius * 2 * math.pi / 20))[None, None]
    flow = edge_tangent_flow(circles, iterations=3)
    where = (radius > 15) & (radius < 55)
    error = angle_error(flow, -y / radius, x / radius, where)
    assert float(error.mean()) < 1.5
    assert float(error.quantile(0.99)) < 6.0


def test_flow_is_of_unit_length_and_zero_where_flat(faces: Tensor) -> None:
    length = edge_tangent_flow(grey(faces)).norm(dim=1)
    assert bool((((length - 1.0).abs() < 1e-4) | (length < 1e-4)).all())
    assert float(edge_tangent_flow(torch.full((1, 1, 32, 32), 0.4)).abs().max()) == 0.0


def test_one_smoothing_step_of_two_pixels_by_hand() -> None:
    tangent, energy = torch.zeros(1, 2, 1, 5), torch.ones(1, 1, 1, 5)
    angle = 0.5
    tangent[0, :, 0, 1] = torch.tensor([1.0, 0.0])
    tangent[0, :, 0, 3] = torch.tensor([-math.cos(angle), -math.sin(angle)])  # the sign must not matter
    energy[0, 0, 0, 3] = 3.0
    smoothed = smoothed_once(tangent, energy, 2.0)[0, :, 0]
    # At pixel 1: own weight 1/2, the other's E(y) / (E(x) + E(y)) = 3/4 times t . t' = cos(angle), turned our way.
    near = 0.75 * math.cos(angle) * torch.tensor([math.cos(angle), math.sin(angle)]) + torch.tensor([0.5, 0.0])
    torch.testing.assert_close(smoothed[:, 1], near / near.norm())
    far = 0.5 * tangent[0, :, 0, 3] - 0.25 * math.cos(angle) * torch.tensor([1.0, 0.0])
    torch.testing.assert_close(smoothed[:, 3], far / far.norm())
    assert float(smoothed[:, [0, 2, 4]].abs().max()) == 0.0


def test_flow_equals_the_papers_sum_written_out(faces: Tensor) -> None:
    luma = gaussian(grey(faces[:2]), 0.8)
    flow = edge_tangent_flow(luma, iterations=2)
    for k in range(2):
        x, y = reference.edge_tangent_flow(luma[k, 0].double().numpy(), iterations=2)
        cosine = flow[k, 0].numpy() * x + flow[k, 1].numpy() * y
        # Where there is no gradient the direction is rounding noise; there both are arbitrary.
        certain = reference.blur(np.hypot(*reference.sobel_gradient(luma[k, 0].double().numpy())), 2.0) > 1e-3
        assert np.quantile(cosine[certain], 0.01) > 0.999


def test_across_the_flow_is_a_one_dimensional_difference_of_gaussians() -> None:
    image = torch.rand(1, 1, 1, 41).expand(1, 1, 30, 41).contiguous()
    upwards = torch.zeros(1, 2, 30, 41)
    upwards[:, 1] = 1.0
    # 2.5 * 1.6 * sigma = 6 pixels to either side in 13 taps: whole pixels
    response = across_flow(image, upwards, sigma_c=1.5, rho=0.9)
    offsets = np.arange(-6, 7)
    centre, surround = np.exp(-0.5 * (offsets / 1.5) ** 2), np.exp(-0.5 * (offsets / 2.4) ** 2)
    kernel = centre / centre.sum() - 0.9 * surround / surround.sum()
    expected = np.correlate(np.pad(image[0, 0, 0].numpy(), 6, mode="edge"), kernel, mode="valid")
    np.testing.assert_allclose(response[0, 0, 11], expected, atol=1e-5)


def test_along_straight_flow_is_a_one_dimensional_gaussian_even_when_signs_flip(generator: torch.Generator) -> None:
    response = torch.randn(1, 1, 20, 50, generator=generator)
    flow = torch.zeros(1, 2, 20, 50)
    flow[:, 0] = torch.where(torch.rand(20, 50, generator=generator) < 0.5, 1.0, -1.0)
    summed = along_flow(response, flow, sigma_m=4.0, steps=8)  # 2 sigma in 8 steps: whole pixels
    kernel = np.exp(-0.5 * (np.arange(-8, 9) / 4.0) ** 2)
    expected = np.correlate(np.pad(response[0, 0, 7].numpy(), 8, mode="edge"), kernel / kernel.sum(), mode="valid")
    np.testing.assert_allclose(summed[0, 0, 7], expected, atol=1e-4)


def test_equals_the_formula_written_with_scipy(faces: Tensor) -> None:
    drawn = fdog(faces, sigma_c=1.2, sigma_m=4.0, rho=0.99, tau=0.75, phi=40.0, softness=0.2)
    for sample, photo in zip(drawn, faces, strict=True):
        expected = reference.fdog(photo.permute(1, 2, 0).double().numpy(), 1.2, 4.0, 0.99, 0.75, 40.0, 0.2)
        difference = np.abs(sample[0].numpy() - expected)
        assert difference.mean() < 2e-3
        assert np.quantile(difference, 0.99) < 0.05


def test_no_softness_is_the_papers_two_tones(faces: Tensor) -> None:
    ink = fdog(faces, softness=0.0)
    assert float(((ink > 0.0) & (ink < 1.0)).float().mean()) < 1e-3
    assert 0.01 < float(ink.mean()) < 0.4
