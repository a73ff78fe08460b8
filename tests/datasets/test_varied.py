"""Photos in several variants: everything of an item moves alike, and nothing moves unless it is asked for."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.utils.data import Dataset

from calisketch.datasets import ProceduralFaces, VariedPhotos, varied_photos


class Marked(Dataset[dict[str, Tensor]]):
    """Photos of ramps, so that a pixel's colour says where it came from; a line map with one dot."""

    names = ("a", "b")
    size = 32

    def __len__(self) -> int:
        return 2

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        ramp = (torch.arange(32) + 0.5) / 32
        photo = torch.stack([ramp.expand(32, 32), ramp[:, None].expand(32, 32), torch.full((32, 32), 0.5 * index)])
        sketch = torch.zeros(1, 32, 32)
        sketch[0, 12:20, 12:20] = 1
        return {"photo": photo, "sketch": sketch, "detail": sketch.clone(), "index": torch.tensor(index)}


def test_nothing_is_on_by_default() -> None:
    faces = ProceduralFaces(2, 32)
    assert varied_photos(photos=faces) is faces
    plain = VariedPhotos(faces, variants=2)
    assert len(plain) == 4
    for name, value in faces[1].items():
        assert torch.equal(plain[1][name], value)
        assert torch.equal(plain[3][name], torch.tensor(3) if name == "index" else value)


def test_jitter_is_a_window_of_the_enlarged_image_and_the_same_for_all_of_an_item() -> None:
    varied = VariedPhotos(Marked(), jitter=1.25, variants=40)
    lefts = []
    for index in range(len(varied)):
        item = varied[index]
        across, down = item["photo"][0], item["photo"][1]
        span = float(across[0, -1] - across[0, 0])
        assert span == pytest.approx(31 / 32 / 1.25, abs=0.03)
        left, top = float(across[0, 0]) - 0.4 / 32, float(down[0, 0]) - 0.4 / 32
        assert -0.01 < left < 0.21
        assert -0.01 < top < 0.21
        lefts.append(left)
        # The square's middle, 16 of 32, is where the ramps say it is.
        ink = item["sketch"][0]
        places = torch.arange(32.0) + 0.5
        at_x = float((ink.sum(0) * places).sum() / ink.sum())
        assert at_x == pytest.approx((0.5 - left) * 1.25 * 32, abs=0.4)
        assert torch.equal(item["sketch"], item["detail"])
        assert float(ink.sum()) == pytest.approx(64 * 1.25**2, rel=0.06)
        assert int(item["index"]) == index
    assert max(lefts) - min(lefts) > 0.15
    assert torch.equal(varied[5]["photo"], VariedPhotos(Marked(), jitter=1.25, variants=40)[5]["photo"])
    assert not torch.equal(varied[5]["photo"], VariedPhotos(Marked(), jitter=1.25, variants=40, seed=1)[5]["photo"])


@pytest.mark.parametrize("settings", [{"jitter": 1.25}, {"flip": 0.5}, {"misplaced": 0.1, "flip": 0.5, "jitter": 1.1}])
def test_the_frame_says_where_each_pixel_lay(settings: dict[str, float]) -> None:
    varied = VariedPhotos(Marked(), variants=10, **settings)
    for index in range(len(varied)):
        item = varied[index]
        inside = ((item["frame"] > 0.5 / 32) & (item["frame"] < 31.5 / 32)).all(0)
        assert inside.float().mean() > 0.5
        torch.testing.assert_close(item["frame"][:, inside], item["photo"][:2, inside], rtol=0, atol=1e-5)


def test_flips_come_as_often_as_told_and_mirror_all_of_an_item() -> None:
    varied = VariedPhotos(Marked(), flip=0.25, variants=200)
    plain = Marked()
    flipped = 0
    for index in range(len(varied)):
        item, source = varied[index], plain[index % 2]
        mirrored = not torch.equal(item["photo"], source["photo"])
        flipped += mirrored
        for name in ("photo", "sketch", "detail"):
            assert torch.equal(item[name], source[name].flip(-1) if mirrored else source[name])
    assert flipped / len(varied) == pytest.approx(0.25, abs=0.06)


def test_misplaced_photos_are_shifted_scaled_and_turned_within_bounds() -> None:
    varied = VariedPhotos(Marked(), misplaced=0.1, variants=100)
    moves = torch.stack([move for v in range(100) if (move := varied.movement(v, 0)[0]) is not None])
    scale = torch.linalg.det(moves[:, :, :2]).sqrt()
    angle = torch.atan2(moves[:, 1, 0], moves[:, 0, 0])
    assert len(moves) == 100
    assert 1 / 1.1 <= float(scale.min()) < 0.93 < 1.07 < float(scale.max()) <= 1 / 0.9
    assert 0.1 < float(angle.abs().max()) <= 0.1 * math.pi / 2 + 1e-6
    assert 0.15 < float(moves[:, :, 2].abs().max()) <= 0.2 + 1e-6  # the side is 2 here
    photo, sketch = varied[7]["photo"], varied[7]["sketch"]
    assert float(photo.min()) >= 0.0
    assert float(photo.max()) <= 1.0
    assert float(sketch[0, 0].max()) == 0.0, "outside a line map is nothing"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"jitter": 0.9}, "jitter must be a factor from 1"),
        ({"flip": 2.0}, "flip must be a probability"),
        ({"misplaced": 0.5}, "misplaced must be a share"),
        ({"variants": 0}, "variants must be a whole number"),
    ],
)
def test_a_wrong_setting_is_named(arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        VariedPhotos(Marked(), **arguments)
    with pytest.raises(ValueError, match="needs root"):
        varied_photos()
    with pytest.raises(IndexError):
        VariedPhotos(Marked(), variants=1)[2]
