"""Photocopy: toned lines, as an office copier renders a photo.

The effect of that name in image editors, after the maths documented by GEGL's ``gegl:photocopy`` operation (written
anew from the formulas):

    r   = G_s(I) / G_m(I)               a sharp blur against the mask blur
    out = G_s (d - min(d, c - r)) / d   where r < c:  dark beside its surroundings, ramped down to black
          u + G_s - u G_s               elsewhere, u = min(w, r - c) / w: ramped up to white

with the cut c = 0.75. The ramps are set by the picture itself: d reaches black for a share `black` of the pixels under
the cut, w reaches white for a share `white` of the pixels above it. GEGL states both blurs as radii,
sigma = (radius + 1) / sqrt(2 ln 255), the sharp one max(1, 10 (1 - sharpness)).

Where we differ. (1) GEGL's present source fills only the histogram below the cut and reads the other one empty; we
follow the meaning its two properties document, as the plug-in that it replaced did. (2) GEGL divides linear light; here
`exponent` = 1 keeps the photo's display values, in which faces and hair are better apart, and 2.2 is near linear.
(3) `floor` is added to both blurs before they are divided: without it the noise of a black wall becomes pepper. (4) The
default `cut` and ramps are tuned for faces.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from calisketch.sketching.kernels import Parameter, gaussian, grey, per_sample, scaled_length

HISTOGRAM_BINS = 1000  # of the ratio, per unit, as in GEGL

PHOTOCOPY_RANGES: dict[str, tuple[float, float]] = {
    "mask_radius": (12.0, 24.0),
    "sharpness": (0.88, 0.95),
    "black": (0.05, 0.15),
    "white": (0.4, 0.7),
    "cut": (0.85, 0.92),
}


def blur_sigma(radius: Parameter) -> Parameter:
    """GEGL's sigma of a blur radius: the Gaussian falls to 1/255 at radius + 1."""
    return (radius + 1.0) / math.sqrt(2.0 * math.log(255.0))


def share_threshold(ratio: Tensor, member: Tensor, share: Tensor) -> Tensor:
    """The ratio below which a `share` of the member pixels lies, per sample, to 1/1000: (B, 1, H, W) -> (B, 1, 1, 1).

    The first histogram bin whose cumulated count exceeds share * count; 0 for a sample with no member pixel.
    """
    batch = ratio.shape[0]
    bins = 2 * HISTOGRAM_BINS
    index = (ratio * HISTOGRAM_BINS).long().clamp(0, bins - 1).flatten(1)
    histogram = torch.zeros(batch, bins, dtype=torch.long, device=ratio.device)
    histogram.scatter_add_(1, index, member.flatten(1).long())  # whole numbers: exact in any order
    cumulated = histogram.cumsum(1)
    count = cumulated[:, -1:]
    first = (cumulated <= share.reshape(batch, 1) * count).sum(1).clamp(max=bins - 1)
    threshold = torch.where(count[:, 0] > 0, first / HISTOGRAM_BINS, 0.0)
    return threshold.to(ratio.dtype).reshape(batch, 1, 1, 1)


def photocopy(
    photo: Tensor,
    *,
    mask_radius: Parameter = 18.0,
    sharpness: Parameter = 0.92,
    black: Parameter = 0.1,
    white: Parameter = 0.5,
    cut: Parameter = 0.88,
    floor: Parameter = 0.05,
    exponent: Parameter = 1.0,
) -> Tensor:
    """Photocopy drawing of a photo.

    Args:
        photo: (B, 1 or 3, H, W) in [0, 1].
        mask_radius: radius of the mask blur, pixels of a 256 pixel image.
        sharpness: in [0, 1]; the sharp blur's radius is max(1, 10 (1 - sharpness)).
        black: share of the pixels under the cut that turn black.
        white: share of the pixels above the cut that turn white.
        cut: ratio at which the two ramps meet.
        floor: added to both blurs before the division, above 0.
        exponent: power applied to the photo first; 2.2 is near linear light.

    Returns:
        (B, 1, H, W), ink = 1, [0, 1].
    """
    luma = grey(photo) ** per_sample(exponent, photo, "exponent")
    radius = 10.0 * (1.0 - sharpness)
    radius = radius.clamp(min=1.0) if isinstance(radius, Tensor) else max(radius, 1.0)
    sharp = gaussian(luma, scaled_length(blur_sigma(radius), luma, minimum=0.4))
    mask = gaussian(luma, scaled_length(blur_sigma(mask_radius), luma, minimum=0.8))
    darkest = per_sample(floor, luma, "floor")
    ratio = (sharp + darkest) / (mask + darkest)
    middle = per_sample(cut, luma, "cut")
    under = ratio < middle

    down = (middle - share_threshold(ratio, under, per_sample(black, luma, "black"))).clamp(min=1e-3)
    up = share_threshold(ratio, ~under & (ratio < 2.0), 1.0 - per_sample(white, luma, "white")) - middle
    up = up.clamp(min=1e-3)
    darkened = sharp * (1.0 - torch.minimum(down, middle - ratio) / down)
    lift = torch.minimum(up, ratio - middle) / up
    lightened = lift + sharp - lift * sharp
    return 1.0 - torch.where(under, darkened, lightened).clamp(0.0, 1.0)
