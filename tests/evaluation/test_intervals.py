"""Intervals: against SciPy's bootstrap and textbook formulas, and how often they hold the truth."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from calisketch.evaluation import Interval, bootstrap, frechet_distance, jackknife, kernel_distance, paired_difference

VALUES = np.random.default_rng(0).gamma(2.0, size=60)


def test_the_bootstrap_of_a_mean_is_scipys() -> None:
    """Other random resamples: the bounds agree to 5 % of the interval's width."""
    got = bootstrap(VALUES)
    theirs = stats.bootstrap((VALUES,), np.mean, n_resamples=20_000, method="percentile", rng=1).confidence_interval
    width = theirs.high - theirs.low
    assert got.value == pytest.approx(VALUES.mean())
    assert got.low == pytest.approx(theirs.low, abs=0.05 * width)
    assert got.high == pytest.approx(theirs.high, abs=0.05 * width)
    assert got.count == 60


def test_the_same_seed_gives_the_same_interval_and_a_higher_level_a_wider_one() -> None:
    assert bootstrap(VALUES, seed=3) == bootstrap(VALUES, seed=3) != bootstrap(VALUES, seed=4)
    wide, narrow = bootstrap(VALUES, level=0.99), bootstrap(VALUES, level=0.5)
    assert wide.low < narrow.low < narrow.value < narrow.high < wide.high


def test_the_bootstrap_holds_the_mean_about_as_often_as_it_says() -> None:
    """95 % of 300 draws, less the percentile bootstrap's known shortfall at N = 40, within three standard errors."""
    rng = np.random.default_rng(1)
    found = [bootstrap(rng.normal(1, 2, 40), resamples=200) for _ in range(300)]
    hits = [interval.low <= 1.0 <= interval.high for interval in found]
    assert 0.89 < np.mean(hits) < 0.985


def test_images_without_a_value_are_left_out_and_not_counted() -> None:
    with_gaps = np.r_[VALUES, [np.nan] * 5]
    assert bootstrap(with_gaps) == bootstrap(VALUES)
    assert bootstrap(with_gaps).count == 60
    with pytest.raises(ValueError, match="got 1 of 3 that are not NaN"):
        bootstrap([1.0, np.nan, np.nan])


def test_equal_values_have_no_spread_and_infinite_ones_stay_infinite() -> None:
    assert bootstrap([2.0] * 10) == Interval(2, 2, 2, 10)
    assert bootstrap([math.inf] * 10) == Interval(math.inf, math.inf, math.inf, 10)
    mixed = bootstrap([*VALUES, math.inf])
    assert math.isfinite(mixed.low)
    assert mixed.high == math.inf


def test_a_ratio_pooled_over_images_is_resampled_by_rows() -> None:
    counts = np.random.default_rng(2).integers(1, 20, (50, 2)).astype(float)
    got = bootstrap(counts, lambda rows: rows[:, 0].sum() / rows[:, 1].sum())
    theirs = stats.bootstrap(
        (counts[:, 0], counts[:, 1]),
        lambda a, b, axis: a.sum(axis) / b.sum(axis),
        paired=True,
        n_resamples=20_000,
        method="percentile",
        rng=1,
    ).confidence_interval
    assert got.low == pytest.approx(theirs.low, abs=0.05 * (theirs.high - theirs.low))
    assert got.high == pytest.approx(theirs.high, abs=0.05 * (theirs.high - theirs.low))


def test_a_paired_difference_sees_what_two_intervals_do_not() -> None:
    rng = np.random.default_rng(3)
    hardness = rng.normal(20, 3, 100)
    first, second = hardness + rng.normal(0.3, 0.2, 100), hardness + rng.normal(0, 0.2, 100)
    assert bootstrap(first).low < bootstrap(second).high  # they overlap
    difference = paired_difference(first, second)
    assert difference.low > 0
    assert difference.value == pytest.approx(first.mean() - second.mean())
    turned = paired_difference(second, first)
    assert (turned.low, turned.high) == pytest.approx((-difference.high, -difference.low), abs=0.02)
    assert paired_difference([1.0, 2.0, math.inf, 4.0], [1.0, 1.0, math.inf, np.nan]).count == 2


