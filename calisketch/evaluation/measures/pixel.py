"""PSNR (Eq. 11) and SSIM as the paper's tables use them: by scikit-image, on 8-bit RGB, image by image."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from torch import Tensor

from ...checks import check_image, check_same_shape


def to_uint8(images: Tensor) -> NDArray[np.uint8]:
    """(B, C, H, W) in [0, 1] -> (B, H, W, C) uint8, rounded, as a saved PNG holds them."""
    check_image(images, None, "images")
    return (images.detach().float().clamp(0, 1) * 255).round().byte().permute(0, 2, 3, 1).cpu().numpy()


def psnr(photo: Tensor, face: Tensor) -> NDArray[np.float64]:
    """Eq. 11: 10 log10(255^2 / MSE) over all channels of 8-bit RGB, in dB.

    Args:
        photo, face: (B, 3, H, W) in [0, 1].

    Returns:
        (B,); infinite where the two are equal.

    Raises:
        TypeError, ValueError: not images, or not of one shape.
    """
    pairs = _pairs(photo, face)
    with np.errstate(divide="ignore"):
        return np.array([peak_signal_noise_ratio(true, made, data_range=255) for true, made in pairs])


def ssim(photo: Tensor, face: Tensor) -> NDArray[np.float64]:
    """Structural similarity: Gaussian window of 11 and sigma 1.5, mean over channels of 8-bit RGB.

    Args:
        photo, face: (B, 3, H, W) in [0, 1], sides of at least 11.

    Returns:
        (B,) in [-1, 1].

    Raises:
        TypeError, ValueError: not images, not of one shape, or smaller than the window.
    """
    options = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    return np.array(
        [
            structural_similarity(true, made, data_range=255, channel_axis=-1, **options)
            for true, made in _pairs(photo, face)
        ]
    )


def _pairs(photo: Tensor, face: Tensor) -> list[tuple[NDArray[np.uint8], NDArray[np.uint8]]]:
    check_image(photo, 3, "photo")
    check_image(face, 3, "face")
    check_same_shape(photo, face, "photo", "face")
    return list(zip(to_uint8(photo), to_uint8(face), strict=True))
