"""Measure what SCNs make of drawings: ink, precision, recall and F1 against the photos' lines, style by style.

    python tools/measure_calibration.py models/scn-256 models/faces-small-256 --data data/general256 --split test \\
        --out docs/reports/scn-256.json

Drawings are the frozen ones of the general photos (`data/general_test_drawings.json`), each compared with its SHA-256;
with --artist they are the artists' drawings of a prepared folder. "strokes" is the drawing as it is, "product" the
target itself: what there is to gain.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from calisketch import CaliSketch
from calisketch.datasets import PreparedPhotos
from calisketch.evaluation.measures.calibrated import (
    FIGURES,
    LineFigures,
    grouped,
    line_figures,
    recall_of_taken,
    take_strokes,
)
from calisketch.evaluation.measures.pixel import to_uint8
from calisketch.evaluation.running.frozen import ChangedSketches, FrozenSketches, draw_frozen, general_drawings
from calisketch.sketching import DrawingMixture

TAKEN = 0.2  # of the ink
Item = dict[str, Tensor]


def items(options: argparse.Namespace) -> Iterator[tuple[Item, list[str]]]:
    """Each item with the names of its groups."""
    photos = PreparedPhotos(options.data, options.split, track="artist" if options.artist else None, inside=True)
    count = min(options.limit or len(photos), len(photos))
    places = [number * len(photos) // count for number in range(count)]  # the first ones may all be of one source
    if options.artist:
        for place in places:
            item = photos[place]
            yield {**item, "sketch": item["artist"]}, ["all"]
        return
    frozen, mixture = FrozenSketches.read(general_drawings(options.split)), DrawingMixture()
    if why := frozen.covers(photos.names, photos.size, frozen.seed):
        raise SystemExit(f"{options.data} is not the folder that drawings are frozen for: {why}.")
    for place in places:
        name, item = photos.names[place], photos[place]
        entry = frozen.sketches[name]
        sketch = draw_frozen(mixture, item["photo"][None], frozen.seed, first_index=place)
        if hashlib.sha256(to_uint8(sketch)[0].tobytes()).hexdigest() != entry["sha256"][str(photos.size)]:
            raise ChangedSketches(f"{name} is not the frozen drawing. Prepare the photos as data/README.md says.")
        faults = [fault for fault in ("exaggerated", "missing") if entry[fault]]
        groups = [f"style {entry['style']}", *(f"drawn {fault}" for fault in faults or ["faultlessly"])]
        yield {**item, "sketch": sketch[0]}, ["all", *groups]


@torch.inference_mode()
def measure(models: dict[str, torch.nn.Module], options: argparse.Namespace) -> dict[str, Any]:
    """{model: {group: figures}}, with the recall of strokes that were taken out, and had they stayed."""
    names = [*models, "strokes", "product"]
    found: dict[str, dict[str, list[LineFigures]]] = {name: {} for name in names}
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in models}
    for number, (item, groups) in enumerate(items(options)):
        sketch, detail, contour, inside = (item[key][None] for key in ("sketch", "detail", "contour", "inside"))
        product = detail * contour
        left, holes = take_strokes(item["sketch"], TAKEN, number) if number < options.taken else (None, None)
        for name in names:
            refined = models[name](sketch) if name in models else sketch if name == "strokes" else product
            figures = line_figures(refined.float(), detail, contour, inside)
            for group in groups:
                found[name].setdefault(group, []).extend(figures)
            if name in models and left is not None and holes is not None:
                again = models[name](left[None]).float()
                shares = (recall_of_taken(each, sketch, holes[None], product * inside)[0] for each in (again, refined))
                taken[name].append((float(next(shares)), float(next(shares))))
    result: dict[str, Any] = {name: grouped(groups) for name, groups in found.items()}
    for name, pairs in taken.items():
        if pairs:
            completed, kept = (round(float(share), 4) for share in np.nanmean(np.array(pairs), 0))
            result[name]["taken strokes"] = {"count": len(pairs), "recall": completed, "had they stayed": kept}
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+", help="model folders with an SCN")
    parser.add_argument("--data", type=Path, required=True, help="a prepared folder with contours")
    parser.add_argument("--split", choices=("validation", "test"), default="validation")
    parser.add_argument("--artist", action="store_true", help="the folder's artists' drawings")
    parser.add_argument("--limit", type=int, help="only so many photos, at even distances")
    parser.add_argument("--taken", type=int, default=30, help="drawings that a fifth of the strokes is taken out of")
    parser.add_argument("--out", type=Path, help="report, as JSON")
    options = parser.parse_args()
    models = {}
    for folder in options.models:
        network = CaliSketch.from_pretrained(folder).scn_generator
        if network is None:
            parser.error(f"{folder} has no SCN")
        models[Path(folder).name] = network
    told = {"data": options.data.name, "split": options.split, "drawings": "artists'" if options.artist else "frozen"}
    report = {**told, "figures": FIGURES, **measure(models, options)}
    if options.out is not None:
        options.out.write_text(json.dumps(report, indent=1) + "\n")
    for name in [*models, "strokes", "product"]:
        whole = report[name]["all"]
        said = ", ".join(f"{key} {whole[key]:.3f}" for key in ("ink", "precision", "f1", "f1_2", "product_f1_2"))
        print(f"{name}: {said}; N {whole['count']}")


if __name__ == "__main__":
    main()
