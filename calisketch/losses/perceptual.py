"""Perceptual and style losses on a network's layers (Eq. 8 and 9; Johnson et al. 2016)."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from ..checks import check_same_shape


def gram_matrix(features: Tensor) -> Tensor:
    """Channel correlations over positions, divided by C * H * W: (B, C, H, W) -> (B, C, C), float32.

    Raises:
        ValueError: not four axes.
    """
    if features.ndim != 4:
        raise ValueError(f"features must be (B, C, H, W); got {tuple(features.shape)}.")
    batch, channels, height, width = features.shape
    flat = features.float().reshape(batch, channels, height * width)
    # Sums over tens of thousands of positions leave half precision's range, so autocast must not take this product.
    with torch.autocast(features.device.type, enabled=False):
        return flat @ flat.transpose(1, 2) / (channels * height * width)


def perceptual(real_features: Mapping[str, Tensor], fake_features: Mapping[str, Tensor]) -> Tensor:
    """Eq. 8: the sum over layers of mean |phi_i(I) - phi_i(P)|.

    Args:
        real_features: layer name -> activations on the photo, detached here.
        fake_features: layer name -> activations on the generated photo.

    Returns:
        A scalar, at least 0.

    Raises:
        ValueError: no layers, other names, or shapes that differ.
    """
    return _layer_distance(real_features, fake_features)


def style(real_grams: Mapping[str, Tensor], fake_grams: Mapping[str, Tensor]) -> Tensor:
    """Eq. 9: the sum over layers of mean |Gram(phi_i(I)) - Gram(phi_i(P))|.

    Args:
        real_grams: layer name -> ``gram_matrix`` of the photo's activations, detached here.
        fake_grams: layer name -> ``gram_matrix`` of the generated photo's activations.

    Returns:
        A scalar, at least 0.

    Raises:
        ValueError: no layers, other names, or shapes that differ.
    """
    return _layer_distance(real_grams, fake_grams)


def _layer_distance(real: Mapping[str, Tensor], fake: Mapping[str, Tensor]) -> Tensor:
    if not real or real.keys() != fake.keys():
        raise ValueError(f"both sides must have the same layers, at least 1; got {sorted(real)} and {sorted(fake)}.")
    terms = []
    for layer, target in real.items():
        check_same_shape(target, fake[layer], f"real {layer}", f"fake {layer}")
        terms.append((target.detach().float() - fake[layer].float()).abs().mean())
    return torch.stack(terms).sum()
