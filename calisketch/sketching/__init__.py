"""Human-like sketches from photos: batched tensors in, batched tensors out, any device.

Photos are (B, 1 or 3, H, W), sketches (B, 1, H, W) with ink = 1 on 0, floats in [0, 1].
"""

from calisketch.sketching.by_hand.base_drawings import BaseDrawings, base_drawings
from calisketch.sketching.by_hand.drawing_styles import DRAWING_STYLES
from calisketch.sketching.by_hand.mixture import DrawingMixture
from calisketch.sketching.color_domain import ColorDomain, color_domain
from calisketch.sketching.color_strokes import ColorStrokes
from calisketch.sketching.contour import CONTOUR_RANGES, CONTOUR_UNIFORMS, contour
from calisketch.sketching.corruption import Corruption, feature_map
from calisketch.sketching.deform import DEFORM_RANGES, DEFORM_UNIFORMS, deform
from calisketch.sketching.fdog import FDOG_RANGES, edge_tangent_flow, fdog
from calisketch.sketching.kernels import draw_parameters, draw_uniforms
from calisketch.sketching.learned import LearnedStyle
from calisketch.sketching.masks import IrregularMask, irregular_mask
from calisketch.sketching.missing import FEATURES, MissingFeatures, feature_region
from calisketch.sketching.photocopy import PHOTOCOPY_RANGES, photocopy
from calisketch.sketching.simplify import SIMPLIFY_RANGES, simplify
from calisketch.sketching.sparse_edges import SparseEdges
from calisketch.sketching.styles import STYLES, SketchMixture, Style
from calisketch.sketching.xdog import XDOG_RANGES, xdog

__all__ = [
    "CONTOUR_RANGES",
    "CONTOUR_UNIFORMS",
    "DEFORM_RANGES",
    "DEFORM_UNIFORMS",
    "DRAWING_STYLES",
    "FDOG_RANGES",
    "FEATURES",
    "PHOTOCOPY_RANGES",
    "SIMPLIFY_RANGES",
    "STYLES",
    "XDOG_RANGES",
    "BaseDrawings",
    "ColorDomain",
    "ColorStrokes",
    "Corruption",
    "DrawingMixture",
    "IrregularMask",
    "LearnedStyle",
    "MissingFeatures",
    "SketchMixture",
    "SparseEdges",
    "Style",
    "base_drawings",
    "color_domain",
    "contour",
    "deform",
    "draw_parameters",
    "draw_uniforms",
    "edge_tangent_flow",
    "fdog",
    "feature_map",
    "feature_region",
    "irregular_mask",
    "photocopy",
    "simplify",
    "xdog",
]
