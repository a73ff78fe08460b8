"""The file of a compressed photo: a few of its points, where they lie and what colour they have (docs/x-gans.md).

Read strictly: what is foreign, cut short, altered or larger than it may be is an error, and nothing in a file makes the
reader take more memory than its limits say. Nothing is unpickled. All is reckoned in whole numbers.
"""

from __future__ import annotations

import hashlib
import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .range_coder import Decoder, Encoder

MAGIC = b"XGP\x1a"
FORMAT_VERSION = 1
ENDING = ".xgp"
LARGEST_SIDE = 2048  # of the grid that points lie on
LARGEST_FILE = 16 * 2**20  # bytes
LARGEST_COUNT = 2**18  # points: of equal colour they take next to no bytes, and still some seconds to read
LARGEST_LENGTH = 32_000  # of the photo's sides
LARGEST_PHOTO = 36_000_000  # pixels

_CHECK = 4  # bytes of the CRC-32 at the end
_REACH = 24  # columns to each side in which a colour's prediction looks for known points
_HEAVIEST = 1 << 24  # weight of a known point at distance 1


class PointFileError(ValueError):
    """Not a file of points, or not a whole one; the message says what was found and what to do."""


@dataclass(frozen=True, eq=False)
class Points:
    """Points of a photo.

    Attributes:
        height, width: of the photo, in pixels.
        side: the photo is scaled so that its longer side is ``side``, and lies in the middle of a square grid of that.
        rows, columns: (N,) where the points lie on the grid, in raster order, each place once; inside the photo.
        colours: (N, 3) uint8 RGB.
        seed: None, or the seed that `scattered` makes the same rows and columns of.
        bits: of each colour channel that are kept.
    """

    height: int
    width: int
    side: int
    rows: NDArray[np.int64]
    columns: NDArray[np.int64]
    colours: NDArray[np.uint8]
    seed: int | None = None
    bits: int = 5


