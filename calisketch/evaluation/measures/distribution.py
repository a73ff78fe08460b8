"""FID, KID, MMD: how far the distribution of generated faces lies from that of photos, in Inception's pool3 features.

The network and its pre-processing are pytorch-fid's, fed with 8-bit images as saved PNGs would be. The Fréchet distance
is exact, without the square root of a matrix:

    tr (Sa Sb)^(1/2) = sum of the singular values of Xa Xb^T,    S = X^T X, X the centred features / (N - 1)^(1/2)

since Sa Sb and (Xa Xb^T)(Xa Xb^T)^T have the same eigenvalues but for zeros. With fewer images than dimensions that is
a matrix of N x N; with more, X is replaced by a Cholesky factor of S.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from ... import remedies, weights
from ...checks import check_image
from .pixel import to_uint8

Features = NDArray[np.float64]

_INCEPTION_SIDE = 299


class InceptionFeatures:
    """Inception's pool3 features of images, exactly as pytorch-fid computes them.

    Args:
        network: takes (B, 3, 299, 299) in [-1, 1] and gives (B, D); `inception_network` builds pytorch-fid's.
        batch_size: images that go through at once. Features do not depend on it.
        source: the weights file, for a report.
    """

    def __init__(self, network: nn.Module, batch_size: int = 16, source: str = "random weights") -> None:
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1; got {batch_size}.")
        self.network = network.eval().requires_grad_(False)
        self.batch_size = batch_size
        self.source = source

    @classmethod
    def from_pretrained(
        cls, path: str | Path | None = None, *, batch_size: int = 16, device: str | torch.device = "cpu"
    ) -> InceptionFeatures:
        """The features that FID is defined by.

        path: pytorch-fid's `pt_inception-2015-12-05-6726825d.pth`, or the half precision copy of it; None:
        `weights.locate("inception")`. Nothing is downloaded and nothing unpickled.
        Raises weights.MissingWeights (how to get the file), ValueError for a file that is damaged or of another layout,
        ImportError without pytorch-fid.
        """
        path = weights.locate("inception") if path is None else Path(path)
        if not path.is_file():
            raise weights.MissingWeights(
                f"no Inception weights at {path}. Leave `path` out to search the usual folders."
            )
        try:
            state = torch.load(path, map_location="cpu", weights_only=True)
        except Exception as error:  # of many kinds, by where the damage is; told below with its cause
            said = (str(error) or type(error).__name__).splitlines()[0]
            raise ValueError(f"{path} cannot be read as Inception's weights: {said} Get it again.") from error
        return cls(inception_network(state, name=path.name).to(device), batch_size, path.name)

    @torch.inference_mode()
    def __call__(self, images: Tensor) -> Features:
        """Features of images.

        Args:
            images: (B, 3, H, W), RGB in [0, 1], of any size: rounded to 8 bit, then enlarged or shrunk to 299 x 299
                bilinearly without smoothing, as pytorch-fid does.

        Returns:
            (B, 2048) float64.

        Raises:
            TypeError, ValueError: not images in [0, 1].
        """
        check_image(images, 3, "images")
        device = next((parameter.device for parameter in self.network.parameters()), torch.device("cpu"))
        found = []
        for batch in images.split(self.batch_size):
            pixels = torch.from_numpy(to_uint8(batch)).permute(0, 3, 1, 2).to(device).float() / 255
            side = (_INCEPTION_SIDE, _INCEPTION_SIDE)
            pixels = F.interpolate(pixels, side, mode="bilinear", align_corners=False)
            found.append(self.network(2 * pixels - 1).cpu().double().numpy())
        return np.concatenate(found)


def inception_network(state: dict[str, Tensor] | None = None, name: str = "the state dict") -> nn.Module:
    """pytorch-fid's InceptionV3 up to pool3, built without the download that its own constructor makes.

    Args:
        state: weights in pytorch-fid's layout; None leaves them random.
        name: what to call them in an error.

    Returns:
        A module from (B, 3, 299, 299) in [-1, 1] to (B, 2048), in evaluation mode.

    Raises:
        ImportError: pytorch-fid is not installed. ValueError: the weights do not fit.
    """
    try:
        from pytorch_fid import inception as published
    except ImportError as error:
        raise ImportError(f"FID and KID need pytorch-fid, of the extra train: {remedies.install('train')}") from error
    from torchvision.models import inception_v3

    network = inception_v3(weights=None, num_classes=1008, aux_logits=False, init_weights=False)
    for block, channels in (("b", 32), ("c", 64), ("d", 64)):
        into = {"b": 192, "c": 256, "d": 288}[block]
        setattr(network, f"Mixed_5{block}", published.FIDInceptionA(into, pool_features=channels))
    for block, channels in (("b", 128), ("c", 160), ("d", 160), ("e", 192)):
        setattr(network, f"Mixed_6{block}", published.FIDInceptionC(768, channels_7x7=channels))
    network.Mixed_7b = published.FIDInceptionE_1(1280)
    network.Mixed_7c = published.FIDInceptionE_2(2048)
    if state is not None:
        try:
            network.load_state_dict(state, strict=True)
        except RuntimeError as error:
            raise ValueError(f"{name} does not fit pytorch-fid's Inception: {error}") from error
    network.fc = nn.Identity()  # what comes before it is pool3
    # Channels last is the same numbers up to rounding, in about 0.7 of the time on a CPU.
    return network.eval().to(memory_format=torch.channels_last)


def frechet_distance(first: Features, second: Features) -> float:
    """FID's distance between two sets of features: |ma - mb|^2 + tr(Sa + Sb - 2 (Sa Sb)^(1/2)), exactly.

    It is biased upward by about 1/N: only figures of the same N compare.

    Args:
        first, second: (N, D) and (M, D), from 2 images on; covariances divide by N - 1.

    Returns:
        At least 0 (what rounding leaves below is cut off).

    Raises:
        ValueError: not two finite matrices of the same D, or fewer than 2 rows.
    """
    first, second = _checked(first, second)
    gap = first.mean(0) - second.mean(0)
    rows = [(features - features.mean(0)) / np.sqrt(len(features) - 1) for features in (first, second)]
    traces = sum(float(np.vdot(part, part)) for part in rows)
    return max(0.0, float(gap @ gap) + traces - 2 * _trace_of_root(*sorted(rows, key=len)))


def _trace_of_root(small: Features, large: Features) -> float:
    """tr (Sa Sb)^(1/2) of S = X^T X; `small` has at most as many rows as `large`."""
    dimensions = small.shape[1]
    if len(large) <= dimensions:
        return float(np.linalg.svd(small @ large.T, compute_uv=False).sum())
    rows = small if len(small) <= dimensions else _factor(small.T @ small)
    squares = np.linalg.eigvalsh(rows @ (large.T @ large) @ rows.T)
    return float(np.sqrt(squares.clip(min=0)).sum())


def _factor(covariance: Features) -> Features:
    """A square X with X^T X = `covariance`."""
    try:
        return np.linalg.cholesky(covariance).T
    except np.linalg.LinAlgError:  # singular: a feature that never varies, for instance
        values, vectors = np.linalg.eigh(covariance)
        return np.sqrt(values.clip(min=0))[:, None] * vectors.T


class KernelDistance(NamedTuple):
    """KID: the unbiased estimate over all images, and how it spreads over subsets of `subset_size` images."""

    value: float
    deviation: float
    subset_size: int


def kernel_distance(
    first: Features,
    second: Features,
    *,
    degree: int = 3,
    subsets: int = 100,
    subset_size: int | None = None,
    seed: int = 0,
) -> KernelDistance:
    """KID (Binkowski et al., ICLR 2018): the squared MMD with the kernel (x.y / D + 1)^degree, unbiased.

    Unlike FID it has no bias that depends on N, and may be a little below 0. Many papers print the mean over subsets
    and 1000 times the value; the mean over subsets estimates the same number as `value`, with more noise.

    Args:
        first, second: (N, D) and (M, D), from 2 images on. Takes memory for three N x N matrices.
        subsets: how many pairs of subsets, drawn without replacement, the deviation is over.
        subset_size: images in each; None: 1000, or half of the smaller set where that is less.
        seed: of the subsets.

    Raises:
        ValueError: not two finite matrices of the same D, fewer than 2 rows, or subsets that cannot be drawn.
    """
    first, second = _checked(first, second)
    smaller = min(len(first), len(second))
    size = max(2, min(1000, smaller // 2)) if subset_size is None else subset_size
    if not 2 <= size <= smaller:
        raise ValueError(f"subset_size must be from 2 to the {smaller} images of the smaller set; got {size}.")
    if subsets < 2 or degree < 1:
        raise ValueError(f"subsets must be at least 2 and degree at least 1; got {subsets} and {degree}.")

    def kernel(x: Features, y: Features) -> Features:
        return (x @ y.T / x.shape[1] + 1) ** degree

    within_first, within_second, across = kernel(first, first), kernel(second, second), kernel(first, second)
    rng = np.random.default_rng(seed)
    drawn = np.empty(subsets)
    for number in range(subsets):
        i, j = (rng.choice(len(features), size, replace=False) for features in (first, second))
        drawn[number] = _mmd(within_first[np.ix_(i, i)], within_second[np.ix_(j, j)], across[np.ix_(i, j)])
    return KernelDistance(_mmd(within_first, within_second, across), float(drawn.std(ddof=1)), size)


def gaussian_mmd(first: Features, second: Features, *, width: float = 1.0) -> float:
    """The kernel MMD of GAN evaluations (Gretton et al. 2012, Eq. 5, as Xu et al. 2018 compute it): a Gaussian kernel.

        MMD^2 = mean k(x, x') + mean k(y, y') - 2 mean k(x, y),    k(a, b) = exp(-|a - b|^2 / (2 width^2 scale))

    with the means over all pairs, those of an image with itself included, scale the mean of |x - x'|^2 over `first`,
    and the root at the end. So it is biased upward, by about 1/N in the square: only figures of the same N compare.
    PI-REC takes it of Inception's logits; for pool3's features the numbers are others, what they order is the same kind
    of thing.

    Args:
        first, second: (N, D) and (M, D), from 2 images on; the true photos first, since the kernel's width is theirs.
        width: of the kernel, in units of the root of scale.

    Returns:
        In [0, sqrt(2)]; 0 for equal sets.

    Raises:
        ValueError: not two finite matrices of the same D, fewer than 2 rows, a width that is not positive, or a `first`
            whose images all have the same features, which gives the kernel no width.
    """
    first, second = _checked(first, second)
    if not width > 0:
        raise ValueError(f"width must be above 0; got {width}.")
    within_first, within_second = _squared_distances(first, first), _squared_distances(second, second)
    scale = float(within_first.mean())
    if scale == 0:
        raise ValueError(
            "first must have images that differ, since their distance is the kernel's width; got equal ones."
        )
    kernels = (np.exp(-part / (2 * width**2 * scale)) for part in (within_first, within_second))
    across = np.exp(-_squared_distances(first, second) / (2 * width**2 * scale))
    return float(np.sqrt(max(0.0, sum(float(kernel.mean()) for kernel in kernels) - 2 * float(across.mean()))))


def _squared_distances(x: Features, y: Features) -> Features:
    """|x_i - y_j|^2, (N, M)."""
    squares = np.square(x).sum(1)[:, None] + np.square(y).sum(1) - 2 * x @ y.T
    return squares.clip(min=0)  # what rounding leaves below


def _mmd(within_first: Features, within_second: Features, across: Features) -> float:
    """The unbiased squared MMD of three kernel matrices: means without the diagonals."""
    means = [(part.sum() - np.trace(part)) / (len(part) * (len(part) - 1)) for part in (within_first, within_second)]
    return float(means[0] + means[1] - 2 * across.mean())


def _checked(first: Features, second: Features) -> tuple[Features, Features]:
    """Both as float64, after the checks that every distance of features needs."""
    for name, features in (("first", first), ("second", second)):
        if np.ndim(features) != 2 or 0 in np.shape(features):
            raise ValueError(
                f"{name} must be (N, D) features; got shape {np.shape(features)}. Images become features by "
                "InceptionFeatures.from_pretrained()(images)."
            )
        if len(features) < 2:
            raise ValueError(
                f"{name} must have the features of at least 2 images, since one has no covariance; got 1. Give more "
                "images: figures of few are dominated by their bias."
            )
        if not np.isfinite(features).all():
            raise ValueError(f"{name} must be finite; got NaN or infinity. Look at the images it was computed from.")
    if np.shape(first)[1] != np.shape(second)[1]:
        raise ValueError(
            f"first and second must have as many dimensions; got {np.shape(first)[1]} and {np.shape(second)[1]}. "
            "Compute both with one network."
        )
    return np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
