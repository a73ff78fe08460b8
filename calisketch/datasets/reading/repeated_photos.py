"""A data set of photos several times over, each time another way: mirrored, moved, with other conditions drawn.

A data set knows of no epoch, so what shall differ from one time to the next is a variant of its own.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset

from calisketch.datasets.reading.joined_photos import prepared_photos

__all__ = ["Variants", "given_or_prepared", "made_seed"]


class Variants(Dataset[dict[str, Tensor]], ABC):
    """The items of ``photos``, ``variants`` times over: item i is photo i % N, variant i // N, of N photos.

    ``index`` counts through all items; `names` has each photo's name once a variant.

    photos: a data set with items of (C, H, W) images and an ``index``, such as `PreparedPhotos`.
    variants: how often each photo comes. seed: of all that is random.

    Raises ValueError for fewer than one variant.
    """

    def __init__(self, photos: Any, variants: int, seed: int = 0) -> None:
        if isinstance(variants, bool) or not isinstance(variants, int) or variants < 1:
            raise ValueError(f"variants must be a whole number, at least 1; got {variants!r}.")
        self.photos = photos
        self.variants = variants
        self.seed = seed
        self.size: int | None = getattr(photos, "size", None)
        self.names: list[str] = list(getattr(photos, "names", [])) * variants

    @abstractmethod
    def varied(self, item: dict[str, Tensor], variant: int, place: int) -> dict[str, Tensor]:
        """The item of photo ``place`` as this variant has it, a function of its arguments and the seed alone."""

    def __len__(self) -> int:
        return self.variants * len(self.photos)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        if not -len(self) <= index < len(self):
            raise IndexError(f"item {index} of {len(self)}")
        index %= len(self)
        variant, place = divmod(index, len(self.photos))
        return {**self.varied(self.photos[place], variant, place), "index": torch.tensor(index)}


def made_seed(seed: int, variant: int, place: int, name: str) -> int:
    """A 31 bit seed of what is made for a variant of a photo: the same on every machine and in every version."""
    digest = hashlib.blake2b(f"{seed}/{variant}/{place}/{name}".encode(), digest_size=4).digest()
    return int.from_bytes(digest, "little") >> 1


def given_or_prepared(
    photos: Any,
    root: str | Path | Sequence[str | Path] | None,
    split: str,
    size: int | None,
    asks: str,
    inside: bool = False,
) -> Any:
    """The data set ``photos``, or if it is None that of the prepared folders ``root``.

    inside: as `PreparedPhotos` takes it. asks: who needs one of them, for the ValueError if there is neither.
    """
    if photos is not None:
        return photos
    if root is None:
        raise ValueError(f"{asks} needs root, a prepared folder, or photos, a data set; got neither.")
    return prepared_photos(root, split, size, inside=inside)
