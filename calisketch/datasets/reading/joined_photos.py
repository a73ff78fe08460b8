"""Several prepared folders as one data set: faces in general and one set's own, trained on together."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path

import torch
from torch import Tensor
from torch.utils.data import Dataset

from calisketch.datasets.reading.prepared_photos import PreparedPhotos

__all__ = ["JoinedPhotos", "prepared_photos"]


class JoinedPhotos(Dataset[dict[str, Tensor]]):
    """The items of several folders or splits, one after the other; ``index`` counts through all of them.

    parts: opened folders, all of one size. alike: they must also have the same kinds of images, as training needs.

    Raises ValueError if there are none, or if they do not fit together.
    """

    def __init__(self, parts: Sequence[PreparedPhotos], *, alike: bool = True) -> None:
        if not parts:
            raise ValueError("parts must name at least one prepared folder; got none.")
        first = parts[0]
        for part in parts[1:]:
            if part.size != first.size or (alike and set(part[0]) != set(first[0])):
                raise ValueError(
                    f"prepared folders that are joined must be alike: {first.root} has {sorted(first[0])} at size "
                    f"{first.size}, {part.root} has {sorted(part[0])} at size {part.size}. Prepare one of them anew."
                )
        self.parts = list(parts)
        self.size = first.size
        self.split = " + ".join(f"{part.root.name}/{part.split}" for part in parts)
        self.names = [name for part in parts for name in part.names]
        self._ends = list(accumulate(len(part) for part in parts))

    def __len__(self) -> int:
        return self._ends[-1]

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        if not -len(self) <= index < len(self):
            raise IndexError(f"item {index} of {len(self)}")
        index %= len(self)
        place = bisect_right(self._ends, index)
        within = index - (self._ends[place - 1] if place else 0)
        return {**self.parts[place][within], "index": torch.tensor(index)}

    def __repr__(self) -> str:
        return f"JoinedPhotos({self.parts!r})"


def prepared_photos(
    root: str | Path | Sequence[str | Path], split: str = "train", size: int | None = None, *, inside: bool = False
) -> PreparedPhotos | JoinedPhotos:
    """A prepared folder, or several as one data set.

    root: a folder, or a list of them. split, size, inside: as `PreparedPhotos` takes them.

    Raises FileNotFoundError or ValueError as `PreparedPhotos` and `JoinedPhotos` do.
    """
    if isinstance(root, (str, Path)):
        return PreparedPhotos(root, split, size, inside=inside)
    return JoinedPhotos([PreparedPhotos(each, split, size, inside=inside) for each in root])
