"""Between photos and the points that X-GANs' compression keeps of them, on the grid of a model."""

from __future__ import annotations

import hashlib
from typing import Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray

from ..boundary.pictures import Framed, to_tensor
from ..sketching.corruption import feature_points
from . import point_file
from .point_file import Points, region, scattered

Where = Literal["feature", "random"]
Values = NDArray[np.float32]


def photo_to_points(
    rgb: Values, side: int, percent: float, points: Where = "feature", *, bits: int = 5, seed: int = 0
) -> Points:
    """Some points of a photo, scaled to a model's grid.

    Args:
        rgb: (H, W, 3) in [0, 1].
        side: of the grid, the model's size; the photo's longer side is scaled to it.
        percent: of the photo's places on the grid, in (0, 100]; at least one point is kept.
        points: "feature": drawn without replacement in proportion to the Sobel magnitude (`sketching.feature_map`);
            "random": evenly, by `point_file.scattered`, so that a file need not say where they are.
        bits: of each colour channel, 1 to 8.
        seed: of what is drawn, in [0, 2^32).

    Raises:
        ValueError: an option out of range.
    """
    if points not in get_args(Where):
        raise ValueError(f"points must be one of {', '.join(get_args(Where))}; got {points!r}.")
    if not isinstance(percent, int | float) or not 0 < percent <= 100:
        raise ValueError(f"percent must be in (0, 100]; got {percent!r}. 5 keeps every twentieth place.")
    if not isinstance(bits, int) or not 1 <= bits <= 8:
        raise ValueError(f"bits must be a whole number from 1 to 8, of each colour channel; got {bits!r}.")
    if not isinstance(seed, int) or not 0 <= seed < 2**32:
        raise ValueError(f"seed must be a whole number in [0, 2^32); got {seed!r}.")
    height, width = rgb.shape[:2]
    placed = Framed(height, width, side).bring_in(rgb)
    rows, columns = region(height, width, side)
    inside = placed[rows, columns]
    places = inside.shape[0] * inside.shape[1]
    count = max(1, round(percent / 100 * places))
    if points == "random":
        at = scattered(height, width, side, count, seed)
    else:
        found = _drawn(inside, 100 * count / places, seed)
        at = found[0] + rows.start, found[1] + columns.start
    colours = np.rint(placed[at].clip(0, 1) * 255).astype(np.uint8)
    return Points(height, width, side, *at, colours, seed if points == "random" else None, bits)


def points_to_picture(points: Points, side: int) -> tuple[Values, Values]:
    """What a model of the size ``side`` repairs: (side, side, 3), white where nothing is known, and the kept mask.

    Beside a photo that is no square the points are mirrored at its edge, so that the model meets as many of them there
    as elsewhere. On another grid than the points' own each goes to the place that its centre lies in; where several
    meet, the last in raster order stays.

    Returns:
        (side, side, 3) float32 in [0, 1] and (side, side) float32, 0 or 1.
    """
    rows = (2 * points.rows + 1) * side // (2 * points.side)
    columns = (2 * points.columns + 1) * side // (2 * points.side)
    picture = np.ones((side, side, 3), dtype=np.float32)
    kept = np.zeros((side, side), dtype=np.float32)
    picture[rows, columns] = point_file.rounded(points.colours, points.bits).astype(np.float32) / np.float32(255)
    kept[rows, columns] = 1
    down, across = region(points.height, points.width, side)
    before = ((down.start, side - down.stop), (across.start, side - across.stop))
    inside = kept[down, across]
    return (
        np.pad(picture[down, across], (*before, (0, 0)), mode="symmetric"),
        np.pad(inside, before, mode="symmetric"),
    )


def known_in_frame(rgb: Values, kept: NDArray[np.bool_], frame: Framed) -> Values:
    """A picture (H, W, 3) with a mask (H, W) in a model's square: (side, side, 3), white where nothing is known.

    Where the size changes, a pixel's colour is the mean of what is kept below it, and as large a share of the pixels
    stays known as was: those with the most kept below them.
    """
    if frame.exact:
        return np.where(kept[..., None], rgb, np.float32(1))
    share = kept.astype(np.float32)
    weight = frame.bring_in(share)
    colour = frame.bring_in(rgb * share[..., None]) / np.maximum(weight, 1e-6)[..., None]
    count = max(1, round(float(kept.mean()) * weight.size))
    chosen = np.zeros(weight.size, dtype=bool)
    chosen[np.argsort(-weight.ravel(), kind="stable")[:count]] = True
    known = (chosen & (weight.ravel() > 1e-3)).reshape(weight.shape)
    return np.where(known[..., None], colour.clip(0, 1), np.float32(1)).astype(np.float32)


def _drawn(inside: Values, percent: float, seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows and columns of feature points in raster order; the random numbers follow from the seed on every machine."""
    height, width = inside.shape[:2]
    digest = hashlib.shake_128(f"calisketch features {seed} {height} {width}".encode()).digest(4 * height * width)
    uniforms = np.frombuffer(digest, dtype="<u4").astype(np.float64) / 2**32
    made = feature_points(to_tensor(inside)[None].double(), torch.from_numpy(uniforms)[None], percent)
    rows, columns = np.nonzero(made[0, 3].numpy())
    return rows.astype(np.int64), columns.astype(np.int64)
