"""Each published system as its list of training stages."""

from .cali_sketch import CaliSketchSystem

__all__ = ["CaliSketchSystem"]
