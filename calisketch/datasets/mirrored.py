"""Each photo a second time, mirrored: twice the faces where there are few."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset

__all__ = ["MirroredPhotos"]


class MirroredPhotos(Dataset[dict[str, Tensor]]):
    """The items of ``photos``, then all of them mirrored left to right, line maps alike; ``index`` counts through both.

    Sketches are drawn of the mirrored photos as of any others. Not for tasks in which a side means something.

    photos: a data set with items of (C, H, W) images and an ``index``, such as `PreparedPhotos`.
    """

    def __init__(self, photos: Any) -> None:
        self.photos = photos

    def __len__(self) -> int:
        return 2 * len(self.photos)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        if not -len(self) <= index < len(self):
            raise IndexError(f"item {index} of {len(self)}")
        index %= len(self)
        item = self.photos[index % len(self.photos)]
        if index >= len(self.photos):
            item = {name: value.flip(-1) if value.ndim == 3 else value for name, value in item.items()}
        return {**item, "index": torch.tensor(index)}

    def __repr__(self) -> str:
        return f"MirroredPhotos({self.photos!r})"
