"""Plain modules: values in, tensors out."""

from torch import nn

from .average import averaged
from .coarse_to_fine import CoarseToFine, enlarged
from .colour_led import ColourLed, without_colours
from .encoder_decoder import EncoderDecoder
from .face_discriminator import CropDiscriminator, FaceDiscriminator, ProjectedDiscriminator
from .feature_discriminator import FeatureDiscriminator
from .from_colours import FromColours
from .heads import with_head
from .hed import HED
from .lpips import LPIPS
from .mru_unet import MaskedResidualUnit, MRUUNet
from .painting_unet import PaintingUNet
from .patchgan import (
    DiscriminatorOutput,
    MultiScaleDiscriminator,
    PatchGAN70,
    SNPatchGAN,
    mean_logit,
    per_scale,
    without_power_iteration,
)
from .plan_flow import PlanFlow
from .quarter import QuarterUNet
from .unet import UNet
from .vgg import VGG19

#: What a network of a model folder may be, by its class's name there.
GENERATORS: dict[str, type[nn.Module]] = {
    "EncoderDecoder": EncoderDecoder,
    "CoarseToFine": CoarseToFine,
    "ColourLed": ColourLed,
    "FromColours": FromColours,
    "MRUUNet": MRUUNet,
    "PaintingUNet": PaintingUNet,
    "PlanFlow": PlanFlow,
    "QuarterUNet": QuarterUNet,
    "UNet": UNet,
}

__all__ = [
    "GENERATORS",
    "HED",
    "LPIPS",
    "VGG19",
    "CoarseToFine",
    "ColourLed",
    "CropDiscriminator",
    "DiscriminatorOutput",
    "EncoderDecoder",
    "FaceDiscriminator",
    "FeatureDiscriminator",
    "FromColours",
    "MRUUNet",
    "MaskedResidualUnit",
    "MultiScaleDiscriminator",
    "PaintingUNet",
    "PatchGAN70",
    "PlanFlow",
    "ProjectedDiscriminator",
    "QuarterUNet",
    "SNPatchGAN",
    "UNet",
    "averaged",
    "enlarged",
    "mean_logit",
    "per_scale",
    "with_head",
    "without_colours",
    "without_power_iteration",
]
