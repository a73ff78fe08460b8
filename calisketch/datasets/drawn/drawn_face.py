"""One drawn face: its proportions and colours, drawn at random, and its parts, drawn from the back to the front."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from calisketch.boundary.alignment import CANONICAL_EYES
from calisketch.datasets.drawn.canvas import Canvas, curve, ellipse

__all__ = ["draw_face"]

SKINS = np.array([[250, 222, 200], [240, 200, 170], [224, 176, 140], [190, 136, 100], [146, 98, 70], [100, 66, 48]])
HAIRS = np.array([[24, 20, 20], [52, 34, 26], [96, 60, 36], [140, 70, 40], [206, 168, 104], [168, 166, 166]])
IRISES = np.array([[48, 32, 22], [84, 54, 30], [72, 96, 62], [66, 104, 140], [98, 104, 110]])
SHIRTS = np.array([[236, 236, 238], [40, 44, 56], [122, 40, 44], [44, 74, 112], [70, 96, 72], [176, 140, 96]])
GROUNDS = np.array([[112, 168, 214], [178, 196, 208], [206, 202, 192], [150, 178, 160], [120, 132, 158]])


def draw_face(size: int, seed: int, index: int) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """One face: ((size, size, 3) uint8 RGB, (size, size) contour in [0, 1]). A function of its arguments."""
    rng = np.random.default_rng([abs(seed), index])
    canvas = Canvas(size)
    face = _Face(rng)
    _ground(canvas, face, rng)
    if face.long_hair:
        canvas.fill(_hair_behind(face), face.hair * 0.82, line=0.9, edge=1.2)
    _body(canvas, face)
    _head(canvas, face)
    for side in (-1, 1):
        _eye(canvas, face, side)
    _nose(canvas, face)
    _mouth(canvas, face)
    _fringe(canvas, face, rng)
    return canvas.finish(rng)


class _Face:
    """The proportions of one face, in a frame of 256; every number is drawn once, here."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.skin = _between(SKINS, rng)
        self.hair = np.clip(HAIRS[rng.integers(len(HAIRS))] + rng.uniform(-10, 14), 8, 245)
        self.iris = IRISES[rng.integers(len(IRISES))].astype(float)
        self.shirt = SHIRTS[rng.integers(len(SHIRTS))] + rng.uniform(-12, 12)
        self.ground = GROUNDS[rng.integers(len(GROUNDS))] + rng.uniform(-14, 14)
        self.eye_line = CANONICAL_EYES[0][1]
        self.middle = (CANONICAL_EYES[0][0] + CANONICAL_EYES[1][0]) / 2
        self.half = rng.uniform(65, 75)  # half the width at the eyes
        self.jaw = rng.uniform(0.62, 0.86)  # width of the jaw against the width at the eyes
        self.chin = rng.uniform(222, 240)
        self.crown = rng.uniform(26, 40)  # top of the hair
        self.hairline = rng.uniform(72, 92)
        self.eye_width, self.eye_height = rng.uniform(13.5, 17), rng.uniform(5, 8)
        self.eye_slant = rng.uniform(-1.5, 1.5)
        self.brow_gap, self.brow_weight, self.brow_arch = rng.uniform(14, 19), rng.uniform(2.0, 3.8), rng.uniform(3, 6)
        self.brow_slant = rng.uniform(-1.5, 1.5)
        self.nose, self.nose_width = rng.uniform(166, 176), rng.uniform(10, 15)
        self.mouth, self.mouth_width = rng.uniform(194, 202), rng.uniform(20, 27)
        self.lip_upper, self.lip_lower = rng.uniform(3, 6), rng.uniform(5, 8.5)
        self.smile = rng.uniform(-2, 5)
        self.lips = np.clip(self.skin * 0.82 + np.array([26, -18, -12]) + rng.uniform(-8, 8), 20, 240)
        self.long_hair = bool(rng.random() < 0.45)
        self.hair_length = rng.uniform(204, 262)
        self.parting = rng.uniform(-30, 30)


