"""Pictures in colour: every kind is read to one, and what cannot be is refused as drawings are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from calisketch.boundary.answers import face_in_kind
from calisketch.boundary.images import SketchError
from calisketch.boundary.pictures import Framed, read_picture, to_tensor, to_values

RGB = np.random.default_rng(0).integers(0, 256, (24, 20, 3), dtype=np.uint8)


def test_every_kind_is_the_same_picture_and_is_answered_in_kind(tmp_path: Path) -> None:
    Image.fromarray(RGB).save(tmp_path / "a.png")
    kinds = [tmp_path / "a.png", Image.fromarray(RGB), RGB, RGB.astype(np.uint16) * 257, RGB / 255.0]
    kinds += [torch.from_numpy(RGB).permute(2, 0, 1), torch.from_numpy(RGB).permute(2, 0, 1).double() / 255]
    for given in kinds:
        picture = read_picture(given)
        np.testing.assert_allclose(picture.rgb, RGB / np.float32(255), atol=1e-6)
        assert picture.alpha is None
        answer = face_in_kind(picture.kind, picture.rgb)
        if isinstance(given, Path | Image.Image):
            np.testing.assert_array_equal(np.asarray(answer), RGB)
        else:
            assert type(answer) is type(given)
            assert answer.dtype == given.dtype
            assert answer.shape == given.shape
            np.testing.assert_allclose(np.asarray(answer, dtype=np.float64), np.asarray(given), atol=1e-6)


def test_grey_counts_in_all_channels_and_opacity_is_kept_apart() -> None:
    grey = read_picture(RGB[..., 0])
    np.testing.assert_allclose(grey.rgb, np.repeat(RGB[..., :1] / np.float32(255), 3, 2))
    np.testing.assert_allclose(read_picture(RGB[..., :1]).rgb, grey.rgb)
    alpha = np.full((24, 20, 1), 51, np.uint8)
    for given in (np.concatenate([RGB, alpha], 2), Image.fromarray(np.concatenate([RGB, alpha], 2), "RGBA")):
        picture = read_picture(given)
        np.testing.assert_allclose(picture.rgb, RGB / np.float32(255), atol=1e-6)
        assert picture.alpha is not None
        np.testing.assert_allclose(picture.alpha, 0.2, atol=1e-6)
    deep = read_picture(Image.fromarray(np.full((24, 20), 65535, np.uint16)))
    assert (deep.rgb == 1).all()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (np.zeros((3, 24, 20), np.uint8), "Channels come last in arrays"),
        (torch.zeros(24, 20, 3), "Channels come first in tensors"),
        (np.zeros((4, 3), np.uint8), "expected a drawing of 16 to"),
        (np.full((24, 20, 3), np.nan), "NaN"),
        (np.full((24, 20, 3), 200.0), "Divide by 255"),
        (np.zeros((24, 20, 3), np.int64), "must be uint8, uint16 or float"),
        (torch.zeros(3, 24, 20, dtype=torch.int64), "must be uint8 or float"),
        (torch.zeros(3, 24, 20, device="meta"), "holds values"),
        ("text.png", "no such sketch"),
        (7, "must be a path"),
    ],
)
def test_what_is_no_picture_is_refused_with_a_remedy(given: object, said: str) -> None:
    with pytest.raises((SketchError, FileNotFoundError), match=said):
        read_picture(given, "colours")


def test_the_way_to_the_square_and_back_keeps_the_picture() -> None:
    smooth = np.linspace(0, 1, 60 * 40, dtype=np.float32).reshape(60, 40, 1).repeat(3, 2)
    frame = Framed(60, 40, 90)
    placed = frame.bring_in(smooth)
    assert placed.shape == (90, 90, 3)
    np.testing.assert_allclose(placed[45, :10], placed[45, 10:11].repeat(10, 0), atol=0.02)  # padded by its own edge
    np.testing.assert_allclose(frame.back(placed), smooth, atol=0.02)
    assert Framed(32, 32, 32).bring_in(smooth[:32, :32]) is not None
    exact = Framed(60, 60, 60)
    square = smooth[:, :, 0].copy()
    assert exact.bring_in(square) is square
    assert exact.back(square) is square
    torch.testing.assert_close(torch.from_numpy(to_values(to_tensor(smooth))), torch.from_numpy(smooth))
