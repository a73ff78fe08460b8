"""The generator of both networks (section 3.2 of Cali-Sketch): Johnson's encoder-decoder with skip connections."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from .blocks import BilinearConvNormReLU, ConvNormReLU, ResidualBlock, UpConvNormReLU, check_side, initialise
from .heads import make_head

UPSAMPLINGS: dict[str, type[nn.Module]] = {"nearest": UpConvNormReLU, "bilinear": BilinearConvNormReLU}


class EncoderDecoder(nn.Module):
    """(B, in_channels, H, W) -> (B, out_channels, H, W) in (0, 1), in [0, 1] by a head with smooth colours.

    7x7 convolution to ``width`` (e0), two 4x4 convolutions of stride 2 to 2 and 4 x ``width`` (e1, e2), residual
    blocks, two up-sampling decoders, 7x7 convolution. Skips concatenate the encoder's features of the same resolution:
    e2 with the last block's output, e1 with the first decoder's, e0 with the second's *(a reading: the paper says that
    there are skips, not where)*. Sides must be at least 32 and divide by 4.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        width: channels at full resolution; 64 in the paper.
        blocks: residual blocks; 8, and 16 in Improved-1 (Table 3).
        dilation: of the first convolution of each block.
        skips: concatenate encoder features into the decoder.
        head: "sigmoid" (SCN) or "tanh" (ISN, (tanh + 1) / 2); or "tanh_chroma2" or "tanh_chroma4", tanh with smooth
            colours (`heads.SmoothChroma`).
        dropout: probability in every residual block while training (X-GANs: 0.5).
        upsampling: of the first decoder: "nearest", or "bilinear" (PI-REC); the second's is nearest.

    Raises:
        ValueError: a count below 1, skips that is no bool, a dropout outside [0, 1), an unknown head or upsampling; in
            ``forward`` a side that does not fit.
    """

    divisor = 4
    minimum_side = 32

    def __init__(
        self,
        in_channels: int = 1,
        out_channels: int = 1,
        width: int = 64,
        blocks: int = 8,
        dilation: int = 2,
        skips: bool = True,
        head: str = "sigmoid",
        dropout: float = 0.0,
        upsampling: str = "nearest",
    ):
        super().__init__()
        if min(in_channels, out_channels, width, blocks, dilation) < 1:
            raise ValueError(
                "in_channels, out_channels, width, blocks and dilation must be at least 1; got "
                f"{in_channels}, {out_channels}, {width}, {blocks}, {dilation}."
            )
        if not isinstance(skips, bool):  # "no" would be as true as "yes"
            raise ValueError(f"skips must be True or False; got {skips!r}.")
        if not 0 <= dropout < 1:
            raise ValueError(f"dropout must be a probability in [0, 1); got {dropout!r}. 0 switches it off.")
        if upsampling not in UPSAMPLINGS:
            raise ValueError(f"upsampling must be one of {sorted(UPSAMPLINGS)}; got {upsampling!r}.")
        self.config: dict[str, Any] = {
            "in_channels": in_channels,
            "out_channels": out_channels,
            "width": width,
            "blocks": blocks,
            "dilation": dilation,
            "skips": skips,
            "head": head,
        }
        if dropout:  # named where they are used only, so that an older calisketch reads all other models
            self.config["dropout"] = dropout
        if upsampling != "nearest":
            self.config["upsampling"] = upsampling
        self.skips = skips
        twice = 2 if skips else 1
        self.encoder0 = ConvNormReLU(in_channels, width, kernel=7)
        self.encoder1 = ConvNormReLU(width, 2 * width, kernel=4, stride=2)
        self.encoder2 = ConvNormReLU(2 * width, 4 * width, kernel=4, stride=2)
        self.residual = nn.Sequential(*(ResidualBlock(4 * width, dilation, dropout) for _ in range(blocks)))
        self.decoder1 = UPSAMPLINGS[upsampling](twice * 4 * width, 2 * width)
        self.decoder2 = UpConvNormReLU(twice * 2 * width, width)
        self.output = nn.Conv2d(twice * width, out_channels, 7, padding=3, padding_mode="reflect")
        self.head = make_head(head, out_channels)
        initialise(self)

    def forward(self, image: Tensor) -> Tensor:
        check_side(image, self.divisor, self.minimum_side)
        return self.head(self._finish(self.output(self._features(image)), image))

    def _features(self, image: Tensor) -> Tensor:
        """What the last convolution is given: (B, 2w, H, W), or (B, w, H, W) without skips."""
        e0 = self.encoder0(image)  # (B, w, H, W)
        e1 = self.encoder1(e0)  # (B, 2w, H/2, W/2)
        e2 = self.encoder2(e1)  # (B, 4w, H/4, W/4)
        features = self.residual(e2)
        features = self.decoder1(self._join(features, e2))  # (B, 2w, H/2, W/2)
        features = self.decoder2(self._join(features, e1))  # (B, w, H, W)
        return self._join(features, e0)

    def _finish(self, painted: Tensor, image: Tensor) -> Tensor:
        """What the head is given: all of it painted, whatever the input is."""
        return painted

    def _join(self, features: Tensor, skip: Tensor) -> Tensor:
        return torch.cat([features, skip], dim=1) if self.skips else features
