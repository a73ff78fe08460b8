"""Strokes of a pen: lines of a picture traced to polylines, moved as a hand moves, drawn with a width and a pressure.

Points are (x, y) in pixels of the 256 pixel frame, the first pixel's centre at 0. A drawing is (256, 256) uint8 with
ink = 255. OpenCV's integer rasteriser draws lines at four times the size: a drawing is the same on every processor.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from skimage.morphology import skeletonize

from calisketch.sketching.by_hand.chance import Chance, Numbers
from calisketch.sketching.kernels import REFERENCE_SIDE

Drawing = NDArray[np.uint8]

SPACING = 2.5  # pixels between the points of a traced stroke
SHORTEST = 5.0  # pixels; shorter traces are specks
_SCALE = 2  # lines are traced at twice the size,
_FINE = 4  # and drawn at four times the size
_SMOOTHING = 4  # pixels of the doubled size to either side of which a point is the mean
_SHIFT = 4  # binary digits of a coordinate below the pixel
_INKS = 12  # levels of pressure that are told apart
THINNEST = 0.75  # pixels: a thinner stroke is drawn as wide, with less ink


@dataclass(frozen=True)
class Strokes:
    """Polylines, one after the other.

    Attributes:
        points: (P, 2) float64.
        lengths: (S,) whole numbers, each stroke's points; their sum is P.
        weights: (S,) float64 in [0, 1]: how strongly the picture shows each stroke.
    """

    points: Numbers
    lengths: NDArray[np.int64]
    weights: Numbers

    @property
    def number(self) -> NDArray[np.int64]:
        """(P,): which stroke each point belongs to."""
        return np.repeat(np.arange(len(self.lengths)), self.lengths)

    @property
    def place(self) -> NDArray[np.int64]:
        """(P,): each point's place in its stroke, from 0."""
        return np.arange(len(self.points)) - np.repeat(np.cumsum(self.lengths) - self.lengths, self.lengths)

    @property
    def along(self) -> Numbers:
        """(P,): the same as a share of the stroke, from 0 to 1."""
        return self.place / np.repeat(np.maximum(self.lengths - 1, 1), self.lengths)

    def chosen(self, kept: NDArray[np.bool_]) -> Strokes:
        """Some of the strokes: kept is (S,)."""
        return Strokes(self.points[np.repeat(kept, self.lengths)], self.lengths[kept], self.weights[kept])

    def and_also(self, others: Strokes) -> Strokes:
        """These strokes and others."""
        return Strokes(
            np.concatenate([self.points, others.points]),
            np.concatenate([self.lengths, others.lengths]),
            np.concatenate([self.weights, others.weights]),
        )


