"""Places of a face that weigh more, the hinge loss, and a weighted LPIPS."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from calisketch.boundary.alignment import canonical_eyes
from calisketch.losses import (
    CROPS,
    crop_boxes,
    crops_of,
    hinge_discriminator,
    hinge_generator,
    l1,
    region_weights,
    weighted_l1,
)
from calisketch.networks import LPIPS

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.mark.parametrize("size", [64, 256])
def test_each_eyes_box_holds_its_eye_in_the_middle_and_the_mouth_lies_between_and_below(size: int) -> None:
    boxes = crop_boxes(size)
    assert list(boxes) == list(CROPS) == ["left_eye", "right_eye", "mouth"]
    for name, (x, y) in zip(("left_eye", "right_eye"), canonical_eyes(size), strict=True):
        top, left, side = boxes[name]
        assert abs(left + side / 2 - x) <= 1
        assert abs(top + side / 2 - y) <= side / 8
    top, left, side = boxes["mouth"]
    assert abs(left + side / 2 - size / 2) <= 1
    assert top > boxes["left_eye"][0] + side
    assert top + side <= size


def test_weights_have_the_mean_1_and_regions_weigh_so_many_times_the_rest() -> None:
    weights = region_weights(256, 3.0)
    assert weights.shape == (1, 1, 256, 256)
    assert float(weights.mean()) == pytest.approx(1)
    eye, cheek = float(weights[0, 0, 131, 96]), float(weights[0, 0, 20, 20])
    assert eye == pytest.approx(3 * cheek)
    assert float(weights[0, 0, 200, 128]) == eye
    assert torch.equal(region_weights(64, 1.0), torch.ones(1, 1, 64, 64))
    for weight in (-1.0, float("inf"), float("nan")):
        with pytest.raises(ValueError, match="weight of regions"):
            region_weights(64, weight)


def test_crops_come_box_by_box_and_boxes_that_leave_the_image_are_refused(generator: torch.Generator) -> None:
    image = torch.rand(2, 3, 16, 16, generator=generator)
    crops = crops_of(image, [(0, 0, 4), (12, 3, 4)])
    assert crops.shape == (4, 3, 4, 4)
    assert torch.equal(crops[2:], image[..., 12:16, 3:7])
    for boxes in ([(13, 0, 4)], [(0, 0, 4), (0, 0, 5)], [(-1, 0, 4)]):
        with pytest.raises(ValueError, match="boxes must be"):
            crops_of(image, boxes)


def test_weighted_l1_is_a_weighted_mean(generator: torch.Generator) -> None:
    photo, face = torch.rand(2, 2, 3, 8, 8, generator=generator)
    torch.testing.assert_close(weighted_l1(photo, face, torch.full((1, 1, 8, 8), 0.3)), l1(photo, face))
    left = torch.zeros(1, 1, 8, 8)
    left[..., :4] = 2
    torch.testing.assert_close(weighted_l1(photo, face, left), l1(photo[..., :4], face[..., :4]))
    assert weighted_l1(photo, face, torch.zeros(1, 1, 8, 8)) == 0
    with pytest.raises(ValueError, match="same shape"):
        weighted_l1(photo, face[..., :4], left)


def test_the_hinge_loss_is_that_of_its_paper_and_stops_beyond_the_margin() -> None:
    real, fake = torch.tensor([0.5, 2.0]).view(1, 1, 1, 2), torch.tensor([-3.0, 0.25]).view(1, 1, 1, 2)
    assert float(hinge_discriminator([real], [fake])) == pytest.approx((0.5 + 0) / 2 + (0 + 1.25) / 2)
    assert float(hinge_generator([fake, real])) == pytest.approx((2.75 / 2 - 2.5 / 2) / 2)
    real.requires_grad_()
    hinge_discriminator([real], [fake]).backward()
    assert real.grad is not None
    assert real.grad.flatten().tolist() == [-0.5, 0.0]
    for loss in (hinge_discriminator, lambda a, b: hinge_generator(b)):
        with pytest.raises(ValueError, match="scales"):
            loss([real], [])


def test_lpips_with_equal_weights_is_lpips_and_elsewhere_it_sees_what_weighs(generator: torch.Generator) -> None:
    lpips = LPIPS.random()
    photo, face = torch.rand(2, 2, 3, 64, 64, generator=generator)
    features = lpips.features(photo), lpips.features(face)
    torch.testing.assert_close(lpips.compare(*features), lpips(photo, face))
    torch.testing.assert_close(lpips.compare(*features, torch.ones(1, 1, 64, 64)), lpips(photo, face))
    weight = torch.zeros(1, 1, 64, 64)
    weight[..., :32] = 2
    expected = torch.zeros(2)
    for head, real, fake in zip(lpips.heads, *features, strict=True):
        area = F.adaptive_avg_pool2d(weight, real.shape[-2:])
        expected += (head.view(1, -1, 1, 1) * (real - fake).square() * area).sum(1).mean((1, 2))
    torch.testing.assert_close(lpips.compare(*features, weight), expected)
