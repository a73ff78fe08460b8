"""Losses as pure functions of tensors. The equations' numbers are Cali-Sketch's."""

from .adversarial import lsgan_discriminator, lsgan_generator
from .feature_matching import feature_matching
from .perceptual import gram_matrix, perceptual, style
from .pixel import l1, soft_f1, total_variation

__all__ = [
    "feature_matching",
    "gram_matrix",
    "l1",
    "lsgan_discriminator",
    "lsgan_generator",
    "perceptual",
    "soft_f1",
    "style",
    "total_variation",
]
