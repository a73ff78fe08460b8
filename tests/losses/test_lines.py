"""Losses of line drawings: by hand, against independent implementations, and that they prefer thin lines."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from calisketch.evaluation.measures.edges import precision_recall
from calisketch.losses import dice, f1_of_lines, line_cross_entropy, soft_f1, tolerant_f1_loss


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


def test_the_tolerant_loss_is_1_minus_soft_f1(pair: tuple[torch.Tensor, torch.Tensor]) -> None:
    drawing, target = pair
    torch.testing.assert_close(tolerant_f1_loss(drawing, target, 2), 1 - soft_f1(drawing, target, 2).mean())


def test_the_tolerant_loss_has_a_gradient_where_soft_f1_has_none() -> None:
    drawing = torch.zeros(1, 1, 16, 16, requires_grad=True)
    tolerant_f1_loss(drawing, torch.zeros(1, 1, 16, 16)).backward()
    assert drawing.grad is not None
    assert torch.isfinite(drawing.grad).all()


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
    for loss in (line_cross_entropy, dice, tolerant_f1_loss):
        torch.testing.assert_close(loss(drawing, target, inside=inside), loss(other, elsewhere, inside=inside))
    assert torch.equal(f1_of_lines(drawing, target, inside=inside), f1_of_lines(other, elsewhere, inside=inside))


def test_exact_losses_prefer_a_thin_line_to_a_thick_one() -> None:
    target = torch.zeros(1, 1, 32, 32)
    target[..., 16, :] = 1
    thick = F.max_pool2d(target, 5, 1, 2)
    for loss in (line_cross_entropy, dice):
        assert loss(target, target) < loss(thick, target)


@pytest.mark.parametrize("loss", [line_cross_entropy, dice, tolerant_f1_loss, f1_of_lines])
def test_other_shapes_are_refused(loss) -> None:
    with pytest.raises(ValueError, match="drawing"):
        loss(torch.zeros(1, 1, 8, 8), torch.zeros(1, 1, 8, 9))
