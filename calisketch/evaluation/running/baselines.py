"""What a model has to beat: faces that anyone can make from the training photos without learning anything."""

from __future__ import annotations

import torch
from torch import Tensor

from ...checks import check_image
from ...sketching.kernels import gaussian
from ...sketching.styles import SketchMixture
from .frozen import draw_frozen
from .protocol import styles_of

__all__ = ["BLUR", "mean_face", "nearest_drawings", "nearest_when_drawn"]

BLUR = 4.0  # pixels at 256; in proportion at other sizes. Lines a little apart count as near each other


def mean_face(photo: Tensor, count: int) -> Tensor:
    """The mean of training photos (M, 3, H, W), for each of `count` people: (count, 3, H, W)."""
    check_image(photo, 3, "photo")
    return photo.mean(0, keepdim=True).expand(count, -1, -1, -1)


def nearest_drawings(sketch: Tensor, known: Tensor) -> Tensor:
    """For each sketch (N, 1, H, W) the nearest known one of (M, 1, H, W): (N,) their places.

    The distance is L2 of the ink, both blurred by a Gaussian of `BLUR` pixels at 256.
    """
    return _distances(sketch, known).argmin(1)


def nearest_when_drawn(
    sketch: Tensor,
    photo: Tensor,
    seed: int,
    mixture: SketchMixture | None = None,
    *,
    at_once: int = 200,
    device: str | torch.device | None = None,
) -> Tensor:
    """For each sketch (N, 1, H, W) the training photo of (M, 3, H, W) that a nearest sketch belongs to: (N,) places.

    Every photo is drawn in each style that the mixture draws, `at_once` photos at a time, and the nearest of all
    sketches counts (`nearest_drawings`' distance). Their indices in the mixture follow on a million, so that none
    shares its random fields with a test sketch. device: see `draw_frozen`.
    """
    base = SketchMixture() if mixture is None else mixture
    best = torch.full((len(sketch),), float("inf"))
    owner = torch.zeros(len(sketch), dtype=torch.long)
    for name in styles_of(base):
        single = SketchMixture({name: 1.0}, base.simplify, base.deform, base.ranges)
        for first in range(0, len(photo), at_once):
            some = photo[first : first + at_once]
            drawn = draw_frozen(single, some, seed, first_index=1_000_000 + first, device=device)
            distance, place = _distances(sketch, drawn).min(1)
            nearer = distance < best
            best, owner = torch.where(nearer, distance, best), torch.where(nearer, place + first, owner)
    return owner


def _distances(sketch: Tensor, known: Tensor) -> Tensor:
    check_image(sketch, 1, "sketch")
    check_image(known, 1, "known")
    if sketch.shape[-2:] != known.shape[-2:]:
        raise ValueError(
            f"sketch and known must be of one size; got {tuple(sketch.shape)} and {tuple(known.shape)}. Prepare both "
            "at one size."
        )
    sigma = BLUR * sketch.shape[-1] / 256
    return torch.cdist(gaussian(sketch, sigma).flatten(1), gaussian(known, sigma).flatten(1))
