"""XDoG: bold lines with filled darks.

Winnemöller, Kyprianidis and Olsen, "XDoG: an eXtended difference-of-Gaussians compendium" (Computers & Graphics 2012):

    D = G_sigma(I) - gamma G_{k sigma}(I)
    T = 1                               where D >= epsilon
        1 + tanh(phi (D - epsilon))     elsewhere

T is a drawing on white; this module returns the ink, 1 - T. Many ports swap the two branches, which inks the paper and
leaves the lines white; a test holds ours to the formula.
"""

from __future__ import annotations

import torch
from torch import Tensor

from calisketch.sketching.kernels import Parameter, drop_specks, gaussian, grey, per_sample, scaled_length

XDOG_RANGES: dict[str, tuple[float, float]] = {
    "sigma": (1.0, 2.0),
    "gamma": (0.985, 0.995),
    "epsilon": (-0.004, -0.001),
    "phi": (100.0, 250.0),
}


def xdog(
    photo: Tensor,
    *,
    sigma: Parameter = 1.4,
    k: Parameter = 1.6,
    gamma: Parameter = 0.99,
    epsilon: Parameter = -0.002,
    phi: Parameter = 200.0,
    specks: Parameter = 0.1,
) -> Tensor:
    """XDoG drawing of a photo.

    Args:
        photo: (B, 1 or 3, H, W) in [0, 1].
        sigma: width of the inner Gaussian in pixels of a 256 pixel image.
        k: ratio of the outer Gaussian's width to the inner's.
        gamma: weight of the outer Gaussian; 1 - gamma of the tone stays in D.
        epsilon: threshold on D. The paper's -0.1 belongs to another value range; this is tuned on [0, 1].
        phi: steepness of the ramp below the threshold.
        specks: ink with less ink than this around it fades (:func:`~calisketch.sketching.kernels.drop_specks`);
            0 is the plain formula.

    Returns:
        (B, 1, H, W), ink = 1, [0, 1].
    """
    luma = grey(photo)
    inner = scaled_length(sigma, luma, minimum=0.35)
    outer = inner * (k.to(inner.device) if isinstance(k, Tensor) and isinstance(inner, Tensor) else k)
    difference = gaussian(luma, inner) - per_sample(gamma, luma, "gamma") * gaussian(luma, outer)
    below = difference - per_sample(epsilon, luma, "epsilon")
    tone = torch.where(below >= 0.0, torch.ones_like(below), 1.0 + torch.tanh(per_sample(phi, luma, "phi") * below))
    return drop_specks(1.0 - tone, specks)
