"""Rubbed-out features: where they lie, that nothing else changes, and that chance is each sample's own."""

from __future__ import annotations

from collections import Counter

import pytest
import torch
from torch import Tensor

from calisketch.boundary.alignment import CANONICAL_EYES
from calisketch.datasets import VariedPhotos
from calisketch.sketching import FEATURES, MissingFeatures, SketchMixture, feature_region
from calisketch.sketching.missing import missing_from_mixture
from calisketch.sketching.styles import sample_uniforms
from calisketch.training.batches import draw_sketches

SEEDS = {"seed": 3, "epoch": 1}


def black(photo: Tensor, **_: object) -> Tensor:
    return torch.ones_like(photo[:, :1])


def test_strokes_elsewhere_are_those_of_the_whole_sketch_bit_for_bit(small_faces: Tensor) -> None:
    whole = SketchMixture()(small_faces, **SEEDS, index=range(4))
    for part in FEATURES:
        lacking = MissingFeatures(parts=[part])(small_faces, **SEEDS, index=range(4))
        inside = feature_region([part], small_faces.shape[-2:]).expand_as(whole) > 0
        assert float(lacking[inside].max()) == 0.0, part
        rim = MissingFeatures(parts=[part]).regions(small_faces.shape[-2:], **SEEDS, index=range(4)) > 0
        assert torch.equal(lacking[~rim], whole[~rim]), part
        assert float((rim & ~inside).float().mean()) < 0.05


def test_features_lie_where_the_faces_are_aligned_to() -> None:
    def at(part: str, x: float, y: float, size: int = 256) -> bool:
        scale = size / 256
        return bool(feature_region([part], (size, size))[0, 0, int(y * scale), int(x * scale)])

    left, right = CANONICAL_EYES
    for size in (64, 256):
        assert at("left_eye", *left, size)
        assert at("right_eye", *right, size)
        assert at("eyes", *left, size)
        assert at("eyes", *right, size)
        assert not at("left_eye", *right, size)
        assert at("nose", 128, 166, size)
        assert at("mouth", 100, 197, size)
        assert at("mouth", 156, 197, size)
        assert not at("mouth", 128, 166, size)
    together = sum(feature_region([part], (256, 256)) for part in ("eyes", "nose", "mouth"))
    assert float((together > 1).float().mean()) < 0.005, "apart, but for a rim between nose and mouth"
    share = {size: float(feature_region(["eyes"], (size, size)).mean()) for size in (64, 256)}
    assert share[64] == pytest.approx(share[256], rel=0.1)


def test_how_often_and_what_is_missing_is_as_told() -> None:
    draw = MissingFeatures(black, parts=("mouth", "nose", "left_eye"), probability=0.75, count=(1, 2))
    missing = draw.missing(seed=0, epoch=0, index=range(1200))
    sizes = Counter(map(len, missing))
    assert sizes[0] / 1200 == pytest.approx(0.25, abs=0.04)
    assert sizes[1] / 1200 == pytest.approx(0.375, abs=0.04)
    names = Counter(name for each in missing for name in each)
    assert set(names) == {"left_eye", "nose", "mouth"}
    assert max(names.values()) - min(names.values()) < 120
    assert all(list(each) == [name for name in FEATURES if name in each] for each in missing)
    assert {len(each) for each in MissingFeatures(black, count=3).missing(seed=0, epoch=0, index=range(9))} == {3}


def test_what_is_missing_follows_from_seed_epoch_and_index_alone(small_faces: Tensor) -> None:
    draw = missing_from_mixture(simplify=0.0, probability=0.5, count=(1, 3), stray=8.0, grow=(0.8, 1.4))
    together = draw(small_faces.repeat(3, 1, 1, 1), **SEEDS, index=range(12))
    alone = torch.cat([draw(small_faces[k % 4][None], **SEEDS, index=torch.tensor([k])) for k in range(12)])
    assert float((alone - together).abs().mean()) < 1e-5
    regions = draw.regions((64, 64), **SEEDS, index=range(12))
    for other in ({"seed": 4}, {"epoch": 2}):
        assert not torch.equal(regions, draw.regions((64, 64), **(SEEDS | other), index=range(12)))
    again = missing_from_mixture(
        simplify=0.0, parts=["mouth", "eyes", "nose"], probability=0.5, count=[1, 3], stray=8.0, grow=[0.8, 1.4]
    )
    assert torch.equal(regions, again.regions((64, 64), **SEEDS, index=range(12))), (
        "the order in a file changes nothing"
    )


