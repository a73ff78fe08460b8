"""Figures of merit for generated faces."""

from .pixel import psnr, ssim, to_uint8

__all__ = ["psnr", "ssim", "to_uint8"]
