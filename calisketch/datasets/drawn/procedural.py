"""Faces drawn by a small procedure of our own, for runs that have no photos: a smoke test, a demonstration, unit tests.

Each face is a stack of filled shapes whose colours, proportions and hair are drawn at random. Every shape also draws
its outline into a second canvas and rubs out what it covers there, so the contour map follows from the construction,
without HED; blurred, it has an HED map's soft, thick lines. The eyes lie where every data set has them.
"""

from __future__ import annotations

import torch
from skimage.color import rgb2gray
from skimage.feature import canny
from torch import Tensor
from torch.utils.data import Dataset

from calisketch.datasets.drawn.drawn_face import draw_face
from calisketch.sketching.edges import canny_sigma_at

__all__ = ["ProceduralFaces"]


class ProceduralFaces(Dataset[dict[str, Tensor]]):
    """`count` drawn faces: items as of `PreparedPhotos`, the same for the same (seed, index), whatever the count.

    An item is {"photo": (3, size, size), "contour": (1, size, size), "detail": (1, size, size), "index": int64 scalar},
    float32 in [0, 1], line maps with ink = 1. The detail is scikit-image's Canny at sigma 2, as for photos.
    Raises ValueError for a count under 1 or a size under 16.
    """

    def __init__(self, count: int = 64, size: int = 64, seed: int = 0) -> None:
        if count < 1:
            raise ValueError(f"count must be at least 1; got {count}.")
        if size < 16:
            raise ValueError(f"size must be at least 16 pixels; got {size}.")
        self.count, self.size, self.seed = count, size, seed
        self.names = [f"drawn-{seed}-{index:05d}" for index in range(count)]
        self._cache: dict[int, dict[str, Tensor]] = {}

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        if not -self.count <= index < self.count:
            raise IndexError(f"face {index} of {self.count}")
        index %= self.count
        if index not in self._cache:
            photo, contour = draw_face(self.size, self.seed, index)
            detail = canny(rgb2gray(photo), sigma=canny_sigma_at(self.size))
            self._cache[index] = {
                "photo": torch.from_numpy(photo).permute(2, 0, 1).float() / 255,
                "contour": torch.from_numpy(contour)[None].float(),
                "detail": torch.from_numpy(detail)[None].float(),
            }
        return {**self._cache[index], "index": torch.tensor(index)}

    def __repr__(self) -> str:
        return f"ProceduralFaces({self.count} drawn faces, size={self.size}, seed={self.seed})"
