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

from calisketch import CaliSketch
from calisketch.isn import with_colours


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
