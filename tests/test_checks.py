from __future__ import annotations

import pytest
import torch

from calisketch.checks import check_image, check_same_shape, check_same_size


def test_a_fine_image_passes() -> None:
    check_image(torch.rand(1, 3, 4, 4), 3)
    check_image(torch.rand(1, 1, 4, 4), (1, 3))


@pytest.mark.parametrize(
    ("image", "error", "words"),
    [
        ([[0.5]], TypeError, "must be a float tensor.*got list"),
        (torch.zeros(1, 1, 2, 2, dtype=torch.uint8), TypeError, r"\.float\(\) / 255"),
        (torch.zeros(1, 2, 2), ValueError, r"got \(1, 2, 2\). Add a batch axis with sketch\[None\]"),
        (torch.zeros(1, 2, 2, 2), ValueError, "must have 1 channels"),
        (torch.zeros(1, 1, 0, 2), ValueError, "must not be empty"),
        (torch.full((1, 1, 2, 2), 255.0), ValueError, "Divide 8-bit values by 255"),
        (torch.full((1, 1, 2, 2), float("nan")), ValueError, "replace NaN"),
    ],
)
def test_a_wrong_image_is_named_with_its_remedy(image: object, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        check_image(image, 1, "sketch")


def test_sizes_and_shapes_must_agree() -> None:
    with pytest.raises(ValueError, match="agree in batch, height and width"):
        check_same_size(torch.zeros(1, 1, 4, 4), torch.zeros(1, 3, 4, 5))
    check_same_size(torch.zeros(1, 1, 4, 4), torch.zeros(1, 3, 4, 4))
    with pytest.raises(ValueError, match="same shape"):
        check_same_shape(torch.zeros(1, 1, 4, 4), torch.zeros(1, 3, 4, 4))
