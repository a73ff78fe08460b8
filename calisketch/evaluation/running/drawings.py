"""Rows and figures of comparisons about drawings: a drawing itself, its strokes, and a face's features."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ...losses import soft_f1
from ...sketching.missing import FEATURES, feature_region
from ..measures.identity import FaceIdentity
from ..measures.pixel import to_uint8

__all__ = ["AsDrawn", "InkShare", "LikenessToPhoto", "RegionPSNR", "StrokesF1"]


class AsDrawn:
    """A row's ``paint``: the sketch itself, (B, 1, H, W), ink = 1."""

    def __call__(self, batch: dict[str, Tensor]) -> Tensor:
        """The batch's sketch."""
        return batch["sketch"]


class RegionPSNR:
    """A row's figure: PSNR, dB, of 8-bit RGB where features of the face lie, and nowhere else.

    Args:
        parts: some of `sketching.FEATURES`.

    Raises:
        ValueError: an unknown part.
    """

    higher_is_better = True

    def __init__(self, parts: Sequence[str]) -> None:
        feature_region(parts, (1, 1))
        self.parts = tuple(name for name in FEATURES if name in parts)
        self.says = "8-bit RGB, dB, inside the ellipses of the feature that is missing; mean over images"

    def __call__(self, batch: dict[str, Tensor], made: Tensor) -> Tensor:
        """(B,); infinite where the two are equal there."""
        photo, face = (torch.from_numpy(to_uint8(each)).double() for each in (batch["photo"], made))
        inside = feature_region(self.parts, made.shape[-2:])[0, 0] > 0
        squares = (photo - face)[:, inside].square().mean((1, 2))
        return 10 * torch.log10(255**2 / squares)


class StrokesF1:
    """A row's figure: F1 of a drawing's ink against the artist's, a stroke allowed to lie some pixels off.

    Args:
        tolerance: pixels.
    """

    higher_is_better = True

    def __init__(self, tolerance: int = 1) -> None:
        self.tolerance = tolerance
        self.says = f"precision and recall of grey ink within {tolerance} px of the artist's; mean over images"

    def __call__(self, batch: dict[str, Tensor], made: Tensor) -> Tensor:
        """(B,); NaN where either has no ink."""
        return soft_f1(1 - made.mean(1, keepdim=True).clamp(0, 1), batch["artist"], self.tolerance)


class InkShare:
    """A row's figure: the mean ink of a drawing, in [0, 1]; it says what kind of drawing it is, not how good."""

    higher_is_better = True
    says = "mean ink of the drawing, 1 for a black sheet; mean over images"

    def __call__(self, batch: dict[str, Tensor], made: Tensor) -> Tensor:
        """(B,)."""
        return 1 - made.mean((1, 2, 3))


class LikenessToPhoto:
    """A row's figure: how much a drawing's face is the photo's to ArcFace, which was trained on photos only.

    Args:
        identity: what embeds faces; ArcFace with YuNet's points of the photo, if None.

    Raises:
        weights.MissingWeights: ``identity`` is None and a file of the two is missing.
    """

    higher_is_better = True
    says = (
        "cosine of ArcFace embeddings of drawing and photo, both aligned by the photo's YuNet points; mean over images"
    )

    def __init__(self, identity: FaceIdentity | None = None) -> None:
        self.identity = FaceIdentity.from_pretrained() if identity is None else identity

    def __call__(self, batch: dict[str, Tensor], made: Tensor) -> Tensor:
        """(B,) in [-1, 1]."""
        points = self.identity.points(batch["photo"])
        one, two = (self.identity.embed(each.clamp(0, 1), points) for each in (batch["photo"], made))
        return torch.from_numpy((one * two).sum(1).clip(-1, 1))
