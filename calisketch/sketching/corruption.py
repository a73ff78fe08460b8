"""X-GANs' five corruptions of a photo (its sections 4 and 4.1 to 4.5), each a seeded, pure operator on batches.

Every operator takes photos (B, 3, H, W) in [0, 1] and gives (B, 4, H, W): the corrupted picture, and the kept mask,
which is 1 where the pixel is the photo's own. What is missing is white (1). Random numbers come in as ``uniforms``.

Lengths are shares of the photo's shorter side: the paper's block of 128 pixels in 256 is .5.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TypeAlias

import kornia
import torch
from torch import Tensor

from calisketch.checks import check_image
from calisketch.sketching.kernels import grey, vector_length
from calisketch.sketching.styles import numbers_of, sample_uniforms

__all__ = [
    "TASKS",
    "Corruption",
    "colour_block",
    "colour_noise",
    "drawn_scene",
    "feature_map",
    "feature_points",
    "points",
    "white_block",
]

Scene: TypeAlias = Callable[[float, int], Tensor]
"""``scene(place, side)``: a picture (3, h, w) in [0, 1], h and w at least ``side``, chosen by ``place`` in [0, 1)."""

#: Of each task the percent (kept, or noise) and the block's side that are drawn where none are given; the paper's.
TASKS: dict[str, tuple[tuple[float, float] | None, tuple[float, float] | None]] = {
    "points": ((1.0, 20.0), None),
    "feature_points": ((1.0, 20.0), None),
    "colour_noise": ((85.0, 95.0), None),
    "white_block": (None, (0.5, 0.5)),
    "colour_block": (None, (1 / 16, 0.5)),
}
PLACES = ("centre", "random")
_DECISIONS = 8  # uniforms reserved for a sample's own parameters: a new one then shifts no field
_FLAT = 1e-3  # of the mean Sobel magnitude: what a pixel without any gradient has of it


def points(photo: Tensor, uniforms: Tensor, percent: float | Tensor) -> Tensor:
    """Discrete points: a pixel is kept where its integer, uniform in [0, 99], is under the percentage, else white.

    Args:
        photo: (B, 3, H, W) in [0, 1].
        uniforms: (B, H * W) in [0, 1), a pixel's integer being floor(100 u). A percentage that is no whole number is
            compared with 100 u itself.
        percent: kept, in [0, 100]; a float or (B,).

    Returns:
        (B, 4, H, W). The number of points varies about percent / 100 * H * W, as in the paper.
    """
    kept = (100 * _field(uniforms, photo, 1) < _each(percent, photo)).to(photo)
    return _white_where_missing(photo, kept)


def feature_points(photo: Tensor, uniforms: Tensor, percent: float | Tensor) -> Tensor:
    """Feature points: as many as `points` keeps on average, drawn without replacement by `feature_map`.

    Drawing one after the other in proportion to the weights that are left is the same as taking those with the largest
    log weight + Gumbel noise (Efraimidis and Spirakis 2006), which all samples of a batch do at once.

    Args, returns: as for `points`; the number of points is exact, round(percent / 100 * H * W).
    """
    batch, _, height, width = photo.shape
    weight = feature_map(photo).double()
    gumbel = -torch.log(-torch.log(_field(uniforms, photo, 1).double().clamp(1e-12, 1 - 1e-12)))
    order = (weight.log() + gumbel).flatten(1).argsort(dim=1, descending=True, stable=True)
    wanted = (_each(percent, photo).double() / 100 * height * width).round().long().flatten(1)
    rank = torch.arange(height * width, device=photo.device).expand(batch, -1)
    kept = torch.zeros(batch, height * width, device=photo.device, dtype=photo.dtype)
    kept.scatter_(1, order, (rank < wanted).to(photo))
    return _white_where_missing(photo, kept.view(batch, 1, height, width))


def feature_map(photo: Tensor) -> Tensor:
    """Where feature points lie: the Sobel magnitude of the luma as probabilities, (B, 3, H, W) -> (B, 1, H, W), sum 1.

    Every pixel has a thousandth of the mean on top, so that a photo with flat parts has enough to draw from, and one
    that is all flat is drawn from evenly *(a reading)*.
    """
    gradient = kornia.filters.spatial_gradient(grey(photo).float(), mode="sobel").squeeze(1)
    magnitude = vector_length(gradient)
    mean = magnitude.mean((1, 2, 3), keepdim=True)
    weight = magnitude + torch.where(mean > 1e-6, _FLAT * mean, 1.0)
    return weight / weight.sum((1, 2, 3), keepdim=True)


def colour_noise(photo: Tensor, uniforms: Tensor, percent: float | Tensor) -> Tensor:
    """Colour noise: pixels are chosen as by `points`, and those *not* kept become a random RGB colour each.

    Args:
        photo: (B, 3, H, W) in [0, 1].
        uniforms: (B, 4 * H * W) in [0, 1): who is kept, then the colours.
        percent: of noise, in [0, 100]; a float or (B,).

    Returns:
        (B, 4, H, W).
    """
    fields = _field(uniforms, photo, 4)
    kept = (100 * fields[:, :1] < 100 - _each(percent, photo)).to(photo)
    return torch.cat([torch.where(kept > 0, photo, fields[:, 1:]), kept], 1)


def white_block(photo: Tensor, uniforms: Tensor, block: float | Tensor = 0.5, place: str = "centre") -> Tensor:
    """A white square, in the paper of half the side at the centre.

    Args:
        photo: (B, 3, H, W) in [0, 1].
        uniforms: (B, >= 2): where it lies, for ``place`` "random".
        block: its side, a share of the photo's shorter side; a float or (B,).
        place: "centre" or "random", wholly inside the photo.

    Returns:
        (B, 4, H, W).
    """
    kept = 1 - _rectangles(photo, block, block, uniforms[:, :2], place).to(photo)
    return _white_where_missing(photo, kept)


def colour_block(
    photo: Tensor,
    uniforms: Tensor,
    scenes: Sequence[Tensor],
    height: float | Tensor = 0.5,
    width: float | Tensor = 0.5,
    place: str = "random",
) -> Tensor:
    """A rectangle that is replaced by a crop of another picture, unscaled.

    Args:
        photo: (B, 3, H, W) in [0, 1].
        uniforms: (B, >= 4): where the rectangle lies in the photo, and where it is cut from the scene.
        scenes: for each sample a picture (3, h, w) in [0, 1], at least as large as the rectangle.
        height, width: of the rectangle, shares of the photo's shorter side; floats or (B,).
        place: "random" *(a reading: the paper does not say where)*, wholly inside the photo, or "centre".

    Returns:
        (B, 4, H, W).
    """
    inside = _rectangles(photo, height, width, uniforms[:, :2], place)
    made = torch.cat([photo, 1 - inside.to(photo)], 1)
    for sample, scene in enumerate(scenes):
        rows, columns = inside[sample, 0].any(1), inside[sample, 0].any(0)
        lengths = int(rows.sum()), int(columns.sum())
        if scene.shape[-2] < lengths[0] or scene.shape[-1] < lengths[1]:
            raise ValueError(f"a scene must be at least {lengths[0]} x {lengths[1]}; got {tuple(scene.shape)}.")
        top, left = (
            int(float(uniforms[sample, 2 + axis]) * (scene.shape[1 + axis] - lengths[axis] + 1)) for axis in range(2)
        )
        crop = scene[:, top : top + lengths[0], left : left + lengths[1]].to(photo)
        made[sample, :3, int(rows.int().argmax()) :, int(columns.int().argmax()) :][:, : lengths[0], : lengths[1]] = (
            crop
        )
    return made


class Corruption:
    """One of the five corruptions with drawn parameters, for ``data.draw``: the corrupted picture and the kept mask.

    Each sample's draws depend on (seed, epoch, its own index) alone, so a resumed run equals an undisturbed one.

    Args:
        task: one of `TASKS`.
        percent: of pixels that are kept ("points", "feature_points") or noise ("colour_noise"): a number, or two, the
            lower first, between which each sample draws one. None: the paper's, 1 to 20, or 85 to 95.
        block: the block's side as a share of the photo's shorter side, a number or two as above; a colour block draws
            height and width each. None: the paper's, .5 for a white, 1/16 to .5 for a colour block.
        place: of the block, "centre" or "random". None: the paper's, the centre for a white block, and "random" for a
            colour block.
        scenes: what colour blocks are cut from, such as `calisketch.datasets.Scenes`; None: `drawn_scene`, a stand-in.

    Raises:
        ValueError: another task or place, a percent or block that the task has not, or one out of range.
    """

    def __init__(
        self,
        task: str = "points",
        percent: float | Sequence[float] | None = None,
        block: float | Sequence[float] | None = None,
        place: str | None = None,
        scenes: Scene | None = None,
    ) -> None:
        if task not in TASKS:
            raise ValueError(f"task must be one of {', '.join(TASKS)}; got {task!r}.")
        percents, blocks = TASKS[task]
        self.task = task
        self.percent = _range("percent", percent, percents, task, 100.0)
        self.block = _range("block", block, blocks, task, 1.0)
        if place is not None and (blocks is None or place not in PLACES):
            expected = f"one of {', '.join(PLACES)}" if blocks else f"left out for task={task}, which has no block"
            raise ValueError(f"place must be {expected}; got {place!r}.")
        if scenes is not None and task != "colour_block":
            raise ValueError(f"scenes are cut for task=colour_block; got task={task}. Leave scenes out.")
        self.place = place or ("random" if task == "colour_block" else "centre")
        self.scenes: Scene = drawn_scene if scenes is None else scenes

    @torch.no_grad()
    def __call__(self, photo: Tensor, *, seed: int, epoch: int, index: Sequence[int] | Tensor) -> Tensor:
        """Corrupt each photo once.

        Args:
            photo: (B, 3, H, W) in [0, 1], on any device.
            seed, epoch: of the run. index: each sample's index in its data set, B whole numbers.

        Returns:
            (B, 4, H, W) in [0, 1], float32, on `photo`'s device: the corrupted picture and the kept mask.
        """
        check_image(photo, 3, "photo")
        indices = numbers_of(index, photo)
        pixels = photo.shape[-2] * photo.shape[-1]
        per_pixel = {"points": 1, "feature_points": 1, "colour_noise": 4}.get(self.task, 0)
        drawn = sample_uniforms(seed, epoch, indices, _DECISIONS + per_pixel * pixels)
        decisions, fields = drawn[:, :_DECISIONS], drawn[:, _DECISIONS:]
        with torch.autocast(photo.device.type, enabled=False):
            return self._corrupt(photo.float(), decisions, fields)

    def _corrupt(self, photo: Tensor, decisions: Tensor, fields: Tensor) -> Tensor:
        first = _between(self.percent or self.block, decisions[:, 0])
        if self.task == "colour_block":
            side = min(photo.shape[-2:])
            scenes = [self.scenes(float(place), side) for place in decisions[:, 6]]
            second = _between(self.block, decisions[:, 1])
            return colour_block(photo, decisions[:, 2:6], scenes, first, second, self.place)
        if self.task == "white_block":
            return white_block(photo, decisions[:, 2:4], first, self.place)
        operator = {"points": points, "feature_points": feature_points, "colour_noise": colour_noise}[self.task]
        return operator(photo, fields, first)


def drawn_scene(place: float, side: int) -> Tensor:
    """A picture of coloured rectangles on a gradient, (3, side, side), where there are no photos of scenes."""
    generator = torch.Generator().manual_seed(int(place * 2**31))
    corners = torch.rand(3, 2, 2, generator=generator)
    scene = torch.nn.functional.interpolate(corners[None], size=(side, side), mode="bilinear", align_corners=True)[0]
    for _ in range(12):
        top, left, height, width = torch.rand(4, generator=generator).tolist()
        rows = slice(int(top * side), int((top + 0.1 + 0.4 * height) * side))
        columns = slice(int(left * side), int((left + 0.1 + 0.4 * width) * side))
        scene[:, rows, columns] = torch.rand(3, 1, 1, generator=generator)
    return scene


def _field(uniforms: Tensor, photo: Tensor, channels: int) -> Tensor:
    batch, _, height, width = photo.shape
    if uniforms.shape != (batch, channels * height * width):
        raise ValueError(
            f"uniforms must be (B, {channels} * H * W) = {(batch, channels * height * width)}; got "
            f"{tuple(uniforms.shape)}."
        )
    return uniforms.to(photo).view(batch, channels, height, width)


def _each(value: float | Tensor, photo: Tensor) -> Tensor:
    given = value if isinstance(value, Tensor) else torch.tensor(float(value))
    return given.to(photo).reshape(-1, 1, 1, 1).expand(photo.shape[0], 1, 1, 1)


def _white_where_missing(photo: Tensor, kept: Tensor) -> Tensor:
    return torch.cat([torch.where(kept > 0, photo, torch.ones_like(photo)), kept], 1)


def _rectangles(photo: Tensor, height: float | Tensor, width: float | Tensor, uniforms: Tensor, place: str) -> Tensor:
    """(B, 1, H, W) bool: a rectangle a sample, wholly inside, of whole pixels and at least one."""
    shorter = min(photo.shape[-2:])
    spans = []
    for axis, share in enumerate((height, width)):
        full = photo.shape[2 + axis]
        length = (_each(share, photo).double() * shorter).round().clamp(1, full).flatten().long()
        room = full - length
        drawn = (uniforms[:, axis].to(photo).double() * (room + 1)).floor().long()
        start = (room // 2 if place == "centre" else drawn.minimum(room))[:, None]
        at = torch.arange(full, device=photo.device)
        spans.append((at >= start) & (at < start + length[:, None]))
    return (spans[0][:, :, None] & spans[1][:, None, :])[:, None]


def _between(limits: tuple[float, float] | None, uniforms: Tensor) -> Tensor:
    assert limits is not None
    return limits[0] + (limits[1] - limits[0]) * uniforms


def _range(
    name: str, given: float | Sequence[float] | None, own: tuple[float, float] | None, task: str, most: float
) -> tuple[float, float] | None:
    if given is None:
        return own
    if own is None:
        raise ValueError(f"{name} must be left out for task={task}; got {given!r}.")
    try:
        low, high = (float(given),) * 2 if isinstance(given, int | float) else (float(limit) for limit in given)
    except (TypeError, ValueError):
        low, high = math.nan, math.nan
    if not 0 < low <= high <= most:
        raise ValueError(f"{name} must be a number, or two, the lower first, in (0, {most:g}]; got {given!r}.")
    return low, high
