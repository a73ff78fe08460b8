"""Human-like sketches from photos: batched tensors in, batched tensors out, any device.

Photos are (B, 1 or 3, H, W), sketches (B, 1, H, W) with ink = 1 on 0, floats in [0, 1].
"""

from calisketch.sketching.contour import CONTOUR_RANGES, CONTOUR_UNIFORMS, contour
from calisketch.sketching.deform import DEFORM_RANGES, DEFORM_UNIFORMS, deform
from calisketch.sketching.fdog import FDOG_RANGES, edge_tangent_flow, fdog
from calisketch.sketching.kernels import draw_parameters, draw_uniforms
from calisketch.sketching.photocopy import PHOTOCOPY_RANGES, photocopy
from calisketch.sketching.simplify import SIMPLIFY_RANGES, simplify
from calisketch.sketching.styles import STYLES, SketchMixture, Style
from calisketch.sketching.xdog import XDOG_RANGES, xdog

__all__ = [
    "CONTOUR_RANGES",
    "CONTOUR_UNIFORMS",
    "DEFORM_RANGES",
    "DEFORM_UNIFORMS",
    "FDOG_RANGES",
    "PHOTOCOPY_RANGES",
    "SIMPLIFY_RANGES",
    "STYLES",
    "XDOG_RANGES",
    "SketchMixture",
    "Style",
    "contour",
    "deform",
    "draw_parameters",
    "draw_uniforms",
    "edge_tangent_flow",
    "fdog",
    "photocopy",
    "simplify",
    "xdog",
]
