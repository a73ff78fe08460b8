"""Contour: few, long, smooth strokes a little off the true edge.

A classical stand-in for the boundary-like drawings of Li, Lin, Mech, Yumer and Ramanan, "Photo-Sketching: inferring
contour drawings from images" (WACV 2019), whose learned network is not used here. Same character, other means:

1. the gradient magnitude of the photo smoothed by sigma, relative to its own 97 % quantile;
2. averaged along the edge tangent flow (:mod:`calisketch.sketching.fdog`): long edges stay, short ones fade;
3. its ridges drawn as lines of even width (:func:`calisketch.sketching.kernels.centre_lines`);
4. displaced: shifted, scaled and bent by a smooth random field, as the strokes of people who look up and down are.
"""

from __future__ import annotations

import kornia
from torch import Tensor

from calisketch.sketching.fdog import along_flow, edge_tangent_flow
from calisketch.sketching.kernels import (
    Parameter,
    centre_lines,
    gaussian,
    grey,
    per_sample,
    sample_at,
    scaled_length,
    smooth_field,
    unit_grid,
    vector_length,
)

CONTOUR_CELLS = 5
CONTOUR_UNIFORMS = 2 * CONTOUR_CELLS**2  # random numbers a sample needs
STRONG_QUANTILE = 0.97  # of the gradient magnitude: the hair line and the outline are above it
RIDGE_SIGMA = 1.5  # pixels of a 256 pixel image
MINIMUM_CONTRAST = 0.02  # gradient, per pixel of a 256 pixel image, under which a photo counts as blank

CONTOUR_RANGES: dict[str, tuple[float, float]] = {
    "sigma": (1.8, 2.6),
    "length": (6.0, 9.0),
    "threshold": (0.015, 0.03),
    "width": (1.8, 2.8),
    "displacement": (1.0, 2.5),
}


def displace(sketch: Tensor, uniforms: Tensor, amount: Parameter, cells: int) -> Tensor:
    """Move a drawing by a smooth random field (:func:`~calisketch.sketching.kernels.smooth_field`).

    Args:
        sketch: (B, 1, H, W), ink = 1.
        uniforms: (B, 2 * cells^2) random numbers in [0, 1).
        amount: standard deviation of the displacement on the lattice, pixels of a 256 pixel image.
        cells: the field's lattice; more cells bend more tightly.
    """
    field = smooth_field(uniforms, cells, sketch)
    grid, pixel = unit_grid(sketch)
    reach = pixel * per_sample(scaled_length(amount, sketch), sketch, "amount")
    return sample_at(sketch, grid + reach * field, padding="zeros")


def contour(
    photo: Tensor,
    *,
    sigma: Parameter = 2.2,
    length: Parameter = 8.0,
    threshold: Parameter = 0.02,
    width: Parameter = 2.2,
    displacement: Parameter = 1.5,
    uniforms: Tensor | None = None,
) -> Tensor:
    """Contour drawing of a photo.

    Args:
        photo: (B, 1 or 3, H, W) in [0, 1].
        sigma: smoothing of the photo, pixels of a 256 pixel image; larger leaves fewer edges.
        length: sigma of the average along an edge, pixels of a 256 pixel image; larger leaves longer strokes.
        threshold: edge strength, relative to the photo's strong edges, at which ink starts.
        width: stroke width, pixels of a 256 pixel image.
        displacement: how far strokes stray (standard deviation on the field's lattice), pixels of a 256 pixel image.
        uniforms: (B, CONTOUR_UNIFORMS) random numbers in [0, 1) for the displacement; None leaves the strokes in place.

    Returns:
        (B, 1, H, W), ink = 1, [0, 1].
    """
    luma = grey(photo)
    smooth = gaussian(luma, scaled_length(sigma, luma, minimum=0.8))
    gradient = kornia.filters.spatial_gradient(smooth, mode="diff", order=1).squeeze(1)
    magnitude = vector_length(gradient)
    floor = MINIMUM_CONTRAST * 256.0 / min(luma.shape[-2:])
    values = magnitude.flatten(1)
    strong = values.kthvalue(max(1, int(STRONG_QUANTILE * values.shape[1])), dim=1).values
    strong = strong.view(-1, 1, 1, 1).clamp(min=floor)
    edges = magnitude / strong
    flow = edge_tangent_flow(smooth, radius=5.0, iterations=1)
    edges = along_flow(edges, flow, sigma_m=scaled_length(length, luma, minimum=1.0), steps=10)
    low = per_sample(threshold, luma, "threshold")
    low = low.flatten()
    # A step edge smoothed by sigma has a gradient of that width, smoothed once more to find its ridge.
    profile = (sigma**2 + RIDGE_SIGMA**2) ** 0.5
    drawing = centre_lines(edges, RIDGE_SIGMA, width, low=low, high=1.4 * low, profile=profile)
    if uniforms is None:
        return drawing
    return displace(drawing, uniforms, displacement, CONTOUR_CELLS)
