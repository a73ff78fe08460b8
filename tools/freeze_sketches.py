"""Write the manifest of the benchmark's test sketches: python tools/freeze_sketches.py data/cuhk128 data/cuhk256

Each folder is CUHK as tools/prepare_cuhk.py prepared it, at one size. To be run once: figures that were measured on
other sketches do not compare, so a new manifest means measuring every model again.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from calisketch.datasets import PreparedPhotos
from calisketch.evaluation.running.frozen import freeze

ROOT = Path(__file__).resolve().parents[1]


def main() -> None:
    parser = argparse.ArgumentParser(description="Freeze the synthetic sketches of the CUHK test split.")
    parser.add_argument("folders", nargs="+", type=Path, help="prepared folders, one for each size")
    parser.add_argument("--out", type=Path, default=ROOT / "data" / "cuhk_test_sketches.json")
    arguments = parser.parse_args()
    tests = [PreparedPhotos(folder, "test", verify=True) for folder in arguments.folders]
    for test in tests:
        if test.names != tests[0].names or test.settings.get("rows") != tests[0].settings.get("rows"):
            raise SystemExit(f"{test.root} and {tests[0].root} are not one test set at two sizes.")
    if len({test.size for test in tests}) < len(tests):
        raise SystemExit("two folders are of one size; give one for each size.")
    photos = {test.size: torch.stack([test[k]["photo"] for k in range(len(test))]) for test in tests}
    source = (
        "CUHK student faces, test split; SketchMixture() with its defaults, index = place in the split; drawn in "
        "double precision, rounded to 8 bits"
    )
    frozen = freeze(tests[0].names, photos, source=source)
    print(f"{frozen.write(arguments.out)}: {len(frozen.sketches)} sketches at {', '.join(map(str, frozen.sizes))} px")


if __name__ == "__main__":
    main()
