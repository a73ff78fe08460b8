"""Sparse binary edges, PI-REC's first input: Canny at another smoothing for every sample, some of its pixels missing.

PI-REC (You et al. 2019), section 3.1: hyperparameter confusion draws Canny's sigma from a range, and every pixel of an
edge is reset to 0 with a probability of 8 %, as nobody draws every line. The paper gives no range; sigma from 2.5 to
5.4 is that of the authors' tool *(a reading)*. It is stated for 256 pixels and taken in proportion at other sizes
(:func:`~calisketch.sketching.edges.canny_sigma_at`), as all lengths here: the same things then have an outline. That
outline stays one pixel wide, so that it covers more of a small picture: of faces 1.8 to 4.6 % at 256 pixels, 15 to 21 %
at 64; of shoes 1.3 to 2.3 % and 7 to 10 %.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from calisketch.checks import check_image, check_positive
from calisketch.sketching.edges import canny, canny_sigma_at
from calisketch.sketching.styles import numbers_of, sample_uniforms

__all__ = ["SparseEdges"]


class SparseEdges:
    """Binary edges of photos, other ones for every sample and epoch; for `data.draw`.

    Each sample depends on (seed, epoch, its own index) alone. Canny runs image by image on the CPU: about a millisecond
    a photo of 64 pixels, and ten of 256.

    Args:
        sigma: smallest and largest smoothing of Canny, in pixels of a 256 pixel image, uniform between; larger leaves
            fewer edges.
        dropped: probability that an edge's pixel is reset to 0.

    Raises:
        ValueError: a range that is not two positive numbers, the lower first, or a probability outside [0, 1].
    """

    def __init__(self, sigma: Sequence[float] = (2.5, 5.4), dropped: float = 0.08) -> None:
        if len(sigma) != 2 or sigma[0] > sigma[1]:
            raise ValueError(f"sigma must be two numbers, the lower first; got {list(sigma)}.")
        check_positive("sigma", sigma[0])
        check_positive("sigma", sigma[1])
        if not 0.0 <= dropped <= 1.0:
            raise ValueError(f"dropped must be a probability in [0, 1]; got {dropped!r}.")
        self.sigma = float(sigma[0]), float(sigma[1])
        self.dropped = float(dropped)

    @classmethod
    def fixed(cls, sigma: float = 3.0) -> SparseEdges:
        """Without hyperparameter confusion: one sigma (the paper, section 4.2: 3), and no pixel is reset.

        The resetting belongs to the confusion *(a reading: it stands in the same paragraph)*.
        """
        return cls((sigma, sigma), dropped=0.0)

    @torch.no_grad()
    def __call__(self, photo: Tensor, *, seed: int, epoch: int, index: Sequence[int] | Tensor) -> Tensor:
        """Draw one edge map per photo.

        Args:
            photo: (B, 3, H, W) in [0, 1], on any device.
            seed, epoch: of the run.
            index: each sample's index in its data set, B whole numbers.

        Returns:
            (B, 1, H, W) of 0 and 1, edge = 1, float32, on `photo`'s device.

        Raises:
            TypeError, ValueError: not photos in [0, 1], or not one index for each.
        """
        check_image(photo, (1, 3), "photo")
        indices = numbers_of(index, photo)
        height, width = photo.shape[-2:]
        uniforms = sample_uniforms(seed, epoch, indices, 1 + height * width, stream="edges")
        low, high = self.sigma
        drawn = []
        for image, draw in zip(photo.detach().float().cpu(), uniforms[:, 0].tolist(), strict=True):
            sigma = canny_sigma_at(min(height, width), low + draw * (high - low))
            drawn.append(canny(image[None], sigma=sigma))
        kept = uniforms[:, 1:].view(-1, 1, height, width) >= self.dropped
        return (torch.cat(drawn) * kept).to(photo.device)
