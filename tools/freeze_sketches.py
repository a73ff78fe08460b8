"""Write, or verify, the manifests of the benchmark's sketches.

    python tools/freeze_sketches.py data/cuhk128 data/cuhk256                     CUHK's test split, the paper's mixture
    python tools/freeze_sketches.py --drawings test data/general256               general photos, the drawing mixture
    python tools/freeze_sketches.py --drawings test data/general256 --verify      draw again, and compare

Each folder is prepared by calisketch prepare-cuhk, one for each size, or by calisketch prepare at 256 pixels. A
manifest is written once: figures that were measured on other sketches do not compare, so a new manifest means
measuring every model again.
"""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path

import torch
from tqdm import tqdm

from calisketch.datasets import PreparedPhotos
from calisketch.evaluation import FrozenSketches, benchmark_sketches
from calisketch.evaluation.running.frozen import BENCHMARK_SEED, Mixture, draw_frozen, freeze, general_drawings
from calisketch.sketching import DrawingMixture, SketchMixture

ROOT = Path(__file__).resolve().parents[1]
SEEDS = {"test": BENCHMARK_SEED, "validation": BENCHMARK_SEED + 1}
DRAWN = "drawn in double precision, rounded to 8 bits"


def main() -> None:
    parser = argparse.ArgumentParser(
        description="Freeze the sketches of a benchmark, or verify that they are unchanged."
    )
    parser.add_argument("folders", nargs="+", type=Path, help="prepared folders, one for each size")
    parser.add_argument(
        "--drawings", choices=list(SEEDS), help="of this split by the drawing mixture; else CUHK's test"
    )
    parser.add_argument("--artist", type=Path, help="with --drawings, the learned hand's model folder")
    parser.add_argument("--verify", action="store_true", help="compare with the manifest instead of writing it")
    parser.add_argument("--out", type=Path, help="default: the project's own, in data")
    arguments = parser.parse_args()
    split, seed = arguments.drawings or "test", SEEDS[arguments.drawings or "test"]
    sets = [PreparedPhotos(folder, split, verify=True) for folder in arguments.folders]
    for each in sets:
        if each.names != sets[0].names or each.settings.get("rows") != sets[0].settings.get("rows"):
            raise SystemExit(f"{each.root} and {sets[0].root} are not one split at two sizes.")
    if len({each.size for each in sets}) < len(sets):
        raise SystemExit("two folders are of one size; give one for each size.")
    photos = {each.size: torch.stack([each[k]["photo"] for k in tqdm(range(len(each)))]) for each in sets}
    if arguments.drawings:
        mixture: Mixture = DrawingMixture(artist=arguments.artist)
        source = (
            f"faces-5100 and celebahq-1200, {split}, eyes placed by YuNet; DrawingMixture(), index = place; {DRAWN}"
        )
        name = f"general_{split}_drawings.json"
    else:
        mixture = SketchMixture()
        source = (
            f"CUHK student faces, test split; SketchMixture() with its defaults, index = place in the split; {DRAWN}"
        )
        name = "cuhk_test_sketches.json"

    if arguments.verify:
        manifest = FrozenSketches.read(
            arguments.out or (general_drawings(split) if arguments.drawings else benchmark_sketches())
        )
        for size, photo in photos.items():
            if why_not := manifest.covers(sets[0].names, size, seed):
                raise SystemExit(f"not the frozen ones: {why_not}.")
            manifest.check(photo, draw_frozen(mixture, photo, seed), mixture)
        print(f"{len(manifest.sketches)} sketches at {', '.join(map(str, photos))} px are the frozen ones")
        return
    frozen = freeze(sets[0].names, photos, seed=seed, source=source, mixture=mixture)
    styles = Counter(entry["style"] for entry in frozen.sketches.values())
    print(f"{frozen.write(arguments.out or ROOT / 'data' / name)}: {len(frozen.sketches)} sketches, {dict(styles)}")


if __name__ == "__main__":
    main()