def test_it_draws_other_numbers_than_the_mixture_does() -> None:
    """Or a style would always lack the same feature."""
    own = sample_uniforms(3, 1, range(400), 1, stream="missing")[:, 0]
    mixtures = sample_uniforms(3, 1, range(400), 1)[:, 0]
    assert abs(float(torch.corrcoef(torch.stack([own, mixtures]))[0, 1])) < 0.15


def test_stray_and_grow_move_and_enlarge_what_is_rubbed_out() -> None:
    plain = MissingFeatures(black, parts=["nose"]).regions((256, 256), **SEEDS, index=range(40))
    assert torch.equal(plain[0], plain[39])
    y, x = torch.meshgrid(torch.arange(256.0), torch.arange(256.0), indexing="ij")

    def places(regions: Tensor) -> Tensor:
        ink = regions[:, 0]
        return torch.stack([(ink * axis).sum((1, 2)) / ink.sum((1, 2)) for axis in (x, y)], 1)

    strayed = MissingFeatures(black, parts=["nose"], stray=10.0).regions((256, 256), **SEEDS, index=range(40))
    off = places(strayed) - places(plain)
    assert 8.0 < float(off.abs().max()) <= 10.1
    assert float(off.mean(0).abs().max()) < 3.0
    grown = MissingFeatures(black, parts=["nose"], grow=(2.0, 2.0)).regions((256, 256), **SEEDS, index=[0])
    assert float(grown.sum() / plain[0].sum()) == pytest.approx(4.0, rel=0.03)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"parts": ["ear"]}, r"parts must be some of \['left_eye'.*got \['ear'\]"),
        ({"parts": []}, "parts must be some of"),
        ({"parts": "nose"}, "parts must be some of"),
        ({"probability": 1.5}, "probability must be in"),
        ({"count": 4}, "count must be from 1 to the 3 parts"),
        ({"count": (2, 1)}, "the least first"),
        ({"stray": -1.0}, "stray must be pixels"),
        ({"grow": (1.2, 1.0)}, "grow must be two factors"),
    ],
)
def test_a_wrong_setting_is_named(arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        MissingFeatures(black, **arguments)


def test_a_region_of_nothing_or_of_an_unknown_part_is_refused() -> None:
    for parts in ([], ["ear"]):
        with pytest.raises(ValueError, match="parts must be some of"):
            feature_region(parts, (32, 32))


@pytest.mark.parametrize("settings", [{"jitter": 1.117}, {"flip": 1.0}, {"jitter": 1.117, "flip": 0.5}])
def test_of_a_moved_photo_the_moved_feature_is_rubbed_out(settings: dict[str, float]) -> None:
    """The place of the left eye, moved as an image of it is moved: nothing of it stays, and little else goes."""
    eye = feature_region(["left_eye"], (64, 64))[0]
    photos = [{"photo": eye.expand(3, -1, -1), "index": torch.tensor(0)}]
    moved = VariedPhotos(photos, variants=8, **settings)
    draw = MissingFeatures(lambda photo, **_: photo[:, :1], parts=["left_eye"])
    for item in moved:
        batch = {name: value[None] for name, value in item.items()}
        left = draw_sketches(draw, batch, seed=0, epoch=0, index=[0])
        assert left.sum() < 0.03 * item["photo"][0].sum()
        region = draw.regions((64, 64), seed=0, epoch=0, index=[0], frame=batch["frame"])
        assert region.sum() < 1.5 * item["photo"][0].sum()
