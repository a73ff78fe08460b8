"""Colour domain: medians equal SciPy's, clusters are K-means', and nothing is random but the seed."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from itertools import product

import cv2
import numpy as np
import pytest
import torch
from scipy.cluster.vq import kmeans2
from scipy.ndimage import median_filter

from calisketch.sketching import ColorDomain, color_domain


@pytest.fixture(scope="module")
def photo(small_faces: torch.Tensor) -> torch.Tensor:
    """A drawn face with a shadow over it, (3, 256, 256): many colours, not just the drawing's few."""
    face = torch.nn.functional.interpolate(small_faces[:1], 256, mode="bilinear")[0]
    return (face * torch.linspace(0.4, 1, 256)).mul(255).round().div(255)


def _levels(image: torch.Tensor) -> np.ndarray:
    return image.permute(1, 2, 0).mul(255).round().byte().numpy()


def _colours(image: torch.Tensor) -> np.ndarray:
    return np.unique(_levels(image).reshape(-1, 3), axis=0)


def test_without_clustering_it_is_two_medians(photo: torch.Tensor) -> None:
    coarse = (photo * 4).round() / 4  # at most 5^3 colours, so that K of 125 keeps them all
    shown = color_domain(coarse, blur=25, colours=125, second_blur=5, seed=0)
    expected = _levels(coarse)
    for side in (25, 5):
        expected = median_filter(expected, size=(side, side, 1), mode="nearest")
    assert np.array_equal(_levels(shown), expected)


def test_windows_scale_with_the_shorter_side(photo: torch.Tensor) -> None:
    small = ((photo * 4).round() / 4)[:, 96:160, 60:200]
    shown = color_domain(small, blur=35, colours=125, second_blur=5, seed=0)
    assert np.array_equal(_levels(shown), median_filter(_levels(small), size=(9, 9, 1), mode="nearest"))


@pytest.mark.parametrize("colours", [2, 3, 5])
def test_the_clusters_are_as_tight_as_scipys_best(photo: torch.Tensor, colours: int) -> None:
    shown = color_domain(photo, blur=1, colours=colours, second_blur=1, seed=3)
    pixels = _levels(photo).reshape(-1, 3).astype(float)
    spread = np.square(pixels - _levels(shown).reshape(-1, 3)).sum()
    best = np.inf
    for seed in range(8):
        centres, labels = kmeans2(pixels, colours, minit="++", rng=np.random.default_rng(seed), iter=40)
        best = min(best, np.square(pixels - centres[labels]).sum())
    assert spread < 1.02 * best
    assert len(_colours(shown)) == colours


def test_every_colour_is_the_mean_of_its_pixels_and_the_nearest(photo: torch.Tensor) -> None:
    shown = _levels(color_domain(photo, blur=1, colours=4, second_blur=1, seed=1)).reshape(-1, 3)
    pixels = _levels(photo).reshape(-1, 3).astype(float)
    centres = np.unique(shown, axis=0)
    for centre in centres:
        assert np.abs(pixels[(shown == centre).all(1)].mean(0) - centre).max() <= 1.0  # it stops at half a level
    nearest = np.linalg.norm(pixels[:, None] - centres, axis=2).argmin(1)
    assert (centres[nearest] == shown).all(1).mean() > 0.99


def test_a_photo_of_few_colours_keeps_them() -> None:
    flag = torch.zeros(3, 64, 64)
    flag[0, :32], flag[2, 32:] = 1, 0.5
    flag = flag.mul(255).round().div(255)
    assert torch.equal(color_domain(flag, blur=25, colours=5, second_blur=3, seed=0), flag)
    grey = torch.full((3, 40, 48), 0.2)
    assert torch.equal(color_domain(grey, blur=15, colours=3, second_blur=1, seed=0), grey)


def test_colours_of_a_few_pixels_are_found_too() -> None:
    page = torch.ones(3, 256, 256)
    page[:, 3, 5], page[:, 77, 201], page[:, 130, 11] = torch.tensor([[0.2], [0.6], [0.4]]).expand(3, 3)
    page = page.mul(255).round().div(255)
    assert len(_colours(color_domain(page, blur=1, colours=4, second_blur=1, seed=0))) == 4
    assert len(_colours(color_domain(page, blur=1, colours=2, second_blur=1, seed=0))) == 2


