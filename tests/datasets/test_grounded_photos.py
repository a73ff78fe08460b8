"""Pairs before other grounds: the person is cut out, the wall goes, the drawing comes onto white paper."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from calisketch.datasets import OtherGrounds, ProceduralFaces
from calisketch.datasets.reading.grounded_photos import made_ground, on_white_paper, other_light, person_mask

SIDE = 128


def sitter(wall: tuple[int, int, int]) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """A head with hair and shoulders before a wall that is a little uneven, and where the person is."""
    pixels = np.full((SIDE, SIDE, 3), wall, dtype=np.uint8)
    person = np.zeros((SIDE, SIDE), dtype=np.uint8)
    for drawn, hair, skin, coat in ((pixels, (40, 30, 25), (205, 160, 135), (90, 40, 50)), (person, 1, 1, 1)):
        cv2.ellipse(drawn, (64, 64), (36, 44), 0, 0, 360, hair, -1)
        cv2.ellipse(drawn, (64, 72), (26, 36), 0, 0, 360, skin, -1)
        cv2.ellipse(drawn, (64, 140), (56, 30), 0, 0, 360, coat, -1)
    uneven = np.random.default_rng(0).normal(0, 3, pixels.shape)
    return (pixels + uneven).clip(0, 255).astype(np.uint8), person.astype(bool)


class Sitters(Dataset[dict[str, Tensor]]):
    """Two pairs, whose drawings are outlines on grey paper."""

    size, names = SIDE, ("blue", "white")

    def __len__(self) -> int:
        return 2

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        photo, person = sitter(((60, 130, 200), (245, 245, 245))[index])
        edge = person ^ cv2.erode(person.astype(np.uint8), np.ones((3, 3), np.uint8)).astype(bool)
        ink = torch.from_numpy(0.12 + 0.6 * edge)[None].float()
        return {
            "photo": torch.from_numpy(photo).permute(2, 0, 1).float() / 255,
            "sketch": ink,
            "index": torch.tensor(index),
        }


@pytest.mark.parametrize("wall", [(60, 130, 200), (245, 245, 245), (150, 150, 140)])
def test_the_person_is_cut_out_of_a_plain_wall(wall: tuple[int, int, int]) -> None:
    photo, person = sitter(wall)
    found = person_mask(photo)
    assert (found & person).sum() / (found | person).sum() > 0.95


def test_a_black_wedge_in_a_corner_is_no_part_of_the_person() -> None:
    photo, person = sitter((245, 245, 245))
    photo[:100, :8] = 2
    found = person_mask(photo)
    assert not found[:90, :8].any()
    assert (found & person).sum() / person.sum() > 0.95


def test_where_no_wall_is_seen_the_photo_stays_whole() -> None:
    assert person_mask(np.zeros((SIDE, SIDE, 3), np.uint8)).all()


def test_toned_paper_becomes_white_and_strokes_keep_their_tone_against_it() -> None:
    _, person = sitter((0, 0, 0))
    mask = torch.from_numpy(person)[None].float()
    drawing = torch.full((1, SIDE, SIDE), 0.2)
    drawing[:, 60:64, 50:80] = 0.6  # half of the paper's light
    drawing[:, 2:5, 20:60] = 0.9  # the scan's writing
    drawing[:, :, :3] = 1.0  # and its wedge
    ink = on_white_paper(drawing, mask)
    assert float(ink[:, 100:, 60:].max()) < 1e-6
    assert float(ink[:, 2:5].max()) == 0.0
    assert float(ink[:, :90, :3].max()) == 0.0
    torch.testing.assert_close(ink[:, 61:63, 52:78], torch.full((1, 2, 26), 0.5), rtol=0, atol=1e-5)
    grain = 0.03 * torch.randn(1, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    assert float(on_white_paper((drawing + grain).clamp(0, 1), mask)[:, 100:, 60:].mean()) < 0.01


def test_another_ground_comes_behind_the_person_and_nothing_else_moves() -> None:
    grounded = OtherGrounds(Sitters(), share=1.0, light=0.0, variants=3)
    for index in range(len(grounded)):
        item, plain = grounded[index], Sitters()[index % 2]
        assert set(item) == {"photo", "sketch", "index"}
        assert int(item["index"]) == index
        _, person = sitter((0, 0, 0))
        inner = torch.from_numpy(cv2.erode(person.astype(np.uint8), np.ones((9, 9), np.uint8)) > 0)
        outer = torch.from_numpy(cv2.dilate(person.astype(np.uint8), np.ones((9, 9), np.uint8)) == 0)
        assert torch.equal(item["photo"][:, inner], plain["photo"][:, inner])
        assert float((item["photo"] - plain["photo"])[:, outer].abs().mean()) > 0.05
        assert torch.equal(item["sketch"], grounded[index % 2]["sketch"])
        assert float(item["sketch"][:, outer].max()) < 0.01
        assert float(item["sketch"].max()) > 0.5
    first, second = (grounded[index]["photo"] for index in (0, 2))
    assert not torch.equal(first, second), "variants have other grounds"


def test_a_variant_depends_on_seed_and_place_alone() -> None:
    one, two = (OtherGrounds(Sitters(), variants=4, seed=3) for _ in range(2))
    for index in (5, 0, 5):
        assert torch.equal(one[index]["photo"], two[index]["photo"])
    assert not torch.equal(one[5]["photo"], OtherGrounds(Sitters(), variants=4, seed=4)[5]["photo"])


def test_no_share_and_no_light_leave_photos_as_they_are() -> None:
    plain = OtherGrounds(Sitters(), share=0.0, light=0.0, variants=1)
    assert torch.equal(plain[1]["photo"], Sitters()[1]["photo"])


def test_grounds_and_light_stay_in_range_and_differ(generator: torch.Generator) -> None:
    grounds = [made_ground(64, generator) for _ in range(12)]
    assert all(ground.shape == (3, 64, 64) and ground.min() >= 0 and ground.max() <= 1 for ground in grounds)
    assert len({round(float(ground.mean()), 3) for ground in grounds}) > 8
    face = ProceduralFaces(1, 32)[0]["photo"]
    assert other_light(face, 0.0, generator) is face
    lit = other_light(face, 0.2, generator)
    assert float(lit.min()) >= 0
    assert float(lit.max()) <= 1
    assert 0.01 < float((lit - face).abs().mean()) < 0.3


@pytest.mark.parametrize("wrong", [{"share": 1.5}, {"light": -0.1}])
def test_impossible_settings_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=rf"{next(iter(wrong))} must be in \[0, 1\]"):
        OtherGrounds(Sitters(), **wrong)
