"""Losses of line drawings: by hand, against independent implementations, and that they prefer thin lines."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F

from calisketch.evaluation.measures.edges import precision_recall
from calisketch.losses import blurred_dice, dice, f1_of_lines, line_cross_entropy, soft_f1


@pytest.fixture
def pair(generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    drawing = torch.rand(3, 1, 24, 24, generator=generator)
    return drawing, (torch.rand(3, 1, 24, 24, generator=generator) > 0.85).float()


def test_cross_entropy_with_weight_1_is_torchs(pair: tuple[torch.Tensor, torch.Tensor]) -> None:
    drawing, target = pair
    ours = line_cross_entropy(drawing, target)
    torch.testing.assert_close(ours, F.binary_cross_entropy(drawing.clamp(1e-4, 1 - 1e-4), target))


def test_cross_entropy_weighs_ink_as_torchs_does(pair: tuple[torch.Tensor, torch.Tensor]) -> None:
    drawing, target = pair
    weight = torch.where(target > 0, 5.0, 1.0)
    theirs = F.binary_cross_entropy(drawing.clamp(1e-4, 1 - 1e-4), target, weight=weight, reduction="sum")
    torch.testing.assert_close(line_cross_entropy(drawing, target, 5.0), theirs / weight.sum())


def test_dice_by_hand() -> None:
    drawing, target = torch.zeros(2, 1, 5, 5), torch.zeros(2, 1, 5, 5)
    drawing[0, 0, 2, :4] = 1.0
    target[0, 0, 2, 1:] = 1.0
    expected = (1 - (2 * 3 + 1) / (8 + 1) + 0) / 2  # the second image has no ink in both
    assert float(dice(drawing, target)) == pytest.approx(expected)


def test_the_blurred_dice_is_dice_of_opencvs_blur(pair: tuple[torch.Tensor, torch.Tensor]) -> None:
    blurred = [
        torch.from_numpy(
            np.stack([cv2.GaussianBlur(each[0].numpy(), (9, 9), 1.5, borderType=cv2.BORDER_CONSTANT) for each in part])
        )[:, None]
        for part in pair
    ]
    torch.testing.assert_close(blurred_dice(*pair), dice(*blurred), atol=1e-3, rtol=1e-3)


def test_a_line_a_pixel_off_is_nearly_right_and_dots_are_not() -> None:
    """A soft F1 at 2 pixels takes dots two pixels apart for a line: no network may learn from it."""
    target = torch.zeros(1, 1, 32, 32)
    target[..., 16, :] = 1
    off, dots = target.roll(1, 2), target.clone()
    dots[..., 1::3] = dots[..., 2::3] = 0
    assert float(1 - soft_f1(dots, target, 2)) < 0.01
    assert blurred_dice(off, target) < 0.25 < dice(off, target)
    assert blurred_dice(dots, target) > blurred_dice(off, target)
    assert blurred_dice(target, target) < 1e-6


@pytest.mark.parametrize("tolerance", [0, 1, 2])
def test_f1_of_lines_agrees_with_the_evaluations_counts(
    pair: tuple[torch.Tensor, torch.Tensor], tolerance: int
) -> None:
    drawing, target = pair
    precision, recall = precision_recall(drawing, target, 0.5, tolerance)
    expected = 2 * precision * recall / (precision + recall)
    np.testing.assert_allclose(f1_of_lines(drawing, target, tolerance).numpy(), expected, rtol=1e-5)


def test_an_image_without_lines_has_no_f1_and_an_empty_drawing_has_0() -> None:
    lines = torch.zeros(1, 1, 9, 9)
    lines[..., 4, :] = 1
    nothing = torch.zeros_like(lines)
    assert f1_of_lines(lines, nothing).isnan().all()
    assert f1_of_lines(nothing, nothing).isnan().all()
    assert float(f1_of_lines(nothing, lines)) == 0
    assert float(f1_of_lines(lines, lines)) == 1


def test_what_lies_outside_the_photo_counts_for_nothing(pair: tuple[torch.Tensor, torch.Tensor]) -> None:
    drawing, target = pair
    inside = torch.ones_like(drawing)
    inside[..., :8] = 0
    other, elsewhere = drawing.clone(), target.clone()
    other[..., :8], elsewhere[..., :8] = 0.9, 1.0
    for loss in (line_cross_entropy, dice, blurred_dice):
        torch.testing.assert_close(loss(drawing, target, inside=inside), loss(other, elsewhere, inside=inside))
    assert torch.equal(f1_of_lines(drawing, target, inside=inside), f1_of_lines(other, elsewhere, inside=inside))


def test_exact_losses_prefer_a_thin_line_to_a_thick_one() -> None:
    target = torch.zeros(1, 1, 32, 32)
    target[..., 16, :] = 1
    thick = F.max_pool2d(target, 5, 1, 2)
    for loss in (line_cross_entropy, dice):
        assert loss(target, target) < loss(thick, target)


@pytest.mark.parametrize("loss", [line_cross_entropy, dice, blurred_dice, f1_of_lines])
def test_other_shapes_are_refused(loss) -> None:
    with pytest.raises(ValueError, match="drawing"):
        loss(torch.zeros(1, 1, 8, 8), torch.zeros(1, 1, 8, 9))
