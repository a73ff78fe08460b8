"""What a calibrated sketch is worth, in lines: how much ink, how much of it is right, what of it was added.

Every figure is of one image; their means leave out images that have none. R is made binary at 0.5.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...checks import check_image, check_positive, check_same_shape
from .edges import edge_counts, precision_recall

__all__ = ["FIGURES", "LineFigures", "line_figures", "means", "recall_of_taken", "take_strokes"]

_THRESHOLD = 0.5


class LineFigures(NamedTuple):
    """Figures of one image; NaN where there is nothing to divide by."""

    ink: float
    precision: float
    recall: float
    f1: float
    precision_2: float
    recall_2: float
    f1_2: float
    product_precision_2: float
    product_recall_2: float
    product_f1_2: float


FIGURES: dict[str, str] = {
    "ink": "share of the pixels that are ink",
    "precision": "share of R's ink that is Canny's, to the pixel",
    "recall": "share of Canny's ink that R has, to the pixel",
    "f1": "harmonic mean of the two",
    "precision_2": "precision at 2 px (Euclidean)",
    "recall_2": "recall at 2 px",
    "f1_2": "F1 at 2 px",
    "product_precision_2": "precision at 2 px against Canny (*) HED",
    "product_recall_2": "recall at 2 px against Canny (*) HED",
    "product_f1_2": "F1 at 2 px against Canny (*) HED",
}


def line_figures(refined: Tensor, detail: Tensor, contour: Tensor, inside: Tensor | None = None) -> list[LineFigures]:
    """Each image's figures.

    Args:
        refined: R, (B, 1, H, W) in [0, 1], ink = 1. detail, contour: of its photo, Canny and HED, alike.
        inside: (B, 1, H, W) of 0 and 1; what lies outside of it counts for nothing. None: all counts.

    Raises:
        TypeError, ValueError: not line drawings of one shape.
    """
    check_image(refined, 1, "refined")
    check_same_shape(refined, detail, "refined", "detail")
    check_same_shape(refined, contour, "refined", "contour")
    shown = torch.ones_like(detail) if inside is None else inside
    ink, canny, product = refined * shown, detail * shown, detail * contour * shown
    share = ((ink >= _THRESHOLD).float().sum((1, 2, 3)) / shown.sum((1, 2, 3))).tolist()
    scores = [
        precision_recall(ink, target, _THRESHOLD, reach) for target, reach in ((canny, 0), (canny, 2), (product, 2))
    ]
    return [
        LineFigures(share[k], *(figure for each in scores for figure in _with_f1(each.precision[k], each.recall[k])))
        for k in range(len(refined))
    ]


def _with_f1(precision: float, recall: float) -> tuple[float, float, float]:
    if math.isnan(recall):
        return float(precision), math.nan, math.nan
    right = 0.0 if math.isnan(precision) else float(precision)  # R without ink, of lines that are there
    both = right + recall
    return float(precision), float(recall), 2 * right * float(recall) / both if both else 0.0


def means(figures: Iterable[LineFigures]) -> dict[str, float]:
    """Each figure's mean over the images that have it, by name; NaN where none has."""
    table = np.array(list(figures), dtype=np.float64).reshape(-1, len(FIGURES))
    counted = (~np.isnan(table)).sum(0)
    sums = np.nansum(table, 0)
    return {
        name: float(total / count) if count else math.nan
        for name, total, count in zip(FIGURES, sums, counted, strict=True)
    }


def take_strokes(sketch: Tensor, share: float, seed: int) -> tuple[Tensor, Tensor]:
    """A drawing with some of its strokes taken out, and where.

    Round holes of 10 pixels' radius (of 256), each around a pixel of ink, until that share of the ink is gone.

    Args:
        sketch: (1, H, W) in [0, 1], ink = 1. share: of the ink that goes, in (0, 1). seed: of the places.

    Returns:
        (sketch, taken), (1, H, W) each: what is left, and 1 in the holes.

    Raises:
        ValueError: a share out of range.
    """
    check_positive("share", share)
    if share >= 1:
        raise ValueError(f"share must be below 1; got {share!r}.")
    ink = sketch[0].cpu().numpy()
    holes = np.zeros(ink.shape, np.uint8)
    rows, columns = np.nonzero(ink >= _THRESHOLD)
    radius = max(1, round(10 * ink.shape[0] / 256))
    goal, order = share * float(ink.sum()), np.random.default_rng(seed).permutation(len(rows))
    for place in order:
        if float(ink[holes > 0].sum()) >= goal:
            break
        cv2.circle(holes, (int(columns[place]), int(rows[place])), radius, 1, -1)
    taken = torch.from_numpy(holes).to(sketch)[None]
    return sketch * (1 - taken), taken


def recall_of_taken(refined: Tensor, sketch: Tensor, taken: Tensor, target: Tensor) -> NDArray[np.float64]:
    """Which share of the lines that were taken out R has again, image by image.

    The lines are the target's ink in the holes within 3 pixels of a stroke that was there: what the person had drawn.

    Args:
        refined: R of what was left. sketch: before. taken: the holes. target: line map. (B, 1, H, W) each.

    Returns:
        (B,) in [0, 1], at 2 pixels; NaN where no such line was taken.
    """
    near = torch.nn.functional.max_pool2d((sketch >= _THRESHOLD).float() * taken, 7, 1, 3)
    wanted = (target >= _THRESHOLD).float() * taken * near
    counts = edge_counts(refined, wanted, _THRESHOLD, 2)
    return np.divide(counts.found, counts.wanted, out=np.full(len(refined), np.nan), where=counts.wanted > 0)


def grouped(figures: Mapping[str, list[LineFigures]]) -> dict[str, dict[str, float]]:
    """Each group's means and its number of images, "count", rounded to four digits."""
    return {
        name: {"count": len(each), **{key: round(value, 4) for key, value in means(each).items()}}
        for name, each in figures.items()
    }
