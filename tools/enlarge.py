"""A model becomes one of twice the side, to be trained on: python tools/enlarge.py MODEL OUT.

    python tools/enlarge.py models/cuhk-colour-128 runs/start
    calisketch train experiment=own/fine data.root=data/cuhk256 init_from=runs/start

Around each of its networks comes a thin one at full resolution, which adds nothing yet (`networks.CoarseToFine`): until
it is trained the answers are the model's, enlarged bilinearly; of a model that takes colours, those without colours.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from calisketch import CaliSketch
from calisketch.networks import enlarged


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="name of a shipped model, a model folder, or https://HOST/FOLDER#sha256=HEX")
    parser.add_argument("out", type=Path, help="the model folder to write")
    parser.add_argument("--fine-width", type=int, default=16, help="channels at full resolution (default: 16)")
    options = parser.parse_args()
    try:
        model = CaliSketch.from_pretrained(options.model)
        scn = None if model.scn_generator is None else enlarged(model.scn_generator, options.fine_width)
        isn = enlarged(model.isn_generator, options.fine_width)
        told = f"{model.info.get('name', options.model)} of {model.size} px, not trained yet"
        info = {**model.info, "name": options.out.name, "enlarged": told}
        large = CaliSketch(scn, isn, 2 * model.size, info)
        print(f"{options.model} -> {large.save_pretrained(options.out)}; train it with init_from={options.out}")
    except (OSError, ValueError, RuntimeError) as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
