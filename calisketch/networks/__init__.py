"""Plain modules: values in, tensors out."""

from .encoder_decoder import EncoderDecoder
from .hed import HED
from .lpips import LPIPS
from .mru_unet import MaskedResidualUnit, MRUUNet
from .patchgan import (
    DiscriminatorOutput,
    MultiScaleDiscriminator,
    PatchGAN70,
    SNPatchGAN,
    mean_logit,
    without_power_iteration,
)
from .unet import UNet
from .vgg import VGG19

__all__ = [
    "HED",
    "LPIPS",
    "VGG19",
    "DiscriminatorOutput",
    "EncoderDecoder",
    "MRUUNet",
    "MaskedResidualUnit",
    "MultiScaleDiscriminator",
    "PatchGAN70",
    "SNPatchGAN",
    "UNet",
    "mean_logit",
    "without_power_iteration",
]