def _between(palette: NDArray, rng: np.random.Generator) -> NDArray[np.float64]:
    """A colour somewhere on the palette's path."""
    position = rng.uniform(0, len(palette) - 1)
    first = int(position)
    share = position - first
    return palette[first] * (1 - share) + palette[min(first + 1, len(palette) - 1)] * share


def _ground(canvas: Canvas, face: _Face, rng: np.random.Generator) -> None:
    steps = np.linspace(0, 1, canvas.side, dtype=np.float32)
    slope = steps[:, None, None] * rng.uniform(-30, 8) + steps[None, :, None] * rng.uniform(-12, 12)
    canvas.picture[:] = face.ground.astype(np.float32) + slope


def _body(canvas: Canvas, face: _Face) -> None:
    m, chin = face.middle, face.chin
    shoulders = curve(
        [
            (m - 118, 280),
            (m - 104, chin + 26),
            (m - 40, chin + 8),
            (m, chin + 16),
            (m + 40, chin + 8),
            (m + 104, chin + 26),
            (m + 118, 280),
        ]
    )
    canvas.fill(shoulders, face.shirt, line=0.75)
    neck = curve([(m - 34, chin - 34), (m - 35, chin + 8), (m, chin + 26), (m + 35, chin + 8), (m + 34, chin - 34)])
    canvas.fill(neck, face.skin * 0.78, line=0.7)


def _outline_of(face: _Face) -> NDArray[np.float64]:
    m, half = face.middle, face.half
    jaw = half * face.jaw
    low = face.chin - 26
    right = [
        (0, 62),
        (half * 0.72, 70),
        (half * 0.98, 104),
        (half, 136),
        (half * 0.94, 168),
        (jaw, low),
        (jaw * 0.5, face.chin - 5),
    ]
    left = [(-x, y) for x, y in reversed(right[1:])]
    return curve([(m + x, y) for x, y in [*right, (0, face.chin), *left]])


def _head(canvas: Canvas, face: _Face) -> None:
    m, half = face.middle, face.half
    if not face.long_hair:
        for side in (-1, 1):
            ear = curve(
                [
                    (m + side * (half - 4), 122),
                    (m + side * (half + 9), 124),
                    (m + side * (half + 8), 148),
                    (m + side * (half - 2), 164),
                ]
            )
            canvas.fill(ear, face.skin * 0.93, line=0.8)
    outline = _outline_of(face)
    head = canvas.fill(outline, face.skin, line=1.0)
    # Light from the front and above: the sides, the jaw and the sockets fall off, the cheeks are warmer.
    inner = canvas.mask((outline - [m, 150]) * 0.8 + [m, 146], soft=16)
    canvas.tint(head * (1 - inner), face.skin * 0.7, 0.55)
    for side in (-1, 1):
        socket = canvas.mask(ellipse(m + side * 32, 127, 22, 13), soft=7)
        canvas.tint(socket, face.skin * 0.76, 0.4)
        cheek = canvas.mask(ellipse(m + side * 40, 172, 17, 13), soft=9)
        canvas.tint(cheek, np.clip(face.skin + np.array([16, -12, -10]), 0, 255), 0.5)
    canvas.tint(canvas.mask(ellipse(m, 106, 34, 14), soft=12), np.clip(face.skin * 1.08, 0, 255), 0.5)
    shadow = canvas.mask(ellipse(m, face.chin + 10, 36, 9), soft=5) * (1 - head)
    canvas.tint(shadow, face.skin * 0.45, 0.6)


