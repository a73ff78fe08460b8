"""Pairs before other grounds: photos taken before a plain wall teach a network nothing about other grounds.

CUFS's sitters stand before a blue or a white wall; a network that learns from these photos alone draws strokes on every
other ground. Here GrabCut (Rother et al., SIGGRAPH 2004) cuts out the person, starting from the wall's colour. The
person is set before a synthetic ground, in another light. The drawing keeps its person, on white paper.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from calisketch.datasets.reading.moved_photos import VariedPhotos
from calisketch.datasets.reading.paired_photos import photo_pairs
from calisketch.datasets.reading.repeated_photos import Variants, made_seed

__all__ = ["OtherGrounds", "grounded_pairs", "on_white_paper", "person_mask"]

_LOOK_SIDE = 128  # GrabCut's; the mask is enlarged
_NEAR = (30.0, 16.0, 16.0)  # CIELAB steps of 8-bit images within which a pixel may be the wall
_REACH = 0.07  # of the side, by which strokes may lie off the person: hair is drawn freely
_GRAIN = 0.06  # of tone, the most that is taken for the paper's grain


def person_mask(photo: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Where the person is, in a photo that was taken before a plain wall and placed in the frame.

    photo: (H, H, 3) RGB, eyes at (96, 131), (160, 131) of 256. Returns (H, H); where the wall is not found, all True.
    """
    side = photo.shape[0]
    small = cv2.resize(photo, (_LOOK_SIDE, _LOOK_SIDE), interpolation=cv2.INTER_AREA)
    lab = cv2.cvtColor(small, cv2.COLOR_RGB2LAB).astype(np.float32)
    corners = np.concatenate([lab[:20, :16].reshape(-1, 3), lab[:20, -16:].reshape(-1, 3)])
    lit = corners[corners[:, 0] > 60]  # the release's black wedges lie in corners
    if len(lit) < len(corners) // 8:
        return np.ones((side, side), dtype=bool)
    near = (np.abs(lab - np.median(lit, axis=0)) < _NEAR).all(-1)
    _, parts = cv2.connectedComponents(near.astype(np.uint8))
    rim = np.unique(np.concatenate([parts[0], parts[:100, 0], parts[:100, -1]]))
    wall = near & np.isin(parts, rim)
    marks = np.where(wall, cv2.GC_PR_BGD, cv2.GC_PR_FGD).astype(np.uint8)
    marks[cv2.erode((~wall).astype(np.uint8), np.ones((7, 7), np.uint8)) > 0] = cv2.GC_FGD
    marks[cv2.erode(wall.astype(np.uint8), np.ones((5, 5), np.uint8), borderValue=1) > 0] = cv2.GC_BGD
    cv2.ellipse(marks, (64, 75), (25, 37), 0, 0, 360, cv2.GC_FGD, -1)  # the face itself
    if np.isin(marks, (cv2.GC_BGD, cv2.GC_PR_BGD)).sum() < 0.02 * marks.size:
        return np.ones((side, side), dtype=bool)
    cv2.setRNGSeed(0)  # its clusters begin at random
    cv2.grabCut(small, marks, None, np.zeros((1, 65)), np.zeros((1, 65)), 3, cv2.GC_INIT_WITH_MASK)
    person = np.isin(marks, (cv2.GC_FGD, cv2.GC_PR_FGD)).astype(np.uint8)
    _, parts = cv2.connectedComponents(person)
    person = (parts == parts[75, 64]).astype(np.float32)  # without what hangs together with no face: wedges
    return np.asarray(cv2.resize(person, (side, side), interpolation=cv2.INTER_LINEAR) > 0.5)


