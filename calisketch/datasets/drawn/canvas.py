"""A canvas that draws a picture and its outlines together, shape upon shape."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from calisketch.boundary.alignment import CANONICAL_SIDE

__all__ = ["Canvas", "curve", "ellipse"]

SUPERSAMPLING = 3  # drawn this much larger and averaged: anti-aliasing


def curve(points: ArrayLike, closed: bool = True, steps: int = 12) -> NDArray[np.float64]:
    """A Catmull-Rom spline through the points."""
    knots = np.asarray(points, dtype=float)
    padded = np.concatenate([knots[-1:], knots, knots[:2]] if closed else [knots[:1], knots, knots[-1:]])
    before, here, there, after = padded[:-3], padded[1:-2], padded[2:-1], padded[3:]
    t = np.linspace(0, 1, steps, endpoint=False)[:, None, None]
    curve = 0.5 * (
        2 * here
        + (there - before) * t
        + (2 * before - 5 * here + 4 * there - after) * t**2
        + (3 * here - before - 3 * there + after) * t**3
    )
    curve = curve.transpose(1, 0, 2).reshape(-1, 2)
    return curve if closed else np.concatenate([curve, knots[-1:]])


def ellipse(x: float, y: float, width: float, height: float) -> NDArray[np.float64]:
    """An ellipse around (x, y) by its half axes."""
    angle = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    return np.stack([x + width * np.cos(angle), y + height * np.sin(angle)], axis=1)


class Canvas:
    """A picture and its outlines, drawn together in a frame of 256 at several times the final size."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.side = size * SUPERSAMPLING
        self.scale = self.side / CANONICAL_SIDE
        self.picture = np.zeros((self.side, self.side, 3), np.float32)
        self.outline = np.zeros((self.side, self.side), np.float32)

    def pixels(self, shape: NDArray) -> list[NDArray[np.int32]]:
        """A path in the frame of 256 as cv2 takes it."""
        # Half a pixel: pixel centres are whole numbers in both frames.
        return [np.round((shape + 0.5) * self.scale - 0.5).astype(np.int32)]

    def mask(self, shape: NDArray, soft: float = 0.0) -> NDArray[np.float32]:
        """1 inside the shape, 0 outside, with an edge blurred by `soft` pixels of 256."""
        mask = np.zeros((self.side, self.side), np.float32)
        cv2.fillPoly(mask, self.pixels(shape), 1.0)
        return self.blur(mask, soft)

    def blur(self, image: NDArray[np.float32], sigma: float) -> NDArray[np.float32]:
        """A Gaussian blur, sigma in pixels of 256."""
        if sigma <= 0:
            return image
        shrink = 2 ** int(max(0, np.log2(max(sigma * self.scale / 2, 1))))  # a wide blur needs no fine grid
        if shrink == 1:
            return np.asarray(cv2.GaussianBlur(image, (0, 0), sigma * self.scale), np.float32)
        small = cv2.resize(image, (max(1, self.side // shrink),) * 2, interpolation=cv2.INTER_AREA)
        small = cv2.GaussianBlur(small, (0, 0), sigma * self.scale / shrink)
        return np.asarray(cv2.resize(small, (self.side, self.side), interpolation=cv2.INTER_LINEAR), np.float32)

    def tint(self, mask: NDArray[np.float32], colour: ArrayLike, strength: float = 1.0) -> None:
        """Lay a colour over the picture where the mask is; the outlines stay."""
        weight = (mask * strength)[..., None]
        self.picture = self.picture * (1 - weight) + np.asarray(colour, np.float32) * weight

    def fill(self, shape: NDArray, colour: ArrayLike, line: float = 1.0, edge: float = 0.6) -> NDArray[np.float32]:
        """Paint a shape, rub out the outlines under it, and draw its own at strength `line`. Returns its mask."""
        mask = self.mask(shape, edge)
        self.tint(mask, colour)
        self.outline *= 1 - self.mask(shape)
        self.draw(np.concatenate([shape, shape[:1]]), line)
        return mask

    def draw(self, path: NDArray, strength: float, width: float = 2.6) -> None:
        """Draw an open line into the outlines only."""
        stroke = np.zeros_like(self.outline)
        cv2.polylines(stroke, self.pixels(path), False, strength, max(1, round(width * self.scale)))
        self.outline = np.maximum(self.outline, stroke)

    def stroke(self, path: NDArray, colour: ArrayLike, width: float, strength: float = 1.0, soft: float = 0.5) -> None:
        """Draw an open line into the picture only."""
        mask = np.zeros((self.side, self.side), np.float32)
        cv2.polylines(mask, self.pixels(path), False, 1.0, max(1, round(width * self.scale)))
        self.tint(self.blur(mask, soft), colour, strength)

    def finish(self, rng: np.random.Generator) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
        """Both images at the final size: the picture with a little grain, the outlines blurred like an HED map."""
        reduced = cv2.resize(self.picture, (self.size, self.size), interpolation=cv2.INTER_AREA)
        grain = rng.normal(0, 1.6, (self.size, self.size, 1))
        photo = np.clip(np.round(reduced + grain), 0, 255).astype(np.uint8)
        outline = cv2.resize(self.blur(self.outline, 1.3), (self.size, self.size), interpolation=cv2.INTER_AREA)
        return photo, np.clip(outline * 1.35, 0, 1).astype(np.float32)
