"""Simplification of a drawing: thin, merge and smooth its strokes.

A classical stand-in for learned sketch simplification (Simo-Serra et al. 2016, which the paper uses): the ink is
smoothed until neighbouring strokes run together, and the centre lines of what results are drawn with an even width. A
filled area leaves the lines along its middle.
"""

from __future__ import annotations

from torch import Tensor

from calisketch.checks import check_image
from calisketch.sketching.kernels import Parameter, centre_lines

SIMPLIFY_RANGES: dict[str, tuple[float, float]] = {
    "sigma": (1.5, 2.4),
    "width": (1.6, 2.8),
    "threshold": (0.08, 0.14),
}


def simplify(sketch: Tensor, *, sigma: Parameter = 1.8, width: Parameter = 2.2, threshold: Parameter = 0.1) -> Tensor:
    """Draw a sketch with fewer, thinner, smoother strokes.

    Args:
        sketch: (B, 1, H, W), ink = 1, [0, 1].
        sigma: strokes closer than about 2 sigma become one; pixels of a 256 pixel image.
        width: stroke width of the result, pixels of a 256 pixel image.
        threshold: strength (a full line of width 1.5 sigma has about 0.5) at which ink starts; weaker strokes go.

    Returns:
        (B, 1, H, W), ink = 1, [0, 1].
    """
    check_image(sketch, 1, "sketch")
    return centre_lines(sketch, sigma, width, low=threshold, high=1.4 * threshold)
