"""Colour strokes: what a person would give of a photo's colours beside a sketch of it.

A person paints hair, skin, clothes and background with a broad brush, or some of them, or scribbles a few strokes into
each, or gives no colours at all; borders stray from the true ones, and strokes end short of their neighbours. So the
photo's colour domain (`color_domain`: a few flat colours) is taken apart into connected regions, and each is painted
with such faults, or left out. It belongs into a loading worker (:func:`calisketch.datasets.photos_with`).

Not in the Cali-Sketch paper; the colour domain and its hyperparameter confusion are PI-REC's. The colours themselves
are not disturbed: where a person gives one, the face should have it.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from calisketch.sketching.color_domain import ColorDomain
from calisketch.sketching.edges import REFERENCE_SIZE

__all__ = ["ColorStrokes"]

WANDER_CELLS = 6  # of the lattice by which borders stray
SCRIBBLE_POINTS = 8  # that a scribbled stroke runs through


class ColorStrokes:
    """The maker of colours for an ISN that takes them: (3, H, W) photo -> (4, H, W), colours * given and given.

    Lengths are in pixels of a 256 pixel image.

    Args:
        domain: the flat colours; if None, those of PI-REC's confusion with 3 to 8 colours and blurs from 9 on: a
            person gives lips and collar too, but no face the colour of the wall, as K = 2 does.
        absent: share of photos that no colours are given of.
        exact: share of photos whose whole colour domain is given as it is. The rest is painted as by hand.
        keep: of a photo painted by hand, the share of regions that are painted, uniform between the two.
        wander: how far borders stray (standard deviation on a coarse lattice), uniform between the two.
        shrink: how far each region's paint ends short of its neighbours, uniform between the two.
        scribbled: probability that a region is not filled but scribbled into.
        brush: width of such strokes, uniform between the two.
        smallest: regions of a smaller share of the photo take their surroundings' colour, as a brush passes over them.

    Raises:
        ValueError: a probability outside [0, 1], absent and exact above 1 together, or a range that is not two numbers
            from 0 on, the lower first.
    """

    def __init__(
        self,
        domain: ColorDomain | None = None,
        *,
        absent: float = 0.35,
        exact: float = 0.3,
        keep: Sequence[float] = (0.2, 1.0),
        wander: Sequence[float] = (0.0, 5.0),
        shrink: Sequence[float] = (0.0, 6.0),
        scribbled: float = 0.25,
        brush: Sequence[float] = (8.0, 24.0),
        smallest: float = 0.005,
    ) -> None:
        for name, share in {"absent": absent, "exact": exact, "scribbled": scribbled, "smallest": smallest}.items():
            if not 0 <= share <= 1:
                raise ValueError(f"{name} must be a share in [0, 1]; got {share!r}.")
        if absent + exact > 1:
            raise ValueError(f"absent and exact must be at most 1 together; got {absent!r} and {exact!r}.")
        self.domain = ColorDomain(blur=(9, 35), colours=(3, 8)) if domain is None else domain
        self.absent, self.exact, self.scribbled, self.smallest = absent, exact, scribbled, smallest
        self.keep = _range("keep", keep, most=1)
        self.wander, self.shrink, self.brush = (
            _range(name, limits) for name, limits in {"wander": wander, "shrink": shrink, "brush": brush}.items()
        )

    @classmethod
    def fixed(cls, colours: int = 5, blur: int = 15, second_blur: int = 3) -> ColorStrokes:
        """Everything given, in one setting for every photo, for measurements: K = 5 and a blur of 15 of 256 pixels,
        the most that PI-REC's own ranges tell of a photo. A larger K and a smaller blur tell more."""
        domain = ColorDomain(blur=(blur, blur), colours=(colours, colours), second_blur=(second_blur,))
        return cls(domain, absent=0.0, exact=1.0)

    def __call__(self, photo: Tensor, seed: int) -> Tensor:
        """photo: (3, H, W) in [0, 1]. Returns (4, H, W): a pure function of both.

        Raises:
            TypeError, ValueError: as :func:`color_domain`.
        """
        generator = torch.Generator().manual_seed(seed)
        kind, start = _uniform(generator), int(torch.randint(2**62, (), generator=generator))
        if kind < self.absent:
            return photo.new_zeros(4, *photo.shape[1:])
        flat = self.domain(photo, start)
        if kind < self.absent + self.exact:
            return torch.cat([flat, torch.ones_like(flat[:1])])
        levels: NDArray[np.uint8] = flat.mul(255).round().byte().permute(1, 2, 0).contiguous().cpu().numpy()
        colours, given = self._by_hand(levels, generator)
        made = np.concatenate([colours * given[..., None] / np.float32(255), given[..., None]], axis=2)
        return torch.from_numpy(np.ascontiguousarray(made.transpose(2, 0, 1), dtype=np.float32)).to(photo)

    def _by_hand(
        self, levels: NDArray[np.uint8], generator: torch.Generator
    ) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
        """A colour domain (H, W, 3) as it may be painted: the colours, and (H, W) where they are, 1 or 0."""
        pixel = min(levels.shape[:2]) / REFERENCE_SIZE
        regions, palette = _regions(levels, self.smallest)
        regions = _strayed(regions, _between(self.wander, generator) * pixel, generator)
        shrink = _between(self.shrink, generator) * pixel
        share = _between(self.keep, generator)
        kept = torch.rand(len(palette), generator=generator).numpy() < share
        kept[int(torch.randint(len(palette), (), generator=generator))] = True  # none at all is `absent`'s
        given = np.zeros(regions.shape, np.float32)
        for region in np.flatnonzero(kept):
            mask = (regions == region).astype(np.uint8)
            # Paint ends short of neighbours, not of the sheet's rim, beyond which the distance sees nothing.
            paint = cv2.distanceTransform(mask, cv2.DIST_L2, cv2.DIST_MASK_PRECISE) > shrink if mask.any() else mask > 0
            if mask.all():
                paint = mask > 0
            if _uniform(generator) < self.scribbled:
                width = max(1, round(_between(self.brush, generator) * pixel))
                paint &= _scribble(mask, width, generator)
            given[paint] = 1
        return palette[regions], given


