"""FDoG: clean long lines, a difference of Gaussians that follows the picture's flow.

Kang, Lee and Chui, "Coherent line drawing" (NPAR 2007):

1. Edge tangent flow. t starts perpendicular to the gradient and is smoothed over a disk of radius mu:

       t'(x) = 1/k sum_y phi t(y) w_s w_m w_d
       w_s = 1 within the disk, w_m = (1 + tanh(g(y) - g(x))) / 2, w_d = |t(x) . t(y)|, phi = sign(t(x) . t(y))

   with g the gradient magnitude over its maximum. phi w_d is t(x) . t(y), and with E = exp(2 g)
   w_m = E(y) / (E(x) + E(y)): that is how it is computed here.
2. Difference of Gaussians across the flow, along the normal n:  F(x) = sum_u I(x + u n) (G_c(u) - rho G_s(u)),
   sigma_s = 1.6 sigma_c.
3. Integral along the streamline through x:  H(x) = sum_v G_m(v) F(c_x(v)).
4. Ink where H < 0 and 1 + tanh(phi H) < tau. phi carries the value range (the paper's images are not in [0, 1]);
   `softness` turns the step at tau into a ramp, so that lines are anti-aliased; 0 is the paper's step.
"""

from __future__ import annotations

import math

import kornia
import torch
import torch.nn.functional as F
from torch import Tensor

from calisketch.sketching.kernels import (
    Parameter,
    dot,
    gaussian,
    grey,
    per_sample,
    sample_at,
    scaled_length,
    unit_grid,
    vector_length,
)

SURROUND_RATIO = 1.6  # sigma_s / sigma_c, the ratio at which a DoG is close to a Laplacian of Gaussian
ACROSS_REACH = 2.5  # in sigma_s
ALONG_REACH = 2.0  # in sigma_m
FLAT = 1e-6  # a gradient below is rounding noise and has no direction

FDOG_RANGES: dict[str, tuple[float, float]] = {
    "sigma_c": (0.8, 1.2),
    "sigma_m": (3.0, 5.0),
    "rho": (0.990, 0.998),
    "tau": (0.75, 0.85),
    "phi": (25.0, 40.0),
}


def edge_tangent_flow(luma: Tensor, *, radius: float = 5.0, iterations: int = 2) -> Tensor:
    """Smoothed edge tangent flow of a grey image.

    Args:
        luma: (B, 1, H, W).
        radius: of the smoothing disk, pixels of a 256 pixel image.
        iterations: how often the flow is smoothed.

    Returns:
        (B, 2, H, W): unit vectors (x, y) along the edges, up to sign; zero where the image is flat.
    """
    gradient = kornia.filters.spatial_gradient(luma, mode="sobel", order=1).squeeze(1)
    magnitude = vector_length(gradient)
    tangent = torch.cat((-gradient[:, 1:2], gradient[:, 0:1]), 1) / magnitude.clamp(min=FLAT)
    tangent = tangent * (magnitude >= FLAT)
    relative = magnitude / magnitude.amax((1, 2, 3), keepdim=True).clamp(min=1e-8)

    reach = float(scaled_length(radius, luma, minimum=1.0))
    energy = torch.exp(2.0 * relative)
    for _ in range(iterations):
        tangent = smoothed_once(tangent, energy, reach)
    return tangent


def smoothed_once(tangent: Tensor, energy: Tensor, reach: float) -> Tensor:
    """Step 1's sum over the disk of `reach` pixels, normalised: (B, 2, H, W), energy E (B, 1, H, W) -> (B, 2, H, W).

    A pair x, y of pixels shares q = (t(x) . t(y)) / (E(x) + E(y)): x gets q E(y) t(y) and y gets q E(x) t(x), so each
    pair is met once. Pixels outside the picture add nothing.
    """
    batch, _, height, width = tangent.shape
    span = int(reach)
    # A margin of zero vectors to the right and below, then all rows and samples in one line: the neighbour at (dx, dy)
    # is a fixed step away, and what wraps around lands in a margin.
    margin = (0, span, 0, span)
    t_x, t_y = (F.pad(plane, margin).reshape(-1) for plane in (tangent[:, 0], tangent[:, 1]))
    e = F.pad(energy[:, 0], margin, value=1.0).reshape(-1)
    w_x, w_y = e * t_x, e * t_y
    own = 0.5 * (t_x * t_x + t_y * t_y)  # y = x
    sum_x, sum_y = own * t_x, own * t_y
    count = e.numel()
    for dy in range(span + 1):
        for dx in range(-span if dy else 1, span + 1):
            if dx * dx + dy * dy > reach * reach:
                continue
            step = dy * (width + span) + dx
            here, there = slice(0, count - step), slice(step, count)
            share = (t_x[here] * t_x[there]).addcmul_(t_y[here], t_y[there]).div_(e[here] + e[there])
            sum_x[here].addcmul_(share, w_x[there])
            sum_y[here].addcmul_(share, w_y[there])
            sum_x[there].addcmul_(share, w_x[here])
            sum_y[there].addcmul_(share, w_y[here])
    total = torch.stack((sum_x, sum_y)).view(2, batch, height + span, width + span)
    total = total[..., :height, :width].transpose(0, 1)
    return total / vector_length(total).clamp(min=1e-8)


