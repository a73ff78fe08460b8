"""What needs no training: missing pixels filled, and JPEG of a given size."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from PIL import Image

from calisketch.compression import point_file
from calisketch.compression.point_sampling import photo_to_points
from calisketch.evaluation import psnr
from calisketch.evaluation.running.compressed import InterpolatedPoints, JPEGOfTheSize, jpeg_within
from calisketch.evaluation.running.filling import AsItIs, HiddenPSNR, Inpainted, Interpolated, Unmixed
from calisketch.sketching import Corruption


@pytest.fixture
def photo(generator: torch.Generator) -> torch.Tensor:
    small = torch.rand(2, 3, 4, 4, generator=generator)
    return torch.nn.functional.interpolate(small, size=64, mode="bicubic").clamp(0, 1)


def corrupted(task: str, photo: torch.Tensor, **options: object) -> dict[str, torch.Tensor]:
    sketch = Corruption(task, **options)(photo, seed=0, epoch=0, index=[0, 1])  # type: ignore[arg-type]
    return {"sketch": sketch, "photo": photo}


@pytest.mark.parametrize("fill", [Interpolated(), Interpolated("nearest"), Inpainted(), Inpainted("navier_stokes")])
@pytest.mark.parametrize("task", ["points", "white_block", "colour_block"])
def test_filling_mends_and_leaves_what_is_kept(fill: object, task: str, photo: torch.Tensor) -> None:
    batch = corrupted(task, photo)
    filled = fill(batch)  # type: ignore[operator]
    assert filled.shape == photo.shape
    kept = (batch["sketch"][:, 3:] > 0).expand(-1, 3, -1, -1)
    torch.testing.assert_close(filled[kept], photo[kept], atol=0.5 / 255 + 1e-6, rtol=0)
    assert (psnr(photo, filled) > psnr(photo, AsItIs()(batch)) + 2).all()


def test_the_hidden_part_has_a_psnr_of_its_own(photo: torch.Tensor) -> None:
    batch = corrupted("white_block", photo)
    batch["photo"] = (0.8 * photo * 255).round() / 255
    made = batch["photo"].clone()
    made[0, :, :16] = 0  # beside the block
    made[1, :, 16:48, 16:48] += 51 / 255
    first, second = HiddenPSNR()(batch, made).tolist()
    assert first == float("inf")
    assert second == pytest.approx(20 * np.log10(255 / 51))
    assert HiddenPSNR()({**batch, "sketch": torch.ones(2, 4, 64, 64)}, made).isnan().all()


def test_interpolation_is_exact_on_a_plane() -> None:
    rows, columns = torch.meshgrid(torch.linspace(0, 1, 32), torch.linspace(0, 1, 32), indexing="ij")
    photo = torch.stack([rows, columns, (rows + columns) / 2])[None].expand(2, -1, -1, -1)
    batch = corrupted("points", photo, percent=20)
    batch["sketch"][..., [0, 0, -1, -1], [0, -1, 0, -1]] = torch.cat([photo, torch.ones(2, 1, 32, 32)], 1)[
        ..., [0, 0, -1, -1], [0, -1, 0, -1]
    ]  # with the corners nothing lies outside the triangles
    torch.testing.assert_close(Interpolated()(batch), photo, atol=1e-5, rtol=0)


def test_few_points_make_no_triangles() -> None:
    sketch = torch.ones(3, 4, 16, 16)
    sketch[:, 3] = 0
    sketch[1, :, 4, 4] = torch.tensor([0.1, 0.2, 0.3, 1.0])
    sketch[2, :, [2, 4, 6], [2, 4, 6]] = torch.tensor([0.1, 0.2, 0.3, 1.0])[:, None].expand(4, 3)
    filled = Interpolated()({"sketch": sketch})
    assert (filled[0] == 1).all()
    for sample in filled[1:]:
        torch.testing.assert_close(sample, torch.tensor([0.1, 0.2, 0.3]).view(3, 1, 1).expand(3, 16, 16))


def test_noise_is_unmixed_from_local_means() -> None:
    photo = torch.tensor([[0.2, 0.5, 0.9], [0.7, 0.3, 0.1]])[..., None, None].expand(-1, -1, 64, 64)
    batch = corrupted("colour_noise", photo, percent=80)
    assert (Unmixed(80)(batch).mean((2, 3)) - photo[..., 0, 0]).abs().max() < 0.05
    assert (psnr(photo, Unmixed(80)(batch)) > psnr(photo, AsItIs()(batch)) + 8).all()


def test_the_best_jpeg_that_fits_is_found(photo: torch.Tensor) -> None:
    pixels = (photo[0].permute(1, 2, 0) * 255).byte().numpy()
    last = 0.0
    for most in (320, 400, 600, 1200):
        found = jpeg_within(pixels, most)
        assert found is not None
        assert len(found.data) <= most
        assert Image.open(io.BytesIO(found.data)).format == "JPEG"
        assert found.picture.shape == pixels.shape
        now = 10 * np.log10(255**2 / np.square(found.picture.astype(float) - pixels).mean())
        assert now >= last
        last = now
    whole = jpeg_within(pixels, 10**6)
    assert whole is not None
    assert (whole.quality, whole.share) == (95, 1.0)
    assert jpeg_within(pixels, 100) is None  # less than a header


@pytest.mark.parametrize(("percent", "points"), [(20, "feature"), (1, "random")])
def test_rows_of_the_same_files_say_how_large_they_are(photo: torch.Tensor, percent: float, points: str) -> None:
    batch = {"photo": (photo * 255).round() / 255}
    sizes = [
        8 * len(point_file.write(photo_to_points(one.permute(1, 2, 0).numpy(), 64, percent, points))) / 64**2
        for one in batch["photo"]
    ]
    between, said = InterpolatedPoints(percent, points)(batch)
    assert said == {"bpp": pytest.approx(sizes)}
    coded, of_jpeg = JPEGOfTheSize(percent, points)(batch)
    assert between.shape == coded.shape == photo.shape
    assert all(jpeg <= size for jpeg, size in zip(of_jpeg["bpp"], sizes, strict=True))
    if percent == 1:  # no JPEG is so small
        assert coded.flatten(2).std(2).max() < 1e-6
        assert of_jpeg["bpp"] == pytest.approx(sizes)
    else:
        assert (psnr(photo, coded) > 25).all()


def test_wrong_settings_are_refused(photo: torch.Tensor) -> None:
    for make, message in (
        (lambda: Interpolated("cubic"), "method must be linear or nearest"),
        (lambda: Inpainted("fast"), "method must be one of telea, navier_stokes"),
        (lambda: Unmixed(100), "percent must be in"),
        (lambda: Unmixed(50, 0), "sigma must be above 0"),
        (lambda: AsItIs()({"sketch": photo}), "must have 4 channels"),
        (lambda: JPEGOfTheSize(5)({"photo": photo[..., :32]}), "photos must be square"),
    ):
        with pytest.raises(ValueError, match=message):
            make()