def test_it_is_a_pure_function_of_the_seed_in_every_thread(photo: torch.Tensor) -> None:
    small, maker = photo[:, ::4, ::4], ColorDomain()
    alone = [maker(small, seed) for seed in range(16)]
    cv2.setRNGSeed(7)
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda seed: maker(small, seed), range(16)))
    assert all(torch.equal(one, other) for one, other in zip(alone, together, strict=True))
    assert len({one.numpy().tobytes() for one in alone}) > 8

    before = np.zeros(4, np.float32)
    cv2.setRNGSeed(7)
    cv2.randu(before, 0, 1)
    cv2.setRNGSeed(7)
    maker(small, 5)
    after = np.zeros(4, np.float32)
    cv2.randu(after, 0, 1)
    assert np.array_equal(before, after)  # OpenCV's own generator is left alone


def test_confusion_covers_the_ranges_and_fixed_has_one_setting() -> None:
    drawn = [ColorDomain().settings(seed) for seed in range(1000)]
    seen = {(one["blur"], one["colours"], one["second_blur"]) for one in drawn}
    assert seen == set(product(range(15, 36, 2), range(2, 6), (1, 3, 5)))
    assert len({one["seed"] for one in drawn}) == 1000
    fixed = ColorDomain.fixed()
    assert {tuple(fixed.settings(seed).values())[:3] for seed in range(20)} == {(25, 3, 3)}


def test_it_keeps_type_and_range(photo: torch.Tensor) -> None:
    shown = ColorDomain()(photo[:, ::4, ::4].double(), 3)
    assert shown.dtype == torch.float64
    assert shown.shape == (3, 64, 64)
    assert 0 <= shown.min() <= shown.max() <= 1


def test_numpys_whole_numbers_are_whole_numbers(photo: torch.Tensor) -> None:
    settings = {"blur": 15, "colours": 3, "second_blur": 1, "seed": 3}
    numpys = {name: np.int64(value) for name, value in settings.items()}
    small = photo[:, ::4, ::4]
    assert torch.equal(color_domain(small, **numpys), color_domain(small, **settings))  # type: ignore[arg-type]
    assert ColorDomain().settings(np.int64(5)) == ColorDomain().settings(5)  # type: ignore[arg-type]


def test_bad_arguments_are_explained(photo: torch.Tensor) -> None:
    good = {"blur": 15, "colours": 3, "second_blur": 1, "seed": 0}
    for changed, message in (
        ({"blur": 14}, "blur must be an odd"),
        ({"second_blur": 0}, "second_blur must be an odd"),
        ({"blur": 25.5}, r"blur must be an odd .* got 25\.5"),
        ({"second_blur": True}, "second_blur must be an odd .* got True"),
        ({"blur": 24}, "Take 23 or 25"),
        ({"colours": 0}, "colours must be a whole number, at least 1; got 0"),
        ({"colours": 2.5}, r"colours must be a whole number, at least 1; got 2\.5"),
        ({"colours": True}, "colours must be a whole number, at least 1; got True"),
        ({"blur": 301}, "scale the photo down"),
        ({"seed": 1.5}, r"seed must be a whole number.* got 1\.5"),
        ({"seed": 2**64}, "seed must be a whole number"),
    ):
        with pytest.raises(ValueError, match=message):
            color_domain(photo, **(good | changed))
    with pytest.raises(ValueError, match="one image"):
        color_domain(photo[None], **good)
    with pytest.raises(ValueError, match=r"\[0, 1\]"):
        color_domain(photo * 255, **good)
    with pytest.raises(TypeError, match="float tensor"):
        color_domain(_levels(photo), **good)  # type: ignore[arg-type]
    for arguments in (
        {"blur": (35, 15)},
        {"blur": (15, 20.5)},
        {"colours": (2, 4.5)},
        {"blur": (15, 20)},
        {"colours": (0, 3)},
        {"second_blur": ()},
    ):
        with pytest.raises(ValueError, match="must"):
            ColorDomain(**arguments)  # type: ignore[arg-type]
