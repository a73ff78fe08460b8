"""A trained model's faces get smooth colours, without training: python tools/smooth_colours.py MODEL OUT.

    python tools/smooth_colours.py models/cuhk-small-128 runs/smoothed --head tanh_chroma2
    python tools/smooth_colours.py models/cuhk-colour-128 runs/start --head tanh_chroma2 --without-colours

Colour is averaged over 2 or 4 pixels (`networks.heads.SmoothChroma`), and no weight changes; `experiment=own/smooth`
trains with it. Of a model that takes colours, --without-colours makes one that takes none and paints as
it does without, but for the smooth colours.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from calisketch import CaliSketch
from calisketch.networks import with_head, without_colours


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="name of a shipped model, a model folder, or https://HOST/FOLDER#sha256=HEX")
    parser.add_argument("out", type=Path, help="the model folder to write")
    parser.add_argument("--head", default="tanh_chroma4", choices=("tanh_chroma2", "tanh_chroma4"))
    parser.add_argument("--without-colours", action="store_true", help="the model takes colours, and is to take none")
    options = parser.parse_args()
    try:
        model = CaliSketch.from_pretrained(options.model)
        plain = without_colours(model.isn_generator) if options.without_colours else model.isn_generator
        smooth = with_head(plain, options.head)
        info = {**model.info, "colours": f"smoothed by {options.head} after training"}
        if options.without_colours:
            info = {**info, "name": options.out.name, "without": "the colours that could be given"}
        made = CaliSketch(model.scn_generator, smooth, model.size, info)
        print(f"{options.model} -> {made.save_pretrained(options.out)}")
    except (OSError, ValueError, RuntimeError) as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
