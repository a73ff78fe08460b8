"""Data sets of different kinds as one."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.utils.data import default_collate

from calisketch.datasets import MixedPhotos, with_pairs


def part(count: int, **images: float) -> list[dict[str, torch.Tensor]]:
    return [
        {"photo": torch.full((3, 4, 4), float(place)), "index": torch.tensor(place)}
        | {name: torch.full((1, 4, 4), value) for name, value in images.items()}
        for place in range(count)
    ]


def test_items_of_every_part_come_as_often_as_said_and_collate() -> None:
    mixed = MixedPhotos([part(3, sketch=0.5, inside=0.0, extra=1.0), part(2, sketch=0.25)], repeats=[1, 3])
    assert len(mixed) == 3 + 3 * 2
    items = [mixed[place] for place in range(len(mixed))]
    assert [set(item) for item in items] == [{"photo", "sketch", "inside", "index"}] * 9
    assert [int(item["index"]) for item in items] == list(range(9))
    assert [float(item["photo"].mean()) for item in items] == [0, 1, 2, 0, 1, 0, 1, 0, 1]
    batch = default_collate(items)
    assert batch["inside"].mean((1, 2, 3)).tolist() == [0, 0, 0, 1, 1, 1, 1, 1, 1]  # all of a pair's pixels count
    assert torch.equal(mixed[-1]["photo"], mixed[8]["photo"])
    with pytest.raises(IndexError):
        mixed[9]


@pytest.mark.parametrize(
    ("parts", "repeats", "said"),
    [
        ([], None, "parts must be"),
        ([part(1, sketch=1.0)], [0], "parts must be"),
        ([part(1, sketch=1.0)], [1, 2], "parts must be"),
        ([part(1, sketch=1.0), part(1, detail=1.0)], None, "something beside them"),
        ([part(1, sketch=1.0), [{**part(1, sketch=1.0)[0], "photo": torch.zeros(3, 8, 8)}]], None, "one size"),
    ],
)
def test_parts_that_do_not_fit_are_refused(parts: list[Any], repeats: list[int] | None, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        MixedPhotos(parts, repeats)


def test_pairs_come_as_often_as_their_share_says(monkeypatch: pytest.MonkeyPatch) -> None:
    photos = part(90, sketch=0.5)
    asked: list[tuple[Any, ...]] = []

    def pairs(*arguments: Any, **options: Any) -> Any:
        asked.append((*arguments, options))
        return part(2, sketch=0.25)

    monkeypatch.setattr("calisketch.datasets.reading.mixed_photos.photo_pairs", pairs)
    assert with_pairs(photos) is photos
    mixed = with_pairs(photos, ["here", "there"], "validation", 4, share=0.1)
    assert len(mixed) == 90 + 10
    assert asked == [(["here", "there"], "validation", 4, {"inside": True})]
    assert len(with_pairs(photos, "here", share=0.001)) == 92  # once at least
    for share in (0.0, 1.0, -0.5):
        with pytest.raises(ValueError, match="share must be between"):
            with_pairs(photos, "here", share=share)
