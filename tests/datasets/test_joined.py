"""Several prepared folders as one data set, and each photo a second time, mirrored."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from calisketch.datasets import JoinedPhotos, MirroredPhotos, PreparedPhotos, prepare_photos, prepared_photos


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path]:
    source = tmp_path_factory.mktemp("source")
    noise = np.random.default_rng(0)
    for place in range(6):
        Image.fromarray(noise.integers(0, 256, (64, 64, 3), dtype=np.uint8)).save(source / f"p{place}.png")
    made = []
    for name, size in (("a", 32), ("b", 32), ("large", 64)):
        out = tmp_path_factory.mktemp("prepared") / name
        prepare_photos(source, out, size=size, align=False, contour="none", validation_share=0.0, workers=1)
        made.append(out)
    return made[0], made[1], made[2]


def test_items_follow_one_another_and_are_counted_through(folders: tuple[Path, Path, Path]) -> None:
    first, second = (PreparedPhotos(folder) for folder in folders[:2])
    both = prepared_photos([str(folder) for folder in folders[:2]])
    assert isinstance(both, JoinedPhotos)
    assert len(both) == len(first) + len(second)
    assert [int(both[place]["index"]) for place in range(len(both))] == list(range(len(both)))
    assert torch.equal(both[len(first)]["photo"], second[0]["photo"])
    assert torch.equal(both[-1]["photo"], second[-1]["photo"])
    assert both.names == first.names + second.names
    with pytest.raises(IndexError):
        both[len(both)]


def test_one_folder_stays_itself(folders: tuple[Path, Path, Path]) -> None:
    assert isinstance(prepared_photos(folders[0]), PreparedPhotos)


def test_mirrored_photos_follow_with_their_lines_and_indices_of_their_own(folders: tuple[Path, Path, Path]) -> None:
    plain = prepared_photos(list(folders[:2]))
    both = MirroredPhotos(plain)
    count = len(plain)
    assert len(both) == 2 * count
    assert [int(both[place]["index"]) for place in range(2 * count)] == list(range(2 * count))
    for name in ("photo", "detail"):
        assert torch.equal(both[1][name], plain[1][name])
        assert torch.equal(both[count + 1][name], plain[1][name].flip(-1))
        assert not torch.equal(both[count + 1][name], plain[1][name])
    assert torch.equal(both[-1]["photo"], plain[-1]["photo"].flip(-1))
    with pytest.raises(IndexError):
        both[2 * count]


def test_folders_of_two_sizes_are_refused(folders: tuple[Path, Path, Path]) -> None:
    with pytest.raises(ValueError, match=r"size 32.*size 64"):
        prepared_photos([folders[0], folders[2]])
    with pytest.raises(ValueError, match="at least one"):
        JoinedPhotos([])


def test_folders_of_other_kinds_are_joined_only_where_that_is_asked_for(
    folders: tuple[Path, Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = (PreparedPhotos(folder) for folder in folders[:2])
    item = second[0]
    monkeypatch.setattr(PreparedPhotos, "__getitem__", lambda part, index: dict(item))
    assert len(JoinedPhotos([first, second])) == 12
    fewer = {name: image for name, image in item.items() if name != "detail"}
    monkeypatch.setattr(PreparedPhotos, "__getitem__", lambda part, index: dict(fewer if part is second else item))
    with pytest.raises(ValueError, match="must be alike"):
        JoinedPhotos([first, second])
    joined = JoinedPhotos([first, second], alike=False)
    assert "detail" in joined[0]
    assert "detail" not in joined[len(first)]
