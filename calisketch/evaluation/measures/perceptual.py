"""LPIPS (Zhang et al., CVPR 2018), image by image, on 8-bit RGB."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...checks import check_image, check_same_shape
from .pixel import to_uint8


@torch.inference_mode()
def lpips(
    photo: Tensor, face: Tensor, network: Callable[[Tensor, Tensor], Tensor], batch_size: int = 16
) -> NDArray[np.float64]:
    """How different each pair of images looks: 0 for equal ones, about .7 for unrelated ones.

    Args:
        photo, face: (B, 3, H, W) in [0, 1], sides of at least 32. Rounded to 8 bit first, as saved PNGs would be.
        network: `networks.LPIPS.from_pretrained()`, on any device.
        batch_size: pairs that go through at once.

    Returns:
        (B,).

    Raises:
        TypeError, ValueError: not images, not of one shape, or too small for the network.
    """
    check_image(photo, 3, "photo")
    check_image(face, 3, "face")
    check_same_shape(photo, face, "photo", "face")
    if batch_size < 1:
        raise ValueError(f"batch_size must be at least 1; got {batch_size}.")
    parameters = network.parameters() if isinstance(network, torch.nn.Module) else iter(())
    device = next((parameter.device for parameter in parameters), photo.device)
    found = []
    for pair in zip(photo.split(batch_size), face.split(batch_size), strict=True):
        true, made = (torch.from_numpy(to_uint8(part)).permute(0, 3, 1, 2).to(device).float() / 255 for part in pair)
        found.append(network(true, made).cpu().double().numpy())
    return np.concatenate(found)
