"""Each published system as its list of training stages."""

from .cali_sketch import CaliSketchSystem
from .colour_plans import ColourPlans
from .face_painter import FacePainter
from .faces import FacesSystem
from .isn_only import ISNOnlySystem
from .photo_to_sketch import PhotoToSketch, PhotoToSketchSystem
from .pi_rec import PhaseWeights, PIRecGAN, PIRecSystem
from .pix2pix import Pix2Pix, Pix2PixSystem
from .scn_only import SCNOnlySystem
from .system import Channels, System
from .x_gans import XGans, XGansSystem

__all__ = [
    "CaliSketchSystem",
    "Channels",
    "ColourPlans",
    "FacePainter",
    "FacesSystem",
    "ISNOnlySystem",
    "PIRecGAN",
    "PIRecSystem",
    "PhaseWeights",
    "PhotoToSketch",
    "PhotoToSketchSystem",
    "Pix2Pix",
    "Pix2PixSystem",
    "SCNOnlySystem",
    "System",
    "XGans",
    "XGansSystem",
]