def on_white_paper(drawing: Tensor, person: Tensor) -> Tensor:
    """A drawing on toned or grainy paper, with its scan's edges and writing, as ink on white; its tones stay.

    The paper's tone and grain are the median and the standard deviation beside the person. Ink is measured against the
    paper, and strokes farther from the person than a fourteenth of the side are left out.

    Args:
        drawing: (1, H, W), ink = 1. person: (1, H, W), 1 where the photo's person is.

    Returns:
        (1, H, W) in [0, 1].
    """
    side = drawing.shape[-1]
    reach = 2 * round(_REACH * side) + 1
    around = F.max_pool2d(person[None], reach, 1, reach // 2)[0]
    beside = drawing[(around == 0) & (drawing < 0.4)]  # the wedges are black
    paper, grain = (
        (beside.median(), beside.std()) if beside.numel() > 16 else (drawing.quantile(0.2), torch.tensor(0.0))
    )
    luma = (1 - drawing) / (1 - paper).clamp(min=0.2)
    floor = min(float(grain), _GRAIN)
    ink = ((1 - luma - floor) / (1 - floor)).clamp(0.0, 1.0)
    return ink * F.avg_pool2d(around[None], 5, 1, 2, count_include_pad=False)[0]


class OtherGrounds(Variants):
    """Pairs, ``variants`` times over: the photo before another ground in another light, the drawing on white paper.

    An item has ``photo``, ``sketch`` and ``index``. What it is depends on (seed, variant, photo) alone.

    photos: pairs with ``photo`` (3, H, H) and ``sketch`` (1, H, H), such as `PairedPhotos`, before plain walls.
    share: of the items that get another ground. light: how far brightness, contrast, colour and saturation are changed,
    as a share; 0: not at all. variants, seed: as `Variants` takes them.

    Raises ValueError for a share or a light outside [0, 1].
    """

    def __init__(
        self, photos: Any, *, share: float = 0.7, light: float = 0.2, variants: int = 64, seed: int = 0
    ) -> None:
        super().__init__(photos, variants, seed)
        for name, value in (("share", share), ("light", light)):
            if not 0.0 <= value <= 1.0:
                raise ValueError(f"{name} must be in [0, 1]; got {value!r}.")
        self.share, self.light = float(share), float(light)
        self._known: dict[int, tuple[Tensor, Tensor]] = {}

    def varied(self, item: dict[str, Tensor], variant: int, place: int) -> dict[str, Tensor]:
        """The pair before this variant's ground, in its light."""
        photo, (alpha, sketch) = item["photo"], self._cut_out(item, place)
        generator = torch.Generator().manual_seed(made_seed(self.seed, variant, place, "grounds"))
        if float(torch.rand((), generator=generator)) < self.share:
            photo = alpha * photo + (1 - alpha) * made_ground(photo.shape[-1], generator)
        photo = other_light(photo, self.light, generator)
        return {"photo": photo, "sketch": sketch, "index": item["index"]}

    def _cut_out(self, item: dict[str, Tensor], place: int) -> tuple[Tensor, Tensor]:
        """The person's share of each pixel, (1, H, H), and the drawing on white paper: made once for each pair."""
        if place not in self._known:
            pixels = (255 * item["photo"]).round().to(torch.uint8).permute(1, 2, 0).contiguous().numpy()
            person = torch.from_numpy(person_mask(pixels))[None].float()
            # Inside the outline by a pixel: the old wall shines through hair.
            inside = 1 - F.max_pool2d(1 - person[None], 3, 1, 1)
            alpha = F.avg_pool2d(inside, 3, 1, 1, count_include_pad=False)[0]
            self._known[place] = alpha, on_white_paper(item["sketch"], person)
        return self._known[place]

    def __repr__(self) -> str:
        said = f"share={self.share}, light={self.light}, variants={self.variants}"
        return f"OtherGrounds({self.photos!r}, {said})"


def made_ground(side: int, generator: torch.Generator) -> Tensor:
    """(3, side, side) in [0, 1]: a colour, in two of three grounds with coloured noise of several sizes upon it, in one
    of three with rectangles too."""
    kind = int(torch.randint(3, (), generator=generator))
    ground = _dull(torch.rand(3, 1, 1, generator=generator)).expand(3, side, side)
    slope = torch.linspace(-0.5, 0.5, side)
    tilt = _dull(torch.rand(2, 3, 1, 1, generator=generator) - 0.5)
    ground = ground + tilt[0] * slope + tilt[1] * slope[:, None]
    if kind >= 1:
        for cells in (4, 9, 20, 45, 100):
            noise = _dull(torch.rand(1, 3, cells, cells, generator=generator) - 0.5)
            strength = 0.9 * float(torch.rand((), generator=generator))
            ground = ground + strength * F.interpolate(noise, (side, side), mode="bilinear", align_corners=False)[0]
    if kind == 2:
        for _ in range(int(torch.randint(2, 9, (), generator=generator))):
            left, top, wide, high = (side * torch.rand(4, generator=generator)).long().tolist()
            ground = ground.clone()
            ground[:, top : top + high // 2 + 2, left : left + wide // 2 + 2] = _dull(
                torch.rand(3, 1, 1, generator=generator)
            )
    return ground.clamp(0.0, 1.0)


def _dull(colours: Tensor) -> Tensor:
    """Colours (..., 3, H, W) with a third of their saturation, as most grounds are."""
    grey = colours.mean(-3, keepdim=True)
    return grey + (colours - grey) / 3


def other_light(photo: Tensor, light: float, generator: torch.Generator) -> Tensor:
    """A photo (3, H, W) in another light: gains, contrast, saturation and gamma change by up to about ``light``."""
    if not light:
        return photo
    bright, contrast, gamma, saturation, *gains = ((2 * torch.rand(7, generator=generator) - 1) * light).tolist()
    grey = photo.mean(0, keepdim=True)
    photo = grey + (1 + 2 * saturation) * (photo - grey)
    photo = photo * (1 + torch.tensor(gains).view(3, 1, 1) / 3)
    photo = (photo - 0.5) * (1 + contrast) + 0.5 + bright / 2
    return photo.clamp(1e-3, 1.0) ** (1 + gamma)


def grounded_pairs(
    root: str | Path | Sequence[str | Path],
    split: str = "train",
    size: int | None = None,
    *,
    count: int | None = None,
    share: float = 0.7,
    light: float = 0.2,
    jitter: float = 1.0,
    flip: float = 0.0,
    misplaced: float = 0.0,
    variants: int = 64,
    seed: int = 0,
) -> OtherGrounds | VariedPhotos:
    """`OtherGrounds` of a prepared folder's pairs or several folders', for configurations; `VariedPhotos` moves them.

    root, split, size, count: as `photo_pairs` takes them. share, light, variants, seed: as `OtherGrounds` takes them.
    jitter, flip, misplaced: as `VariedPhotos` takes them; photo and drawing move alike.

    Raises FileNotFoundError or ValueError as these do.
    """
    pairs = photo_pairs(root, split, size, count=count)
    grounded = OtherGrounds(pairs, share=share, light=light, variants=variants, seed=seed)
    if (jitter, flip, misplaced) == (1.0, 0.0, 0.0):
        return grounded
    return VariedPhotos(grounded, jitter=jitter, flip=flip, misplaced=misplaced, variants=1, seed=seed)
