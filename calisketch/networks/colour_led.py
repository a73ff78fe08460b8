"""The encoder-decoder of an ISN that is given colours: it starts from them, and paints the rest."""

from __future__ import annotations

import copy

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..boundary.colours import CHANNELS
from .encoder_decoder import EncoderDecoder
from .from_colours import before_tanh, check_tanh_of_colours


class ColourLed(EncoderDecoder):
    """(B, 1 + 4, H, W), strokes and colours, -> (B, 3, H, W): `EncoderDecoder`, led by the colours that are given.

    Every layer except the last normalises its features over the picture. What is the same all over the picture, such as
    how dark all given colours are, is lost. Therefore, where colours are given, the input of the head moves part of the
    way to the colours: y' = (1 - lead * given) y + lead * given * atanh(2 colour - 1), both softened by a 3x3 mean. The
    network paints how the face differs from the flat colours, and learns where the colours mislead. Where no colours
    are given, the result is the encoder-decoder's, bit for bit. Not part of the paper.

    Args:
        lead: how far the colours lead, in [0, 1); 0: a plain encoder-decoder.
        in_channels: 5; of what is before the last four, one.
        out_channels: 3.
        head: "tanh", whose inverse is used, or one of its kind with smooth colours.
        The rest: as `EncoderDecoder`.

    Raises:
        ValueError: other channels, another head, or a lead outside [0, 1); as `EncoderDecoder`.
    """

    def __init__(
        self,
        in_channels: int = 1 + CHANNELS,
        out_channels: int = 3,
        width: int = 64,
        blocks: int = 8,
        dilation: int = 2,
        skips: bool = True,
        head: str = "tanh",
        dropout: float = 0.0,
        upsampling: str = "nearest",
        lead: float = 0.5,
    ):
        check_tanh_of_colours("ColourLed", (1 + CHANNELS, in_channels), out_channels, head)
        check_lead(lead)
        super().__init__(in_channels, out_channels, width, blocks, dilation, skips, head, dropout, upsampling)
        self.config["lead"] = self.lead = float(lead)

    def led(self, lead: float) -> ColourLed:
        """The same network, sharing its weights, that the colours lead so far. Raises ValueError outside [0, 1)."""
        check_lead(lead)
        other = copy.copy(self)
        other.config = {**self.config, "lead": float(lead)}
        other.lead = float(lead)
        return other

    def _finish(self, painted: Tensor, image: Tensor) -> Tensor:
        colours, given = image[:, -CHANNELS:-1].float(), image[:, -1:].float()
        wanted = before_tanh(colours) * given
        led = F.avg_pool2d(F.pad(torch.cat([wanted, given], dim=1), [1] * 4, mode="reflect"), 3, stride=1)
        return painted * (1 - self.lead * led[:, -1:]) + self.lead * led[:, :-1]


def without_colours(generator: nn.Module) -> EncoderDecoder:
    """A plain encoder-decoder that paints what a network led by colours paints where none are given, to rounding.

    Raises:
        ValueError: another network than a `ColourLed`.
    """
    if not isinstance(generator, ColourLed):
        raise ValueError(
            f"colours are taken from a ColourLed; got {type(generator).__name__}. Give a model whose ISN is one, "
            "models/cuhk-colour-128 for one."
        )
    said = {name: value for name, value in generator.config.items() if name != "lead"}
    said["in_channels"] -= CHANNELS
    weights = generator.state_dict()
    weights["encoder0.0.weight"] = weights["encoder0.0.weight"][:, : said["in_channels"]]
    with torch.random.fork_rng(devices=[]):  # weights that are drawn and replaced: what is drawn next is as without
        made = EncoderDecoder(**said)
    made.load_state_dict(weights)
    return made.train(generator.training)


def check_lead(lead: float) -> None:
    """Raises ValueError for what is no share below 1."""
    if isinstance(lead, bool) or not 0 <= lead < 1:
        raise ValueError(f"lead must be in [0, 1); got {lead!r}. At 1 the colours would be all there is.")
