"""Photos with drawings of them by the drawing mixture, photo and drawing misplaced alike, as strangers' sheets are."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from calisketch.datasets.reading.base_store import BaseStore
from calisketch.datasets.reading.repeated_photos import Variants, given_or_prepared
from calisketch.sketching.by_hand.chance import Chance
from calisketch.sketching.by_hand.drawing_styles import DRAWING_STYLES
from calisketch.sketching.by_hand.exaggeration import pixels
from calisketch.sketching.by_hand.mixture import DrawingMixture
from calisketch.sketching.kernels import REFERENCE_SIDE
from calisketch.sketching.styles import sample_seed

__all__ = ["STYLE_NAMES", "DrawnPhotos", "drawn_photos"]

#: An item's "style" is a place in this list.
STYLE_NAMES: tuple[str, ...] = tuple(DRAWING_STYLES)


class DrawnPhotos(Variants):
    """The items of ``photos``, ``variants`` times over, each with another drawing and at another place in the frame.

    Made in the loading processes: `data.draw` is null. A drawing depends on (seed, variant, photo) alone.

    An item has its photo, line maps and whatever else is an image, all moved alike, and

    * ``sketch``: (1, H, W) in [0, 1], ink = 1, moved with the photo;
    * ``inside``: (1, H, W), 1 where the frame shows the aligned photo, 0 where it reaches beyond it: there the photo's
      rim is repeated and blurred, and no loss should look. Items that bring an ``inside`` of their own keep its zeros;
    * ``frame``: (2, H, W), where each pixel lay before, x and y in [0, 1] of the photo's sides;
    * ``style``: int64, a place in `STYLE_NAMES`; ``faults``: int64, 1 for exaggerated, 2 for incomplete, 3 for both;
    * ``index``.

    photos: a data set with items of (C, H, W) images and an ``index``, such as `PreparedPhotos`.
    bases: the folder where base drawings are kept (`BaseStore`).
    mixture: what draws; `DrawingMixture()` if None.
    shift: of the placement, at most, pixels of 256. scale: up or down, at most, a share. turn: at most, degrees.
    variants: how often each photo comes. seed: of all that is random.

    Raises ValueError for a setting that makes no sense.
    """

    def __init__(
        self,
        photos: Any,
        bases: str | os.PathLike[str],
        mixture: DrawingMixture | None = None,
        *,
        shift: float = 12.0,
        scale: float = 0.08,
        turn: float = 10.0,
        variants: int = 64,
        seed: int = 0,
    ) -> None:
        super().__init__(photos, variants, seed)
        for name, value, most in (("shift", shift, 64.0), ("scale", scale, 0.5), ("turn", turn, 45.0)):
            if not 0.0 <= value < most:
                raise ValueError(f"{name} must be in [0, {most:g}); got {value!r}.")
        self.mixture = DrawingMixture() if mixture is None else mixture
        hand = self.mixture.artist if "artist" in self.mixture.names else None
        self.bases = BaseStore(bases, hand)
        self.shift, self.scale, self.turn = float(shift), float(scale), float(turn)

    def varied(self, item: dict[str, Tensor], variant: int, place: int) -> dict[str, Tensor]:
        """The item with a drawing, all its images moved alike."""
        movement = self.movement(variant, place)
        [decided] = self.mixture.decisions(seed=self.seed, epoch=variant, index=[place])
        base = self.bases.base(item["photo"], artist=decided["style"] == "artist")
        drawing = self.mixture.draw(base, seed=self.seed, epoch=variant, index=place, movement=movement)
        side = item["photo"].shape[-1]
        at, inside = _places(movement, side)
        move = movement is not None
        result = {
            name: _moved(value, at, inside) if move and value.ndim == 3 else value for name, value in item.items()
        }
        if side != REFERENCE_SIDE:
            drawing = np.asarray(cv2.resize(drawing, (side, side), interpolation=cv2.INTER_AREA), np.uint8)
        within = torch.from_numpy(inside)[None]
        return {
            **result,
            "sketch": torch.from_numpy(drawing)[None].float() / 255,
            "inside": within * result["inside"] if "inside" in result else within,
            "frame": torch.from_numpy((at + 0.5) / side),
            "style": torch.tensor(STYLE_NAMES.index(decided["style"])),
            "faults": torch.tensor(int(decided["exaggerated"]) + 2 * bool(decided["missing"])),
        }

    def decisions(self, index: int) -> dict[str, Any]:
        """What an item's drawing is, without making it; see `DrawingMixture.decisions`."""
        variant, place = divmod(index % len(self), len(self.photos))
        [decided] = self.mixture.decisions(seed=self.seed, epoch=variant, index=[place])
        return decided

    def movement(self, variant: int, place: int) -> NDArray[np.float64] | None:
        """(2, 3): from a pixel of the item, of 256, to the aligned frame's pixel that lies there; None: not moved."""
        if not (self.shift or self.scale or self.turn):
            return None
        chance = Chance(sample_seed(self.seed, variant, place, "placement"))
        right, down, larger, turned = 2.0 * chance.uniforms(4) - 1.0
        factor = 1.0 / (1.0 + self.scale * larger)
        angle = math.radians(self.turn * turned)
        linear = factor * np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
        middle = np.full(2, (REFERENCE_SIDE - 1) / 2)
        offset = middle - linear @ (middle + self.shift * np.array([right, down]))
        return np.concatenate([linear, offset[:, None]], 1)

    def __repr__(self) -> str:
        said = f"shift={self.shift}, scale={self.scale}, turn={self.turn}, variants={self.variants}"
        return f"DrawnPhotos({self.photos!r}, {said})"


