"""How sure a figure is: intervals over the images it was measured on.

A mean over images is resampled with replacement (`bootstrap`). FID and KID are not means: a resample holds some images
twice, which takes away from the covariance that few images have and moves the figure itself, upward and out of its own
interval: of two sets of 100 CelebA-HQ photos FID is 84, and 95 % of its resamples lie from 92 to 114. So images are
left out in turn (`jackknife`), and the spread of the results is scaled up. Over 24 such pairs of sets FID's deviation
was 3.3, the jackknife said 3.5; KID's, the distributions being equal, was .0016, the jackknife said .0022.

All intervals are about which people were in the test set. They say nothing of another training run of the same recipe.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import stdtrit

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Interval:
    """A figure, the bounds of its interval, and the number of images that it is over."""

    value: float
    low: float
    high: float
    count: int


def bootstrap(
    values: ArrayLike,
    statistic: Callable[[Values], Any] | None = None,
    *,
    resamples: int = 2000,
    level: float = 0.95,
    seed: int = 0,
) -> Interval:
    """The percentile interval of the mean over images (Efron), or of another statistic of the images' values.

    Args:
        values: (N,), one per image, or (N, K): rows are resampled. Images whose value is NaN (an empty drawing has no
            precision) are left out, and not counted.
        statistic: of the resampled values, of the same shape, to a number; None: their mean. For a ratio pooled over
            images: `lambda rows: rows[:, 0].sum() / rows[:, 1].sum()`.
        resamples: how many. level: the share of resamples that the interval holds. seed: of the resamples.

    Returns:
        The statistic of the values as they are, and the bounds. An infinite value (the PSNR of equal images) may make
        all three infinite.

    Raises:
        ValueError: fewer than 2 values, a statistic that is NaN, or a setting out of range.
    """
    _check_level(level)
    if resamples < 100:
        raise ValueError(f"resamples must be at least 100; got {resamples}.")
    given = np.asarray(values, dtype=np.float64)
    if given.ndim not in (1, 2):
        raise ValueError(f"values must be (N,) or (N, K), one row per image; got shape {given.shape}.")
    kept = given[~np.isnan(given.reshape(len(given), -1)).any(1)]
    if len(kept) < 2:
        raise ValueError(
            f"an interval needs the values of at least 2 images; got {len(kept)} of {len(given)} that are not NaN."
        )
    measure: Callable[[Values], Any] = np.mean if statistic is None else statistic
    rng = np.random.default_rng(seed)
    drawn = np.sort([float(measure(kept[rng.integers(len(kept), size=len(kept))])) for _ in range(resamples)])
    if np.isnan(drawn[-1]):  # NaN is sorted to the end
        raise ValueError("the statistic is NaN for a resample of the images. Give one that every resample has.")
    outside = int(resamples * (1 - level) / 2)  # whole places in the order: between two infinities lies no number
    return Interval(float(measure(kept)), float(drawn[outside]), float(drawn[-1 - outside]), len(kept))


def paired_difference(
    first: ArrayLike, second: ArrayLike, *, resamples: int = 2000, level: float = 0.95, seed: int = 0
) -> Interval:
    """By how much one model's mean exceeds another's on the same images: `bootstrap` of first - second, per image.

    Much narrower than two intervals side by side, since what makes an image hard is hard for both. For FID or KID:
    `jackknife(lambda real, a, b: frechet_distance(real, a) - frechet_distance(real, b), real, a, b)`.

    Args:
        first, second: (N,), the same images in the same order. An image where either is NaN is left out.
        resamples, level, seed: as in `bootstrap`.

    Raises:
        ValueError: not of one length, or as `bootstrap`.
    """
    one, other = (np.asarray(values, dtype=np.float64) for values in (first, second))
    if one.ndim != 1 or one.shape != other.shape:
        raise ValueError(
            f"first and second must be (N,) values of the same images; got shapes {one.shape} and {other.shape}."
        )
    with np.errstate(invalid="ignore"):  # two infinities have no difference: such an image is left out
        difference = one - other
    return bootstrap(difference, resamples=resamples, level=level, seed=seed)


def jackknife(
    statistic: Callable[..., float],
    *samples: Values,
    paired: bool = True,
    groups: int = 100,
    level: float = 0.95,
) -> Interval:
    """The interval of a statistic of whole sets of images, such as FID or KID: value -+ t * the jackknife's deviation.

    A group of images is left out in turn; the variance is (g - 1) / g * sum (value without group - their mean)^2. For
    a mean over single images that is the textbook s^2 / N. The value stays the one of all images, biased or not.

    Args:
        statistic: of the samples, less some rows, to a number; called `groups` + 1 times (a sample, if not paired).
        samples: (N, ...) each, a row per image.
        paired: row i of every sample belongs to the same person (a photo and the face generated from its sketch), and
            goes with it. Otherwise the samples are independent, and their variances add.
        groups: how many at most; with more images than that, every groups-th image goes at a time.
        level: of the interval, by Student's t with groups - 1 degrees of freedom.

    Raises:
        ValueError: no samples, fewer than 3 rows, paired samples of different lengths, or a setting out of range.
    """
    _check_level(level)
    sizes = [len(sample) for sample in samples]
    if not sizes or min(sizes) < 3:
        raise ValueError(f"the jackknife needs samples of at least 3 images; got {sizes or 'no sample'}.")
    if paired and len(set(sizes)) > 1:
        raise ValueError(f"paired samples must be as long as each other; got {sizes}. Or are they independent?")
    if groups < 3:
        raise ValueError(f"groups must be at least 3; got {groups}.")

    def variance(moving: tuple[int, ...]) -> float:
        size = sizes[moving[0]]
        count = min(groups, size)
        without = []
        for group in range(count):
            kept = np.arange(size) % count != group
            parts = [part[kept] if place in moving else part for place, part in enumerate(samples)]
            without.append(float(statistic(*parts)))
        return (count - 1) * float(np.var(without))

    together = [tuple(range(len(samples)))] if paired else [(place,) for place in range(len(samples))]
    deviation = sum(variance(moving) for moving in together) ** 0.5
    value, smallest = float(statistic(*samples)), min(sizes)
    reach = deviation * float(stdtrit(min(groups, smallest) - 1, (1 + level) / 2))
    return Interval(value, value - reach, value + reach, smallest)


def _check_level(level: float) -> None:
    if not 0 < level < 1:
        raise ValueError(f"level must lie between 0 and 1; got {level!r}. For a 95 % interval it is 0.95.")
