"""Photos with what a method is conditioned on beside a sketch: colour domains, masks, painted strokes.

Such things are made per image on the CPU (a wide median filter is OpenCV's job), hence here, in the loading processes,
and not by ``data.draw``, which draws whole batches of sketches on the device. A data set knows of no epoch; so it has
each photo several times, in `variants` that differ in what is drawn for them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.utils.data import Dataset

from calisketch.datasets.joined import prepared_photos

__all__ = ["Maker", "PhotosWith", "photos_with"]


class Maker(Protocol):
    """What makes a condition: a pure function of the photo and a seed, such as `sketching.ColorDomain`."""

    def __call__(self, photo: Tensor, seed: int) -> Tensor:
        """photo (3, H, W) in [0, 1] -> (C, H, W)."""
        ...


class PhotosWith(Dataset[dict[str, Tensor]]):
    """The items of ``photos``, ``variants`` times over, each with what the makers make of its photo.

    Item i is photo ``i % len(photos)`` in variant ``i // len(photos)``; what is made depends on (seed, variant, photo,
    the maker's name) alone. ``index`` counts through all items.

    photos: a data set with items {"photo": (3, H, W), ...}, such as `PreparedPhotos`.
    makers: by the name that their result has in an item: name -> (photo, seed) -> (C, H, W).
    variants: how often each photo comes. 1 for validation, so that every run is judged on the same.
    seed: of all that is made.

    Raises ValueError for fewer than one variant, and for a name that the items have already.
    """

    def __init__(self, photos: Any, makers: Mapping[str, Maker], variants: int = 1, seed: int = 0) -> None:
        if isinstance(variants, bool) or not isinstance(variants, int) or variants < 1:
            raise ValueError(f"variants must be a whole number, at least 1; got {variants!r}.")
        self.photos = photos
        self.makers = dict(makers)
        self.variants = variants
        self.seed = seed
        self.size: int | None = getattr(photos, "size", None)
        self.names: list[str] = list(getattr(photos, "names", [])) * variants
        if taken := sorted(self.makers.keys() & (set(photos[0]) if len(photos) else set())):
            raise ValueError(f"makers must have names of their own; got {', '.join(taken)}, which photos have already.")

    def __len__(self) -> int:
        return self.variants * len(self.photos)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        if not -len(self) <= index < len(self):
            raise IndexError(f"item {index} of {len(self)}")
        index %= len(self)
        variant, place = divmod(index, len(self.photos))
        item = self.photos[place]
        made = {
            name: maker(item["photo"], made_seed(self.seed, variant, place, name))
            for name, maker in self.makers.items()
        }
        return {**item, **made, "index": torch.tensor(index)}

    def __repr__(self) -> str:
        return f"PhotosWith({self.photos!r}, {sorted(self.makers)}, variants={self.variants})"


def made_seed(seed: int, variant: int, place: int, name: str) -> int:
    """The 31 bit seed that a maker is called with: the same on every machine and in every version."""
    digest = hashlib.blake2b(f"{seed}/{variant}/{place}/{name}".encode(), digest_size=4).digest()
    return int.from_bytes(digest, "little") >> 1


def photos_with(
    root: str | Path | Sequence[str | Path] | None = None,
    split: str = "train",
    size: int | None = None,
    *,
    makers: Mapping[str, Maker],
    variants: int = 1,
    seed: int = 0,
    photos: Any = None,
) -> PhotosWith:
    """`PhotosWith` of a prepared folder or several, for configurations.

    root, split, size: as `prepared_photos` takes them. photos: a data set to take instead. The rest: as `PhotosWith`.

    Raises FileNotFoundError or ValueError as `prepared_photos` and `PhotosWith` do.
    """
    if photos is None:
        if root is None:
            raise ValueError("photos_with needs root, a prepared folder, or photos, a data set; got neither.")
        photos = prepared_photos(root, split, size)
    return PhotosWith(photos, makers, variants, seed)
