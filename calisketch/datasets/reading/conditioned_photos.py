"""Photos with what a method is conditioned on beside a sketch: colour domains, masks, painted strokes.

Such things are made per image on the CPU (a wide median filter is OpenCV's job), hence here, in the loading processes,
and not by ``data.draw``, which draws whole batches of sketches on the device. A data set knows of no epoch; so it has
each photo several times, in `variants` that differ in what is drawn for them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from torch import Tensor

from calisketch.datasets.reading.repeated_photos import Variants, given_or_prepared, made_seed

__all__ = ["Maker", "PhotosWith", "photos_with"]


class Maker(Protocol):
    """What makes a condition: a pure function of the photo and a seed, such as `sketching.ColorDomain`."""

    def __call__(self, photo: Tensor, seed: int) -> Tensor:
        """photo (3, H, W) in [0, 1] -> (C, H, W)."""
        ...


class PhotosWith(Variants):
    """The items of ``photos``, ``variants`` times over, each with what the makers make of its photo.

    What is made depends on (seed, variant, photo, the maker's name) alone.

    photos: a data set with items {"photo": (3, H, W), ...}, such as `PreparedPhotos`.
    makers: by the name that their result has in an item: name -> (photo, seed) -> (C, H, W).
    variants: how often each photo comes. 1 for validation, so that every run is judged on the same.
    seed: of all that is made.

    Raises ValueError for fewer than one variant, and for a name that the items have already.
    """

    def __init__(self, photos: Any, makers: Mapping[str, Maker], variants: int = 1, seed: int = 0) -> None:
        super().__init__(photos, variants, seed)
        self.makers = dict(makers)
        if taken := sorted(self.makers.keys() & (set(photos[0]) if len(photos) else set())):
            raise ValueError(f"makers must have names of their own; got {', '.join(taken)}, which photos have already.")

    def varied(self, item: dict[str, Tensor], variant: int, place: int) -> dict[str, Tensor]:
        """The item and what the makers make of its photo."""
        made = {
            name: maker(item["photo"], made_seed(self.seed, variant, place, name))
            for name, maker in self.makers.items()
        }
        return {**item, **made}

    def __repr__(self) -> str:
        return f"PhotosWith({self.photos!r}, {sorted(self.makers)}, variants={self.variants})"


def photos_with(
    root: str | Path | Sequence[str | Path] | None = None,
    split: str = "train",
    size: int | None = None,
    *,
    makers: Mapping[str, Maker],
    variants: int = 1,
    seed: int = 0,
    photos: Any = None,
    inside: bool = False,
) -> PhotosWith:
    """`PhotosWith` of a prepared folder or several, for configurations.

    root, split, size, inside: as `prepared_photos` takes them. photos: a data set to take instead. The rest: as
    `PhotosWith`.

    Raises FileNotFoundError or ValueError as `prepared_photos` and `PhotosWith` do.
    """
    return PhotosWith(given_or_prepared(photos, root, split, size, "photos_with", inside), makers, variants, seed)
