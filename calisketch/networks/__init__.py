"""Plain modules: values in, tensors out."""

from .encoder_decoder import EncoderDecoder
from .hed import HED
from .mru_unet import MaskedResidualUnit, MRUUNet
from .patchgan import (
    DiscriminatorOutput,
    MultiScaleDiscriminator,
    PatchGAN70,
    SNPatchGAN,
    mean_logit,
    without_power_iteration,
)
from .vgg import VGG19

__all__ = [
    "HED",
    "VGG19",
    "DiscriminatorOutput",
    "EncoderDecoder",
    "MRUUNet",
    "MaskedResidualUnit",
    "MultiScaleDiscriminator",
    "PatchGAN70",
    "SNPatchGAN",
    "mean_logit",
    "without_power_iteration",
]
