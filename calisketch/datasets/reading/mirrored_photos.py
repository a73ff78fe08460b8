"""Each photo a second time, mirrored: twice the faces where there are few."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from calisketch.datasets.reading.repeated_photos import Variants

__all__ = ["MirroredPhotos"]


class MirroredPhotos(Variants):
    """The items of ``photos``, then all of them mirrored left to right, line maps alike; ``index`` counts through both.

    Sketches are drawn of the mirrored photos as of any others. Not for tasks in which a side means something.

    photos: a data set with items of (C, H, W) images and an ``index``, such as `PreparedPhotos`.
    """

    def __init__(self, photos: Any) -> None:
        super().__init__(photos, variants=2)

    def varied(self, item: dict[str, Tensor], variant: int, place: int) -> dict[str, Tensor]:
        """The item, mirrored in the second variant."""
        return {name: value.flip(-1) if value.ndim == 3 else value for name, value in item.items()} if variant else item

    def __repr__(self) -> str:
        return f"MirroredPhotos({self.photos!r})"
