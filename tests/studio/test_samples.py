"""The examples on the studio's page."""

from __future__ import annotations

import re

import pytest

from calisketch.boundary.images import SketchError
from calisketch.studio.addresses import PREFIX
from calisketch.studio.samples import SAMPLES, SIDE, button_of, sample, samples_style


def test_each_example_has_a_small_picture_in_the_style_itself() -> None:
    style = samples_style()
    found = dict(re.findall(r"#samples #sample-([\w-]+)::before \{ background-image: url\((\S+)\); \}", style))
    assert list(found) == list(SAMPLES)
    assert [button_of(name) for name in found] == [f"sample-{name}" for name in SAMPLES]
    assert len(set(found.values())) == len(SAMPLES)
    assert all(address.startswith(PREFIX) and len(address) < 4 * SIDE**2 for address in found.values())
    assert "http" not in style


def test_another_example_is_refused_by_the_names_that_there_are() -> None:
    assert all(sample(name).is_file() for name in SAMPLES)
    with pytest.raises(SketchError, match=r"no example '\.\./README'; there are woman-bob"):
        sample("../README")
