"""Batched building blocks of the sketch styles: only what kornia has no operator for.

Conventions shared by every module of this package:

* photos are ``(B, 1 or 3, H, W)``, line drawings ``(B, 1, H, W)`` with ink = 1 on background 0, floats in [0, 1];
* every parameter is a float or a ``(B,)`` tensor with one value per sample;
* lengths are stated in pixels **of a 256 pixel image** and scale with the shorter side (:func:`scaled_length`), so a
  drawing made at 128 pixels looks like the one made at 256;
* randomness comes in as uniform numbers (:func:`draw_uniforms`, :func:`draw_parameters`), never from a global state.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import kornia
import torch
import torch.nn.functional as F
from torch import Tensor

from calisketch.checks import check_image

REFERENCE_SIDE = 256
Parameter = float | Tensor


def grey(photo: Tensor, name: str = "photo") -> Tensor:
    """Luma of a photo: (B, 1 or 3, H, W) in [0, 1] -> (B, 1, H, W), Rec. 601 weights.

    Raises:
        TypeError, ValueError: `photo` is not an image batch with one or three channels in [0, 1].
    """
    check_image(photo, (1, 3), name)
    return photo if photo.shape[1] == 1 else kornia.color.rgb_to_grayscale(photo)


def per_sample(value: Parameter, image: Tensor, name: str = "parameter") -> Tensor:
    """A float or (B,) tensor as (B, 1, 1, 1), of `image`'s device and dtype, ready to broadcast over `image`.

    Raises:
        ValueError: `value` is a tensor of another shape.
    """
    batch = image.shape[0]
    if not isinstance(value, Tensor):
        return image.new_full((batch, 1, 1, 1), float(value))
    if value.numel() != 1 and value.shape != (batch,):
        raise ValueError(
            f"{name} must be a float or one value per sample, shape ({batch},); got {tuple(value.shape)}. "
            "Pass a float to use it for the whole batch."
        )
    return value.to(image).reshape(-1, 1, 1, 1).expand(batch, 1, 1, 1)


def scaled_length(length: Parameter, image: Tensor, minimum: float = 0.0) -> Parameter:
    """A length stated for a 256 pixel image, in pixels of `image`: length * min(H, W) / 256, at least `minimum`."""
    scale = min(image.shape[-2:]) / REFERENCE_SIDE
    if isinstance(length, Tensor):
        return (length * scale).clamp(min=minimum)
    return max(length * scale, minimum)


def gaussian(image: Tensor, sigma: Parameter) -> Tensor:
    """Gaussian blur with one sigma (in pixels of `image`) per sample; borders repeat the edge pixel.

    ``kornia.filters.gaussian_blur2d`` cuts every sample's kernel at one common size, so a sample would change a
    little with its batch mates. Here each kernel ends at its own 4 sigma, as in ``scipy.ndimage.gaussian_filter``.
    """
    batch = image.shape[0]
    # The kernels are made where sigma lives: parameters drawn on the CPU then never make a GPU wait.
    sigmas = torch.as_tensor(sigma, dtype=image.dtype).reshape(-1, 1).expand(batch, 1)
    radii = torch.floor(4.0 * sigmas + 0.5)
    reach = int(radii.max())
    taps = torch.arange(-reach, reach + 1, dtype=image.dtype, device=sigmas.device)
    kernels = torch.exp(-0.5 * (taps / sigmas.clamp(min=1e-6)) ** 2) * (taps.abs() <= radii)
    kernels = (kernels / kernels.sum(1, keepdim=True)).to(image.device)
    return kornia.filters.filter2d_separable(image, kernels, kernels, border_type="replicate")


def vector_length(field: Tensor) -> Tensor:
    """Length of two-vectors: (B, 2, H, W) -> (B, 1, H, W). ``norm(dim=1)`` is twenty times slower on a CPU."""
    return torch.addcmul(field[:, 0:1].square(), field[:, 1:2], field[:, 1:2]).sqrt_()


def dot(first: Tensor, second: Tensor) -> Tensor:
    """Dot product of two-vectors: (B, 2, H, W) twice -> (B, 1, H, W)."""
    return torch.addcmul(first[:, 0:1] * second[:, 0:1], first[:, 1:2], second[:, 1:2])


def pixel_grid(image: Tensor) -> tuple[Tensor, Tensor]:
    """Pixel coordinates (x, y) of `image`, each (1, 1, H, W); the first pixel's centre is 0."""
    height, width = image.shape[-2:]
    x = torch.arange(width, dtype=image.dtype, device=image.device).view(1, 1, 1, width)
    y = torch.arange(height, dtype=image.dtype, device=image.device).view(1, 1, height, 1)
    return x.expand(1, 1, height, width), y.expand(1, 1, height, width)


