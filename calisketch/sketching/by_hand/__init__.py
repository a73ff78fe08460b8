"""Drawings as people make them: strokes, hatching, tone and paper, from base drawings of a photo; `DrawingMixture`."""