def _eye(canvas: Canvas, face: _Face, side: int) -> None:
    (x, y), wide, tall = CANONICAL_EYES[0 if side < 0 else 1], face.eye_width, face.eye_height
    slant = face.eye_slant
    inner, outer = (x - side * wide, y + 1.5), (x + side * wide, y - slant)
    upper = [
        (x - side * wide * 0.45, y - tall * 0.8),
        (x + side * wide * 0.2, y - tall),
        (x + side * wide * 0.7, y - tall * 0.7),
    ]
    lower = [(x + side * wide * 0.45, y + tall * 0.6), (x - side * wide * 0.4, y + tall * 0.7)]
    almond = curve([inner, *upper, outer, *lower])
    opening = canvas.fill(almond, [240, 236, 232], line=0.85)
    iris = canvas.mask(ellipse(x, y - 0.5, tall * 0.98, tall * 0.98), 0.5)
    canvas.tint(iris * opening, face.iris)
    canvas.tint(canvas.mask(ellipse(x, y - 0.5, tall * 0.45, tall * 0.45), 0.4) * opening, [12, 10, 10])
    canvas.tint(canvas.mask(ellipse(x - 2, y - 3, 1.5, 1.5), 0.3) * opening, [250, 250, 250])
    canvas.draw(ellipse(x, y - 0.5, tall * 0.8, tall * 0.8), 0.6, width=1.6)
    lid = curve([inner, *upper, outer], closed=False)
    canvas.stroke(lid, np.minimum(face.hair, 50), 1.9, 0.9)
    crease = lid + np.array([0, -4.5])
    canvas.stroke(crease, face.skin * 0.6, 1.0, 0.6, soft=0.8)
    canvas.draw(crease, 0.35, width=1.6)
    canvas.stroke(curve([outer, *lower, inner], closed=False), face.skin * 0.6, 0.9, 0.6)

    level, heavy = y - face.brow_gap, face.brow_weight
    spine = np.array(
        [
            (x - side * (wide + 1), level + face.brow_slant),
            (x - side * wide * 0.2, level - face.brow_arch * 0.6),
            (x + side * (wide * 0.5), level - face.brow_arch * 0.9),
            (x + side * (wide + 6), level + 3),
        ]
    )
    half = np.array([0.8, 1.0, 0.75, 0.15])[:, None] * [0, heavy]
    brow = curve(np.concatenate([spine - half, (spine + half)[::-1]]))
    canvas.tint(canvas.mask(brow, 0.9), np.minimum(face.hair * 0.9, 120), 0.85)
    canvas.draw(np.concatenate([brow, brow[:1]]), 0.7, width=2.0)


def _nose(canvas: Canvas, face: _Face) -> None:
    m, tip, wide = face.middle, face.nose, face.nose_width
    for side in (-1, 1):
        bridge = curve([(m + side * 9, 128), (m + side * 7, 146), (m + side * 9, tip - 8)], closed=False)
        canvas.stroke(bridge, face.skin * 0.72, 5, 0.35, soft=2.5)
        wing = curve(
            [(m + side * (wide - 2), tip - 12), (m + side * wide, tip - 5), (m + side * (wide - 3), tip + 1)],
            closed=False,
        )
        canvas.stroke(wing, face.skin * 0.58, 1.5, 0.75, soft=0.7)
        canvas.draw(wing, 0.75, width=2.2)
        nostril = ellipse(m + side * wide * 0.5, tip + 0.5, 3.2, 1.7)
        canvas.tint(canvas.mask(nostril, 0.7), face.skin * 0.34, 0.85)
    under = curve([(m - wide * 0.75, tip + 1), (m, tip + 4.5), (m + wide * 0.75, tip + 1)], closed=False)
    canvas.stroke(under, face.skin * 0.56, 1.5, 0.7, soft=0.8)
    canvas.draw(under, 0.8, width=2.2)
    canvas.tint(canvas.mask(ellipse(m, tip - 9, 4, 6), 2.5), np.clip(face.skin * 1.13, 0, 255), 0.6)


