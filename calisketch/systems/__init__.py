"""Each published system as its list of training stages."""

from .cali_sketch import CaliSketchSystem
from .isn_only import ISNOnlySystem
from .pix2pix import Pix2Pix, Pix2PixSystem
from .system import Channels, System

__all__ = ["CaliSketchSystem", "Channels", "ISNOnlySystem", "Pix2Pix", "Pix2PixSystem", "System"]