def drawn_photos(
    root: str | Path | Sequence[str | Path] | None = None,
    split: str = "train",
    size: int | None = None,
    *,
    bases: str | Path | None = None,
    mixture: DrawingMixture | None = None,
    shift: float = 12.0,
    scale: float = 0.08,
    turn: float = 10.0,
    variants: int = 64,
    seed: int = 0,
    photos: Any = None,
    inside: bool = True,
) -> DrawnPhotos:
    """`DrawnPhotos` of a prepared folder or several, for configurations.

    root, split, size, inside: as `prepared_photos` takes them. photos: a data set to take instead.
    bases: where base drawings are kept; None: in the folder `bases` of the (first) prepared folder.
    The rest: as `DrawnPhotos`.

    Raises FileNotFoundError or ValueError as `prepared_photos` and `DrawnPhotos` do, and where bases are kept nowhere.
    """
    photos = given_or_prepared(photos, root, split, size, "drawn_photos", inside)
    if bases is None:
        if root is None:
            raise ValueError("drawn_photos needs bases, a folder to keep base drawings in, where no root is given.")
        bases = Path(root if isinstance(root, (str, Path)) else root[0]).expanduser() / "bases"
    return DrawnPhotos(photos, bases, mixture, shift=shift, scale=scale, turn=turn, variants=variants, seed=seed)


def _places(movement: NDArray[np.float64] | None, side: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """(2, side, side): x and y of the pixel of the aligned image that lies at each pixel; and 1 where there is one."""
    x, y = pixels(side)
    if movement is not None:
        # The movement is of 256 pixels: a pixel's centre is at (its place + 0.5) / side of the whole.
        ratio = REFERENCE_SIDE / side
        linear = movement[:, :2]
        offset = (linear @ np.full(2, 0.5 * ratio - 0.5) + movement[:, 2] + 0.5) / ratio - 0.5
        x, y = (row[0] * x + row[1] * y + start for row, start in zip(linear, offset, strict=True))
    inside = (x >= -0.5) & (x <= side - 0.5) & (y >= -0.5) & (y <= side - 0.5)
    return np.stack([x, y]).astype(np.float32), inside.astype(np.float32)


def _moved(image: Tensor, at: NDArray[np.float32], inside: NDArray[np.float32]) -> Tensor:
    """(C, H, W) seen at other places: beyond a photo its rim, blurred; beyond a line map nothing."""
    source = np.ascontiguousarray(image.permute(1, 2, 0).numpy())
    photo = source.shape[2] == 3
    border = cv2.BORDER_REPLICATE if photo else cv2.BORDER_CONSTANT
    moved = cv2.remap(source, at[0], at[1], cv2.INTER_LINEAR, borderMode=border)
    if photo and not inside.all():
        blurred = cv2.GaussianBlur(moved, (0, 0), 4.0 * source.shape[0] / REFERENCE_SIDE)
        moved = np.where(inside[..., None] > 0, moved, blurred)
    return torch.from_numpy(moved.reshape(source.shape).clip(0.0, 1.0)).permute(2, 0, 1).contiguous()
