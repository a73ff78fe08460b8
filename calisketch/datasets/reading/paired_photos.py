"""Pairs: photos with the drawing that a person made of each, instead of sketches that are drawn from them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset, Subset

from calisketch.datasets.reading.joined_photos import JoinedPhotos
from calisketch.datasets.reading.prepared_photos import PreparedPhotos

__all__ = ["PairedPhotos", "photo_pairs"]


class PairedPhotos(Dataset[dict[str, Tensor]]):
    """The items of ``photos``, each with its drawing as ``sketch``; to be trained on with ``data.draw`` null.

    photos: a data set whose items have the drawing, such as `PreparedPhotos(..., track="artist")`.
    drawing: its name there, (1, H, W) with ink = 1.
    count: take so many pairs, at even distances (a folder's first ones may all be of one kind); None: all.

    Raises ValueError where there is no such drawing, or fewer pairs than asked for.
    """

    def __init__(self, photos: Any, drawing: str = "artist", count: int | None = None) -> None:
        if len(photos) == 0 or drawing not in photos[0]:
            there = sorted(photos[0]) if len(photos) else "nothing"
            raise ValueError(
                f"pairs need items with {drawing!r}, the drawing of each photo; got {there}. Prepare photos together "
                "with their drawings: calisketch prepare-pairs, or calisketch prepare-cuhk for CUHK's."
            )
        if count is not None and (isinstance(count, bool) or not 1 <= count <= len(photos)):
            raise ValueError(f"count must be from 1 to the {len(photos)} pairs that there are; got {count!r}.")
        places = range(len(photos)) if count is None else [k * len(photos) // count for k in range(count)]
        names = list(getattr(photos, "names", [])) or [str(k) for k in range(len(photos))]
        self.photos = Subset(photos, list(places))
        self.drawing = drawing
        self.size: int | None = getattr(photos, "size", None)
        self.names = [names[k] for k in places]

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        if not -len(self) <= index < len(self):
            raise IndexError(f"item {index} of {len(self)}")
        index %= len(self)
        item = dict(self.photos[index])
        return {**item, "sketch": item[self.drawing], "index": torch.tensor(index)}

    def __repr__(self) -> str:
        return f"PairedPhotos({self.photos.dataset!r}, {self.drawing!r}, {len(self)} pairs)"


def photo_pairs(
    root: str | Path | Sequence[str | Path],
    split: str = "train",
    size: int | None = None,
    *,
    count: int | None = None,
    inside: bool = False,
) -> PairedPhotos:
    """`PairedPhotos` of a prepared folder or several, for configurations: only photos that have an artist's drawing.

    root: a folder, or a list of them. split, size, inside: as `PreparedPhotos` takes them. count: as `PairedPhotos`.

    Raises FileNotFoundError or ValueError as `PreparedPhotos`, `JoinedPhotos` and `PairedPhotos` do.
    """
    if isinstance(root, (str, Path)):
        return PairedPhotos(PreparedPhotos(root, split, size, "artist", inside=inside), count=count)
    parts = [PreparedPhotos(each, split, size, "artist", inside=inside) for each in root]
    return PairedPhotos(JoinedPhotos(parts), count=count)
