"""pix2pix's generator (Isola et al., CVPR 2017): a U-Net of strided 4x4 convolutions down to 1x1 and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .blocks import check_side, initialise
from .heads import make_head

NORMS: Mapping[str, type[nn.Module]] = {"instance": nn.InstanceNorm2d, "batch": nn.BatchNorm2d}
DROPPED_DECODERS = 3


class UNet(nn.Module):
    """(B, in_channels, H, W) -> (B, out_channels, H, W) in (0, 1); pix2pix's "U-Net 256" by default.

    In the notation of pix2pix's appendix 6.1, with Ck for k channels, the encoder is C64-C128-C256-C512-C512-C512-C512-
    C512 (4x4, stride 2, LeakyReLU 0.2) and the decoder, likewise 4x4 transposed convolutions of stride 2 with ReLU,
    CD512-CD512-CD512-C512-C256-C128-C64 and one more to the output. Every layer is normalised except the first, the
    innermost (at 1x1 its normalisation would leave nothing) and the last. Skips concatenate encoder layer i with the
    decoder's layer of the same resolution. 54.4 M parameters for 3 channels in and out.

    Dropout (the Ds) is pix2pix's noise z, which its authors leave on in use. Here it follows the module's mode: on in
    training, off in evaluation, so that a sketch has one answer *(a reading)*.

    Sides must be at least 2 ** depth and divide by it: depth 8 for 256 pixels, 7 for 128, 6 for 64.

    Args:
        in_channels: of the sketch.
        out_channels: of the photo.
        width: channels of the first layer; the others have 2, 4 and 8, 8... times that.
        depth: how often the side is halved.
        norm: "instance", with learned scale and shift, or "batch". pix2pix trains on batches of one and takes the
            statistics of the batch in use too, which is instance normalisation; "batch" takes the training's averages.
        dropout: its probability, in the first three decoders.
        head: "tanh", (tanh + 1) / 2, or "sigmoid"; or another of `heads.make_head`.

    Raises:
        ValueError: a count below 1, a depth that is not in 2 to 12, an unknown norm or head, or a dropout outside
            [0, 1); in ``forward`` a side that does not fit.
    """

    def __init__(
        self,
        in_channels: int = 1,
        out_channels: int = 3,
        width: int = 64,
        depth: int = 8,
        norm: str = "instance",
        dropout: float = 0.5,
        head: str = "tanh",
    ):
        super().__init__()
        if min(in_channels, out_channels, width) < 1:
            raise ValueError(
                f"in_channels, out_channels and width must be at least 1; got {in_channels}, {out_channels}, {width}."
            )
        if not 2 <= depth <= 12:
            raise ValueError(f"depth must be from 2 to 12; got {depth!r}. 256 pixels take 8, 128 take 7, 64 take 6.")
        if norm not in NORMS:
            raise ValueError(f"norm must be one of {sorted(NORMS)}; got {norm!r}.")
        if not 0 <= dropout < 1:
            raise ValueError(f"dropout must be a probability in [0, 1); got {dropout!r}. 0 switches it off.")
        self.config: dict[str, Any] = {
            "in_channels": in_channels,
            "out_channels": out_channels,
            "width": width,
            "depth": depth,
            "norm": norm,
            "dropout": dropout,
            "head": head,
        }
        self.divisor = self.minimum_side = 2**depth
        channels = [width * min(2**level, 8) for level in range(depth)]
        self.encoders = nn.ModuleList()
        for level, outputs in enumerate(channels):
            inputs = in_channels if level == 0 else channels[level - 1]
            self.encoders.append(_halving(inputs, outputs, norm if 0 < level < depth - 1 else None))
        self.decoders = nn.ModuleList()
        for place, level in enumerate(reversed(range(1, depth))):
            inputs = channels[level] * (1 if place == 0 else 2)
            rate = dropout if place < DROPPED_DECODERS else 0.0
            self.decoders.append(_doubling(inputs, channels[level - 1], norm, rate))
        self.output = nn.ConvTranspose2d(2 * width, out_channels, 4, 2, 1)
        self.head = make_head(head, out_channels)
        initialise(self)
        _initialise_norms(self)

    def forward(self, image: Tensor) -> Tensor:
        check_side(image, self.divisor, self.minimum_side)
        skips: list[Tensor] = []
        features = image
        for level, encoder in enumerate(self.encoders):
            features = encoder(F.leaky_relu(features, 0.2) if level else features)  # (B, c, H / 2^(l+1), W / 2^(l+1))
            skips.append(features)
        skips.pop()  # the innermost, which the first decoder takes alone
        for decoder in self.decoders:
            features = torch.cat([decoder(F.relu(features)), skips.pop()], dim=1)
        return self.head(self.output(F.relu(features)))


def _halving(inputs: int, outputs: int, norm: str | None) -> nn.Sequential:
    """4x4 convolution of stride 2, normalised if there is a norm, which makes a bias idle."""
    convolution = nn.Conv2d(inputs, outputs, 4, 2, 1, bias=norm is None)
    return nn.Sequential(convolution, *([_norm(norm, outputs)] if norm else []))


def _doubling(inputs: int, outputs: int, norm: str, dropout: float) -> nn.Sequential:
    """4x4 transposed convolution of stride 2, normalised, dropped out if there is a rate."""
    convolution = nn.ConvTranspose2d(inputs, outputs, 4, 2, 1, bias=False)
    return nn.Sequential(convolution, _norm(norm, outputs), *([nn.Dropout(dropout)] if dropout else []))


def _norm(name: str, channels: int) -> nn.Module:
    return NORMS[name](channels, affine=True)


def _initialise_norms(module: nn.Module, gain: float = 0.02) -> None:
    """Draws the scales from N(1, gain), as pix2pix does."""
    for part in module.modules():
        if isinstance(part, tuple(NORMS.values())):
            nn.init.normal_(part.weight, 1.0, gain)  # type: ignore[arg-type]