def trace(drawing: Drawing, strength: Drawing | None = None) -> Strokes:
    """The centre lines of a drawing as strokes; they end where lines meet.

    drawing: (H, H), ink = 255; of any size, it is the frame of 256.
    strength: (256, 256): how clear the picture is at each pixel, for the strokes' weights; None: all weigh 1.
    """
    side = REFERENCE_SIDE * _SCALE
    large = cv2.resize(drawing, (side, side), interpolation=cv2.INTER_LINEAR_EXACT)
    thin = skeletonize(large > 127).astype(np.uint8)
    around = cv2.filter2D(thin, cv2.CV_8U, np.ones((3, 3)), borderType=cv2.BORDER_CONSTANT)
    thin[around > 3] = 0  # three or more neighbours: lines meet
    around = cv2.filter2D(thin, cv2.CV_8U, np.ones((3, 3)), borderType=cv2.BORDER_CONSTANT)
    found, _ = cv2.findContours(thin, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    walks = []
    for contour in found:
        if len(contour) < SHORTEST * _SCALE:
            continue
        walk = contour[:, 0]
        ends = np.flatnonzero(around[walk[:, 1], walk[:, 0]] == 2)
        if len(ends):  # an open line is walked there and back
            walk = np.concatenate([walk[ends[0] :], walk[: ends[0]]])[: len(walk) // 2 + 1]
        if len(walk) >= SHORTEST * _SCALE:
            walks.append(walk)
    if not walks:
        return Strokes(np.zeros((0, 2)), np.zeros(0, np.int64), np.zeros(0))
    points, lengths = _smooth(walks)
    points = (points + 0.5) / _SCALE - 0.5
    if strength is None:
        return Strokes(points, lengths, np.ones(len(lengths)))
    values = looked_up(strength, points) / 255.0
    return Strokes(points, lengths, np.add.reduceat(values, np.cumsum(lengths) - lengths) / lengths)


def _smooth(walks: Sequence[NDArray[np.int32]]) -> tuple[Numbers, NDArray[np.int64]]:
    """Lines as pixels -> their points at even distances, each the mean of the pixels near it, and their numbers."""
    pixels = np.array([len(walk) for walk in walks], np.int64)
    first = np.cumsum(pixels) - pixels
    lengths = np.maximum(2, np.rint(pixels / (SPACING * _SCALE)).astype(np.int64) + 1)
    number = np.repeat(np.arange(len(walks)), lengths)
    place = np.arange(len(number)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    at = place * (pixels - 1)[number] // (lengths - 1)[number]
    # Fewer pixels on both sides at the ends, so that these stay where they are.
    reach = np.minimum(_SMOOTHING, np.minimum(at, (pixels - 1)[number] - at))
    sums = np.concatenate([np.zeros((1, 2), np.int64), np.cumsum(np.concatenate(walks), 0, dtype=np.int64)])
    low, high = first[number] + at - reach, first[number] + at + reach + 1
    return (sums[high] - sums[low]) / (high - low)[:, None], lengths


def looked_up(image: Drawing | Numbers, points: Numbers) -> Numbers:
    """(P,) or (P, ...): the values of (H, W, ...), any size, at the pixels nearest to points of the 256 pixel frame."""
    scale = image.shape[0] / REFERENCE_SIDE
    at = np.clip(((points + 0.5) * scale).astype(np.int64), 0, image.shape[0] - 1)
    return image[at[:, 1], at[:, 0]].astype(np.float64)


def by_hand(strokes: Strokes, chance: Chance, *, shift: float, turn: float = 0.02, overshoot: float = 0.0) -> Strokes:
    """The strokes as a hand repeats them: each a little off its place, turned about its middle, and carried on.

    shift: standard deviation, pixels. turn: standard deviation, radians.
    overshoot: by how much a stroke's ends are carried on or fall short, a share of its length (standard deviation).
    """
    if not len(strokes.lengths):
        return strokes
    count, number = len(strokes.lengths), strokes.number
    first = np.cumsum(strokes.lengths) - strokes.lengths
    middle = np.add.reduceat(strokes.points, first) / strokes.lengths[:, None]
    angle = turn * chance.normals(count)
    cosine, sine = np.cos(angle)[number], np.sin(angle)[number]
    offset = strokes.points - middle[number]
    longer = 1.0 + np.minimum(np.abs(overshoot * chance.normals(count)), 0.5)
    offset = offset * longer[number, None]
    turned = np.stack([cosine * offset[:, 0] - sine * offset[:, 1], sine * offset[:, 0] + cosine * offset[:, 1]], 1)
    moved = middle[number] + turned + (shift * chance.normals(count, 2))[number]
    return Strokes(moved, strokes.lengths, strokes.weights)


def pressure(strokes: Strokes, chance: Chance, *, spread: float, taper: float = 0.0) -> Numbers:
    """(P,) factors of a stroke's width or ink: it wavers along each stroke, and fades to its ends.

    spread: about the standard deviation. taper: how much is gone at the very ends, in [0, 1].
    """
    count, number = len(strokes.lengths), strokes.number
    phase, speed = 2 * np.pi * chance.uniforms(count), 0.15 + 0.25 * chance.uniforms(count)
    own = chance.normals(count)
    wave = np.sin(phase[number] + speed[number] * strokes.place)
    along = strokes.along
    fade = 1.0 - taper * (1.0 - np.minimum(1.0, 4.0 * np.minimum(along, 1.0 - along))) ** 2
    return np.clip(1.0 + spread * (0.6 * own[number] + 0.8 * wave), 0.15, 2.0) * fade


def gaps(strokes: Strokes, chance: Chance, *, share: float, period: float) -> NDArray[np.bool_]:
    """(P,): where a pen that leaves the paper draws; `share` of the pieces of about `period` pixels are left out."""
    points = max(1.0, period / SPACING)
    start = chance.uniforms(len(strokes.lengths)) * points
    pieces = ((strokes.place + start[strokes.number]) / points).astype(np.int64)
    most = int(pieces.max(initial=0)) + 1
    left_out = chance.uniforms(len(strokes.lengths), most) < share
    return ~left_out[strokes.number, pieces]


def draw_strokes(
    strokes: Strokes, width: Numbers | float, ink: Numbers | float, drawn: NDArray[np.bool_] | None = None
) -> Drawing:
    """(256, 256): the strokes on an empty sheet; where strokes cross, the darker ink is seen.

    width: pixels, and ink: in [0, 1]; one number or (P,). drawn: (P,), False where the pen is off the paper.
    """
    side = REFERENCE_SIDE * _FINE
    sheet = np.zeros((side, side), np.uint8)
    if len(strokes.points) < 2:
        return cv2.resize(sheet, (REFERENCE_SIDE, REFERENCE_SIDE))
    number = strokes.number
    joined = number[1:] == number[:-1]
    if drawn is not None:
        joined &= drawn[1:] & drawn[:-1]
    widths = np.broadcast_to(np.asarray(width, np.float64), number.shape)
    widths = 0.5 * (widths[1:] + widths[:-1])[joined]
    inks = np.broadcast_to(np.asarray(ink, np.float64), number.shape)
    inks = 0.5 * (inks[1:] + inks[:-1])[joined] * np.minimum(1.0, widths / THINNEST)
    at = np.rint(((strokes.points + 0.5) * _FINE - 0.5).clip(-side, 2 * side) * 2**_SHIFT).astype(np.int32)
    segments = np.stack([at[:-1][joined], at[1:][joined]], 1)
    # OpenCV draws a thickness of 2 n as 2 n + 1 pixels.
    thickness = 2 * np.maximum(1, np.rint(0.5 * (widths * _FINE - 1.0))).astype(np.int64)
    level = np.rint(np.clip(inks, 0.0, 1.0) * _INKS).astype(np.int64)
    kind = level * 128 + np.minimum(thickness, 126)
    for each in np.unique(kind):  # the lightest first
        if each >= 128:
            grey = round(255 * int(each // 128) / _INKS)
            cv2.polylines(sheet, segments[kind == each], False, grey, int(each % 128), cv2.LINE_8, _SHIFT)
    return cv2.resize(sheet, (REFERENCE_SIDE, REFERENCE_SIDE), interpolation=cv2.INTER_AREA)
