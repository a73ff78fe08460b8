"""A small made-up release in CUFS's shapes and names, and a folder of photos of which one is damaged."""

from __future__ import annotations

from pathlib import Path

import pytest
from made_up_release import PHOTOS, all_pairs, write_release
from PIL import Image

from calisketch.datasets.drawn.drawn_face import draw_face


@pytest.fixture(scope="session")
def pairs() -> dict[str, tuple[bytes, bytes]]:
    return all_pairs()


@pytest.fixture
def splits() -> dict[str, str]:
    return dict(PHOTOS)


@pytest.fixture
def release(tmp_path: Path, pairs: dict[str, tuple[bytes, bytes]]) -> Path:
    return write_release(tmp_path / "release", pairs)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    folder.mkdir()
    for index in range(11):
        Image.fromarray(draw_face(40, 3, index)[0]).save(folder / f"{index:02d}.png")
    (folder / "03.png").write_bytes(b"damaged")
    return folder