def test_the_jackknife_of_a_mean_is_students_interval() -> None:
    got = jackknife(lambda rows: float(rows.mean()), VALUES)
    theirs = stats.t.interval(0.95, 59, VALUES.mean(), stats.sem(VALUES))
    assert (got.low, got.high) == pytest.approx(theirs, rel=1e-12)


def test_the_jackknife_of_two_independent_means_adds_their_variances() -> None:
    first, second = VALUES[:25], VALUES[25:]
    got = jackknife(lambda a, b: float(a.mean() - b.mean()), first, second, paired=False)
    deviation = math.hypot(stats.sem(first), stats.sem(second))
    assert got.high - got.value == pytest.approx(deviation * stats.t.ppf(0.975, 24), rel=1e-12)


def test_leaving_out_groups_costs_less_and_says_about_the_same() -> None:
    values, calls = np.random.default_rng(4).normal(size=3000), []

    def mean(rows: NDArray[np.float64]) -> float:
        calls.append(len(rows))
        return float(rows.mean())

    got = jackknife(mean, values)
    assert len(calls) == 101
    assert got.high - got.value == pytest.approx(1.96 * stats.sem(values), rel=0.25)


def draw(rng: np.random.Generator) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Features of 30 photos and of 30 faces that resemble them, in more dimensions than images."""
    scale = 1 / np.sqrt(1 + np.arange(90))
    real = rng.standard_normal((30, 90)) * scale
    return real, 0.7 * real + 0.6 * rng.standard_normal((30, 90)) * scale + 0.3 * scale


@pytest.mark.parametrize("name", ["FID", "KID"])
def test_the_jackknife_knows_how_fid_and_kid_vary_from_one_test_set_to_another(name: str) -> None:
    """Its deviation is the true one, over 60 test sets, to 30 %; the interval holds the expectation 9 times in 10."""

    def kid(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
        return kernel_distance(a, b, subsets=2).value

    statistic = frechet_distance if name == "FID" else kid
    rng = np.random.default_rng(5)
    found = [jackknife(statistic, *draw(rng)) for _ in range(60)]
    values = np.array([interval.value for interval in found])
    claimed = np.mean([interval.high - interval.value for interval in found]) / stats.t.ppf(0.975, 29)
    assert claimed == pytest.approx(values.std(), rel=0.3)
    assert np.mean([interval.low <= values.mean() <= interval.high for interval in found]) >= 0.9


def test_resampling_with_replacement_moves_fid_out_of_its_own_interval() -> None:
    rng = np.random.default_rng(6)
    real, fake = draw(rng)
    resampled = [frechet_distance(real[i], fake[i]) for i in rng.integers(30, size=(200, 30))]
    assert np.quantile(resampled, 0.025) > frechet_distance(real, fake)


def test_settings_and_samples_without_an_interval_are_refused() -> None:
    with pytest.raises(ValueError, match="level must lie between 0 and 1"):
        bootstrap(VALUES, level=95)
    with pytest.raises(ValueError, match="resamples must be at least 100"):
        bootstrap(VALUES, resamples=1)
    with pytest.raises(ValueError, match=r"values must be \(N,\) or \(N, K\)"):
        bootstrap(3.0)
    with pytest.raises(ValueError, match="NaN for a resample"):
        bootstrap(VALUES, lambda rows: math.nan)
    with pytest.raises(ValueError, match=r"got shapes \(60,\) and \(59,\)"):
        paired_difference(VALUES, VALUES[1:])
    with pytest.raises(ValueError, match="at least 3 images; got no sample"):
        jackknife(np.mean)
    with pytest.raises(ValueError, match=r"as long as each other; got \[60, 50\]"):
        jackknife(lambda a, b: 0.0, VALUES, VALUES[10:])
    with pytest.raises(ValueError, match="groups must be at least 3"):
        jackknife(np.mean, VALUES, groups=2)
