"""Losses and figures of line drawings against line maps, pixel by pixel. None of them is the paper's.

All take `drawing` and `target` (B, 1, H, W) in [0, 1] with ink = 1, and `inside`, (B, 1, H, W) of 0 and 1 or None: what
lies outside of it counts for nothing.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ..checks import check_positive, check_same_shape

_LEAST = 1e-4  # of a probability, before its logarithm


def line_cross_entropy(
    drawing: Tensor, target: Tensor, positive_weight: float = 1.0, inside: Tensor | None = None
) -> Tensor:
    """Binary cross-entropy whose ink counts `positive_weight` times as much as its paper, as HED's training has it.

    The mean over the pixels inside, weights included: -[w t log r + (1 - t) log(1 - r)] / sum of w t + (1 - t).

    Args:
        positive_weight: w, above 0. Lines are few: with 1 a drawing of nothing is nearly right.

    Returns:
        A scalar, at least 0.

    Raises:
        ValueError: shapes that differ, or a weight that is not positive.
    """
    check_same_shape(drawing, target, "drawing", "target")
    check_positive("positive_weight", positive_weight)
    ink, wanted = drawing.float().clamp(_LEAST, 1 - _LEAST), target.float()
    weight = positive_weight * wanted + (1 - wanted)
    if inside is not None:
        weight = weight * inside
    entropy = -(wanted * ink.log() * positive_weight + (1 - wanted) * (1 - ink).log())
    entropy = entropy if inside is None else entropy * inside
    return entropy.sum() / weight.sum().clamp(min=1.0)


def dice(drawing: Tensor, target: Tensor, inside: Tensor | None = None) -> Tensor:
    """1 - 2 sum(r t) / (sum r^2 + sum t^2), by which lines come out crisp (Deng et al. 2018, Eq. 1).

    Returns:
        A scalar in [0, 1], the mean over images; 0 for an image without ink in both.

    Raises:
        ValueError: shapes that differ.
    """
    check_same_shape(drawing, target, "drawing", "target")
    ink, wanted = _seen(drawing, target, inside)
    both = (ink * wanted).sum((1, 2, 3))
    each = (ink.square() + wanted.square()).sum((1, 2, 3))
    return (1 - (2 * both + 1) / (each + 1)).mean()


def blurred_dice(drawing: Tensor, target: Tensor, sigma: float = 1.5, inside: Tensor | None = None) -> Tensor:
    """`dice` of both drawings blurred by a Gaussian of `sigma` pixels: a line that lies a pixel off is nearly right.

    A person's stroke is never quite in its place, and exact losses answer that with nothing. A soft F1 with a tolerance
    (`pixel.soft_f1`) is no loss to train by: dots at the tolerance's distance score as well as a line.

    Returns:
        A scalar in [0, 1], the mean over images.

    Raises:
        ValueError: shapes that differ, or a sigma that is not positive.
    """
    check_same_shape(drawing, target, "drawing", "target")
    check_positive("sigma", sigma)
    ink, wanted = _seen(drawing, target, inside)
    reach = max(1, round(3 * sigma))
    offsets = torch.arange(-reach, reach + 1, device=ink.device, dtype=ink.dtype)
    kernel = torch.exp(-offsets.square() / (2 * sigma**2))
    kernel = kernel / kernel.sum()
    across, down = kernel.view(1, 1, 1, -1), kernel.view(1, 1, -1, 1)
    blurred = [F.conv2d(F.conv2d(each, across, padding=(0, reach)), down, padding=(reach, 0)) for each in (ink, wanted)]
    return dice(*blurred)


@torch.no_grad()
def f1_of_lines(
    drawing: Tensor, target: Tensor, tolerance: int = 2, threshold: float = 0.5, inside: Tensor | None = None
) -> Tensor:
    """F1 of each image's lines, made binary at `threshold`, each allowed to lie `tolerance` pixels (Euclidean) off.

    Returns:
        (B,) in [0, 1]; 0 for a drawing without ink where the target has lines, NaN where the target has none.

    Raises:
        ValueError: shapes that differ, or a negative tolerance.
    """
    check_same_shape(drawing, target, "drawing", "target")
    check_positive("tolerance", tolerance, zero=True)
    ink, wanted = ((part >= threshold).float() for part in _seen(drawing, target, inside))
    disc = _disc(tolerance, ink)
    near_target, near_ink = (F.conv2d(part, disc, padding=tolerance) > 0.5 for part in (wanted, ink))
    correct, found = (ink * near_target).sum((1, 2, 3)), (wanted * near_ink).sum((1, 2, 3))
    precision = correct / ink.sum((1, 2, 3)).clamp(min=1.0)
    recall = found / wanted.sum((1, 2, 3))  # 0 / 0 is NaN: no lines, no figure
    both = precision + recall
    return torch.where(both == 0, both, 2 * precision * recall / both)


def _seen(drawing: Tensor, target: Tensor, inside: Tensor | None) -> tuple[Tensor, Tensor]:
    ink, wanted = drawing.float(), target.float()
    return (ink, wanted) if inside is None else (ink * inside, wanted * inside)


def _disc(tolerance: int, like: Tensor) -> Tensor:
    offsets = torch.arange(-tolerance, tolerance + 1, device=like.device)
    disc = offsets[:, None] ** 2 + offsets[None, :] ** 2 <= tolerance**2
    return disc.to(like.dtype)[None, None]
