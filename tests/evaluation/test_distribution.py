"""FID, KID and MMD: features against pytorch-fid's own path from PNG files, distances against its and plain loops."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from pytorch_fid import fid_score
from pytorch_fid import inception as published
from scipy.spatial.distance import cdist

from calisketch import weights
from calisketch.evaluation import InceptionFeatures, frechet_distance, gaussian_mmd, kernel_distance, to_uint8
from calisketch.evaluation.measures.distribution import inception_network


def random_state() -> dict[str, torch.Tensor]:
    """Weights that keep activations at their scale through the depth."""
    skeleton = published._inception_v3(num_classes=1008, aux_logits=False, weights=None)
    blocks = {"5b": published.FIDInceptionA(192, 32), "5c": published.FIDInceptionA(256, 64)}
    blocks |= {"5d": published.FIDInceptionA(288, 64), "6b": published.FIDInceptionC(768, 128)}
    blocks |= {"6c": published.FIDInceptionC(768, 160), "6d": published.FIDInceptionC(768, 160)}
    blocks |= {"6e": published.FIDInceptionC(768, 192), "7b": published.FIDInceptionE_1(1280)}
    blocks |= {"7c": published.FIDInceptionE_2(2048)}
    for name, block in blocks.items():
        setattr(skeleton, f"Mixed_{name}", block)
    generator = torch.Generator().manual_seed(0)
    state = skeleton.state_dict()
    for key, value in state.items():
        if value.ndim == 4:
            state[key] = torch.randn(value.shape, generator=generator) * (2 / value[0].numel()) ** 0.5
    return state


@pytest.mark.parametrize("kind", ["random", "published"])
def test_features_are_those_of_pytorch_fids_own_path_from_png_files(
    kind: str,
    request: pytest.FixtureRequest,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    generator: torch.Generator,
) -> None:
    """Tolerance: 1e-4 of the largest feature (float32; pytorch-fid sums in another memory order)."""
    images = torch.rand(3, 3, 64, 48, generator=generator)
    files = [tmp_path / f"{number}.png" for number in range(len(images))]
    for file, pixels in zip(files, to_uint8(images), strict=True):
        Image.fromarray(pixels).save(file)
    if kind == "random":
        state = random_state()
        ours = InceptionFeatures(inception_network(state), batch_size=2)
    else:
        request.getfixturevalue("shared_weights")
        state = torch.load(weights.locate("inception"), map_location="cpu", weights_only=True)
        ours = InceptionFeatures.from_pretrained(batch_size=2)
        assert ours.source == weights.locate("inception").name
    monkeypatch.setattr(published, "load_state_dict_from_url", lambda *_, **__: state)
    expected = fid_score.get_activations(files, published.InceptionV3(), batch_size=3, num_workers=0)
    got = ours(images)
    assert got.shape == (3, 2048)
    assert got.dtype == np.float64
    assert expected.std() > 0.01
    np.testing.assert_allclose(got, expected, rtol=0, atol=1e-4 * np.abs(expected).max())


@pytest.mark.parametrize("content", [b"", b"no weights at all", b"PK\x03\x04 half an archive"])
def test_damaged_weights_are_refused_by_name(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "inception.pth").write_bytes(content)
    with pytest.raises(ValueError, match=r"inception\.pth cannot be read .* Get it again"):
        InceptionFeatures.from_pretrained(tmp_path / "inception.pth")


def test_weights_of_another_layout_are_refused_by_name(tmp_path: Path) -> None:
    torch.save({"conv.weight": torch.zeros(1)}, tmp_path / "other.pth")
    with pytest.raises(ValueError, match=r"other\.pth does not fit pytorch-fid's Inception"):
        InceptionFeatures.from_pretrained(tmp_path / "other.pth")
    with pytest.raises(weights.MissingWeights, match="no Inception weights at"):
        InceptionFeatures.from_pretrained(tmp_path / "none.pth")


def features(seed: int, count: int, dimensions: int) -> NDArray[np.float64]:
    rng = np.random.default_rng(seed)
    mixing = rng.standard_normal((dimensions, dimensions)) / np.sqrt(dimensions)
    return rng.standard_normal((count, dimensions)) @ mixing + 0.3 * rng.standard_normal(dimensions)


@pytest.mark.parametrize(
    ("first", "second", "tolerance"),
    [(300, 250, 1e-9), (300, 20, 1e-4), (20, 300, 1e-4), (30, 25, 1e-4), (41, 40, 1e-4)],
    ids=["both more than dimensions", "second fewer", "first fewer", "both fewer", "just as many"],
)
def test_frechet_distance_is_pytorch_fids(first: int, second: int, tolerance: float) -> None:
    """Relative tolerance 1e-9 where covariances have full rank; 1e-4 where not, and its sqrtm is at a loss."""
    a, b = features(1, first, 40), features(2, second, 40)
    moments = [part for x in (a, b) for part in (x.mean(0), np.cov(x, rowvar=False))]
    assert frechet_distance(a, b) == pytest.approx(fid_score.calculate_frechet_distance(*moments), rel=tolerance)


@pytest.mark.parametrize("count", [20, 100])
def test_frechet_distance_of_independent_features_is_the_formula_by_hand(count: int) -> None:
    """Uncorrelated features: |ma - mb|^2 + sum (sa - sb)^2. Exact with few images too, where sqrtm is not (1e-10)."""
    orthogonal = np.linalg.qr(np.random.default_rng(0).standard_normal((count, 9)))[0]
    orthogonal = np.linalg.qr(np.c_[np.ones(count), orthogonal])[0][:, 1:] * np.sqrt(count - 1)  # mean 0, variance 1
    first, second = np.linspace(0.5, 2, 9), np.linspace(2, 0.1, 9)
    means = np.arange(9) / 9
    unused = np.zeros((count, 31))  # features that never vary: singular covariances on every route
    a, b = (np.c_[part, unused] for part in (orthogonal * first, orthogonal * second + means))
    by_hand = float((means**2).sum() + ((first - second) ** 2).sum())
    assert frechet_distance(a, b) == pytest.approx(by_hand, rel=1e-10)


@pytest.mark.parametrize("count", [30, 200])
def test_frechet_distance_of_a_set_to_itself_is_0_and_order_does_not_matter(count: int) -> None:
    a, b = features(3, count, 40), features(4, count + 9, 40)
    assert frechet_distance(a, a) == pytest.approx(0, abs=1e-9)
    assert frechet_distance(a, b) == pytest.approx(frechet_distance(b, a), rel=1e-12)
    assert frechet_distance(a, a + 0.5) == pytest.approx(40 * 0.25, rel=1e-9)


def test_kernel_distance_is_the_published_estimate_by_plain_loops() -> None:
    """Binkowski et al., Eq. 4, with k(x, y) = (x.y / d + 1)^3; tolerance 1e-12."""
    a, b = features(5, 7, 4), features(6, 5, 4)

    def kernel(x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
        return (sum(float(p) * float(q) for p, q in zip(x, y, strict=True)) / 4 + 1) ** 3

    within = [
        sum(kernel(x[i], x[j]) for i in range(len(x)) for j in range(len(x)) if i != j) / (len(x) * (len(x) - 1))
        for x in (a, b)
    ]
    across = sum(kernel(x, y) for x in a for y in b) / (len(a) * len(b))
    assert kernel_distance(a, b).value == pytest.approx(within[0] + within[1] - 2 * across, rel=1e-12)


def test_kernel_distance_has_no_bias_while_frechet_distance_has() -> None:
    rng = np.random.default_rng(0)
    pairs = [(rng.standard_normal((20, 10)), rng.standard_normal((20, 10))) for _ in range(200)]
    kernel = np.array([kernel_distance(*pair, subsets=2).value for pair in pairs])
    assert abs(kernel.mean()) < 3 * kernel.std() / np.sqrt(len(kernel))
    frechet = np.array([frechet_distance(*pair) for pair in pairs])
    assert frechet.mean() > 10 * frechet.std() / np.sqrt(len(frechet))


def test_the_kernel_distances_deviation_is_over_subsets_of_a_stated_size() -> None:
    a, b = features(8, 60, 6), features(9, 50, 6)
    halves = kernel_distance(a, b)
    assert halves.subset_size == 25
    assert halves == kernel_distance(a, b)
    small = kernel_distance(a, b, subset_size=5)
    assert small.value == halves.value
    assert small.deviation > halves.deviation > 0
    everything = kernel_distance(a, a, subset_size=60)
    assert everything.deviation == pytest.approx(0, abs=1e-12)
    assert everything.value < 0  # pairs of an image with itself count across, not within


def test_gaussian_mmd_is_the_published_formula_by_scipys_distances() -> None:
    """Xu et al. 2018: squared distances over their mean among the photos; V-statistic, root. Tolerance 1e-10."""
    a, b = features(5, 40, 12), features(6, 33, 12)
    scale = cdist(a, a, "sqeuclidean").mean()
    for width in (1.0, 0.4):
        kernel = [np.exp(-cdist(x, y, "sqeuclidean") / (2 * width**2 * scale)) for x, y in ((a, a), (b, b), (a, b))]
        expected = np.sqrt(kernel[0].mean() + kernel[1].mean() - 2 * kernel[2].mean())
        assert gaussian_mmd(a, b, width=width) == pytest.approx(expected, rel=1e-10)


def test_gaussian_mmd_is_the_distance_of_means_in_the_kernels_own_space() -> None:
    """An independent route: random Fourier features of the same kernel (Rahimi and Recht 2007), within 2 %."""
    a, b = features(5, 60, 6), features(6, 50, 6) + 0.5
    scale = cdist(a, a, "sqeuclidean").mean()
    rng = np.random.default_rng(0)
    directions = rng.standard_normal((6, 40_000)) / np.sqrt(scale)
    mapped = [np.exp(1j * (x @ directions)).mean(0) for x in (a, b)]
    assert gaussian_mmd(a, b) == pytest.approx(np.sqrt((np.abs(mapped[0] - mapped[1]) ** 2).mean()), rel=0.02)


def test_gaussian_mmd_is_0_for_equal_sets_grows_with_the_shift_and_knows_no_unit() -> None:
    a, b = features(3, 60, 10), features(3, 60, 10)[::-1]
    assert gaussian_mmd(a, b) == pytest.approx(0, abs=1e-7)
    shifted = [gaussian_mmd(a, a + shift) for shift in (0.1, 0.5, 2.0, 100.0)]
    assert shifted == sorted(shifted)
    assert shifted[-1] < np.sqrt(2)
    assert gaussian_mmd(7 * a, 7 * a + 3.5) == pytest.approx(shifted[1], rel=1e-9)
    with pytest.raises(ValueError, match="first must have images that differ"):
        gaussian_mmd(np.ones((4, 3)), a[:, :3])
    with pytest.raises(ValueError, match="width must be above 0"):
        gaussian_mmd(a, b, width=0)


@pytest.mark.parametrize("distance", [frechet_distance, kernel_distance, gaussian_mmd])
def test_features_that_have_no_distance_are_refused(distance: object) -> None:
    assert callable(distance)
    good = features(0, 5, 4)
    with pytest.raises(ValueError, match="at least 2 images"):
        distance(good[:1], good)
    with pytest.raises(ValueError, match="as many dimensions; got 3 and 4"):
        distance(good[:, :3], good)
    with pytest.raises(ValueError, match=r"\(N, D\) features; got shape \(4,\)"):
        distance(good[0], good)
    with pytest.raises(ValueError, match="second must be finite"):
        distance(good, np.where(good > 0, good, np.nan))


def test_subsets_that_cannot_be_drawn_and_images_out_of_range_are_refused() -> None:
    good = features(0, 5, 4)
    with pytest.raises(ValueError, match="subset_size must be from 2 to the 5 images"):
        kernel_distance(good, good, subset_size=6)
    toy = InceptionFeatures(torch.nn.Flatten())
    with pytest.raises(ValueError, match="must lie in"):
        toy(torch.full((1, 3, 8, 8), 200.0))
    with pytest.raises(ValueError, match="batch_size must be at least 1"):
        InceptionFeatures(torch.nn.Flatten(), batch_size=0)
