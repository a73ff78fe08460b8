"""The file of points: what goes in comes back, in few bytes; all else is an error, never another photo."""

from __future__ import annotations

import math
import random
import zlib
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from calisketch.boundary.pictures import Framed
from calisketch.compression.point_file import (
    FORMAT_VERSION,
    MAGIC,
    PointFileError,
    Points,
    read,
    region,
    rounded,
    scattered,
    write,
)
from calisketch.compression.point_sampling import known_in_frame, photo_to_points, points_to_picture
from calisketch.compression.range_coder import Decoder, Encoder


def photo(height: int = 40, width: int = 48) -> np.ndarray:
    """Smooth colours with one hard edge."""
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    picture = np.stack([rows / height, columns / width, (rows + columns) / (height + width)], -1)
    picture[rows > height * 0.6] *= 0.3
    return picture.astype(np.float32)


def same(one: Points, other: Points) -> bool:
    return (
        [one.height, one.width, one.side, one.seed, one.bits]
        == [other.height, other.width, other.side, other.seed, other.bits]
        and np.array_equal(one.rows, other.rows)
        and np.array_equal(one.columns, other.columns)
        and np.array_equal(rounded(one.colours, one.bits), other.colours)
    )


def sealed(body: bytes) -> bytes:
    """A file that is whole by its checksum."""
    return body + zlib.crc32(body).to_bytes(4, "little")


@pytest.mark.parametrize("kind", ["feature", "random"])
@pytest.mark.parametrize("shape", [(40, 48), (16, 16), (90, 20), (7, 200)])
def test_points_come_back_as_they_were(kind: Any, shape: tuple[int, int]) -> None:
    for percent, bits in ((0.01, 8), (1, 1), (5, 5), (60, 3), (100, 4)):
        points = photo_to_points(photo(*shape), 32, percent, kind, bits=bits, seed=11)
        data = write(points)
        back = read(data)
        assert same(points, back)
        assert write(back) == data
        assert read(memoryview(data).tobytes()).seed == (11 if kind == "random" else None)


def test_a_file_is_small() -> None:
    """Colours of a smooth photo take a few bits a point; even points, nothing for where they are."""
    sizes = {kind: len(write(photo_to_points(photo(64, 64), 64, 5, kind))) for kind in ("random", "feature")}
    assert 1.5 * sizes["random"] < 3 * 205 * 5 / 8  # as plain bits the colours alone would take 384 bytes
    assert sizes["random"] < sizes["feature"] < 205 * 12 / 8 + sizes["random"]  # plain, a place takes 12 bits


def test_places_take_as_many_bits_as_there_is_to_say() -> None:
    rows, columns = scattered(64, 64, 64, 205, 1)  # without their seed
    grey = Points(64, 64, 64, rows, columns, np.full((205, 3), 99, np.uint8))
    ideal = math.log2(math.comb(64 * 64, 205)) / 8
    assert ideal < len(write(grey)) < 1.06 * ideal + 30


def test_scattered_places_are_the_same_everywhere_and_even() -> None:
    """The first numbers are part of the format: another version that draws others would show other photos."""
    rows, columns = scattered(40, 48, 32, 6, 7)
    assert (rows * 32 + columns).tolist() == [106, 118, 367, 371, 470, 624]
    hits = np.zeros((16, 16))
    for seed in range(200):
        at = scattered(16, 16, 16, 64, seed)
        assert len(set(zip(*(each.tolist() for each in at), strict=True))) == 64
        hits[at] += 1
    assert abs(hits.mean() - 50) < 1e-9
    assert hits.std() < 1.3 * (200 * 0.25 * 0.75) ** 0.5


@pytest.mark.parametrize(("height", "width"), [(64, 64), (100, 70), (70, 100), (250, 200), (3, 1000), (1000, 3)])
def test_the_region_is_where_the_photo_lies_in_the_square(height: int, width: int) -> None:
    rows, columns = region(height, width, 32)
    assert (rows.start + rows.stop, columns.start + columns.stop) == (32, 32)  # in the middle
    assert rows.stop > rows.start
    assert columns.stop > columns.start
    inside = Framed(height, width, 32).bring_in(np.ones((height, width), np.float32), border=0.0) > 0.5
    if min(height, width) * 32 / max(height, width) > 2:
        expected = np.zeros((32, 32), bool)
        expected[rows, columns] = True
        assert np.array_equal(inside, expected)


