"""The encoder-decoder of half the side, and a thin network around it that paints what is finer."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .blocks import ConvNormReLU, UpConvNormReLU, check_side, initialise
from .colour_led import ColourLed, without_colours
from .encoder_decoder import EncoderDecoder


class CoarseToFine(EncoderDecoder):
    """(B, in_channels, H, W) -> (B, out_channels, H, W) in (0, 1), most of it computed at H/2 x W/2.

    The image at half the size goes through the encoder-decoder. The encoder-decoder's output before the head is
    enlarged bilinearly. A branch of ``fine_width`` channels at full resolution adds the finer details, computed from
    the image and from the encoder-decoder's last features.

    The model is the coarse-to-fine generator of pix2pixHD (Wang et al. 2018, section 3.2: a "local enhancer" around a
    "global generator"). Differences: features are concatenated, not summed; there is a skip past the up-sampling in the
    place of residual blocks at full resolution; and the branch's output is added. The branch's last convolution starts
    at 0, so the weights of an `EncoderDecoder`, loaded into the rest, give that network's answer, enlarged. Not part of
    the paper.

    Images are in [0, 1]. Sides must be at least 64 and divide by 8, otherwise the call raises ValueError.

    Args:
        in_channels, out_channels, width, blocks, dilation, skips, head, dropout, upsampling: of the encoder-decoder.
        fine_width: channels at full resolution.

    Raises:
        ValueError: a fine_width below 1; as `EncoderDecoder`.
    """

    divisor = 8
    minimum_side = 64

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
        fine_width: int = 16,
    ):
        super().__init__(in_channels, out_channels, width, blocks, dilation, skips, head, dropout, upsampling)
        if not isinstance(fine_width, int) or isinstance(fine_width, bool) or fine_width < 1:
            raise ValueError(f"fine_width must be a whole number, at least 1; got {fine_width!r}. 16 is usual.")
        self.config["fine_width"] = fine_width
        coarse = 2 * width if skips else width
        self.fine_encoder0 = ConvNormReLU(in_channels, fine_width, kernel=7)
        self.fine_encoder1 = ConvNormReLU(fine_width, 2 * fine_width, kernel=4, stride=2)
        self.fine_decoder = UpConvNormReLU(coarse + 2 * fine_width, fine_width)
        self.fine_output = nn.Conv2d(2 * fine_width, out_channels, 7, padding=3, padding_mode="reflect")
        for part in (self.fine_encoder0, self.fine_encoder1, self.fine_decoder):
            initialise(part)
        nn.init.zeros_(self.fine_output.weight)
        assert self.fine_output.bias is not None
        nn.init.zeros_(self.fine_output.bias)

    def forward(self, image: Tensor) -> Tensor:
        check_side(image, self.divisor, self.minimum_side)
        coarse = self._features(F.avg_pool2d(image, 2))  # (B, 2w, H/2, W/2)
        painted = F.interpolate(self.output(coarse), scale_factor=2.0, mode="bilinear", align_corners=False)
        e0 = self.fine_encoder0(image)  # (B, f, H, W)
        e1 = self.fine_encoder1(e0)  # (B, 2f, H/2, W/2)
        features = self.fine_decoder(torch.cat([coarse, e1], dim=1))  # (B, f, H, W)
        return self.head(painted + self.fine_output(torch.cat([features, e0], dim=1)))


def enlarged(generator: nn.Module, fine_width: int = 16) -> CoarseToFine:
    """A network for twice the side. Before it is trained further, its answer is that of ``generator``, enlarged.

    Args:
        generator: an `EncoderDecoder`, or a `ColourLed`, whose colours the result leaves out. It is not changed.
        fine_width: of `CoarseToFine`.

    Raises:
        ValueError: another network, a `CoarseToFine` among them; as `CoarseToFine`.
    """
    if not isinstance(generator, EncoderDecoder) or type(generator) not in (EncoderDecoder, ColourLed):
        raise ValueError(
            f"an EncoderDecoder or a ColourLed is enlarged; got {type(generator).__name__}. Give a model whose "
            "networks are such, models/cuhk-small-128 for one."
        )
    plain = without_colours(generator) if isinstance(generator, ColourLed) else generator
    made = CoarseToFine(**plain.config, fine_width=fine_width)
    made.load_state_dict({**made.state_dict(), **plain.state_dict()})
    return made.train(generator.training)