def region(height: int, width: int, side: int) -> tuple[slice, slice]:
    """Rows and columns of the grid whose centres lie inside a photo, which is scaled and centred; never empty."""
    spans = []
    for length in (height, width):
        # |2 k + 1 - side| max(h, w) <= length side, for the first k; the last one mirrors it.
        reach = length * side // max(height, width)
        first = min(-(-(side - 1 - reach) // 2), (side - 1) // 2)
        spans.append(slice(max(0, first), side - max(0, first)))
    return spans[0], spans[1]


def scattered(height: int, width: int, side: int, count: int, seed: int) -> tuple[Any, Any]:
    """Rows and columns of ``count`` places, every set of so many as likely as any other: for random points.

    Each place of the region gets 64 bits of SHAKE-128 of the seed; those with the smallest are taken. So the seed alone
    says where they are, on every machine and in every version.
    """
    rows, columns = region(height, width, side)
    wide = columns.stop - columns.start
    total = (rows.stop - rows.start) * wide
    text = f"calisketch points {seed} {total}".encode()
    keys = np.frombuffer(hashlib.shake_128(text).digest(8 * total), dtype="<u8")
    places = np.sort(np.argsort(keys, kind="stable")[:count])
    return places // wide + rows.start, places % wide + columns.start


def write(points: Points) -> bytes:
    """The file of some points.

    Colours are kept to ``bits`` bits: `read` gives back `rounded`.

    Raises:
        ValueError: sides, bits, places or a seed that no file can hold.
    """
    _check_limits(points.side, points.height, points.width, len(points.rows), points.bits, error=ValueError)
    rows, columns = region(points.height, points.width, points.side)
    order = points.rows * points.side + points.columns
    inside = (points.rows >= rows.start) & (points.rows < rows.stop)
    inside &= (points.columns >= columns.start) & (points.columns < columns.stop)
    if not inside.all() or (np.diff(order) <= 0).any() or points.colours.shape != (len(order), 3):
        raise ValueError("points must lie inside the photo, in raster order, each place once, with a colour each.")
    if points.seed is not None:
        if not 0 <= points.seed < 2**32:
            raise ValueError(f"seed must be in [0, 2^32); got {points.seed}.")
        same = scattered(points.height, points.width, points.side, len(order), points.seed)
        if not (np.array_equal(same[0], points.rows) and np.array_equal(same[1], points.columns)):
            raise ValueError("these points are not those of their seed. Leave the seed out.")
    head = bytearray(MAGIC)
    head.append(FORMAT_VERSION)
    head.append(points.bits | (0x80 if points.seed is not None else 0))
    for number in (points.side, points.height, points.width, len(order)):
        head += _varint(number)
    if points.seed is not None:
        head += _varint(points.seed)
    coder = Encoder()
    if points.seed is None:
        _encode_places(coder, points, rows, columns)
    levels = _quantised(points.colours, points.bits)
    predictor = _Predictor(points.side)
    for row, column, level in zip(points.rows.tolist(), points.columns.tolist(), levels.tolist(), strict=True):
        guess, near = predictor.guess(row, column, points.bits)
        error = [level[channel] - guess[channel] for channel in range(3)]
        coder.number(error[1], ("g", near))
        size = min(abs(error[1]), 3)
        coder.number(error[0] - error[1], ("r", size))  # where green is off, red and blue mostly are too
        coder.number(error[2] - error[1], ("b", size))
        predictor.know(row, column, level)
    body = bytes(head) + coder.finish()
    return body + zlib.crc32(body).to_bytes(_CHECK, "little")


def read(data: bytes, *, largest_side: int = LARGEST_SIDE) -> Points:
    """The points of a file.

    Args:
        data: the whole file.
        largest_side: a file of a larger grid is refused. Reading takes some 40 bytes a place of the grid.

    Raises:
        PointFileError: foreign, of a newer format, cut short, altered, too large, or not as `write` writes it.
    """
    if len(data) > LARGEST_FILE:
        raise PointFileError(f"the file has more than {LARGEST_FILE // 2**20} MiB; expected a file of points.")
    if not data.startswith(MAGIC):
        raise PointFileError(
            f"this is no file of points: it begins with {bytes(data[:4])!r}, expected {MAGIC!r}. Give one "
            "that compress wrote."
        )
    cut = "the file is cut short or was altered. Copy it again."
    if len(data) < len(MAGIC) + 2 + _CHECK:
        raise PointFileError(cut)
    if data[4] != FORMAT_VERSION:
        raise PointFileError(f"the file has format version {data[4]}; this calisketch reads {FORMAT_VERSION}. Upgrade.")
    body = data[:-_CHECK]
    if zlib.crc32(body).to_bytes(_CHECK, "little") != data[-_CHECK:]:
        raise PointFileError(cut)
    seeded, bits = bool(body[5] & 0x80), body[5] & 0x7F
    numbers, place = [], 6
    for _ in range(5 if seeded else 4):
        number, place = _read_varint(body, place)
        numbers.append(number)
    side, height, width, count = numbers[:4]
    seed = numbers[4] if seeded else None
    _check_limits(side, height, width, count, bits, error=PointFileError, largest_side=largest_side)
    rows, columns = region(height, width, side)
    if seed is not None and seed >= 2**32:
        raise PointFileError(f"the file's seed is {seed}; expected less than 2^32. It was not written by compress.")
    decoder = Decoder(body[place:])
    if seed is not None:
        where = scattered(height, width, side, count, seed)
    else:
        where = _decode_places(decoder, rows, columns, count)
    colours = _decode_colours(decoder, where, side, bits)
    if decoder.unread or (body.endswith(b"\0") and place < len(body)):
        raise PointFileError("the file holds more than its points. It was not written by compress; write it again.")
    return Points(height, width, side, where[0], where[1], colours, seed, bits)


def rounded(colours: NDArray[np.uint8], bits: int) -> NDArray[np.uint8]:
    """Colours as they come back from a file that keeps so many bits of each channel."""
    return _restored(_quantised(colours, bits), bits)


def _quantised(colours: NDArray[np.uint8], bits: int) -> NDArray[np.int64]:
    most = (1 << bits) - 1
    return (colours.astype(np.int64) * most + 127) // 255


def _restored(levels: NDArray[np.int64], bits: int) -> NDArray[np.uint8]:
    most = (1 << bits) - 1
    return ((levels * 255 + most // 2) // most).astype(np.uint8)


def _check_limits(
    side: int, height: int, width: int, count: int, bits: int, *, error: Any, largest_side: int = LARGEST_SIDE
) -> None:
    if not 1 <= side <= min(largest_side, LARGEST_SIDE):
        raise error(
            f"the points lie on a grid of {side}; expected 1 to {min(largest_side, LARGEST_SIDE)} places a side."
        )
    if not (min(height, width) >= 1 and max(height, width) <= LARGEST_LENGTH and height * width <= LARGEST_PHOTO):
        raise error(
            f"the photo has {width} x {height} pixels; expected sides up to {LARGEST_LENGTH} and at most "
            f"{LARGEST_PHOTO // 1_000_000} million pixels."
        )
    rows, columns = region(height, width, side)
    places = (rows.stop - rows.start) * (columns.stop - columns.start)
    if not 1 <= count <= places:
        raise error(
            f"there are {count} points in a photo of {places} places; expected at least 1 and no more than that."
        )
    if count > LARGEST_COUNT:
        raise error(f"there are {count} points; expected at most {LARGEST_COUNT}. Take a smaller share of them.")
    if not 1 <= bits <= 8:
        raise error(f"colours have {bits} bits a channel; expected 1 to 8.")


def _varint(number: int) -> bytes:
    """Seven bits a byte, the lowest first; the highest bit says that there are more."""
    found = bytearray()
    while number > 0x7F:
        found.append(number & 0x7F | 0x80)
        number >>= 7
    found.append(number)
    return bytes(found)


def _read_varint(data: bytes, place: int) -> tuple[int, int]:
    number = 0
    for shift in range(0, 35, 7):
        if place >= len(data):
            break
        byte = data[place]
        place += 1
        number |= (byte & 0x7F) << shift
        if not byte & 0x80:
            if byte == 0 and shift:
                break  # a longer spelling than need be
            return number, place
    raise PointFileError("the file's head is damaged. It was not written by compress; write it again.")


def _encode_places(coder: Encoder, points: Points, rows: slice, columns: slice) -> None:
    taken = np.zeros((points.side + 2, points.side + 4), dtype=np.uint8)  # two rows above, two columns to each side
    taken[points.rows + 2, points.columns + 2] = 1
    around = taken.tolist()
    left, room = len(points.rows), (rows.stop - rows.start) * (columns.stop - columns.start)
    for row in range(rows.start, rows.stop):
        for column in range(columns.start, columns.stop):
            if left == 0 or left == room:
                return  # the rest is known: none, or all
            value = around[row + 2][column + 2]
            coder.bit(value, _neighbours(around, row + 2, column + 2))
            left, room = left - value, room - 1


def _decode_places(decoder: Decoder, rows: slice, columns: slice, count: int) -> tuple[Any, Any]:
    around = [[0] * (columns.stop + 4) for _ in range(rows.stop + 2)]
    left, room = count, (rows.stop - rows.start) * (columns.stop - columns.start)
    found_rows, found_columns = [], []
    for row in range(rows.start, rows.stop):
        for column in range(columns.start, columns.stop):
            if left == 0:
                break
            value = 1 if left == room else decoder.bit(_neighbours(around, row + 2, column + 2))
            if value:
                around[row + 2][column + 2] = 1
                found_rows.append(row)
                found_columns.append(column)
            left, room = left - value, room - 1
    return np.array(found_rows, dtype=np.int64), np.array(found_columns, dtype=np.int64)


def _neighbours(around: list[list[int]], row: int, column: int) -> tuple[int, int]:
    """How many of the four places next to one, and of six further ones, are taken, of those that came before it."""
    here, above, top = around[row], around[row - 1], around[row - 2]
    near = here[column - 1] + above[column - 1] + above[column] + above[column + 1]
    far = here[column - 2] + above[column - 2] + above[column + 2] + top[column - 1] + top[column] + top[column + 1]
    return near, min(far, 3)


def _decode_colours(decoder: Decoder, where: tuple[Any, Any], side: int, bits: int) -> NDArray[np.uint8]:
    levels = np.zeros((len(where[0]), 3), dtype=np.int64)
    predictor = _Predictor(side)
    most = (1 << bits) - 1
    for number, (row, column) in enumerate(zip(where[0].tolist(), where[1].tolist(), strict=True)):
        guess, near = predictor.guess(row, column, bits)
        try:
            green = decoder.number(("g", near))
            size = min(abs(green), 3)
            red = decoder.number(("r", size)) + green
            blue = decoder.number(("b", size)) + green
        except ValueError as error:
            raise PointFileError(f"the file's colours are damaged: {error}. Write it again.") from error
        level = [guess[0] + red, guess[1] + green, guess[2] + blue]
        if not (min(level) >= 0 and max(level) <= most):
            raise PointFileError("the file's colours are damaged: one is out of range. Write it again.")
        levels[number] = level
        predictor.know(row, column, level)
    return _restored(levels, bits)


class _Predictor:
    """Guesses a point's colour from those before it: in each column the last one counts, weighted by 1 / distance^4."""

    def __init__(self, side: int) -> None:
        self._row = np.full(side + 2 * _REACH, -(1 << 15), dtype=np.int64)  # of the last point in each column
        self._level = np.zeros((side + 2 * _REACH, 3), dtype=np.int64)
        self._squares = np.arange(-_REACH, _REACH + 1, dtype=np.int64) ** 2
        self._last: list[int] | None = None

    def guess(self, row: int, column: int, bits: int) -> tuple[list[int], int]:
        """The guess, and how near the nearest known point is: 0 (next to it) to 4 (far away)."""
        window = slice(column, column + 2 * _REACH + 1)
        distance = (self._row[window] - row) ** 2 + self._squares
        nearest = int(distance.min())
        near = sum(nearest > limit for limit in (2, 8, 25, 100))
        if nearest > _REACH**2:
            return self._last or [1 << bits - 1] * 3, 4
        weight = _HEAVIEST // (distance * distance)  # what is farther than 64 away gets none
        total = int(weight.sum())
        guess = (weight @ self._level[window] + total // 2) // total
        return guess.tolist(), near

    def know(self, row: int, column: int, level: list[int]) -> None:
        """Take a point in."""
        self._row[column + _REACH] = row
        self._level[column + _REACH] = level
        self._last = level
