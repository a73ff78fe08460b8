"""The drawing mixture: sketches as people draw them, with tone and with faults, from base drawings made beforehand.

It stands beside `SketchMixture`, the mixture of the paper, which draws thin lines only. Here each sample has one of
`DRAWING_STYLES`, and beside it, by chance: features exaggerated, parts of the head left out, strokes that waver.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from calisketch.checks import check_image
from calisketch.sketching.by_hand.base_drawings import BaseDrawings, base_drawings
from calisketch.sketching.by_hand.chance import Chance, Numbers
from calisketch.sketching.by_hand.drawing_styles import DRAWING_STYLES
from calisketch.sketching.by_hand.exaggeration import exaggeration, moved, wobble
from calisketch.sketching.by_hand.incomplete import PARTS, left_out
from calisketch.sketching.by_hand.strokes import Drawing
from calisketch.sketching.kernels import REFERENCE_SIDE
from calisketch.sketching.learned import LearnedStyle
from calisketch.sketching.styles import sample_seed

__all__ = ["DrawingMixture"]


class DrawingMixture:
    """Drawings of photos of faces, another style for every sample; see `DRAWING_STYLES`.

    Each drawing depends on (seed, epoch, its own index) and on its photo's base drawings alone: not on its batch mates,
    and, of base drawings in double precision, not on the processor. So a resumed run equals an uninterrupted one. It
    can be sent to other processes.

    Args:
        weights: probability of each style, up to a common factor; None: all alike, "artist" only with `artist`.
        exaggerated: probability that features are shifted or scaled.
        most: by how much at most, a share: of a feature's size, and of the distance between the eyes.
        incomplete: probability that a part of the head is left out (`incomplete.PARTS`).
        waver: how far strokes stray at most, on a smooth field, pixels of 256; each drawing has its own amount.
        artist: the model folder of a photo-to-sketch network, for the style "artist".

    Raises:
        ValueError: an unknown style, a negative weight, a number outside its range, or the style "artist" without one.
        FileNotFoundError, ModelFolderError: as for `LearnedStyle`.
    """

    def __init__(
        self,
        weights: Mapping[str, float] | None = None,
        exaggerated: float = 0.2,
        most: float = 0.1,
        incomplete: float = 0.12,
        waver: float = 2.0,
        artist: str | os.PathLike[str] | LearnedStyle | None = None,
    ) -> None:
        self.artist = LearnedStyle(artist) if isinstance(artist, (str, os.PathLike)) else artist
        if weights is None:
            weights = {name: 1.0 for name in DRAWING_STYLES if name != "artist" or self.artist is not None}
        unknown = sorted(set(weights) - set(DRAWING_STYLES))
        if unknown:
            raise ValueError(f"weights names unknown styles: got {unknown}, expected some of {list(DRAWING_STYLES)}.")
        if min(weights.values(), default=-1.0) < 0.0 or sum(weights.values()) <= 0.0:
            raise ValueError(f"weights must be non-negative with a positive sum; got {dict(weights)}.")
        for name, share in (("exaggerated", exaggerated), ("incomplete", incomplete)):
            if not 0.0 <= share <= 1.0:
                raise ValueError(f"{name} must be a probability in [0, 1]; got {share!r}.")
        if not 0.0 <= most <= 0.2:
            raise ValueError(f"most must be a share in [0, 0.2]; got {most!r}.")
        if not 0.0 <= waver <= 8.0:
            raise ValueError(f"waver must be pixels of a 256 pixel image, in [0, 8]; got {waver!r}.")
        # In the order of DRAWING_STYLES, so that the order in a config file changes no drawing.
        self.weights = {name: float(weights[name]) for name in DRAWING_STYLES if weights.get(name, 0.0) > 0.0}
        if "artist" in self.weights and self.artist is None:
            raise ValueError("the style artist needs a learned hand: give artist, a model folder, or its weight 0.")
        self.names = tuple(self.weights)
        self.exaggerated, self.most = float(exaggerated), float(most)
        self.incomplete, self.waver = float(incomplete), float(waver)

    def only(self, style: str, *, exaggerated: float | None = None, incomplete: float | None = None) -> DrawingMixture:
        """The same, but all in one style; and with other probabilities, where they are given."""
        return DrawingMixture(
            {style: 1.0},
            self.exaggerated if exaggerated is None else exaggerated,
            self.most,
            self.incomplete if incomplete is None else incomplete,
            self.waver,
            self.artist,
        )

    def base(self, photo: Tensor, style: str | None = None) -> BaseDrawings:
        """The base drawings of one photo, (1, 3, H, W) in [0, 1]; see `base_drawings`.

        style: what is to be drawn from them: the artist's drawing is made for "artist" alone. None: any style.
        """
        return base_drawings(photo, self.artist if style in (None, "artist") and "artist" in self.weights else None)

    @torch.no_grad()
    def __call__(self, photo: Tensor, *, seed: int, epoch: int, index: Sequence[int] | Tensor) -> Tensor:
        """One drawing per photo, base drawings and all: for tests and evaluations. Training keeps the bases
        (`datasets.DrawnPhotos`), which is fifteen times as fast.

        Args:
            photo: (B, 3, H, W) in [0, 1], aligned faces, on any device. Double precision is drawn in double precision.
            seed, epoch: of the run. index: each sample's index in its data set, B whole numbers.

        Returns:
            (B, 1, H, W) in [0, 1], ink = 1, in steps of 1 / 255, on `photo`'s device and of its precision.
        """
        check_image(photo, 3, "photo")
        indices = [int(k) for k in (index.tolist() if isinstance(index, Tensor) else index)]
        if len(indices) != photo.shape[0]:
            raise ValueError(f"index must have one number per photo, {photo.shape[0]}; got {len(indices)}.")
        drawings = []
        decisions = self.decisions(seed=seed, epoch=epoch, index=indices)
        for k, (each, decided) in enumerate(zip(indices, decisions, strict=True)):
            base = self.base(photo[k : k + 1], decided["style"])
            drawings.append(self.draw(base, seed=seed, epoch=epoch, index=each))
        dtype = photo.dtype if photo.dtype == torch.float64 else torch.float32
        sketch = torch.from_numpy(np.stack(drawings))[:, None].to(dtype) / 255
        if photo.shape[-2:] != sketch.shape[-2:]:
            size = (photo.shape[-2], photo.shape[-1])
            sketch = F.interpolate(sketch, size=size, mode="bilinear", align_corners=False, antialias=True).clamp(0, 1)
            sketch = (sketch * 255).round() / 255
        return sketch.to(photo.device)

    def draw(
        self, base: BaseDrawings, *, seed: int, epoch: int, index: int, movement: Numbers | None = None
    ) -> Drawing:
        """One drawing.

        Args:
            base: what it is drawn from.
            seed, epoch, index: of the sample.
            movement: (2, 3), from a pixel of the drawing to the pixel of the aligned frame that lies there; None: the
                drawing is aligned. The same as is done to the photo.

        Returns:
            (256, 256) uint8, ink = 255.
        """
        [decided] = self.decisions(seed=seed, epoch=epoch, index=[index])
        style = decided["style"]
        ink = DRAWING_STYLES[style](base, Chance(sample_seed(seed, epoch, index, f"drawing {style}")))
        if decided["missing"]:
            ink = ink * (1.0 - left_out(decided["missing"], Chance(sample_seed(seed, epoch, index, "left out"))))
        chance = Chance(sample_seed(seed, epoch, index, "waver"))
        offset = wobble(chance, chance.between(0.0, self.waver))
        if decided["exaggerated"]:
            offset = offset + exaggeration(Chance(sample_seed(seed, epoch, index, "exaggeration")), self.most)[0]
        sheet = np.rint(255.0 * np.clip(ink, 0.0, 1.0)).astype(np.uint8)
        return moved(sheet, offset, movement)

    def decisions(self, *, seed: int, epoch: int, index: Sequence[int] | Tensor) -> list[dict[str, Any]]:
        """What is drawn for each of `index`, without drawing it.

        Returns:
            Of each: {"style": its name, "exaggerated": bool, "missing": names of parts that are left out}.
        """
        result = []
        shares = np.cumsum(list(self.weights.values())) / sum(self.weights.values())
        for each in index.tolist() if isinstance(index, Tensor) else index:
            which, exaggerated, incomplete, *part = Chance(sample_seed(seed, epoch, int(each), "drawing")).uniforms(8)
            place = min(int(np.searchsorted(shares, which, side="right")), len(self.names) - 1)
            chosen = list(PARTS)[int(part[0] * len(PARTS))]
            result.append(
                {
                    "style": self.names[place],
                    "exaggerated": bool(exaggerated < self.exaggerated),
                    "missing": [chosen] if incomplete < self.incomplete else [],
                }
            )
        return result

    @property
    def side(self) -> int:
        """Of its drawings, pixels."""
        return REFERENCE_SIDE
