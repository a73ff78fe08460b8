"""Losses as pure functions of tensors. The equations' numbers are Cali-Sketch's."""

from .adversarial import (
    hinge_discriminator,
    hinge_generator,
    lsgan_discriminator,
    lsgan_generator,
    vanilla_discriminator,
    vanilla_generator,
)
from .augmentation import DiffAugment
from .feature_matching import feature_matching
from .gradient_penalty import r1_penalty
from .lines import blurred_dice, dice, f1_of_lines, line_cross_entropy
from .perceptual import gram_matrix, perceptual, style
from .pixel import l1, soft_f1, total_variation, weighted_l1
from .regions import CROPS, crop_boxes, crops_of, region_weights

__all__ = [
    "CROPS",
    "DiffAugment",
    "blurred_dice",
    "crop_boxes",
    "crops_of",
    "dice",
    "f1_of_lines",
    "feature_matching",
    "gram_matrix",
    "hinge_discriminator",
    "hinge_generator",
    "l1",
    "line_cross_entropy",
    "lsgan_discriminator",
    "lsgan_generator",
    "perceptual",
    "r1_penalty",
    "region_weights",
    "soft_f1",
    "style",
    "total_variation",
    "vanilla_discriminator",
    "vanilla_generator",
    "weighted_l1",
]