def across_flow(luma: Tensor, flow: Tensor, *, sigma_c: Parameter, rho: Parameter, taps: int = 13) -> Tensor:
    """Difference of Gaussians along the flow's normal (step 2): (B, 1, H, W) -> (B, 1, H, W), negative on dark lines.

    sigma_c is in pixels of `luma`.
    """
    inner = per_sample(sigma_c, luma, "sigma_c")
    outer = SURROUND_RATIO * inner
    positions = torch.linspace(-ACROSS_REACH, ACROSS_REACH, taps, device=luma.device, dtype=luma.dtype)
    offsets = positions.view(taps, 1, 1, 1, 1) * outer  # (taps, B, 1, 1, 1)
    centre, surround = torch.exp(-0.5 * (offsets / inner) ** 2), torch.exp(-0.5 * (offsets / outer) ** 2)
    weights = centre / centre.sum(0) - per_sample(rho, luma, "rho") * surround / surround.sum(0)
    grid, pixel = unit_grid(luma)
    normal = torch.cat((-flow[:, 1:2], flow[:, 0:1]), 1) * pixel
    response = torch.zeros_like(luma)
    for tap in range(taps):
        response.addcmul_(sample_at(luma, torch.addcmul(grid, normal, offsets[tap])), weights[tap])
    return response


def along_flow(response: Tensor, flow: Tensor, *, sigma_m: Parameter, steps: int = 8) -> Tensor:
    """Gaussian mean along the streamlines (step 3), `steps` Euler steps to either side: (B, 1, H, W) -> (B, 1, H, W).

    sigma_m is in pixels of `response`.
    """
    grid, pixel = unit_grid(response)
    velocity = flow * (pixel * ALONG_REACH / steps * per_sample(sigma_m, response, "sigma_m"))
    weights = [math.exp(-0.5 * (ALONG_REACH * n / steps) ** 2) for n in range(steps + 1)]
    total = response * weights[0]
    for start in (velocity, -velocity):
        direction, position = start, grid + start
        for n in range(1, steps + 1):
            total.add_(sample_at(response, position), alpha=weights[n])
            if n < steps:
                # The flow is known up to sign only: the nearest vector, turned to go on the way we came.
                there = sample_at(velocity, position, mode="nearest")
                direction = torch.where(dot(direction, there) < 0.0, -there, there)
                position = position + direction
    return total / (weights[0] + 2.0 * sum(weights[1:]))


def fdog(
    photo: Tensor,
    *,
    sigma_c: Parameter = 1.0,
    sigma_m: Parameter = 3.0,
    rho: Parameter = 0.997,
    tau: Parameter = 0.8,
    phi: Parameter = 30.0,
    softness: Parameter = 0.3,
    radius: float = 5.0,
    iterations: int = 2,
) -> Tensor:
    """FDoG (coherent line) drawing of a photo.

    Args:
        photo: (B, 1 or 3, H, W) in [0, 1].
        sigma_c: line width: the inner Gaussian across the flow, pixels of a 256 pixel image.
        sigma_m: line length: the Gaussian along the flow, pixels of a 256 pixel image.
        rho: weight of the outer Gaussian; below 1 it suppresses noise in bright areas.
        tau: threshold on 1 + tanh(phi H), in (0, 1).
        phi: steepness; with images in [0, 1], H is a few hundredths on clear lines.
        softness: width of the ramp around tau, at most 2 (1 - tau); 0 is a step.
        radius: of the disk that smooths the flow, pixels of a 256 pixel image.
        iterations: how often the flow is smoothed.

    Returns:
        (B, 1, H, W), ink = 1, [0, 1].
    """
    luma = grey(photo)
    width = scaled_length(sigma_c, luma, minimum=0.25)
    flow = edge_tangent_flow(gaussian(luma, width), radius=radius, iterations=iterations)
    response = across_flow(luma, flow, sigma_c=width, rho=rho)
    response = along_flow(response, flow, sigma_m=scaled_length(sigma_m, luma, minimum=0.5))
    tone = 1.0 + torch.tanh(per_sample(phi, luma, "phi") * response.clamp(max=0.0))
    threshold = per_sample(tau, luma, "tau")
    soft = torch.minimum(per_sample(softness, luma, "softness"), 2.0 * (1.0 - threshold)).clamp(min=1e-6)
    return ((threshold + 0.5 * soft - tone) / soft).clamp(0.0, 1.0)
