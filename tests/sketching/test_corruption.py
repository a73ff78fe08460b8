"""X-GANs' five corruptions: what is kept, how much, where; seeded per sample, and the same again."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from skimage.filters import sobel_h, sobel_v

from calisketch.datasets import Scenes, prepare_photos
from calisketch.sketching import Corruption, feature_map
from calisketch.sketching.corruption import (
    TASKS,
    colour_block,
    colour_noise,
    drawn_scene,
    feature_points,
    points,
    white_block,
)


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


@pytest.fixture
def photo(generator: torch.Generator) -> torch.Tensor:
    small = torch.rand(4, 3, 6, 6, generator=generator)
    return 0.9 * torch.nn.functional.interpolate(small, size=(48, 64), mode="bicubic").clamp(0, 1)


def drawn(corruption: Corruption, photo: torch.Tensor, seed: int = 0, epoch: int = 0) -> torch.Tensor:
    return corruption(photo, seed=seed, epoch=epoch, index=list(range(len(photo))))


@pytest.mark.parametrize("task", TASKS)
def test_a_picture_and_its_mask_which_says_the_truth(task: str, photo: torch.Tensor) -> None:
    made = drawn(Corruption(task), photo)
    assert made.shape == (4, 4, 48, 64)
    assert (made.min() >= 0) & (made.max() <= 1)
    kept = made[:, 3:]
    assert set(kept.unique().tolist()) <= {0.0, 1.0}
    assert 0 < kept.mean() < 1
    whole = kept.expand(-1, 3, -1, -1) > 0
    assert torch.equal(made[:, :3][whole], photo[whole])
    if task in ("points", "feature_points", "white_block"):
        assert (made[:, :3][~whole] == 1).all()
    else:
        assert (made[:, :3] != photo)[~whole].float().mean() > 0.95


@pytest.mark.parametrize("task", TASKS)
def test_a_sample_depends_on_its_own_seed_alone(task: str, photo: torch.Tensor) -> None:
    corruption = Corruption(task, **({"place": "random"} if "block" in task else {}))
    together = drawn(corruption, photo)
    alone = torch.cat([corruption(photo[k : k + 1], seed=0, epoch=0, index=[k]) for k in range(4)])
    assert torch.equal(together, alone)
    assert torch.equal(corruption(photo, seed=0, epoch=0, index=torch.arange(4)), together)
    for other in (drawn(corruption, photo, seed=1), drawn(corruption, photo, epoch=1)):
        assert not torch.equal(other, together)


def test_a_point_is_kept_where_its_integer_is_under_the_percentage(photo: torch.Tensor) -> None:
    uniforms = torch.rand(4, 48 * 64)
    integers = (100 * uniforms).floor().view(4, 1, 48, 64)
    for percent in (1, 7, 20):
        assert torch.equal(points(photo, uniforms, percent)[:, 3:], (integers < percent).float())
    each = points(photo, uniforms, torch.tensor([1.0, 5.0, 10.0, 50.0]))[:, 3].mean((1, 2))
    assert each.tolist() == pytest.approx([0.01, 0.05, 0.1, 0.5], abs=0.02)


def test_percents_are_drawn_from_their_range(photo: torch.Tensor) -> None:
    many = photo[:1].expand(200, -1, -1, -1)
    shares = drawn(Corruption("feature_points", percent=[2, 10]), many)[:, 3].mean((1, 2)) * 100
    assert 1.9 < shares.min() < 2.5
    assert 9.5 < shares.max() < 10.1
    assert 5.5 < shares.mean() < 6.5
    noise = 1 - drawn(Corruption("colour_noise"), many)[:, 3].mean((1, 2))
    assert 0.83 < noise.min() < 0.87
    assert 0.93 < noise.max() < 0.97


def test_the_feature_map_is_the_sobel_magnitude(photo: torch.Tensor) -> None:
    made = feature_map(photo)
    assert made.sum((1, 2, 3)).tolist() == pytest.approx([1.0] * 4, abs=1e-5)
    luma = (photo * torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)).sum(1).numpy()[0]
    magnitude = np.hypot(sobel_h(luma), sobel_v(luma))[1:-1, 1:-1]
    own = made[0, 0, 1:-1, 1:-1].numpy()
    assert np.corrcoef(magnitude.ravel(), own.ravel())[0, 1] > 0.99999


def test_a_photo_without_any_edge_is_drawn_from_evenly() -> None:
    flat = torch.full((1, 3, 16, 16), 0.5)
    assert torch.allclose(feature_map(flat), torch.full((1, 1, 16, 16), 1 / 256))
    assert feature_points(flat, torch.rand(1, 256), 25)[:, 3].sum() == 64


def test_feature_points_are_exactly_as_many_and_where_the_map_is_high(photo: torch.Tensor) -> None:
    uniforms = torch.rand(4, 48 * 64)
    made = feature_points(photo, uniforms, torch.tensor([1.0, 5.0, 20.0, 100.0]))
    assert made[:, 3].sum((1, 2)).tolist() == [31, 154, 614, 48 * 64]
    kept, weight = made[:, 3:], feature_map(photo)
    assert ((weight * kept).sum((1, 2, 3)) / kept.mean((1, 2, 3)))[:2].min() > 1.2


def test_feature_points_are_drawn_without_replacement_in_proportion() -> None:
    """Two of a few places, against the probabilities of drawing one after the other, worked out by hand."""
    photo = torch.zeros(1, 3, 16, 16)
    photo[..., 5:9, 7] = torch.tensor([0.2, 0.9, 0.4, 0.7])
    weight = feature_map(photo).flatten().double()
    trials = 8000
    uniforms = torch.rand(trials, 256, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    kept = feature_points(photo.expand(trials, -1, -1, -1), uniforms, 100 * 2 / 256)[:, 3].flatten(1)
    assert (kept.sum(1) == 2).all()
    second = (weight[None] * weight[:, None] / (1 - weight[:, None])).fill_diagonal_(0)  # [i, j]: first i, then j
    expected = weight + second.sum(0)
    observed = kept.double().mean(0)
    assert (observed - expected).abs().max() < 4.5 * (expected.max() / trials) ** 0.5
    assert expected.max() > 0.1


def test_colour_noise_leaves_the_rest_and_is_any_colour(photo: torch.Tensor) -> None:
    made = colour_noise(photo, torch.rand(4, 4 * 48 * 64), 90.0)
    assert made[:, 3].mean() == pytest.approx(0.1, abs=0.01)
    noise = made[:, :3].permute(1, 0, 2, 3)[:, made[:, 3] == 0]
    assert noise.mean(1).tolist() == pytest.approx([0.5] * 3, abs=0.02)
    assert noise.std(1).tolist() == pytest.approx([12**-0.5] * 3, abs=0.02)
    assert torch.corrcoef(noise)[0, 1].abs() < 0.05


def test_the_papers_white_block_is_the_middle_quarter() -> None:
    made = white_block(torch.zeros(1, 3, 256, 256), torch.zeros(1, 2))
    expected = torch.ones(256, 256)
    expected[64:192, 64:192] = 0
    assert torch.equal(made[0, 3], expected)
    assert torch.equal(made[0, 0], 1 - expected)


def test_a_random_block_lies_anywhere_inside(photo: torch.Tensor) -> None:
    many = photo[:1].expand(300, -1, -1, -1)
    holes = drawn(Corruption("white_block", block=0.25, place="random"), many)[:, 3] == 0
    assert (holes.sum((1, 2)) == 12 * 12).all()
    first_rows, first_columns = holes.any(2).int().argmax(1), holes.any(1).int().argmax(1)
    assert (first_rows.min(), first_rows.max()) == (0, 48 - 12)
    assert (first_columns.min(), first_columns.max()) == (0, 64 - 12)


def test_a_colour_block_is_a_crop_of_the_scene(photo: torch.Tensor) -> None:
    rows, columns = torch.meshgrid(torch.arange(60.0), torch.arange(70.0), indexing="ij")
    scene = torch.stack([rows, columns, rows]) / 100  # says where each of its pixels was
    made = colour_block(photo, torch.rand(4, 4), [scene] * 4, 0.25, torch.tensor([0.5, 0.25, 1.0, 0.125]))
    for sample, width in zip(made, (24, 12, 48, 6), strict=True):
        hole = sample[3] == 0
        assert (int(hole.any(1).sum()), int(hole.any(0).sum())) == (12, width)
        crop = (100 * sample[:3, hole].view(3, 12, width)).round()
        assert torch.equal(crop[0], crop[0, :1, :1] + torch.arange(12.0)[:, None].expand(12, width))
        assert torch.equal(crop[1], crop[1, :1, :1] + torch.arange(float(width)).expand(12, width))
    with pytest.raises(ValueError, match="a scene must be at least 12 x 24"):
        colour_block(photo, torch.rand(4, 4), [scene[:, :10]] * 4, 0.25, 0.5)


def test_colour_blocks_are_of_the_papers_sizes(photo: torch.Tensor) -> None:
    many = torch.zeros(300, 3, 64, 64)
    holes = drawn(Corruption("colour_block"), many)[:, 3] == 0
    sides = torch.stack([holes.any(2).sum(1), holes.any(1).sum(1)])
    assert (int(sides.min()), int(sides.max())) == (4, 32)  # 16 to 128 of 256
    assert torch.corrcoef(sides.float())[0, 1].abs() < 0.15  # rectangles, not squares


def test_scenes_are_read_late_and_travel_without_pictures(tmp_path: Path) -> None:
    folder = tmp_path / "scenes"
    (folder / "deep").mkdir(parents=True)
    Image.new("RGB", (60, 40), (255, 0, 0)).save(folder / "a.png")
    Image.new("RGB", (30, 90), (0, 0, 255)).save(folder / "deep" / "b.png")
    scenes = Scenes(folder)
    assert scenes(0.0, 20).shape == (3, 20, 30)
    assert scenes(0.99, 20).shape == (3, 60, 20)
    assert scenes(0.0, 20)[:, 0, 0].tolist() == [1, 0, 0]
    assert scenes.__getstate__() == {"root": folder, "split": "train"}  # what another process gets
    again = copy.deepcopy(scenes)
    assert torch.equal(again(0.99, 20), scenes(0.99, 20))
    photo = torch.zeros(8, 3, 32, 32)
    made = drawn(Corruption("colour_block", scenes=scenes), photo)
    colours = made[:, :3].permute(1, 0, 2, 3)[:, made[:, 3] == 0]
    assert {tuple(colour) for colour in colours.T.tolist()} == {(1.0, 0.0, 0.0), (0.0, 0.0, 1.0)}
    assert Scenes(tmp_path / "later") is not None  # nothing is opened yet
    with pytest.raises(FileNotFoundError, match="no scenes at"):
        Scenes(tmp_path / "later")(0.5, 8)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="no scenes in"):
        Scenes(tmp_path / "empty")(0.5, 8)
    (folder / "a.png").write_bytes(b"not a picture")
    with pytest.raises(ValueError, match=r"a\.png is not an image"):
        Scenes(folder)(0.0, 20)


def test_scenes_of_a_prepared_folder_are_those_of_its_split(tmp_path: Path) -> None:
    for split, colour in (("train", "red"), ("test", "blue")):
        (tmp_path / "photos" / split).mkdir(parents=True)
        Image.new("RGB", (64, 64), colour).save(tmp_path / "photos" / split / "one.png")
    prepare_photos([tmp_path / "photos"], tmp_path / "prepared", size=32, contour="none", align=False, workers=0)
    assert Scenes(tmp_path / "prepared")(0.5, 16)[:, 0, 0].tolist() == pytest.approx([1, 0, 0], abs=0.02)
    assert Scenes(tmp_path / "prepared", split="test")(0.5, 16)[:, 0, 0].tolist() == pytest.approx([0, 0, 1], abs=0.02)
    with pytest.raises(ValueError, match="split must be one of"):
        Scenes(tmp_path, split="all")


def test_without_scenes_there_are_drawn_ones() -> None:
    one, other = drawn_scene(0.25, 40), drawn_scene(0.75, 40)
    assert one.shape == (3, 40, 40)
    assert (one.min() >= 0) & (one.max() <= 1)
    assert torch.equal(one, Scenes()(0.25, 40))
    assert (one - other).abs().mean() > 0.1


WRONG = {
    "task must be one of points": {"task": "holes"},
    r"percent must be a number, or two, the lower first, in \(0, 100\]; got \[20, 1\]": {"percent": [20, 1]},
    r"percent must be .* got 0": {"percent": 0},
    r"percent must be .* got \[1, 2, 3\]": {"percent": [1, 2, 3]},
    r"percent must be .* got 'all'": {"percent": "all"},
    "percent must be left out for task=white_block": {"task": "white_block", "percent": 5},
    "block must be left out for task=points": {"block": 0.5},
    r"block must be .* in \(0, 1\]; got 128": {"task": "white_block", "block": 128},
    "place must be one of centre, random; got 'left'": {"task": "white_block", "place": "left"},
    "place must be left out for task=points": {"place": "centre"},
    "scenes are cut for task=colour_block": {"scenes": drawn_scene},
}


@pytest.mark.parametrize("message", WRONG)
def test_a_wrong_setting_is_named(message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Corruption(**WRONG[message])


def test_wrong_photos_and_numbers_are_named(photo: torch.Tensor) -> None:
    with pytest.raises(ValueError, match="index must have one number per photo, 4; got 2"):
        Corruption()(photo, seed=0, epoch=0, index=[1, 2])
    with pytest.raises(ValueError, match="photo must have 3 channels"):
        Corruption()(photo[:, :1], seed=0, epoch=0, index=range(4))
    with pytest.raises(ValueError, match="uniforms must be"):
        points(photo, torch.rand(4, 10), 5)
