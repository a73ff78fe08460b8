"""Tone by hand: filled hair and soft pencil shading. Tones are (256, 256) float64, ink = 1, [0, 1]."""

from __future__ import annotations

import cv2
import numpy as np

from calisketch.sketching.by_hand.chance import Chance, Numbers
from calisketch.sketching.by_hand.exaggeration import smooth


def step(value: Numbers, low: float, high: float) -> Numbers:
    """The cubic step: 0 up to low, 1 from high."""
    share = np.clip((value - low) / (high - low), 0.0, 1.0)
    return share * share * (3.0 - 2.0 * share)


def filled(darkness: Numbers, level: float, softness: float, smoothing: float) -> Numbers:
    """Dark places filled in: everything darker than `level`, its border smoothed by `smoothing` pixels."""
    return step(cv2.GaussianBlur(darkness, (0, 0), smoothing), level - softness, level + softness)


def quantised(darkness: Numbers, chance: Chance, *, levels: int, smoothing: float, softness: float) -> Numbers:
    """Shading in a few even tones, as layers of pencil give them.

    levels: how many tones beside the paper. smoothing: pixels, before. softness: of a tone's border, in [0.02, 1] of
    the distance between two tones.
    """
    tone = cv2.GaussianBlur(darkness, (0, 0), smoothing)
    uneven = 0.06 * (smooth(chance.uniforms(6, 6, 1))[..., 0] - 0.5)
    tone = tone + uneven
    layers = [
        step(tone, (k + 0.5 - 0.5 * softness) / levels, (k + 0.5 + 0.5 * softness) / levels) for k in range(levels)
    ]
    return np.asarray(sum(layers)) / levels


def smudged(tone: Numbers, chance: Chance, *, width: float, share: float) -> Numbers:
    """Tone rubbed with a finger, in about this share of the sheet: blurred there by `width` pixels."""
    level = np.clip((smooth(chance.uniforms(6, 6, 1))[..., 0] - (1.0 - share)) / 0.2 + 0.5, 0.0, 1.0)
    return tone + level * (cv2.GaussianBlur(tone, (0, 0), width) - tone)
