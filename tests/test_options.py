"""Options of a call: whole numbers, Python's or numpy's; networks of other channels are refused as the caller says."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from calisketch.networks import EncoderDecoder
from calisketch.options import check_batch_size, check_channels, checked_options, is_number, whole_number


@pytest.mark.parametrize("value", [3, np.int64(3), np.uint8(3)])
def test_numpys_whole_numbers_become_pythons(value: Any) -> None:
    assert type(whole_number("count", value, 1, 8)) is int
    assert check_batch_size(value) == 3
    assert checked_options(None, value, None) == 0
    assert is_number(value)


@pytest.mark.parametrize("value", [True, np.True_, 3.0, np.float64(3), "3", None, 0, np.int64(-1)])
def test_booleans_fractions_and_what_is_out_of_bounds_are_refused(value: Any) -> None:
    with pytest.raises(ValueError, match=r"count must be a whole number from 1 to 8; got .* Take one\."):
        whole_number("count", value, 1, 8, "Take one.")
    for call in (lambda: check_batch_size(value), lambda: checked_options(None, value, None)):
        with pytest.raises(ValueError, match="batch_size must be a whole number, at least 1; got"):
            call()


def test_the_remedy_for_a_network_is_the_callers() -> None:
    network = EncoderDecoder(1, 3, 4, 1)
    with pytest.raises(ValueError, match=r"generator must map 3 channels to 3; got 1 to 3\. It repairs\.$"):
        check_channels("generator", network, 3, 3, "It repairs.")
    check_channels("generator", network, 1, 3, "It paints.")
