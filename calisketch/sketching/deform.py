"""Stroke deformation: what makes a drawing look done by hand.

Human-like sketches are "sparse, deformed, lacking lines" (Cali-Sketch, section 4.1), above all around mouth and jaw:

* a smooth random warp bends every stroke;
* patches of strokes are dropped where a smooth random field is high;
* gaps open at the mouth and along the jaw, at their places in the canonical alignment (eyes at (96, 131) and (160, 131)
  of 256 x 256).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from calisketch.checks import check_image
from calisketch.sketching.contour import displace
from calisketch.sketching.kernels import REFERENCE_SIDE, Parameter, per_sample, pixel_grid, ramp, smooth_field

WARP_CELLS, DROP_CELLS = 6, 22
GAP_UNIFORMS = 6
FIELD_SPREAD = 0.8  # standard deviation of the smooth field over all pixels
DEFORM_UNIFORMS = 2 * WARP_CELLS**2 + DROP_CELLS**2 + GAP_UNIFORMS  # random numbers a sample needs

MOUTH = (128.0, 198.0)  # centre, in the 256 pixel frame
MOUTH_REACH = (22.0, 9.0)  # how far a gap's centre strays from it
JAW_CENTRE, JAW_AXES = (128.0, 150.0), (68.0, 88.0)  # the ellipse whose lower half is cheeks, jaw and chin
JAW_BAND = 14.0  # a jaw gap's half width across the line
JAW_SPAN = (20.0, 160.0)  # degrees from the right cheek over the chin (90) to the left cheek

DEFORM_RANGES: dict[str, tuple[float, float]] = {
    "warp": (1.0, 3.0),
    "drop": (0.05, 0.2),
    "mouth": (0.0, 14.0),
    "jaw": (0.0, 22.0),
}


def keep_mask(sketch: Tensor, uniforms: Tensor, drop: Parameter, mouth: Parameter, jaw: Parameter) -> Tensor:
    """Where ink stays, (B, 1, H, W) in [0, 1], from (B, DROP_CELLS^2 + GAP_UNIFORMS) uniforms; see `deform`."""
    uniforms = uniforms.to(sketch)
    field = smooth_field(uniforms[:, : DROP_CELLS**2], DROP_CELLS, sketch)
    share = per_sample(drop, sketch, "drop").clamp(0.0, 0.98)
    # The normal quantile, so that `share` of the area lies above it.
    level = FIELD_SPREAD * math.sqrt(2.0) * torch.erfinv((1.0 - 2.0 * share).clamp(-0.999, 0.999))
    kept = torch.where(share > 0.0, ramp(level - field, -0.1, 0.15), 1.0)

    gap = uniforms[:, DROP_CELLS**2 :].reshape(-1, GAP_UNIFORMS, 1, 1, 1)
    x, y = pixel_grid(sketch)
    height, width = sketch.shape[-2:]
    x, y = (x + 0.5) * (REFERENCE_SIDE / width), (y + 0.5) * (REFERENCE_SIDE / height)

    mouth_x = MOUTH[0] + MOUTH_REACH[0] * (2.0 * gap[:, 0] - 1.0)
    mouth_y = MOUTH[1] + MOUTH_REACH[1] * (2.0 * gap[:, 1] - 1.0)
    distance = torch.sqrt((x - mouth_x) ** 2 + (y - mouth_y) ** 2)
    radius = per_sample(mouth, sketch, "mouth").clamp(min=1e-3)
    kept = kept * ramp(distance, radius, 1.4 * radius)

    u, v = (x - JAW_CENTRE[0]) / JAW_AXES[0], (y - JAW_CENTRE[1]) / JAW_AXES[1]
    across = (torch.sqrt(u * u + v * v) - 1.0).abs() * 0.5 * sum(JAW_AXES)
    place = torch.rad2deg(torch.atan2(v, u))
    for k in (2, 3):
        centre = JAW_SPAN[0] + (JAW_SPAN[1] - JAW_SPAN[0]) * gap[:, k]
        half_span = (per_sample(jaw, sketch, "jaw") * gap[:, k + 2]).clamp(min=1e-3)
        beside = ramp((place - centre).abs(), half_span, 1.3 * half_span)
        kept = kept * torch.maximum(beside, ramp(across, JAW_BAND, JAW_BAND + 4.0))
    return kept


def deform(
    sketch: Tensor,
    uniforms: Tensor,
    *,
    warp: Parameter = 2.0,
    drop: Parameter = 0.1,
    mouth: Parameter = 8.0,
    jaw: Parameter = 12.0,
) -> Tensor:
    """Bend a drawing's strokes, drop some, and open gaps at mouth and jaw.

    Args:
        sketch: (B, 1, H, W), ink = 1, [0, 1], a face in the canonical alignment.
        uniforms: (B, DEFORM_UNIFORMS) random numbers in [0, 1), see :func:`calisketch.sketching.draw_uniforms`.
        warp: how far strokes stray (standard deviation on the field's lattice), pixels of a 256 pixel image.
        drop: share of the area whose strokes are dropped.
        mouth: radius of the gap at the mouth, pixels of a 256 pixel image.
        jaw: largest half length of each of two gaps along the jaw, degrees around the face's middle.

    Returns:
        (B, 1, H, W), ink = 1, [0, 1].

    Raises:
        ValueError: `uniforms` has another shape.
    """
    check_image(sketch, 1, "sketch")
    if uniforms.shape != (sketch.shape[0], DEFORM_UNIFORMS):
        raise ValueError(
            f"uniforms must be ({sketch.shape[0]}, {DEFORM_UNIFORMS}); got {tuple(uniforms.shape)}. "
            "Draw them with draw_uniforms(batch, DEFORM_UNIFORMS, generator)."
        )
    warp_uniforms, keep_uniforms = uniforms.split((2 * WARP_CELLS**2, DROP_CELLS**2 + GAP_UNIFORMS), dim=1)
    kept = sketch * keep_mask(sketch, keep_uniforms, drop, mouth, jaw)
    return displace(kept, warp_uniforms, warp, WARP_CELLS)
