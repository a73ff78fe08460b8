"""What tools/fid_parts.py measures is what it says."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

TOOLS = Path(__file__).resolve().parents[2] / "tools"


@pytest.fixture
def tool(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(str(TOOLS))
    import fid_parts

    return fid_parts


def test_each_part_is_the_photos_and_the_rest_the_faces(tool, generator: torch.Generator) -> None:
    face, photo = (0.4 + 0.2 * torch.rand(2, 3, 32, 32, generator=generator) for _ in range(2))
    parts = dict(tool.parts(face, photo))
    coloured, lit = parts["with the photo's colour"], parts["with the photo's brightness"]
    torch.testing.assert_close(tool.luma(coloured), tool.luma(face))
    torch.testing.assert_close(coloured - tool.luma(coloured), photo - tool.luma(photo))
    torch.testing.assert_close(coloured + lit, face + photo)
    fine, coarse = (parts[f"with what is {which} than 7 px of the photo"] for which in ("finer", "coarser"))
    torch.testing.assert_close(fine + coarse, face + photo)
    torch.testing.assert_close(coarse[..., 9, 9], face[..., 9, 9] + (photo - face)[..., 6:13, 6:13].mean((-1, -2)))


def test_a_true_photo_stays_one_whatever_is_put_in(tool, generator: torch.Generator) -> None:
    photo = torch.rand(1, 3, 32, 32, generator=generator)
    for name, image in tool.parts(photo, photo):
        assert image.min() >= 0
        assert image.max() <= 1
        if name.startswith("with"):
            torch.testing.assert_close(image, photo, rtol=0, atol=1e-6)


def test_jpeg_keeps_the_order_of_the_colours(tool) -> None:
    image = torch.tensor([0.9, 0.3, 0.1]).view(1, 3, 1, 1).expand(1, 3, 32, 32)
    torch.testing.assert_close(tool.as_jpeg(image, 95), image, rtol=0, atol=0.02)
