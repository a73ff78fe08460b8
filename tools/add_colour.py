"""A model without colour becomes one to train with colour: python tools/add_colour.py MODEL OUT.

    python tools/add_colour.py models/cuhk-small-128 runs/start
    calisketch train experiment=small/colour data.root=data/cuhk128 init_from=runs/start

The ISN is widened from the sketch to sketch and colours, with weights of 0 on what is new: without colours the model
paints just as before, and with them it starts half way to them (`networks.ColourLed`).
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import torch
from torch import nn

from calisketch import CaliSketch
from calisketch.boundary.colours import CHANNELS, takes_colours
from calisketch.networks import ColourLed, EncoderDecoder


def with_colours(generator: nn.Module) -> nn.Module:
    """A copy of a G2 of one input channel that takes colours too: a `ColourLed` of an encoder-decoder.

    The weights on the new channels are 0, so that without colours its answer is the old one; training goes on from
    there. Where colours are given, a ColourLed's answer is led by them from the start, and another network's is still
    the old one.

    Raises:
        ValueError: a generator that takes colours already, or another number of channels.
    """
    said = getattr(generator, "config", None)
    if not isinstance(said, dict) or said.get("in_channels") != 1:
        got = "takes colours already" if takes_colours(generator) else f"says of itself {said!r}"
        raise ValueError(
            f"colours are added to a generator of one input channel; this {type(generator).__name__} {got}. Give the "
            "ISN of a model that paints from sketches alone."
        )
    build = ColourLed if type(generator) is EncoderDecoder else type(generator)
    wide = build(**{**said, "in_channels": 1 + CHANNELS})
    new = wide.state_dict()
    for name, weight in generator.state_dict().items():
        if weight.shape != new[name].shape:  # the input is the last of what a convolution sees, its sketch the first
            weight = torch.cat([weight, weight.new_zeros(new[name][:, weight.shape[1] :].shape)], dim=1)
        new[name] = weight
    wide.load_state_dict(new)
    return wide.train(generator.training)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="name of a shipped model, a model folder, or https://HOST/FOLDER#sha256=HEX")
    parser.add_argument("out", type=Path, help="the model folder to write")
    options = parser.parse_args()
    try:
        model = CaliSketch.from_pretrained(options.model)
        info = {**model.info, "colour": "added, not trained yet"}
        wide = CaliSketch(model.scn_generator, with_colours(model.isn_generator), model.size, info)
        print(f"{options.model} -> {wide.save_pretrained(options.out)}; train it with init_from={options.out}")
    except (OSError, ValueError, RuntimeError) as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
