"""Each photo several times, another way each time: pix2pix's jitter and flip, and faces that lie off their place.

The report on conditional GANs of faces found that jitter harms aligned faces (a missing eye wanders over the face until
it is switched off) and that flips may confuse left and right; hence nothing of this is on unless it is asked for.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from calisketch.datasets.reading.repeated_photos import Variants, given_or_prepared, made_seed

__all__ = ["VariedPhotos", "varied_photos"]

_STILL = torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])


class VariedPhotos(Variants):
    """The items of ``photos``, ``variants`` times over, all images of an item moved alike: photo, line maps, drawing.

    How an item is moved depends on (seed, variant, photo) alone. ``frame``, (2, H, W), says it: where each pixel lay
    before, x and y in [0, 1] of the photo's sides (beyond that: outside of it).

    photos: a data set with items of (C, H, W) images and an ``index``, such as `PreparedPhotos`.
    jitter: enlarge by this factor and cut a window of the old size at a random place; pix2pix's is 286 / 256 = 1.117.
        1: not at all.
    flip: probability that an item is mirrored. 0: never.
    misplaced: what photos that nobody aligned are like: shifted by up to this share of the side, scaled by up to as
        much up or down, turned by up to as much of a right angle. 0: not at all.
    variants: how often each photo comes. seed: of all that is random.

    What lies outside a photo continues its border; outside a line map is nothing.
    Raises ValueError for a setting that makes no sense.
    """

    def __init__(
        self,
        photos: Any,
        *,
        jitter: float = 1.0,
        flip: float = 0.0,
        misplaced: float = 0.0,
        variants: int = 64,
        seed: int = 0,
    ) -> None:
        super().__init__(photos, variants, seed)
        if not 1.0 <= jitter < 4.0:
            raise ValueError(f"jitter must be a factor from 1 (none) to 4; pix2pix's is 1.117. Got {jitter!r}.")
        if not 0.0 <= flip <= 1.0:
            raise ValueError(f"flip must be a probability, in [0, 1]; got {flip!r}.")
        if not 0.0 <= misplaced < 0.5:
            raise ValueError(f"misplaced must be a share of the side, in [0, 0.5); got {misplaced!r}.")
        self.jitter, self.flip, self.misplaced = float(jitter), float(flip), float(misplaced)

    def varied(self, item: dict[str, Tensor], variant: int, place: int) -> dict[str, Tensor]:
        """The item with all its images moved alike."""
        move, mirrored = self.movement(variant, place)
        result = {}
        for name, value in item.items():
            if value.ndim == 3 and move is not None:
                value = _moved(value, move, padding="border" if value.shape[0] == 3 else "zeros")
            result[name] = value.flip(-1) if value.ndim == 3 and mirrored else value
        frame = F.affine_grid((_STILL if move is None else move)[None], [1, 1, *item["photo"].shape[-2:]], False)
        frame = (frame[0].permute(2, 0, 1) + 1) / 2
        return {**result, "frame": frame.flip(-1) if mirrored else frame}

    def movement(self, variant: int, place: int) -> tuple[Tensor | None, bool]:
        """How an item's images are moved: (2, 3), from a result's place to its source's in units of half the side,
        None for not at all; and whether they are mirrored after that."""
        generator = torch.Generator().manual_seed(made_seed(self.seed, variant, place, "varied"))
        across, down, right, below, larger, turn, chance = torch.rand(7, generator=generator).tolist()
        if self.jitter == 1.0 and not self.misplaced:
            return None, chance < self.flip
        # A window of the old size in an image `jitter` times as large is a window of 1 / jitter in the old one.
        shrink, room = 1.0 / self.jitter, 1.0 - 1.0 / self.jitter
        window = torch.tensor([[shrink, 0.0, room * (2 * across - 1)], [0.0, shrink, room * (2 * down - 1)]])
        if not self.misplaced:
            return window, chance < self.flip
        scale = 1.0 / (1.0 + self.misplaced * (2 * larger - 1))
        angle = self.misplaced * (2 * turn - 1) * math.pi / 2
        cosine, sine = scale * math.cos(angle), scale * math.sin(angle)
        off = [2 * self.misplaced * (2 * share - 1) for share in (right, below)]
        placed = torch.tensor([[cosine, -sine, off[0]], [sine, cosine, off[1]], [0.0, 0.0, 1.0]])
        return window @ placed, chance < self.flip

    def __repr__(self) -> str:
        said = f"jitter={self.jitter}, flip={self.flip}, misplaced={self.misplaced}, variants={self.variants}"
        return f"VariedPhotos({self.photos!r}, {said})"


def varied_photos(
    root: str | Path | Sequence[str | Path] | None = None,
    split: str = "train",
    size: int | None = None,
    *,
    jitter: float = 1.0,
    flip: float = 0.0,
    misplaced: float = 0.0,
    variants: int = 64,
    seed: int = 0,
    photos: Any = None,
    inside: bool = False,
) -> Any:
    """`VariedPhotos` of a prepared folder or several, for configurations; the photos as they are, if nothing is on.

    root, split, size, inside: as `prepared_photos` takes them. photos: a data set to take instead. The rest: as
    `VariedPhotos`.

    Raises FileNotFoundError or ValueError as `prepared_photos` and `VariedPhotos` do.
    """
    photos = given_or_prepared(photos, root, split, size, "varied_photos", inside)
    varied = VariedPhotos(photos, jitter=jitter, flip=flip, misplaced=misplaced, variants=variants, seed=seed)
    return varied if (jitter, flip, misplaced) != (1.0, 0.0, 0.0) else photos


def _moved(image: Tensor, move: Tensor, padding: str) -> Tensor:
    """(C, H, W) seen through a (2, 3) movement, bilinearly."""
    grid = F.affine_grid(move[None], [1, *image.shape], align_corners=False)
    moved = F.grid_sample(image[None], grid, mode="bilinear", padding_mode=padding, align_corners=False)
    return moved[0].clamp(0.0, 1.0)
