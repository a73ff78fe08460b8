"""Layers of the sheet as data addresses: they come back as they were, and nothing else is taken for one."""

from __future__ import annotations

import base64
import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

from calisketch.boundary.images import SketchError
from calisketch.studio.addresses import LONGEST, PREFIX, address_of, layer_of
from calisketch.studio.painter import CANVAS

NOISE = np.random.default_rng(0).integers(0, 256, (CANVAS, CANVAS, 4), dtype=np.uint8)


def address(data: bytes) -> str:
    return PREFIX + base64.b64encode(data).decode("ascii")


def png(side: int = CANVAS, kind: str = "PNG") -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (side, side), "white").save(stream, kind)
    return stream.getvalue()


def test_a_layer_comes_back_as_it_was() -> None:
    for given in (NOISE, Image.fromarray(NOISE)):
        found = layer_of(address_of(given), "lines")
        assert found is not None
        assert found.mode == "RGBA"
        np.testing.assert_array_equal(np.asarray(found), NOISE)
    assert layer_of(None, "lines") is None


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB"])
def test_a_layer_of_another_mode_is_taken_as_rgba(mode: str) -> None:
    picture = Image.fromarray(NOISE).convert(mode)
    found = layer_of(address_of(picture), "lines")
    assert found is not None
    np.testing.assert_array_equal(np.asarray(found), np.asarray(picture.convert("RGBA")))


def test_the_worst_sheet_there_can_be_fits() -> None:
    assert len(address_of(NOISE)) < 0.75 * LONGEST


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (5, "expected a PNG as a data address"),
        (["data:image/png;base64,"], "expected a PNG as a data address"),
        ("", "expected a PNG as a data address"),
        ("https://example.com/a.png", "expected a PNG as a data address"),
        ("file:///etc/passwd", "expected a PNG as a data address"),
        ("data:image/svg+xml;base64,AAAA", "expected a PNG as a data address"),
        (address(png(kind="JPEG")), "no whole PNG"),
        (address(png(kind="GIF")), "no whole PNG"),
        (PREFIX, "no whole PNG"),
        (PREFIX + "no base64 at all!", "no whole PNG"),
        (PREFIX + "ÄÖÜ", "no whole PNG"),
        (address(b"some text"), "no whole PNG"),
        (address(png()[: len(png()) // 2]), "no whole PNG"),
        (address(png()[:60]), "no whole PNG"),
        (address(png(CANVAS - 1)), "got 511 x 511 pixels, expected 512 x 512"),
        (address(png(3000)), "got 3000 x 3000 pixels, expected 512 x 512"),
    ],
)
def test_anything_else_is_refused_in_words(given: Any, reason: str) -> None:
    with pytest.raises(SketchError, match=reason) as refused:
        layer_of(given, "lines")
    assert str(refused.value).startswith("the sheet's lines cannot be read: ")


def test_an_endless_address_is_not_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*given: Any, **options: Any) -> bytes:
        raise AssertionError("decoded")

    monkeypatch.setattr(base64, "b64decode", never)
    with pytest.raises(SketchError, match=f"at most {LONGEST} characters"):
        layer_of(PREFIX + "A" * LONGEST, "lines")