def _mouth(canvas: Canvas, face: _Face) -> None:
    m, y, wide, smile = face.middle, face.mouth, face.mouth_width, face.smile
    left, right = (m - wide, y - smile), (m + wide, y - smile)
    seam = [(m - wide * 0.4, y + 0.6), (m, y + 1.2), (m + wide * 0.4, y + 0.6)]
    bow = [(m - wide * 0.28, y - face.lip_upper), (m, y - face.lip_upper * 0.72), (m + wide * 0.28, y - face.lip_upper)]
    belly = [
        (m + wide * 0.42, y + face.lip_lower * 0.85),
        (m, y + face.lip_lower),
        (m - wide * 0.42, y + face.lip_lower * 0.85),
    ]
    canvas.fill(curve([left, *bow, right, *belly]), face.lips, line=0.9, edge=0.9)
    upper = canvas.mask(curve([left, *bow, right, *reversed(seam)]), 0.7)
    canvas.tint(upper, face.lips * 0.85, 0.8)
    line = curve([left, *seam, right], closed=False)
    canvas.stroke(line, face.lips * 0.42, 1.4, 0.9)
    canvas.draw(line, 0.85, width=2.0)
    canvas.tint(
        canvas.mask(ellipse(m, y + face.lip_lower * 0.55, wide * 0.3, 1.6), 1.2),
        np.clip(face.lips * 1.25, 0, 255),
        0.6,
    )
    dimple = canvas.mask(ellipse(m, y + face.lip_lower + 5, 13, 2.6), 2)
    canvas.tint(dimple, face.skin * 0.72, 0.5)


def _hair_behind(face: _Face) -> NDArray[np.float64]:
    m, wide, end = face.middle, face.half + 16, face.hair_length
    right = [(wide * 0.72, face.crown + 18), (wide, 96), (wide + 3, 160), (wide - 2, end - 24), (wide - 26, end)]
    left = [(-x, y) for x, y in reversed(right)]
    return curve([(m + x, y) for x, y in [(0, face.crown), *right, (0, end - 14), *left]])


def _fringe(canvas: Canvas, face: _Face, rng: np.random.Generator) -> None:
    """The hair in front: from one temple over the crown to the other, and back along the hairline."""
    m, half, part, line = face.middle, face.half, face.parting, face.hairline
    drop = 168 if face.long_hair else rng.uniform(118, 132)  # how far the hair comes down beside the face
    reach = half + (13 if face.long_hair else 6)
    over = [
        (m - reach, drop),
        (m - reach - 1, 96),
        (m - reach * 0.78, face.crown + 20),
        (m, face.crown),
        (m + reach * 0.78, face.crown + 20),
        (m + reach + 1, 96),
        (m + reach, drop),
    ]
    inset = half - (6 if face.long_hair else 2)
    back = [
        (m + inset, drop - 6),
        (m + inset - 5, 106),
        (m + (part + half) * 0.5, line + 8),
        (m + part, line - 4),
        (m + (part - half) * 0.5, line + 8),
        (m - inset + 5, 106),
        (m - inset, drop - 6),
    ]
    shape = curve([*over, *back])
    hair = canvas.fill(shape, face.hair, line=0.95, edge=1.2)
    top = np.array([m + part * 0.6, face.crown + 6])
    shade = np.ones((canvas.side, canvas.side), np.float32)
    for _ in range(90):  # strands, lighter and darker, from the crown down to both sides
        side, way = rng.choice([-1.0, 1.0]), rng.uniform(0, 1)  # from the hairline at the parting to the temple
        end = np.array([m + side * reach * (0.15 + 0.85 * way), line + (drop - line) * way**1.5])
        bend = np.array([m + side * reach * (0.25 + 0.68 * way), face.crown + 12 + 30 * way])
        strand = curve(np.array([top, bend, end]) + rng.normal(0, 1.5, (3, 2)), closed=False)
        cv2.polylines(
            shade, canvas.pixels(strand), False, float(rng.uniform(0.84, 1.18)), max(1, round(1.6 * canvas.scale))
        )
    canvas.tint(hair, np.clip(canvas.picture * canvas.blur(shade, 0.7)[..., None], 0, 255), 0.8)
    shine = canvas.mask(ellipse(m + part * 0.5, face.crown + 24, half * 0.62, 7), 6)
    canvas.tint(shine * hair, np.clip(face.hair * 1.3 + 34, 0, 255), 0.45)
