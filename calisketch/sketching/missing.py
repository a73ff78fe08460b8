"""Sketches that lack an eye, the nose or the mouth, so that a network learns to paint what was not drawn.

The report on conditional GANs of faces (experiment 2): a network that has seen no such sketch paints a face without an
eye; one that was trained on them puts one there. Faces are aligned, so features lie in one place; where is said in the
canonical frame (eyes at (96, 131) and (160, 131) of 256 x 256), as measured on CUHK's training faces.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from calisketch.sketching.kernels import REFERENCE_SIDE, pixel_grid, ramp
from calisketch.sketching.styles import SketchMixture, sample_uniforms

Ellipse = tuple[float, float, float, float]

_LEFT_EYE: Ellipse = (96.0, 130.0, 28.0, 20.0)  # centre x, y, half width, half height; brows stay
_RIGHT_EYE: Ellipse = (160.0, 130.0, 28.0, 20.0)
#: What may be missing, and the ellipses that hold it. "left" is the image's left.
FEATURES: Mapping[str, tuple[Ellipse, ...]] = {
    "left_eye": (_LEFT_EYE,),
    "right_eye": (_RIGHT_EYE,),
    "eyes": (_LEFT_EYE, _RIGHT_EYE),
    "nose": ((128.0, 163.0, 27.0, 24.0),),
    "mouth": ((128.0, 201.0, 41.0, 19.0),),
}
EDGE = 1.15  # times the ellipse, up to where the eraser's rim fades
_UNIFORMS = 2 + 4 * len(FEATURES)  # whether, how many; and of each feature its rank, shift and growth


class MissingFeatures:
    """Draws sketches, and rubs out features of the face in some of them.

    What a sketch lacks depends on (seed, epoch, its own index) alone, and is drawn apart from the sketch: the strokes
    that stay are those of ``draw``, bit for bit. Of a photo that was moved, the place that the feature was moved to is
    rubbed out, if it is said how (``frame``).

    Args:
        draw: what draws the whole sketch, (photo, seed=, epoch=, index=) -> (B, C, H, W); `SketchMixture()` if None.
        parts: which of `FEATURES` may be missing, each as likely as the others.
        probability: that a sketch lacks any. 1 for tests; less in training, so that whole sketches stay known.
        count: how many of ``parts`` are missing then: a number, or the least and the most.
        stray: how far the rubbed-out place lies off the feature's, up to so many pixels of a 256 pixel image each way.
        grow: by how much it is larger than the feature: the least and the most.

    Raises:
        ValueError: an unknown part, a probability outside [0, 1], or a count, stray or grow that makes no sense.
    """

    def __init__(
        self,
        draw: Callable[..., Tensor] | None = None,
        parts: Sequence[str] = ("eyes", "nose", "mouth"),
        probability: float = 1.0,
        count: int | Sequence[int] = 1,
        stray: float = 0.0,
        grow: Sequence[float] = (1.0, 1.0),
    ) -> None:
        unknown = sorted(set(parts) - set(FEATURES))
        if unknown or not parts or isinstance(parts, str):
            raise ValueError(f"parts must be some of {list(FEATURES)}; got {parts!r}.")
        least, most = (count, count) if isinstance(count, int) else tuple(count)
        if not 1 <= least <= most <= len(set(parts)):
            raise ValueError(f"count must be from 1 to the {len(set(parts))} parts, the least first; got {count!r}.")
        if not 0.0 <= probability <= 1.0:
            raise ValueError(f"probability must be in [0, 1]; got {probability!r}.")
        if not 0.0 <= stray < REFERENCE_SIDE:
            raise ValueError(f"stray must be pixels of a 256 pixel image, at least 0; got {stray!r}.")
        if len(grow) != 2 or not 0.0 < grow[0] <= grow[1] < 10.0:
            raise ValueError(f"grow must be two factors above 0, the lower first; got {grow!r}.")
        self.draw = SketchMixture() if draw is None else draw
        self.parts = tuple(name for name in FEATURES if name in parts)  # in one order, whatever a file's
        self.probability, self.least, self.most = float(probability), int(least), int(most)
        self.stray, self.grow = float(stray), (float(grow[0]), float(grow[1]))

    reads = ("frame",)  # of a batch, beside its photos

    def __call__(
        self,
        photo: Tensor,
        *,
        seed: int,
        epoch: int,
        index: Sequence[int] | Tensor,
        frame: Tensor | None = None,
    ) -> Tensor:
        """One sketch per photo, as `SketchMixture` takes and gives them.

        frame: (B, 2, H, W), where each pixel lay before its photo was moved: x and y in [0, 1] of the aligned photo's
            sides (`datasets.VariedPhotos` says so); None: the photos are where they were.
        """
        sketch = self.draw(photo, seed=seed, epoch=epoch, index=index)
        regions = self.regions(photo.shape[-2:], seed=seed, epoch=epoch, index=index, frame=frame)
        return sketch * (1.0 - regions.to(sketch))

    def missing(self, *, seed: int, epoch: int, index: Sequence[int] | Tensor) -> list[tuple[str, ...]]:
        """The names of what each sketch lacks, in the order of `FEATURES`."""
        return [tuple(place[0] for place in places) for places in self._places(seed, epoch, index)]

    def regions(
        self,
        size: Sequence[int],
        *,
        seed: int,
        epoch: int,
        index: Sequence[int] | Tensor,
        frame: Tensor | None = None,
    ) -> Tensor:
        """What a call with the same arguments rubs out: (B, 1, H, W) on the CPU, 1 = all ink, fading at the rim."""
        rows = []
        for row, places in enumerate(self._places(seed, epoch, index)):
            ellipses = [
                (x + right, y + down, factor * wide, factor * high)
                for name, right, down, factor in places
                for x, y, wide, high in FEATURES[name]
            ]
            rows.append(_covered(ellipses, size if frame is None else frame[row : row + 1].cpu()))
        return torch.cat(rows)

    def _places(
        self, seed: int, epoch: int, index: Sequence[int] | Tensor
    ) -> list[list[tuple[str, float, float, float]]]:
        """Of each sketch, what is missing: (name, shift to the right, shift down, factor)."""
        indices = [int(k) for k in (index.tolist() if isinstance(index, Tensor) else index)]
        drawn = []
        for row in sample_uniforms(seed, epoch, indices, _UNIFORMS, stream="missing").tolist():
            whether, how_many, *rest = row
            of = {name: rest[4 * k : 4 * k + 4] for k, name in enumerate(FEATURES)}
            count = self.least + int(how_many * (self.most - self.least + 1)) if whether < self.probability else 0
            chosen = sorted(self.parts, key=lambda name: of[name][0])[:count]
            low, high = self.grow
            drawn.append(
                [
                    (
                        name,
                        self.stray * (2 * of[name][1] - 1),
                        self.stray * (2 * of[name][2] - 1),
                        low + (high - low) * of[name][3],
                    )
                    for name in FEATURES
                    if name in chosen
                ]
            )
        return drawn


def missing_from_mixture(
    weights: Mapping[str, float] | None = None,
    simplify: float = 0.5,
    deform: float = 0.5,
    ranges: Mapping[str, Mapping[str, Sequence[float]]] | None = None,
    learned: Mapping[str, str | os.PathLike[str]] | None = None,
    *,
    parts: Sequence[str] = ("eyes", "nose", "mouth"),
    probability: float = 1.0,
    count: int | Sequence[int] = 1,
    stray: float = 0.0,
    grow: Sequence[float] = (1.0, 1.0),
) -> MissingFeatures:
    """`MissingFeatures` of a `SketchMixture`, for configurations: the settings of both, side by side."""
    mixture = SketchMixture(weights, simplify, deform, ranges, learned)
    return MissingFeatures(mixture, parts, probability, count, stray, grow)


def feature_region(parts: Sequence[str], size: Sequence[int]) -> Tensor:
    """Where features lie: (1, 1, H, W), 1 inside their ellipses and 0 outside, without the fading rim.

    Raises:
        ValueError: an unknown part.
    """
    if not parts or set(parts) - set(FEATURES):
        raise ValueError(f"parts must be some of {list(FEATURES)}; got {parts!r}.")
    return (_distance([ellipse for name in parts for ellipse in FEATURES[name]], size) <= 1.0).float()


def _covered(ellipses: Sequence[Ellipse], where: Sequence[int] | Tensor) -> Tensor:
    if not ellipses:
        return torch.zeros(1, 1, *(where.shape[-2:] if isinstance(where, Tensor) else where))
    return 1.0 - ramp(_distance(ellipses, where), 1.0, EDGE)


def _distance(ellipses: Sequence[Ellipse], where: Sequence[int] | Tensor) -> Tensor:
    """(1, 1, H, W): how far each pixel is from the nearest ellipse's centre, 1 on its line.

    where: the size of an aligned picture; or (1, 2, H, W), x and y of each pixel in [0, 1] of one.
    """
    if isinstance(where, Tensor):
        x, y = REFERENCE_SIDE * where[:, :1], REFERENCE_SIDE * where[:, 1:]
    else:
        height, width = where
        x, y = pixel_grid(torch.zeros(1, 1, height, width))
        x, y = (x + 0.5) * (REFERENCE_SIDE / width), (y + 0.5) * (REFERENCE_SIDE / height)
    each = [torch.sqrt(((x - cx) / wide) ** 2 + ((y - cy) / high) ** 2) for cx, cy, wide, high in ellipses]
    return torch.stack(each).amin(0)
