"""The parts of a drawn face, each a few strokes, in a frame of 256 x 256 with the eyes at (96, 131) and (160, 131)."""

from __future__ import annotations

import numpy as np
from hand import Hand


def jaw(hand: Hand, wide: float = 66, cheek: float = 60, chin: float = 22, low: float = 231) -> None:
    """From the temples down to the chin; left side, then right, meeting a little off."""
    for side in (-1, 1):
        slip = hand.random.normal(0, 1.2)
        hand.line(
            (128 + side * wide, 118 + slip),
            (128 + side * (wide + 1), 150),
            (128 + side * cheek, 184 + slip),
            (128 + side * 0.72 * cheek, 209),
            (128 + side * chin, low - 4),
            (128 - side * 1.5, low + hand.random.normal(0, 0.4)),
            width=1.15,
            again=0.3,
        )


def eyes(hand: Hand, wide: float = 15, open_: float = 6, lashes: bool = False, lid: bool = True) -> None:
    """Upper lid, lower lid, iris with its pupil, and the fold above."""
    for side in (-1, 1):
        x, y = 128 + side * (32 + hand.random.normal(0, 0.6)), 131 + hand.random.normal(0, 0.7)

        def at(dx: float, dy: float, x: float = x, y: float = y, side: int = side) -> tuple[float, float]:
            return x + side * dx, y + dy

        hand.line(
            at(-wide, 3), at(-0.5 * wide, -0.75 * open_), at(2, -open_), at(0.7 * wide, -3), at(wide, 1), width=1.5
        )
        hand.line(at(-wide + 3, 4), at(0, 0.75 * open_), at(wide - 3, 2.5), width=0.6)
        turn = np.linspace(-0.4, 2 * np.pi - 1.4, 9)
        hand.line(*[at(5.2 * np.cos(t), 5.2 * np.sin(t) - 0.5) for t in turn], width=0.8)
        hand.dot(x, y - 0.3, 2.3)
        if lid:
            hand.line(at(-wide + 4, -4), at(0, -open_ - 4.5), at(wide - 2, -4), width=0.6)
        if lashes:
            for dx in (0.5, 0.75, 1.0):
                hand.line(at(dx * wide, -3 + 3 * dx), at(dx * wide + 4, -5 + 2 * dx), width=0.7)


def brows(hand: Hand, high: float = 112, arch: float = 4, thick: int = 2, inner: float = 14) -> None:
    """Each brow as a few strokes over one another."""
    for side in (-1, 1):
        for number in range(thick):
            lift = hand.random.normal(0, 0.8) + 1.6 * number
            hand.line(
                (128 + side * inner, high + 2 + lift),
                (128 + side * 30, high - arch + lift),
                (128 + side * (50 - 2 * number), high + 3 + 0.5 * lift),
                width=1.1,
            )


def nose(hand: Hand, wide: float = 15, low: float = 169, bridge: int = 1) -> None:
    """One side of the bridge, the wings, the nostrils and the tip."""
    if bridge:
        hand.line((128 + bridge * 9, 126), (128 + bridge * 7, 143), (128 + bridge * 9, 156), width=0.7)
    hand.both(
        (128 - wide + 3, low - 11),
        (128 - wide - 1, low - 4),
        (128 - wide + 3, low + 1),
        (128 - wide + 8, low),
        width=0.9,
    )
    hand.line((128 - 9, low), (128 - 4, low - 1.5), (128, low + 3), (128 + 4, low - 1.5), (128 + 9, low), width=0.9)
    hand.both((128 - 10, low - 1), (128 - 7, low - 3), (128 - 5, low - 1.5), width=1.2)


def mouth(hand: Hand, wide: float = 24, full: float = 7, smile: float = 1, high: float = 196) -> None:
    """The line between the lips, the upper lip's bow, the lower lip."""
    hand.line(
        (128 - wide, high - smile),
        (128 - 11, high),
        (128 - 4, high - 0.5),
        (128, high + 0.8),
        (128 + 4, high - 0.5),
        (128 + 11, high),
        (128 + wide, high - smile),
        width=1.3,
    )
    hand.line(
        (128 - wide + 3, high - 1 - smile),
        (128 - 7, high - full),
        (128, high - full + 2.5),
        (128 + 7, high - full),
        (128 + wide - 3, high - 1 - smile),
        width=0.8,
    )
    hand.line((128 - 0.6 * wide, high + 5), (128, high + full + 2.5), (128 + 0.6 * wide, high + 5), width=0.8)
    if hand.random.random() < 0.6:
        hand.line((128 - 7, high + full + 8), (128 + 1, high + full + 10), (128 + 8, high + full + 8), width=0.6)


def ears(hand: Hand, out: float = 78) -> None:
    """The outer rim and a bit of the inside."""
    hand.both((128 - 66, 127), (128 - out, 121), (128 - out - 2, 138), (128 - out + 5, 158), (128 - 65, 162), again=0.2)
    hand.both((128 - out + 4, 131), (128 - out + 7, 140), (128 - out + 6, 148), width=0.6)


def neck(hand: Hand, wide: float = 38, collar: str = "round") -> None:
    """The neck, the shoulders where they show, and what is worn."""
    hand.both((128 - wide, 219), (128 - wide - 1, 233), (128 - wide - 6, 244))
    hand.both((128 - wide - 6, 243), (128 - wide - 32, 250), (128 - wide - 60, 256), again=0.3)
    if collar == "round":
        hand.line((128 - wide - 4, 245), (128 - 18, 254), (128, 256))
        hand.line((128 + wide + 4, 245), (128 + 18, 254), (128, 256))
    elif collar == "shirt":
        hand.both((128 - wide - 3, 240), (128 - 26, 250), (128 - 6, 256), width=1.2)
        hand.both((128 - wide - 5, 240), (128 - wide - 4, 256), width=0.9)


def glasses(hand: Hand, wide: float = 25, tall: float = 17, round_: bool = False) -> None:
    """Two rims, the bridge and the temples."""
    for side in (-1, 1):
        power = 0.95 if round_ else 0.6
        turn = np.linspace(0.3, 2 * np.pi + 0.35, 15)
        rim = [
            (
                128 + side * 33 + wide * np.sign(np.cos(t)) * abs(np.cos(t)) ** power,
                134 + tall * np.sign(np.sin(t)) * abs(np.sin(t)) ** power,
            )
            for t in turn
        ]
        hand.line(*rim, width=1.15, again=0.4)
    hand.line((128 - 9, 131), (128, 128), (128 + 9, 131), width=1.1)
    hand.both((128 - 57, 130), (128 - 70, 127), width=1.1)