def unit_grid(image: Tensor) -> tuple[Tensor, Tensor]:
    """Where `image`'s pixels are in ``grid_sample``'s units, (1, 2, H, W) as (x, y), and a pixel's size, (1, 2, 1, 1).

    Corner pixels' centres are at -1 and 1 (``align_corners=True``).
    """
    x, y = pixel_grid(image)
    size = torch.tensor([2.0 / max(n - 1, 1) for n in (image.shape[-1], image.shape[-2])], dtype=image.dtype)
    size = size.to(image.device).view(1, 2, 1, 1)
    return torch.cat((x, y), 1) * size - 1.0, size


def sample_at(image: Tensor, position: Tensor, mode: str = "bilinear", padding: str = "border") -> Tensor:
    """Values of `image` (B, C, H, W) at `position` (B, 2, H, W) in the units of :func:`unit_grid`."""
    # Planes of x and y instead of pairs: grid_sample reads both layouts, and sums of planes are cheaper.
    grid = position.permute(0, 2, 3, 1)
    return F.grid_sample(image, grid, mode=mode, padding_mode=padding, align_corners=True)


def ramp(value: Tensor, low: Parameter | Tensor, high: Parameter | Tensor) -> Tensor:
    """The cubic step: 0 up to `low`, 1 from `high`, 3u^2 - 2u^3 between."""
    u = ((value - low) / (high - low)).clamp(0.0, 1.0)
    return u * u * (3.0 - 2.0 * u)


def drop_specks(ink: Tensor, least: Parameter) -> Tensor:
    """Fade ink that stands alone: where its mean around (Gaussian, sigma 4 of 256) is under `least`.

    An endless line of width 2 has the mean 0.2, a dot of 3 x 3 pixels 0.09; `least` = 0 keeps everything.
    """
    level = per_sample(least, ink, "least")
    around = gaussian(ink, scaled_length(4.0, ink, minimum=1.0))
    return ink * torch.where(level > 0.0, ramp(around, 0.75 * level, level.clamp(min=1e-6)), 1.0)


def smooth_field(uniforms: Tensor, cells: int, image: Tensor) -> Tensor:
    """Smooth random fields: (B, K * cells^2) uniforms -> (B, K, H, W).

    Standard normal numbers on a cells x cells lattice (by the inverse distribution function), interpolated bicubically;
    between the lattice points the spread is smaller, over all pixels its standard deviation is about 0.8.
    """
    lattice = math.sqrt(2.0) * torch.erfinv((2.0 * uniforms.to(image) - 1.0).clamp(-0.9999, 0.9999))
    lattice = lattice.reshape(image.shape[0], -1, cells, cells)
    return F.interpolate(lattice, size=image.shape[-2:], mode="bicubic", align_corners=True)


