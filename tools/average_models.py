"""One model whose weights are the mean of several models': python tools/average_models.py MODEL MODEL ... --out OUT.

    python tools/average_models.py runs/first/model runs/second/model --shares .4 .6 --out runs/mean

For models that went on from the same one, with other losses, rates or lengths: the mean is often better than each
(Wortsman et al., "Model soups", ICML 2022). Of models that learned from nothing each by itself it paints noise: look at
what it paints, and measure it on validation photos (`calisketch evaluate split=validation`) before it is kept.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from calisketch import CaliSketch
from calisketch.networks import averaged
from calisketch.weights import address as hub
from calisketch.weights import names as model_names

OF_ONE = ("steps", "steps before", "made from", "trained", "validation")
"""What a model says of its own training, which is not the mean's."""


def info_of(models: Sequence[CaliSketch], named: Sequence[str], shares: Sequence[float]) -> dict[str, Any]:
    """What all of them say alike, and which they are."""
    first, *others = (model.info for model in models)
    common = {
        key: value
        for key, value in first.items()
        if key not in OF_ONE and all(key in other and other[key] == value for other in others)
    }
    parts = zip(named, models, shares, strict=True)
    return {
        **common,
        "mean of": [
            {
                "name": model.info.get("name", name),
                "sha256": hub.published_hash(model_names.folder_of(name)),
                "share": share,
            }
            for name, model, share in parts
        ],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "models", nargs="+", help="first of all: names of shipped models, model folders, https://HOST/FOLDER#sha256=HEX"
    )
    parser.add_argument("--shares", nargs="+", type=float, help="what each counts for, together 1 (default: all alike)")
    parser.add_argument("--out", type=Path, required=True, help="the model folder to write")
    options = parser.parse_args()
    try:
        models = [CaliSketch.from_pretrained(model) for model in options.models]
        if len({(model.size, model.scn_generator is None) for model in models}) > 1:
            told = ", ".join(f"{model.size} px{'' if model.scn_generator else ' without SCN'}" for model in models)
            raise ValueError(f"expected models of one size, all with SCN or all without; got {told}. Leave one out.")
        scn = [model.scn_generator for model in models if model.scn_generator is not None]
        shares = options.shares or [1 / len(models)] * len(models)
        isn = averaged([model.isn_generator for model in models], shares)
        info = {**info_of(models, options.models, shares), "name": options.out.name}
        made = CaliSketch(averaged(scn, shares) if scn else None, isn, models[0].size, info)
        print(f"{' + '.join(options.models)} -> {made.save_pretrained(options.out)}")
    except (OSError, ValueError, RuntimeError) as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
