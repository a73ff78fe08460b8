"""What a model is measured on: the photos of one split, the sketches that go in, and a statement of both."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from ...sketching.styles import SketchMixture
from .frozen import FrozenSketches, draw_frozen

__all__ = ["TRACKS", "Samples", "artist_samples", "in_one_style", "read_photos", "synthetic_samples"]

TRACKS = ("synthetic", "artist")


@dataclass(frozen=True)
class Samples:
    """The inputs of an evaluation, and what ought to come out.

    Args:
        names: of the N samples.
        photo: (N, 3, H, W) in [0, 1].
        sketch: (N, 1, H, W), ink = 1; in 8 bits' steps.
        detail: (N, 1, H, W), Canny's edges of the photo.
        contour: (N, 1, H, W), HED's; None where the folder was prepared without.
        styles: of synthetic sketches, the style of each; empty for artists'.
        statement: for a report, how these sketches came to be, and whether they are frozen.
    """

    names: tuple[str, ...]
    photo: Tensor
    sketch: Tensor
    detail: Tensor
    contour: Tensor | None
    styles: tuple[str, ...] = ()
    statement: dict[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.names)


def read_photos(photos: Any) -> tuple[tuple[str, ...], dict[str, Tensor]]:
    """All of a small data set such as `datasets.PreparedPhotos`: names, and each kind that all have, (N, C, H, W).

    Raises:
        ValueError: an empty data set.
    """
    if len(photos) == 0:
        raise ValueError("there are no photos to evaluate on. Choose another split, or prepare photos first.")
    items = [photos[index] for index in range(len(photos))]
    names = getattr(photos, "names", None) or [str(index) for index in range(len(items))]
    shared = [kind for kind in items[0] if kind != "index" and all(kind in item for item in items)]
    return tuple(names), {kind: torch.stack([item[kind] for item in items]) for kind in shared}


def synthetic_samples(
    photos: Any, *, seed: int, mixture: SketchMixture | None = None, frozen: FrozenSketches | None = None
) -> Samples:
    """Human-like sketches of a data set's photos, in 8 bits' steps; the index of each is its place.

    Args:
        photos: with items {"photo", "detail", "contour" (may be missing)}.
        seed: of the mixture, in epoch 0.
        mixture: what draws; `SketchMixture()`, the benchmark's, if None.
        frozen: the manifest to compare with, where it covers these photos, size and seed; None: nothing is compared.

    Raises:
        ChangedSketches: the manifest covers these sketches, and one of them is another now.
        ValueError: an empty data set.
    """
    names, kinds = read_photos(photos)
    standard = mixture is None
    mixture = SketchMixture() if mixture is None else mixture
    photo = kinds["photo"]
    sketch = draw_frozen(mixture, photo, seed)
    if frozen is None:
        said = "not frozen: not compared with a manifest"
    elif not standard:
        said = "not frozen: another mixture than the benchmark's"
    elif reason := frozen.covers(names, photo.shape[-1], seed):
        said = f"not frozen: {reason}"
    else:
        frozen.check(photo, sketch, mixture)
        said = f"frozen: all {len(names)} SHA-256 are those of the manifest"
    decided = mixture.decisions(seed=seed, epoch=0, index=range(len(names)))
    styles = tuple(str(each["style"]) for each in decided)
    statement = {
        "drawn by": _mixture_in_words(mixture),
        "seed": seed,
        "epoch": 0,
        "styles": {name: styles.count(name) for name in mixture.names if name in styles},
        "test sketches": said,
    }
    return Samples(names, photo, sketch, kinds["detail"], kinds.get("contour"), styles, statement)


def artist_samples(photos: Any) -> Samples:
    """The artists' drawings of a data set that has them (`PreparedPhotos(..., track="artist")`).

    Raises:
        ValueError: an empty data set, or items without "artist".
    """
    names, kinds = read_photos(photos)
    if "artist" not in kinds:
        raise ValueError(
            'the artist track needs items with "artist"; got items with '
            f'{sorted(kinds)}. Open the folder with PreparedPhotos(..., track="artist"), or take track=synthetic.'
        )
    said = {"drawn by": "artists, as prepared", "test sketches": "not drawn here: the files of the prepared folder"}
    return Samples(names, kinds["photo"], kinds["artist"], kinds["detail"], kinds.get("contour"), (), said)


def in_one_style(
    samples: Samples,
    style: str,
    seed: int,
    mixture: SketchMixture | None = None,
    device: str | torch.device | None = None,
) -> Samples:
    """The same photos, every one drawn in one style.

    Simplification, deformation and their parameters are those of the mixed sketches, sample by sample, so that styles
    are compared on equal terms. device: see `draw_frozen`.
    """
    base = SketchMixture() if mixture is None else mixture
    sketch = draw_frozen(base.only(style), samples.photo, seed, device=device)
    styles = (style,) * len(samples)
    return Samples(samples.names, samples.photo, sketch, samples.detail, samples.contour, styles, samples.statement)


def styles_of(mixture: SketchMixture | None) -> Sequence[str]:
    """The styles that a mixture draws, the benchmark's if None."""
    mixture = SketchMixture() if mixture is None else mixture
    shares = mixture.cumulated.diff(prepend=torch.zeros(1)).tolist()
    return [name for name, share in zip(mixture.names, shares, strict=True) if share > 0]


def _mixture_in_words(mixture: SketchMixture) -> str:
    shares = mixture.cumulated.diff(prepend=torch.zeros(1)).tolist()
    parts = [f"{name} {share:.3g}" for name, share in zip(mixture.names, shares, strict=True) if share > 0]
    changed = [
        f"{step}.{name} {low:g} to {high:g}"
        for step, ranges in mixture.ranges.items()
        for name, (low, high) in ranges.items()
        if not _equal(SketchMixture().ranges[step][name], (low, high))
    ]
    said = f"mixture of {', '.join(parts)}; simplified {mixture.simplify:g}, deformed {mixture.deform:g}"
    return said + (f"; with {', '.join(changed)}" if changed else "") + "; double precision, rounded to 8 bits"


def _equal(first: tuple[float, float], second: tuple[float, float]) -> bool:
    return all(math.isclose(a, b) for a, b in zip(first, second, strict=True))
