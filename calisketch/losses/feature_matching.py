"""Feature matching on a discriminator's layers; with edge maps as the real side it is the calibration loss (Eq. 2)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ..checks import check_same_shape


def feature_matching(real_features: Sequence[Tensor], fake_features: Sequence[Tensor]) -> Tensor:
    """Eq. 2 for one j: the sum over layers i of mean |D_i(real) - D_i(fake)|, the real side detached.

    Args:
        real_features: the discriminator's layer activations on real images.
        fake_features: those on generated images, layer for layer of the same shape.

    Returns:
        A scalar, at least 0.

    Raises:
        ValueError: no layers, not the same number of them, or shapes that differ.
    """
    if len(real_features) == 0 or len(real_features) != len(fake_features):
        raise ValueError(
            "real_features and fake_features must have the same number of layers, at least 1; got "
            f"{len(real_features)} and {len(fake_features)}."
        )
    terms = []
    for layer, (real, fake) in enumerate(zip(real_features, fake_features, strict=True)):
        check_same_shape(real, fake, f"real_features[{layer}]", f"fake_features[{layer}]")
        terms.append((real.detach().float() - fake.float()).abs().mean())
    return torch.stack(terms).sum()
