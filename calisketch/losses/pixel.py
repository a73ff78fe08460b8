"""Losses and figures on pixels: L1 (Eq. 7), total variation (Eq. 10), and a soft F1 of line drawings."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ..checks import check_image, check_positive, check_same_shape


def l1(photo: Tensor, face: Tensor) -> Tensor:
    """Eq. 7: mean |I - P|, a scalar.

    Raises:
        ValueError: shapes that differ.
    """
    check_same_shape(photo, face, "photo", "face")
    return (photo.float() - face.float()).abs().mean()


def weighted_l1(photo: Tensor, face: Tensor, weight: Tensor) -> Tensor:
    """L1 (Eq. 7) in which places count differently: sum of weight |I - P| / sum of weight, a scalar.

    Args:
        photo, face: (B, C, H, W).
        weight: (B or 1, 1, H, W), at least 0, somewhere above.

    Raises:
        ValueError: shapes that differ.
    """
    check_same_shape(photo, face, "photo", "face")
    weight = weight.expand(len(photo), -1, -1, -1).float()
    difference = (photo.float() - face.float()).abs().mean(1, keepdim=True)
    return (difference * weight).sum() / weight.sum().clamp(min=1e-6)


def total_variation(face: Tensor) -> Tensor:
    """Eq. 10: mean |dx P| + mean |dy P| of (B, C, H, W), a scalar.

    The paper prints |dx P - dy P|, a misprint: that is 0 on a diagonal ramp.

    Raises:
        ValueError: not four axes, or a side of 1.
    """
    if face.ndim != 4 or min(face.shape[-2:]) < 2:
        raise ValueError(f"face must be (B, C, H, W) with sides of at least 2; got {tuple(face.shape)}.")
    face = face.float()
    across = (face[..., :, 1:] - face[..., :, :-1]).abs().mean()
    down = (face[..., 1:, :] - face[..., :-1, :]).abs().mean()
    return across + down


def soft_f1(drawing: Tensor, target: Tensor, tolerance: int = 2) -> Tensor:
    """F1 of a grey line drawing against a line map, each line allowed to lie ``tolerance`` pixels off.

    Precision is the ink of ``drawing`` that lies within ``tolerance`` of ``target``'s, weighted by ink; recall the
    other way round. With binary maps and tolerance 0 it is the usual F1.

    Args:
        drawing: (B, 1, H, W) in [0, 1], ink = 1.
        target: (B, 1, H, W) in [0, 1], ink = 1.
        tolerance: radius of the square neighbourhood in pixels.

    Returns:
        (B,) in [0, 1]; NaN where either has no ink at all, never 1.

    Raises:
        ValueError: not (B, 1, H, W) in [0, 1], shapes that differ, or a negative tolerance.
    """
    check_image(drawing, 1, "drawing")
    check_image(target, 1, "target")
    check_same_shape(drawing, target, "drawing", "target")
    check_positive("tolerance", tolerance, zero=True)
    drawing, target = drawing.float(), target.float()
    window = 2 * tolerance + 1
    precision = _covered_share(drawing, F.max_pool2d(target, window, 1, tolerance))
    recall = _covered_share(target, F.max_pool2d(drawing, window, 1, tolerance))
    both = precision + recall
    return torch.where(both > 0, 2 * precision * recall / both.clamp(min=1e-12), both)


def _covered_share(ink: Tensor, cover: Tensor) -> Tensor:
    total = ink.sum((1, 2, 3))
    covered = torch.minimum(ink, cover).sum((1, 2, 3))
    return covered / total  # 0 / 0 is NaN: an empty map has no precision
