"""The blocks that several networks share."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class ConvNormReLU(nn.Sequential):
    """Reflection padding, convolution, instance norm without running statistics, ReLU: (B, I, H, W) -> (B, O, h, w).

    With ``kernel`` 4 and ``stride`` 2 the side is halved; with odd kernels and stride 1 it is kept.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel: int = 3, stride: int = 1):
        super().__init__(
            nn.Conv2d(in_channels, out_channels, kernel, stride, (kernel - 1) // 2, padding_mode="reflect"),
            nn.InstanceNorm2d(out_channels),
            nn.ReLU(),
        )


class ResidualBlock(nn.Module):
    """x + f(x), f two 3x3 convolutions with instance norm, the first dilated: (B, C, H, W) -> (B, C, H, W).

    The paper says "dilation 2"; the first of the two is dilated and the second is not, as in EdgeConnect, whose set-up
    the paper follows. While training, ``dropout`` of the elements between the two are zeroed.
    """

    def __init__(self, channels: int, dilation: int = 2, dropout: float = 0.0):
        super().__init__()
        self.dropout = dropout
        self.dilated = nn.Conv2d(channels, channels, 3, padding=dilation, dilation=dilation, padding_mode="reflect")
        self.plain = nn.Conv2d(channels, channels, 3, padding=1, padding_mode="reflect")
        self.norm = nn.InstanceNorm2d(channels)  # no parameters, no running statistics: one serves both

    def forward(self, features: Tensor) -> Tensor:
        inner = F.relu(self.norm(self.dilated(features)))
        if self.dropout:
            inner = F.dropout(inner, self.dropout, self.training)
        return features + self.norm(self.plain(inner))


class UpConvNormReLU(nn.Module):
    """Nearest resize x2, then 3x3 convolution, instance norm, ReLU: (B, I, H, W) -> (B, O, 2H, 2W).

    Not a learned 4x4 transposed convolution, which leaves a checkerboard; but computed as one, whose kernel follows
    from the 3x3 weights (`resize_kernel`): the same function, gradients included, in 4/9 of the multiplications.
    """

    def __init__(self, in_channels: int, out_channels: int):
        super().__init__()
        self.conv = ConvNormReLU(in_channels, out_channels)

    def forward(self, features: Tensor) -> Tensor:
        convolution, norm = self.conv[0], self.conv[1]
        assert isinstance(convolution, nn.Conv2d)
        return F.relu(norm(resize_and_convolve(features, resize_kernel(convolution.weight), convolution.bias)))


class BilinearConvNormReLU(nn.Module):
    """Bilinear resize x2, then 3x3 convolution, instance norm, ReLU: (B, I, H, W) -> (B, O, 2H, 2W)."""

    def __init__(self, in_channels: int, out_channels: int):
        super().__init__()
        self.conv = ConvNormReLU(in_channels, out_channels)

    def forward(self, features: Tensor) -> Tensor:
        larger = F.interpolate(features, scale_factor=2.0, mode="bilinear", align_corners=False)
        result: Tensor = self.conv(larger)
        return result


def resize_kernel(weight: Tensor) -> Tensor:
    """3x3 weights (O, I, 3, 3) of a convolution on an image resized x2 -> the kernel (I, O, 4, 4) on the small image.

    A nearest resize shows every value to the 3x3 kernel four times, shifted by one; the weights that meet the same
    value add up. A transposed convolution applies its kernel mirrored, and stores it as (I, O, ...).
    """
    shifted = [F.pad(weight, [right, 1 - right, down, 1 - down]) for down in range(2) for right in range(2)]
    return torch.stack(shifted).sum(0).flip(2, 3).transpose(0, 1)


def resize_and_convolve(features: Tensor, kernel: Tensor, bias: Tensor | None) -> Tensor:
    """Nearest resize x2 and 3x3 convolution with reflection padding: (B, I, H, W) -> (B, O, 2H, 2W).

    The resized image's reflection padding by one is the small image's own edge, so replicating the small image's edge
    pads as the original does.

    Args:
        kernel: (I, O, 4, 4), of `resize_kernel`.
        bias: (O,).
    """
    # Not F.pad(mode="replicate"), whose backward pass torch.compile gets wrong on a CPU (PyTorch 2.13).
    taller = torch.cat([features[..., :1, :], features, features[..., -1:, :]], -2)
    padded = torch.cat([taller[..., :1], taller, taller[..., -1:]], -1)
    return F.conv_transpose2d(padded, kernel, bias, stride=2, padding=3)


def initialise(module: nn.Module, gain: float = 0.02) -> None:
    """Draws every convolution's weights from N(0, gain), biases 0, as pix2pix and its descendants do."""
    for part in module.modules():
        if isinstance(part, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.normal_(part.weight, 0.0, gain)
            if part.bias is not None:
                nn.init.zeros_(part.bias)


def check_side(features: Tensor, divisor: int, minimum: int) -> None:
    """Checks that a network can take this height and width.

    Raises:
        ValueError: a side that is too small or does not divide.
    """
    height, width = features.shape[-2:]
    if min(height, width) < minimum or height % divisor or width % divisor:
        raise ValueError(
            f"height and width must be at least {minimum} and divide by {divisor}; got {height} x {width}. "
            "Pad or resize the image, or use calisketch.CaliSketch, which does."
        )
