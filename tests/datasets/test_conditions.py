"""Photos with conditions: as many variants as asked for, each a function of its own place alone."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from calisketch.datasets import PhotosWith, ProceduralFaces, photos_with


def noise(photo: Tensor, seed: int) -> Tensor:
    return torch.rand(2, *photo.shape[1:], generator=torch.Generator().manual_seed(seed))


def mean(photo: Tensor, seed: int) -> Tensor:
    return photo.mean(0, keepdim=True)


def test_each_variant_of_each_photo_has_conditions_of_its_own() -> None:
    faces = ProceduralFaces(count=3, size=32, seed=0)
    data = PhotosWith(faces, {"noise": noise, "mean": mean}, variants=2)
    assert len(data) == 6
    items = [data[place] for place in range(6)]
    assert [int(item["index"]) for item in items] == list(range(6))
    for place, item in enumerate(items):
        assert torch.equal(item["photo"], faces[place % 3]["photo"])
        assert torch.equal(item["mean"], mean(item["photo"], 0))
        assert torch.equal(data[place]["noise"], item["noise"])  # again the same
    assert len({tuple(item["noise"].flatten()[:8].tolist()) for item in items}) == 6
    other = PhotosWith(faces, {"noise": noise}, variants=2, seed=1)
    assert not torch.equal(other[0]["noise"], items[0]["noise"])
    apart = PhotosWith(faces, {"other": noise, "noise": noise})[0]
    assert torch.equal(apart["noise"], items[0]["noise"])  # a further maker changes none
    assert not torch.equal(apart["noise"], apart["other"])
    with pytest.raises(IndexError):
        data[6]


def test_what_makes_no_sense_is_refused() -> None:
    faces = ProceduralFaces(count=2, size=32, seed=0)
    with pytest.raises(ValueError, match="variants must be a whole number, at least 1; got 0"):
        PhotosWith(faces, {}, variants=0)
    with pytest.raises(ValueError, match="got photo, which photos have already"):
        PhotosWith(faces, {"photo": mean})
    with pytest.raises(ValueError, match="needs root"):
        photos_with(makers={})
    assert len(photos_with(photos=faces, makers={"mean": mean}, variants=4)) == 8
