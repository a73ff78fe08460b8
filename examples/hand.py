"""A hand that draws: a few given points become a stroke that wobbles and tapers as a person's does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float64]
Given = Sequence[tuple[float, float]]

SIDE = 256


@dataclass
class Hand:
    """A hand that draws: it collects strokes as outlines, (N, 2) polygons in the frame of SIDE."""

    seed: int
    width: float = 1.5
    wobble: float = 0.55
    strokes: list[Points] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.random = np.random.default_rng(self.seed)

    def line(self, *points: tuple[float, float], width: float = 1.0, again: float = 0.0) -> None:
        """One stroke through the points; `again` is the chance of going over it a second time."""
        self._stroke(np.array(points, dtype=float), self.width * width)
        if self.random.random() < again:
            offset = self.random.normal(0, 0.9, 2)
            self._stroke(np.array(points, dtype=float) + offset, 0.7 * self.width * width)

    def both(self, *points: tuple[float, float], width: float = 1.0, again: float = 0.0) -> None:
        """A stroke and its mirror image, which a hand never gets quite right."""
        self.line(*points, width=width, again=again)
        slip = self.random.normal(0, 1.0, 2)
        mirrored = [(SIDE - x + slip[0], y + slip[1]) for x, y in points]
        self.line(*mirrored, width=width, again=again)

    def strands(self, *curves: Given, count: int, width: float = 0.7) -> None:
        """Hair: each stroke leads from a point along the first curve over one along each of the others."""
        for share in np.linspace(0, 1, count) + self.random.normal(0, 0.25 / count, count):
            share = float(np.clip(share, 0, 1))
            points = [along(curve, share) + self.random.normal(0, 1.2, 2) for curve in curves]
            if self.random.random() < 0.35:  # a strand that ends early
                points[-1] = points[-2] + (points[-1] - points[-2]) * self.random.uniform(0.4, 0.8)
            self._stroke(np.array(points), self.width * width * self.random.uniform(0.7, 1.2))

    def dot(self, x: float, y: float, radius: float) -> None:
        """A filled blot, never quite round."""
        turn = np.linspace(0, 2 * np.pi, 14, endpoint=False)
        reach = radius * (1 + self.random.normal(0, 0.08, len(turn)))
        self.strokes.append(np.stack([x + reach * np.cos(turn), y + reach * np.sin(turn)], 1))

    def _stroke(self, points: Points, width: float) -> None:
        path = smooth(points)
        length = float(np.hypot(*np.diff(path, axis=0).T).sum())
        # The wobble is slow: a few bends per stroke, more on long ones.
        bends = max(2, int(length / 22))
        noise = self.random.normal(0, self.wobble * min(1.0, length / 40), (bends + 1, 2))
        at = np.linspace(0, 1, len(path))
        path = path + np.stack([np.interp(at, np.linspace(0, 1, bends + 1), noise[:, axis]) for axis in (0, 1)], 1)
        path = cv2.GaussianBlur(path, (1, 5), 0.9, borderType=cv2.BORDER_REPLICATE)
        tangent = np.gradient(path, axis=0)
        normal = np.stack([-tangent[:, 1], tangent[:, 0]], 1)
        normal /= np.linalg.norm(normal, axis=1, keepdims=True) + 1e-9
        pressure = 0.45 + 0.55 * np.minimum(1, 5 * np.minimum(at, 1.08 - at)) * (1 + 0.15 * np.sin(7 * at + width))
        half = 0.5 * width * pressure[:, None]
        self.strokes.append(np.concatenate([path + half * normal, (path - half * normal)[::-1]]))


def smooth(points: Points, step: float = 3.0) -> Points:
    """A Catmull-Rom curve through the points, sampled about every `step`."""
    if len(points) == 2:
        points = np.array([points[0], points.mean(0), points[1]])
    framed = np.concatenate([[2 * points[0] - points[1]], points, [2 * points[-1] - points[-2]]])
    pieces = []
    for a, b, c, d in zip(framed, framed[1:], framed[2:], framed[3:], strict=False):
        t = np.linspace(0, 1, max(4, int(np.hypot(*(c - b)) / step)), endpoint=False)[:, None]
        pieces.append(0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3))
    return np.concatenate([*pieces, points[-1:]])


def along(curve: Given, share: float) -> Points:
    """The point at a share, 0 to 1, of the way along a curve."""
    path = smooth(np.array(curve, dtype=float)) if len(curve) > 1 else np.array(curve, dtype=float)
    return np.asarray(path[round(share * (len(path) - 1))], dtype=float)
