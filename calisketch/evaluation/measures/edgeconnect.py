"""The figures of EdgeConnect's evaluation: on grey values, with a window of 51 pixels.

Cali-Sketch's set-up follows EdgeConnect (Nazeri et al., 2019), whose published script measures this way. SSIM over such
a window is blind to fine structure and comes out higher, so its figures compare only with others of the same kind.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from skimage.color import rgb2gray
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from torch import Tensor

from ...checks import check_image, check_same_shape
from .pixel import to_uint8

__all__ = ["WINDOW", "grey_psnr", "grey_ssim", "relative_l1"]

WINDOW = 51  # pixels; uniform


def grey_psnr(photo: Tensor, face: Tensor) -> NDArray[np.float64]:
    """PSNR of the grey values (ITU-R BT.709 weights, scikit-image's `rgb2gray`), in dB; (B,), infinite for equal ones.

    photo, face: (B, 3, H, W) in [0, 1], rounded to 8 bit first. Raises TypeError, ValueError for anything else.
    """
    with np.errstate(divide="ignore"):
        return np.array([peak_signal_noise_ratio(true, made, data_range=1) for true, made in _grey(photo, face)])


def grey_ssim(photo: Tensor, face: Tensor) -> NDArray[np.float64]:
    """SSIM of the grey values over a uniform window of 51 pixels, with sample covariances; (B,) in [-1, 1].

    photo, face: (B, 3, H, W) in [0, 1], sides of at least 51. Raises TypeError, ValueError for anything else.
    """
    pairs = _grey(photo, face)
    if min(photo.shape[-2:]) < WINDOW:
        raise ValueError(
            f"photo must have sides of at least {WINDOW}, EdgeConnect's window; got {tuple(photo.shape)}. Use ssim "
            "for smaller images."
        )
    return np.array([structural_similarity(true, made, data_range=1, win_size=WINDOW) for true, made in pairs])


def relative_l1(photo: Tensor, face: Tensor) -> NDArray[np.float64]:
    """What EdgeConnect's script calls MAE: sum |photo - face| / sum (photo + face) of the grey values; (B,) in [0, 1].

    photo, face: (B, 3, H, W) in [0, 1]; two black images have no such figure, NaN.
    """
    pairs = _grey(photo, face)
    with np.errstate(invalid="ignore"):
        return np.array([np.abs(true - made).sum() / (true + made).sum() for true, made in pairs])


def _grey(photo: Tensor, face: Tensor) -> list[tuple[NDArray[np.float64], NDArray[np.float64]]]:
    check_image(photo, 3, "photo")
    check_image(face, 3, "face")
    check_same_shape(photo, face, "photo", "face")
    return [(rgb2gray(true), rgb2gray(made)) for true, made in zip(to_uint8(photo), to_uint8(face), strict=True)]
