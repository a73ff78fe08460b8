"""Plain modules: values in, tensors out."""

from torch import nn

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

#: What a network of a model folder may be, by its class's name there.
GENERATORS: dict[str, type[nn.Module]] = {"EncoderDecoder": EncoderDecoder, "MRUUNet": MRUUNet, "UNet": UNet}

__all__ = [
    "GENERATORS",
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
