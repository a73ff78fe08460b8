"""Edge maps of a photo, the two targets of the calibration: HED (contour, E[0]) and Canny (detail, E[1]).

As settled for Cali-Sketch: Canny is scikit-image's at sigma 2 on the photo as it is; HED sees the photo with its luma
equalised over the whole image. Both are (B, 1, H, W) with edge = 1 on 0, like every line drawing inside the library.
"""

from __future__ import annotations

import numpy as np
import torch
from skimage.color import rgb2gray
from skimage.feature import canny as skimage_canny
from torch import Tensor

from calisketch.checks import check_image, check_positive
from calisketch.networks.hed import HED

__all__ = ["CANNY_SIGMA", "REFERENCE_SIZE", "canny", "canny_sigma_at", "edge_maps", "equalise_luma", "hed"]

CANNY_SIGMA = 2.0  # at REFERENCE_SIZE
REFERENCE_SIZE = 256  # the paper's, for which widths of lines are stated
_LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601, as in JPEG


def canny(photo: Tensor, *, sigma: float = CANNY_SIGMA) -> Tensor:
    """Canny's edges, exactly those of `skimage.feature.canny` on the photo's grey value (`skimage.color.rgb2gray`).

    photo: (B, 3, H, W) or (B, 1, H, W) in [0, 1]. Returns (B, 1, H, W) of 0 and 1, on the photo's device.
    It runs image by image on the CPU and has no gradient: it belongs to the preparation, never into a training step.
    """
    check_image(photo, (1, 3), "photo")
    check_positive("sigma", sigma)
    images = photo.detach().cpu().double().permute(0, 2, 3, 1).numpy()
    greys = [image[..., 0] if image.shape[-1] == 1 else rgb2gray(image) for image in images]
    edges = np.stack([skimage_canny(grey, sigma=sigma) for grey in greys])
    return torch.from_numpy(edges).unsqueeze(1).to(device=photo.device, dtype=photo.dtype)


def canny_sigma_at(size: int, sigma: float = CANNY_SIGMA) -> float:
    """`sigma`, stated for 256 pixels, in proportion for photos of another size: at 128, sigma 2 smoothed eyes away."""
    return sigma * size / REFERENCE_SIZE


def equalise_luma(photo: Tensor) -> Tensor:
    """Histogram equalisation of each photo's luma over the whole image; the colour differences stay.

    photo: (B, 3, H, W), RGB in [0, 1]. Returns the same shape, in [0, 1].

    Luma is quantised to 256 levels; level v becomes (cdf(v) - cdf(v_min)) / (N - cdf(v_min)), the usual definition
    (Gonzalez and Woods, section 3.3), so the darkest level goes to 0 and the brightest to 1. An image of a single level
    is returned as it is. The difference new - old luma is added to R, G and B and the sum clipped, which leaves the
    chroma Cb and Cr as they were wherever nothing clips.
    """
    check_image(photo, 3, "photo")
    luma = (photo * photo.new_tensor(_LUMA).view(1, 3, 1, 1)).sum(dim=1)
    batch, height, width = luma.shape
    levels = (luma * 255.0).round().clamp(0, 255).long().flatten(1)
    histogram = torch.zeros(batch, 256, dtype=torch.float64, device=photo.device)
    histogram.scatter_add_(1, levels, torch.ones_like(levels, dtype=torch.float64))
    cumulative = histogram.cumsum(dim=1)
    lowest = cumulative.gather(1, levels.min(dim=1, keepdim=True).values)
    spread = height * width - lowest
    equalised = ((cumulative.gather(1, levels) - lowest) / spread.clamp(min=1)).to(photo.dtype)
    target = torch.where(spread > 0, equalised, luma.flatten(1)).view(batch, height, width)
    return (photo + (target - luma).unsqueeze(1)).clamp(0, 1)


@torch.no_grad()
def hed(photo: Tensor, network: HED, *, equalise: bool = True) -> Tensor:
    """HED's contour map of the photo, its luma equalised first unless `equalise` is False.

    photo: (B, 3, H, W), RGB in [0, 1], on the network's device. Returns (B, 1, H, W) in [0, 1]; no gradient.
    """
    return network(equalise_luma(photo) if equalise else photo)


def edge_maps(photo: Tensor, network: HED, *, sigma: float = CANNY_SIGMA, equalise: bool = True) -> dict[str, Tensor]:
    """Both targets of the calibration: {"contour": HED, "detail": Canny}, each (B, 1, H, W), edge = 1."""
    return {"contour": hed(photo, network, equalise=equalise), "detail": canny(photo, sigma=sigma)}