def centre_lines(
    field: Tensor,
    sigma: Parameter,
    width: Parameter,
    low: Parameter,
    high: Parameter,
    profile: Parameter | None = None,
) -> Tensor:
    """Draw the bright ridges of `field` as lines of even width.

    Per pixel, after Steger, "An unbiased detector of curvilinear structures" (PAMI 1998): with g and H the gradient and
    the Hessian of the field smoothed by sigma, and n the unit eigenvector of H's most negative eigenvalue l, the ridge
    lies at the distance q = |g . n| / |l|, to second order. Further out q grows too fast; for a Gaussian profile of
    variance s^2 the distance t satisfies q = t / (1 - t^2 / s^2), so t = 2 q / (1 + sqrt(1 + 4 q^2 / s^2)). The pixel
    gets ink where t is within half the width (anti-aliased), as far as the ridge is strong: the cubic step from `low`
    to `high` of

        (|l| - |m|) sigma^2 - |g . n'| sigma

    with m the other eigenvalue where it is negative too and n' the line's direction. On a line both subtracted terms
    are small; a round speck has m = l at its top and descends all around it, so it leaves nothing.

    Args:
        field: (B, 1, H, W), any range.
        sigma: smoothing, pixels of a 256 pixel image; ridges closer than about 2 sigma merge.
        width: line width, pixels of a 256 pixel image.
        low, high: ridge strength at which ink starts and is full.
        profile: s, the smoothed ridges' own width, pixels of a 256 pixel image; None is sqrt(2) sigma, ridges as wide
            as the smoothing.

    Returns:
        (B, 1, H, W), ink = 1, [0, 1].
    """
    sigma_pixels = scaled_length(sigma, field, minimum=0.8)
    smooth = gaussian(field, sigma_pixels)
    first = kornia.filters.spatial_gradient(smooth, mode="diff", order=1).squeeze(1)
    padded = F.pad(smooth, (1, 1, 1, 1), mode="replicate")
    h_xx = padded[..., 1:-1, 2:] - 2.0 * smooth + padded[..., 1:-1, :-2]
    h_yy = padded[..., 2:, 1:-1] - 2.0 * smooth + padded[..., :-2, 1:-1]
    h_xy = 0.25 * (padded[..., 2:, 2:] - padded[..., 2:, :-2] - padded[..., :-2, 2:] + padded[..., :-2, :-2])
    g_x, g_y = first[:, 0:1], first[:, 1:2]

    half_difference = 0.5 * (h_xx - h_yy)
    root = torch.sqrt(half_difference**2 + h_xy**2)
    eigenvalue = 0.5 * (h_xx + h_yy) - root  # the most negative
    roundness = (-0.5 * (h_xx + h_yy) - root).clamp(min=0.0)  # |m|: of the other one, where it is negative
    # Its eigenvector by the half-angle of (h_xx - h_yy, 2 h_xy): no case distinction, stable where h_xy = 0.
    angle = 0.5 * torch.atan2(h_xy, half_difference) + 0.5 * math.pi
    slope = g_x * torch.cos(angle) + g_y * torch.sin(angle)
    scale = per_sample(sigma_pixels, field, "sigma")
    quotient = slope.abs() / (-eigenvalue).clamp(min=1e-6)
    spread = math.sqrt(2.0) * scale if profile is None else per_sample(scaled_length(profile, field, 1.0), field)
    distance = 2.0 * quotient / (1.0 + torch.sqrt(1.0 + 4.0 * (quotient / spread) ** 2))

    half_width = 0.5 * per_sample(scaled_length(width, field, minimum=1.0), field, "width")
    coverage = (half_width + 0.5 - distance).clamp(0.0, 1.0)
    descent = (g_y * torch.cos(angle) - g_x * torch.sin(angle)).abs()  # along the line
    strength = (-eigenvalue - roundness) * scale**2 - descent * scale
    return coverage * ramp(strength, per_sample(low, field, "low"), per_sample(high, field, "high"))


def draw_uniforms(batch: int, count: int, generator: torch.Generator) -> Tensor:
    """(batch, count) uniform numbers in [0, 1) from `generator`, on its device."""
    return torch.rand(batch, count, generator=generator, device=generator.device)


def parameters_from_uniforms(ranges: Mapping[str, tuple[float, float]], uniforms: Tensor) -> dict[str, Tensor]:
    """One (B,) tensor per named range: column k of `uniforms` (B, >= len(ranges)) carries the k-th range."""
    return {name: low + (high - low) * uniforms[:, k] for k, (name, (low, high)) in enumerate(ranges.items())}


def draw_parameters(
    ranges: Mapping[str, tuple[float, float]], batch: int, generator: torch.Generator
) -> dict[str, Tensor]:
    """Draw every parameter of `ranges` uniformly and independently for each of `batch` samples: name -> (batch,)."""
    return parameters_from_uniforms(ranges, draw_uniforms(batch, len(ranges), generator))
