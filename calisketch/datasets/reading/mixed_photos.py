"""Data sets of different kinds as one: drawings made of thousands of photos, beside the few that artists made."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset

from calisketch.datasets.reading.paired_photos import photo_pairs

__all__ = ["MixedPhotos", "with_pairs"]


class MixedPhotos(Dataset[dict[str, Tensor]]):
    """The items of several data sets, each several times over; ``index`` counts through all of them.

    An item has what the items of all parts have. Where some have ``inside`` (1 where a loss may look) and others do
    not, all pixels of those others are inside.

    parts: data sets whose items are photos with what belongs to them, all of one size.
    repeats: how often each part's items come in an epoch; None: once. A part of 250 pairs is a third of an epoch beside
        5,000 photos if it comes ten times.

    Raises ValueError for no parts, another number of repeats, one below 1, sizes that differ, or parts without a common
    image beside the photo.
    """

    def __init__(self, parts: Sequence[Any], repeats: Sequence[int] | None = None) -> None:
        repeats = [1] * len(parts) if repeats is None else list(repeats)
        if not parts or len(repeats) != len(parts) or min(repeats) < 1:
            raise ValueError(
                f"parts must be at least one data set, with repeats of at least 1 for each; got {len(parts)} parts and "
                f"repeats {repeats}."
            )
        kinds = [set(part[0]) for part in parts]
        sides = {tuple(part[0]["photo"].shape) for part in parts}
        self.kinds = set.intersection(*kinds) - {"index"}
        if any("inside" in each for each in kinds):
            self.kinds.add("inside")
        if len(sides) != 1 or self.kinds <= {"photo", "inside"}:
            raise ValueError(
                f"data sets that are mixed must have photos of one size and something beside them; got {sorted(sides)} "
                f"and {[sorted(each) for each in kinds]}."
            )
        self.parts, self.repeats = list(parts), repeats
        self.size: int | None = getattr(parts[0], "size", None)
        self.names: list[str] = []
        for part, count in zip(parts, repeats, strict=True):
            self.names += list(getattr(part, "names", [])) * count
        self._ends = list(accumulate(len(part) * count for part, count in zip(parts, repeats, strict=True)))

    def __len__(self) -> int:
        return self._ends[-1]

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        if not -len(self) <= index < len(self):
            raise IndexError(f"item {index} of {len(self)}")
        index %= len(self)
        place = bisect_right(self._ends, index)
        within = index - (self._ends[place - 1] if place else 0)
        item = self.parts[place][within % len(self.parts[place])]
        if "inside" in self.kinds and "inside" not in item:
            item = {**item, "inside": torch.ones_like(item["photo"][:1])}
        return {**{name: item[name] for name in sorted(self.kinds)}, "index": torch.tensor(index)}

    def __repr__(self) -> str:
        return f"MixedPhotos({self.parts!r}, repeats={self.repeats})"


def with_pairs(
    photos: Any,
    pairs: str | Path | Sequence[str | Path] | None = None,
    split: str = "train",
    size: int | None = None,
    *,
    share: float = 0.1,
    inside: bool = True,
) -> Any:
    """Drawn photos, and pairs of a photo and the drawing that an artist made of it, for configurations.

    photos: a data set whose items have a photo and a ``sketch``, such as `DrawnPhotos`.
    pairs: a prepared folder or several, as `photo_pairs` takes them; None: photos alone.
    split, size, inside: of the pairs.
    share: about so many of the items are pairs: theirs come as often as that takes, once at least.

    Raises ValueError for a share that is not between 0 and 1, and as `photo_pairs` and `MixedPhotos` do.
    """
    if not 0 < share < 1:
        raise ValueError(f"share must be between 0 and 1, the share of the items that are pairs; got {share!r}.")
    if pairs is None:
        return photos
    drawn = photo_pairs(pairs, split, size, inside=inside)
    often = share / (1 - share) * len(photos) / len(drawn)
    return MixedPhotos([photos, drawn], [1, max(1, round(often))])
