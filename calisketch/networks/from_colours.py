"""PI-REC's generator, but one that starts from the colours it is given: for trainings too short to learn them."""

from __future__ import annotations

import torch
from torch import Tensor

from .encoder_decoder import EncoderDecoder

_STEEPEST = 0.98  # of a colour in [-1, 1], so that white and black are no infinite demand


class FromColours(EncoderDecoder):
    """(B, 1 + 3, H, W), edges and colours, -> (B, 3, H, W): `EncoderDecoder` that paints how the picture differs.

    Instance normalisation subtracts each channel's mean over the picture and divides by the deviation. A shoe of one
    colour on a white ground then gives the same two values in every channel, whatever the colour, and a network learns
    very late to follow flat colours. Here the input of the head is y + atanh(2 colour - 1), where y is the
    encoder-decoder's output: with y = 0, the result is the colours themselves. Not part of the paper.

    Args:
        in_channels: 4, the colours last. out_channels: 3. head: "tanh", whose inverse is used, or one of its kind with
            smooth colours.
        The rest: as `EncoderDecoder`.

    Raises:
        ValueError: other channels or another head; as `EncoderDecoder`.
    """

    def __init__(
        self,
        in_channels: int = 4,
        out_channels: int = 3,
        width: int = 64,
        blocks: int = 8,
        dilation: int = 2,
        skips: bool = False,
        head: str = "tanh",
        dropout: float = 0.0,
        upsampling: str = "bilinear",
    ):
        check_tanh_of_colours("FromColours", (4, in_channels), out_channels, head)
        super().__init__(in_channels, out_channels, width, blocks, dilation, skips, head, dropout, upsampling)

    def _finish(self, painted: Tensor, image: Tensor) -> Tensor:
        return painted + before_tanh(image[:, 1:].float())


def before_tanh(colours: Tensor) -> Tensor:
    """What the head makes ``colours`` of, (B, 3, H, W) in [0, 1]: atanh(2 colour - 1), bounded."""
    return torch.atanh((2 * colours - 1).clamp(-_STEEPEST, _STEEPEST))


def check_tanh_of_colours(network: str, in_channels: tuple[int, int], out_channels: int, head: str) -> None:
    """Raises ValueError unless the network makes 3 channels, of as many (needed, got) as it needs, by a tanh head."""
    needed, got = in_channels
    if (got, out_channels) != (needed, 3) or not str(head).startswith("tanh"):
        raise ValueError(
            f"{network} maps {needed} channels to 3 by a tanh head; got {got} to {out_channels} by {head!r}. "
            "EncoderDecoder takes others."
        )