def test_every_bit_that_is_coded_comes_back() -> None:
    rng = random.Random(0)
    for trial in range(120):
        count, chance = rng.choice([0, 1, 7, 400]), rng.choice([0.001, 0.1, 0.5, 0.999])
        bits = [(int(rng.random() < chance), rng.randrange(3)) for _ in range(count)]
        numbers = [int(rng.gauss(0, rng.choice([0.2, 3, 5000]))) for _ in range(count)]
        coder = Encoder()
        for (bit, context), number in zip(bits, numbers, strict=True):
            coder.bit(bit, context)
            coder.number(number, "n")
        decoder = Decoder(coder.finish())
        for (bit, context), number in zip(bits, numbers, strict=True):
            assert (decoder.bit(context), decoder.number("n")) == (bit, number), trial
        assert decoder.unread == 0


def test_a_coder_comes_near_the_entropy() -> None:
    rng = random.Random(1)
    coder = Encoder()
    for _ in range(20_000):
        coder.bit(int(rng.random() < 0.05), "rare")
    entropy = -(0.05 * math.log2(0.05) + 0.95 * math.log2(0.95)) * 20_000 / 8
    assert len(coder.finish()) == pytest.approx(entropy, rel=0.05)


SMALL = {kind: write(photo_to_points(photo(), 16, 12, kind, seed=3)) for kind in ("feature", "random")}


@pytest.mark.parametrize("kind", SMALL)
def test_a_file_that_is_cut_anywhere_is_refused(kind: str) -> None:
    data = SMALL[kind]
    for length in range(len(data)):
        with pytest.raises(PointFileError, match=r"cut short|no file of points"):
            read(data[:length])
    for more in (b"\0", b"more", data):
        with pytest.raises(PointFileError):
            read(data + more)


@pytest.mark.parametrize("kind", SMALL)
def test_a_file_with_any_byte_changed_is_refused(kind: str) -> None:
    data = SMALL[kind]
    for place in range(len(data)):
        for change in (1, 0x80, 0xFF, 0x55):
            altered = bytearray(data)
            altered[place] ^= change
            with pytest.raises(PointFileError):
                read(bytes(altered))


@pytest.mark.parametrize("kind", SMALL)
def test_a_file_changed_by_someone_who_seals_it_again_is_refused_or_reads_as_what_it_says(kind: str) -> None:
    """No checksum helps here: whatever the bytes are, reading ends soon, in an error or in points within the limits."""
    body = SMALL[kind][:-4]
    rng = random.Random(2)
    outcomes = set()
    for _ in range(400):
        altered = bytearray(body)
        for _ in range(rng.randrange(1, 4)):
            altered[rng.randrange(5, len(altered))] = rng.randrange(256)
        if rng.random() < 0.3:
            altered = altered[: rng.randrange(6, len(altered))]
        try:
            points = read(sealed(bytes(altered)), largest_side=64)
        except PointFileError:
            outcomes.add("refused")
            continue
        outcomes.add("read")
        rows, columns = region(points.height, points.width, points.side)
        assert 1 <= len(points.rows) <= 64 * 64
        assert ((points.rows >= rows.start) & (points.rows < rows.stop)).all()
        assert ((points.columns >= columns.start) & (points.columns < columns.stop)).all()
        assert (np.diff(points.rows * points.side + points.columns) > 0).all()
        assert same(points, read(write(points)))
    assert outcomes == {"refused", "read"}


def head(*numbers: int, bits: int = 5, version: int = FORMAT_VERSION) -> bytes:
    found = bytearray(MAGIC + bytes([version, bits]))
    for number in numbers:
        while number > 0x7F:
            found.append(number & 0x7F | 0x80)
            number >>= 7
        found.append(number)
    return bytes(found)


FOREIGN = {
    "no file of points: it begins with b'\\x89PNG'": b"\x89PNG\r\n\x1a\n" + bytes(100),
    "no file of points: it begins with b''": b"",
    "cut short or was altered": MAGIC,
    "format version 9; this calisketch reads 1. Upgrade": sealed(head(16, 16, 16, 5, version=9)),
    "more than 16 MiB": MAGIC + bytes(2**24),
    "a grid of 5000; expected 1 to 2048": sealed(head(5000, 10, 10, 5)),
    "a grid of 0": sealed(head(0, 10, 10, 5)),
    "the photo has 10 x 40000 pixels": sealed(head(16, 40_000, 10, 5)),
    "the photo has 30000 x 30000 pixels": sealed(head(16, 30_000, 30_000, 5)),
    "the photo has 0 x 10 pixels": sealed(head(16, 10, 0, 5)),
    "there are 257 points in a photo of 256 places": sealed(head(16, 10, 10, 257)),
    "there are 262145 points; expected at most 262144": sealed(head(2048, 2048, 2048, 2**18 + 1)),
    "there are 0 points": sealed(head(16, 10, 10, 0)),
    "colours have 9 bits a channel": sealed(head(16, 10, 10, 5, bits=9)),
    "colours have 0 bits a channel": sealed(head(16, 10, 10, 5, bits=0)),
    "the file's seed is 4294967296": sealed(head(16, 10, 10, 5, 2**32, bits=0x85)),
    "the file's head is damaged": sealed(head(16, 10)),
    "head is damaged. ": sealed(MAGIC + bytes([1, 5]) + b"\xff" * 12),
    "head is damaged. It": sealed(MAGIC + bytes([1, 5]) + b"\x90\0" + bytes([10, 10, 5])),  # 16, spelled too long
    "holds more than its points": sealed(head(16, 10, 10, 1, 0, bits=0x81) + bytes(range(1, 200))),
}


