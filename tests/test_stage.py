"""Schedules: how long, how fast, and how the learning rate ends."""

from __future__ import annotations

import math

import pytest

from calisketch.stage import Schedule


def test_without_decay_the_rate_is_constant() -> None:
    schedule = Schedule(10)
    assert [schedule.rate_factor(step) for step in range(12)] == [1.0] * 12  # beyond the end too


def test_the_rate_falls_along_a_half_cosine_over_the_last_share() -> None:
    schedule = Schedule(100, decay=0.5)
    assert [schedule.rate_factor(step) for step in (0, 49, 50)] == [1.0, 1.0, 1.0]
    assert schedule.rate_factor(75) == pytest.approx(0.5)
    assert schedule.rate_factor(99) == pytest.approx(0.5 * (1 + math.cos(math.pi * 49 / 50)))
    assert schedule.rate_factor(100) == pytest.approx(0)
    factors = [schedule.rate_factor(step) for step in range(101)]
    assert factors == sorted(factors, reverse=True)


@pytest.mark.parametrize("decay", [-0.1, 1.1])
def test_a_share_beyond_the_whole_is_refused(decay: float) -> None:
    with pytest.raises(ValueError, match="decay"):
        Schedule(10, decay=decay)