def _regions(levels: NDArray[np.uint8], smallest: float) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
    """Connected regions of one colour: (H, W) numbers from 0 on, and their colours (N, 3); specks are no regions."""
    shades = (levels.astype(np.int64) @ np.array([65536, 256, 1])).astype(np.int64)
    numbers = np.full(shades.shape, -1, np.int64)
    palette: list[NDArray[np.uint8]] = []
    least = smallest * shades.size
    for shade in np.unique(shades):
        count, labels, boxes, _ = cv2.connectedComponentsWithStats((shades == shade).astype(np.uint8), connectivity=4)
        for part in range(1, count):
            if boxes[part, cv2.CC_STAT_AREA] >= least:
                where = labels == part
                numbers[where] = len(palette)
                palette.append(levels[where][0])
    if not palette:  # all of it specks: one region of their mean
        return np.zeros_like(numbers), levels.reshape(-1, 3).mean(0).round().astype(np.uint8)[None]
    specks = numbers < 0
    if specks.any():
        _, nearest = cv2.distanceTransformWithLabels(
            specks.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5, labelType=cv2.DIST_LABEL_PIXEL
        )
        known = np.zeros(int(nearest.max()) + 1, np.int64)
        known[nearest[~specks]] = numbers[~specks]
        numbers = known[nearest]
    return numbers, np.stack(palette)


def _strayed(regions: NDArray[np.int64], amount: float, generator: torch.Generator) -> NDArray[np.int64]:
    """Regions (H, W) whose borders are displaced by a smooth random field of this standard deviation, in pixels."""
    height, width = regions.shape
    lattice = torch.randn(WANDER_CELLS, WANDER_CELLS, 2, generator=generator).numpy()
    field = amount * np.asarray(cv2.resize(lattice, (width, height), interpolation=cv2.INTER_CUBIC))
    columns = np.clip(np.rint(np.arange(width) + field[..., 0]), 0, width - 1).astype(np.int64)
    rows = np.clip(np.rint(np.arange(height)[:, None] + field[..., 1]), 0, height - 1).astype(np.int64)
    moved: NDArray[np.int64] = regions[rows, columns]
    return moved


def _scribble(mask: NDArray[np.uint8], width: int, generator: torch.Generator) -> NDArray[np.bool_]:
    """One broad stroke (H, W) through random points of a region."""
    rows, columns = np.nonzero(mask)
    canvas = np.zeros(mask.shape, np.uint8)
    draws = torch.rand(SCRIBBLE_POINTS, generator=generator, dtype=torch.float64).numpy()  # always as many
    if len(rows):
        chosen = (draws * len(rows)).astype(np.int64)
        points = np.stack([columns[chosen], rows[chosen]], axis=1).astype(np.int32)
        cv2.polylines(canvas, [points[:, None]], False, 1, thickness=width)
    return canvas > 0


def _uniform(generator: torch.Generator) -> float:
    return float(torch.rand((), generator=generator, dtype=torch.float64))


def _between(limits: tuple[float, float], generator: torch.Generator) -> float:
    return limits[0] + (limits[1] - limits[0]) * _uniform(generator)


def _range(name: str, limits: Sequence[float], most: float = np.inf) -> tuple[float, float]:
    if len(limits) != 2 or not 0 <= limits[0] <= limits[1] <= most:
        above = "" if most == np.inf else f" and at most {most:g}"
        raise ValueError(f"{name} must be two numbers, at least 0{above}, the lower first; got {list(limits)}.")
    return float(limits[0]), float(limits[1])
