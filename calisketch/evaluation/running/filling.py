"""What a network that repairs pictures has to beat: missing pixels filled without learning anything.

But for `HiddenPSNR` each is a row's ``paint`` in a comparison: a batch whose ``sketch`` is what
`sketching.Corruption` makes, (B, 4, H, W) -> pictures (B, 3, H, W) in [0, 1]. `Interpolated` and `Inpainted` are told
which pixels are the photo's own, the network is not.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from scipy.interpolate import griddata
from torch import Tensor

from ...checks import check_image, check_positive
from ..measures.pixel import to_uint8

__all__ = ["AsItIs", "HiddenPSNR", "Inpainted", "Interpolated", "Unmixed"]

Values = NDArray[np.float32]
METHODS = {"telea": cv2.INPAINT_TELEA, "navier_stokes": cv2.INPAINT_NS}


class AsItIs:
    """The corrupted picture itself."""

    def __call__(self, batch: dict[str, Tensor]) -> Tensor:
        """(B, 3, H, W)."""
        return _given(batch)[:, :3]


class HiddenPSNR:
    """A row's figure: PSNR, dB, of 8-bit RGB over the pixels that were not the photo's own, and no others."""

    higher_is_better = True
    says = "8-bit RGB, dB, where the photo was missing; mean over images"

    def __call__(self, batch: dict[str, Tensor], made: Tensor) -> Tensor:
        """(B,); NaN for a picture that is missing nothing, infinite where the two are equal there."""
        photo, restored = (torch.from_numpy(to_uint8(each)).double() for each in (batch["photo"], made))
        hidden = (_given(batch)[:, 3].cpu() < 0.5).double()
        squares = ((photo - restored).square().mean(3) * hidden).sum((1, 2)) / hidden.sum((1, 2))
        return 10 * torch.log10(255**2 / squares)


class Interpolated:
    """Between the kept pixels: "linear" on their Delaunay triangles, the nearest one's colour outside; or "nearest".

    Raises:
        ValueError: another method.
    """

    def __init__(self, method: str = "linear") -> None:
        if method not in ("linear", "nearest"):
            raise ValueError(f"method must be linear or nearest; got {method!r}.")
        self.method = method

    def __call__(self, batch: dict[str, Tensor]) -> Tensor:
        """(B, 3, H, W)."""
        return _each(_given(batch), self._fill)

    def _fill(self, picture: Values, kept: NDArray[np.bool_]) -> Values:
        places = np.argwhere(kept)
        if len(places) == 0:
            return picture
        everywhere = np.argwhere(np.ones_like(kept))
        filled = griddata(places, picture[kept], everywhere, method="nearest")
        if self.method == "linear" and np.linalg.matrix_rank(places - places[0]) == 2:  # else there are no triangles
            linear = griddata(places, picture[kept], everywhere, method="linear")
            filled = np.where(np.isnan(linear), filled, linear)
        return np.asarray(filled, dtype=np.float32).reshape(picture.shape)


class Inpainted:
    """OpenCV's inpainting, from a hole's edge inwards: "telea" (2004) or "navier_stokes" (Bertalmio et al. 2001).

    Args:
        method: which.
        radius: of the neighbourhood that a pixel is filled from.

    Raises:
        ValueError: another method.
    """

    def __init__(self, method: str = "telea", radius: float = 3.0) -> None:
        if method not in METHODS:
            raise ValueError(f"method must be one of {', '.join(METHODS)}; got {method!r}.")
        self.method, self.radius = METHODS[method], radius

    def __call__(self, batch: dict[str, Tensor]) -> Tensor:
        """(B, 3, H, W)."""
        return _each(_given(batch), self._fill)

    def _fill(self, picture: Values, kept: NDArray[np.bool_]) -> Values:
        hole = (~kept).astype(np.uint8)
        filled = cv2.inpaint(np.rint(picture * 255).astype(np.uint8), hole, self.radius, self.method)
        return np.asarray(filled, dtype=np.float32) / np.float32(255)


class Unmixed:
    """Colour noise taken out of local means, told how much of it there is but not where.

    Around a pixel the mean of the corrupted picture is (1 - p) photo + p / 2, where p is the share of noise. The mean's
    Gaussian weights are the wider the more noise there is, since what is left of it grows by 1 / (1 - p).

    Args:
        percent: of noise, in [0, 100).
        sigma: of the mean's weights, as a share of the picture's side; to be chosen on validation photos.

    Raises:
        ValueError: a percentage or sigma out of range.
    """

    def __init__(self, percent: float, sigma: float = 0.1) -> None:
        if not 0 <= percent < 100:
            raise ValueError(f"percent must be in [0, 100); got {percent!r}.")
        check_positive("sigma", sigma)
        self.share, self.sigma = percent / 100, sigma

    def __call__(self, batch: dict[str, Tensor]) -> Tensor:
        """(B, 3, H, W)."""
        return _each(_given(batch), self._fill)

    def _fill(self, picture: Values, kept: NDArray[np.bool_]) -> Values:
        mean = cv2.GaussianBlur(picture, (0, 0), self.sigma * len(kept), borderType=cv2.BORDER_REFLECT)
        return np.asarray((mean - self.share / 2) / (1 - self.share), dtype=np.float32)


def _given(batch: dict[str, Tensor]) -> Tensor:
    given = batch["sketch"]
    check_image(given, 4, 'batch["sketch"]')
    return given


def _each(given: Tensor, fill: Callable[[Values, Any], Values]) -> Tensor:
    filled = [
        fill(np.ascontiguousarray(one[:3].permute(1, 2, 0).numpy()), one[3].numpy() > 0.5)
        for one in given.detach().float().cpu()
    ]
    return torch.from_numpy(np.stack(filled)).permute(0, 3, 1, 2).clamp(0, 1).to(given.device)
