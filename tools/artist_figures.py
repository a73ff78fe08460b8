"""Drawings by a Sketcher against the artists' own, on test pairs of several sets, beside XDoG and the mean drawing.

    python tools/artist_figures.py models/artist-256 data/cuhk256 data/ar256 data/xm2vts256

The artists' drawings are taken as strokes on white paper (`OtherGrounds`), as the network learned from them. Rows:
`drawn` by the model; `mean drawing` of all training pairs, for everyone; `xdog`; `artist`, the truth itself, whose
likeness to the photo is what a drawing can reach.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from calisketch import Sketcher
from calisketch.datasets import OtherGrounds, photo_pairs
from calisketch.evaluation.running.comparing import Entry, compare
from calisketch.evaluation.running.drawings import AsDrawn, InkShare, LikenessToPhoto, StrokesF1
from calisketch.sketching import SketchMixture
from calisketch.weights import address as hub
from calisketch.weights import names as model_names
from calisketch.weights.third_party import MissingWeights

METRICS = ("ssim", "lpips", "fid", "kid")


class OnWhitePaper(OtherGrounds):
    """Pairs with their photos as they are and their drawings, ``truth``, on white paper."""

    def __init__(self, roots: Sequence[str], split: str, size: int, limit: int | None = None) -> None:
        super().__init__(photo_pairs(list(roots), split, size, count=limit), share=0.0, light=0.0, variants=1)

    def varied(self, item: dict[str, Tensor], variant: int, place: int) -> dict[str, Tensor]:
        """The pair, its drawing as ``truth``: a row's own drawing becomes ``sketch``."""
        made = super().varied(item, variant, place)
        return {"photo": made["photo"], "truth": made["sketch"], "index": made["index"]}


class StrokesOnWhite(StrokesF1):
    """`StrokesF1` against the truth."""

    def __call__(self, batch: dict[str, Tensor], made: Tensor) -> Tensor:
        """(B,)."""
        return super().__call__({**batch, "artist": batch["truth"]}, made)


class Same:
    """A row's ``paint``: one drawing (1, 1, H, W), ink = 1, for everyone."""

    def __init__(self, drawing: Tensor) -> None:
        self.drawing = drawing

    def __call__(self, batch: dict[str, Tensor]) -> Tensor:
        """(B, 1, H, W)."""
        return self.drawing.expand(len(batch["photo"]), -1, -1, -1)


def figures_of(model: str, roots: Sequence[str], *, limit: int | None = None, metrics: Sequence[str] = METRICS) -> Any:
    """The report. model: a folder or an address of a Sketcher. roots: prepared folders of pairs, of its size.

    limit: only so many test and training pairs, for trials.
    """
    sketcher = Sketcher.from_pretrained(model)
    test, train = (OnWhitePaper(roots, split, sketcher.size, limit) for split in ("test", "train"))
    own: dict[str, Any] = {"ink": InkShare(), "strokes_f1": StrokesOnWhite()}
    try:
        own["likeness"] = LikenessToPhoto()
    except MissingWeights as error:
        print(f"likeness is not measured: {error}", file=sys.stderr)
    mean = torch.stack([train[place]["truth"] for place in range(len(train))]).mean(0, keepdim=True)
    entries = {
        "drawn": Entry(sketcher.from_batch, figures=own),
        "mean drawing": Entry(Same(mean), figures=own),
        "xdog": Entry(AsDrawn(), SketchMixture({"xdog": 1.0}, simplify=0.0, deform=0.0), figures=own),
        "artist": Entry(AsDrawn(), "truth", figures=own, note="the truth itself"),
    }
    return compare(
        test,
        entries,
        title="Drawings of test people against the artists' own",
        metrics=metrics,
        truth="truth",
        protocol={
            "split": "test",
            "photos": {str(root).rstrip("/").rsplit("/", 1)[-1]: len(photo_pairs(root, "test")) for root in roots},
            "truth": "the artists' drawings as strokes on white paper: datasets.reading.grounded_photos.on_white_paper",
            "model": {
                "name": sketcher.info.get("name"),
                "config.json": hub.published_hash(model_names.folder_of(model)),
            },
        },
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="model folder of a Sketcher, or https://HOST/FOLDER#sha256=HEX")
    parser.add_argument("roots", nargs="+", help="prepared folders of pairs")
    parser.add_argument("--out", default="outputs/comparison", help="gets artist-256.json, .md and a picture")
    parser.add_argument("--limit", type=int, help="only so many pairs, for trials")
    options = parser.parse_args()
    try:
        report = figures_of(options.model, options.roots, limit=options.limit)
    except (OSError, ValueError, ImportError) as error:
        sys.exit(f"error: {error}")
    print(report.to_markdown())
    print("written:", *report.save(options.out, "artist-256"))


if __name__ == "__main__":
    main()
