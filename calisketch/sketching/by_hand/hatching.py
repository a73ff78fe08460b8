"""Hatching: short strokes that follow the form, the closer together the darker the picture, crossed where darkest.

Every stroke is a streamline of the flow (`base_drawings`): it starts at a place drawn with a probability that rises
with the darkness there, goes on along the form, and ends where its length is used up or where the picture is light.
"""

from __future__ import annotations

import numpy as np

from calisketch.sketching.by_hand.base_drawings import direction
from calisketch.sketching.by_hand.chance import Chance, Numbers
from calisketch.sketching.by_hand.strokes import Drawing, Strokes, looked_up
from calisketch.sketching.kernels import REFERENCE_SIDE

STEP = 3.5  # pixels between a stroke's points


def hatching(
    darkness: Numbers,
    flow: Drawing,
    chance: Chance,
    *,
    spacing: float,
    length: float,
    slant: float,
    along_form: float,
    turned: float = 0.0,
    lightest: float = 0.15,
) -> Strokes:
    """Strokes that give a picture its darkness.

    Args:
        darkness: (256, 256) in [0, 1].
        flow: (128, 128, 2), as `BaseDrawings.flow`.
        chance: where the strokes lie.
        spacing: pixels between strokes where the picture is darkest.
        length: of a stroke, pixels; each has 0.6 to 1.4 times as much.
        slant: radians, the direction where the flow says nothing.
        along_form: in [0, 1], how far the strokes follow the form and not the slant.
        turned: radians by which every stroke is turned off its direction: crossed strokes.
        lightest: the darkness below which nothing is hatched.

    Returns:
        The strokes, each with the darkness at its start as its weight.
    """
    # Strokes cover the more of the page the longer they are: one start for each `spacing` x `length` of full darkness.
    step = float(np.sqrt(spacing * length) * 0.5)
    cells = int(REFERENCE_SIDE / step)
    y, x = np.mgrid[0:cells, 0:cells] * step
    starts = np.stack([x.ravel(), y.ravel()], 1) + step * chance.uniforms(cells * cells, 2)
    dark = looked_up(darkness, starts)
    kept = chance.uniforms(len(starts)) * 4.0 < np.clip((dark - lightest) / (1.0 - lightest), 0.0, 1.0) * 4.0 * 0.55
    kept &= dark > lightest
    starts, dark = starts[kept], dark[kept]
    if not len(starts):
        return Strokes(np.zeros((0, 2)), np.zeros(0, np.int64), np.zeros(0))
    count = max(3, round(1.4 * length / STEP) + 1)
    ends_at = (0.6 + 0.8 * chance.uniforms(len(starts))) / 1.4 * (count - 1)
    waver = 0.12 * chance.normals(len(starts))
    points = np.empty((len(starts), count, 2))
    points[:, 0] = starts
    heading = np.stack([np.cos(slant + turned + waver), np.sin(slant + turned + waver)], 1)
    alive = np.ones(len(starts), bool)
    for n in range(1, count):
        here = points[:, n - 1]
        angle, clear = direction(flow, here)
        ahead = np.stack([np.cos(angle + turned + waver), np.sin(angle + turned + waver)], 1)
        ahead *= np.where((ahead * heading).sum(1) < 0.0, -1.0, 1.0)[:, None]
        pull = along_form * np.clip(1.5 * clear, 0.0, 1.0)[:, None] * (1.0 if n == 1 else 0.6)
        heading = (1.0 - pull) * heading + pull * ahead
        heading /= np.maximum(np.hypot(heading[:, :1], heading[:, 1:]), 1e-6)
        there = here + STEP * heading
        alive &= (n <= ends_at) & (looked_up(darkness, there) > 0.6 * lightest)
        points[:, n] = np.where(alive[:, None], there, here)
    # An ended stroke stays where it is: its last points coincide, and draw nothing more.
    points -= 0.5 * STEP * ends_at[:, None, None] * _first_heading(points)
    return Strokes(points.reshape(-1, 2), np.full(len(starts), count, np.int64), dark)


def _first_heading(points: Numbers) -> Numbers:
    """(S, 1, 2): a stroke is pushed back by half its length, so that it lies about its start and not beyond it."""
    first = points[:, 1:2] - points[:, :1]
    return first / np.maximum(np.hypot(first[..., :1], first[..., 1:]), 1e-6)