@pytest.mark.parametrize("message", FOREIGN)
def test_what_is_foreign_says_so(message: str) -> None:
    with pytest.raises(PointFileError) as caught:
        read(FOREIGN[message])
    assert message in str(caught.value)


def test_a_reader_may_ask_for_less() -> None:
    with pytest.raises(PointFileError, match="a grid of 16; expected 1 to 8"):
        read(SMALL["feature"], largest_side=8)


def test_only_points_that_come_back_are_written() -> None:
    points = photo_to_points(photo(), 16, 12, "random", seed=3)
    with pytest.raises(ValueError, match="not those of their seed"):
        write(replace(points, seed=4))
    with pytest.raises(ValueError, match="in raster order"):
        write(replace(points, rows=points.rows[::-1], seed=None))
    with pytest.raises(ValueError, match="inside the photo"):
        write(replace(points, rows=points.rows - 16, seed=None))
    with pytest.raises(ValueError, match="colours have 0 bits"):
        write(replace(points, bits=0))
    with pytest.raises(ValueError, match=r"seed must be in \[0, 2\^32\)"):
        write(replace(points, seed=-1))


WRONG = {
    "points must be one of feature, random; got 'edges'": {"points": "edges"},
    "percent must be in (0, 100]; got 0": {"percent": 0},
    "percent must be in (0, 100]; got '5'": {"percent": "5"},
    "bits must be a whole number from 1 to 8": {"bits": 9},
    "seed must be a whole number in [0, 2^32); got -1": {"seed": -1},
}


@pytest.mark.parametrize("message", WRONG)
def test_a_wrong_option_is_named(message: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the message is compared below
        photo_to_points(photo(), 16, **{"percent": 5, **WRONG[message]})
    assert message in str(caught.value)


def test_feature_points_crowd_at_the_edge() -> None:
    points = photo_to_points(photo(64, 64), 64, 10, "feature")
    near = np.isin(points.rows, (38, 39))  # on both sides of it
    assert near.mean() > 5 * 2 / 64


def test_known_points_have_their_colours_and_the_rest_is_white() -> None:
    given = photo(64, 64)
    points = photo_to_points(given, 64, 5, "random", bits=8)
    picture, kept = points_to_picture(points, 64)
    assert (picture.shape, kept.shape, kept.sum()) == ((64, 64, 3), (64, 64), 205)
    np.testing.assert_allclose(picture[kept > 0], given[kept > 0], atol=0.5 / 255 + 1e-6)
    assert (picture[kept == 0] == 1).all()


def test_points_go_to_another_grid_and_are_mirrored_beside_a_narrow_photo() -> None:
    points = photo_to_points(photo(64, 32), 64, 20, "random")
    rows, columns = region(64, 32, 64)
    assert (rows, columns) == (slice(0, 64), slice(16, 48))
    picture, kept = points_to_picture(points, 64)
    np.testing.assert_array_equal(kept[:, :16], kept[:, 16:32][:, ::-1])
    np.testing.assert_array_equal(picture[:, 48:], picture[:, 32:48][:, ::-1])
    assert kept.mean() == pytest.approx(0.2, abs=0.03)
    larger, places = points_to_picture(points, 128)
    assert places[:, 32:96].sum() == len(points.rows)
    assert larger.shape == (128, 128, 3)
    smaller, few = points_to_picture(points, 16)
    assert 0.3 < few.mean() <= 1
    assert smaller.shape == (16, 16, 3)


def test_what_is_known_of_a_larger_picture_stays_as_sparse_and_unblurred() -> None:
    rng = np.random.default_rng(0)
    rgb = photo(256, 192)
    kept = rng.random((256, 192)) < 0.05
    corrupted = np.where(kept[..., None], rgb, np.float32(1))
    seen = known_in_frame(corrupted, kept, Framed(256, 192, 64))
    known = (seen < 1 - 1e-6).any(2)
    assert known.mean() == pytest.approx(0.05, abs=0.01)
    expected = Framed(256, 192, 64).bring_in(rgb)
    assert np.abs(seen - expected)[known].mean() < 0.03  # not mixed with the white around
