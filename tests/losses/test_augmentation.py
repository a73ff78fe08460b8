"""Claims about differentiable augmentation and R1."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from calisketch.losses import DiffAugment, r1_penalty
from calisketch.networks import PatchGAN70, SNPatchGAN


@pytest.fixture
def photo(generator: torch.Generator) -> torch.Tensor:
    return torch.rand(6, 3, 32, 32, generator=generator)


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


def test_no_policy_changes_nothing(photo: torch.Tensor) -> None:
    (made,) = DiffAugment(())(photo)
    assert torch.equal(made, photo)


def test_two_batches_get_the_same_draw_and_every_sample_one_of_its_own(photo: torch.Tensor) -> None:
    first, second = DiffAugment()(photo, photo.clone())
    assert torch.equal(first, second)
    (made,) = DiffAugment()(photo[:1].expand(6, -1, -1, -1))
    assert not torch.equal(made[0], made[1])


def test_translation_moves_by_whole_pixels_and_fills_with_grey() -> None:
    photo = torch.arange(64.0).reshape(1, 1, 8, 8).expand(40, 3, 8, 8) / 64
    (made,) = DiffAugment(("translation",), shift=0.25)(photo)
    seen = set()
    for sample in made:
        # Where the photo's first pixel (value 0) or, if that was moved out, any other lies tells the shift.
        shifts = [
            (down, right)
            for down in range(-2, 3)
            for right in range(-2, 3)
            if torch.equal(sample, _shifted(photo[0], down, right))
        ]
        assert len(shifts) == 1
        seen.add(shifts[0])
    assert len(seen) > 10
    assert {down for down, _ in seen} == {-2, -1, 0, 1, 2}


def _shifted(image: torch.Tensor, down: int, right: int) -> torch.Tensor:
    result = torch.full_like(image, 0.5)
    height, width = image.shape[-2:]
    for row in range(height):
        for column in range(width):
            if 0 <= row - down < height and 0 <= column - right < width:
                result[:, row, column] = image[:, row - down, column - right]
    return result


def test_a_hole_is_one_grey_rectangle_of_at_most_the_stated_side(photo: torch.Tensor) -> None:
    (made,) = DiffAugment(("cutout",), hole=0.5)(photo)
    for image, cut in zip(photo, made, strict=True):
        gone = (cut != image).all(0)
        rows, columns = gone.any(1).nonzero().flatten(), gone.any(0).nonzero().flatten()
        assert 1 <= len(rows) <= 16
        assert 1 <= len(columns) <= 16
        assert int(gone.sum()) == len(rows) * len(columns)
        assert (cut[:, gone] == 0.5).all()


def test_colour_keeps_the_order_of_one_channels_values(photo: torch.Tensor) -> None:
    grey = photo[:, :1].expand(-1, 3, -1, -1)  # no saturation to change, so each sample is scaled and shifted
    (made,) = DiffAugment(("color",))(grey)
    for before, after in zip(grey[:, 0].flatten(1), made[:, 0].flatten(1), strict=True):
        assert torch.corrcoef(torch.stack([before, after]))[0, 1] > 0.9999
        assert 0.5 <= (after.max() - after.min()) / (before.max() - before.min()) <= 1.5
    assert torch.allclose(made[:, 0], made[:, 2], atol=1e-6)


def test_gradients_flow_through_every_policy(photo: torch.Tensor) -> None:
    image = photo.clone().requires_grad_()
    (made,) = DiffAugment()(image)
    made.sum().backward()
    assert image.grad is not None
    assert (image.grad != 0).float().mean() > 0.3


def test_wrong_arguments_are_named(photo: torch.Tensor) -> None:
    with pytest.raises(ValueError, match="rotation"):
        DiffAugment(("rotation",))
    with pytest.raises(ValueError, match="hole"):
        DiffAugment(hole=2)
    with pytest.raises(ValueError, match="one or more"):
        DiffAugment()()
    with pytest.raises(ValueError, match="images"):
        DiffAugment()(photo, photo[:2])


def test_r1_of_a_linear_discriminator_is_half_its_weights_square() -> None:
    images = torch.rand(3, 2, 4, 4, dtype=torch.float64, requires_grad=True)
    weight = torch.rand(2, 4, 4, dtype=torch.float64)
    logits = (images * weight).sum((1, 2, 3)).reshape(3, 1, 1, 1)
    assert r1_penalty([logits], images).item() == pytest.approx(float(weight.square().sum()) / 2, rel=1e-6)


@pytest.mark.parametrize("discriminator", [SNPatchGAN(3, width=4), PatchGAN70(3, width=4)], ids=["sn", "70"])
def test_r1_reaches_the_discriminators_weights(discriminator: nn.Module) -> None:
    images = torch.rand(2, 3, 32, 32, requires_grad=True)
    r1_penalty(discriminator(images).logits, images).backward()
    reached = [p.grad for name, p in discriminator.named_parameters() if "weight" in name or "original" in name]
    assert all(gradient is not None and gradient.abs().sum() > 0 for gradient in reached)


def test_r1_without_a_gradient_to_take_is_refused() -> None:
    with pytest.raises(ValueError, match="requires_grad_"):
        r1_penalty([torch.zeros(1, 1, 1, 1)], torch.rand(1, 3, 8, 8))
    with pytest.raises(ValueError, match="Wrap"):
        r1_penalty(torch.zeros(1, 1, 1, 1), torch.rand(1, 3, 8, 8))
