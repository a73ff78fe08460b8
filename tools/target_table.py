"""Why R comes out thick: the calibration loss of four candidates for R, in the features of a trained D1.

    python tools/target_table.py models/faces-small-256 --data data/general256 --steps 60

D1 (SN-PatchGAN) is first trained by Eq. 3 on the training photos, the model's own R as the fake side; then Eq. 2's loss
of HED, Canny, their product and their union is taken against HED and against Canny on the validation photos, beside the
plain L1 of their pixels. Prints a table in Markdown; --out keeps it as JSON.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.utils.data import Subset, default_collate

from calisketch import CaliSketch
from calisketch.datasets import PreparedPhotos
from calisketch.losses import feature_matching
from calisketch.networks import SNPatchGAN
from calisketch.scn import SCN
from calisketch.sketching import SketchMixture
from calisketch.stage import Batch

CANDIDATES = ("HED", "Canny", "product", "union")


def candidates(batch: Batch) -> dict[str, Tensor]:
    """Each candidate for R of a batch, (B, 1, H, W)."""
    hed, canny = batch["contour"], batch["detail"]
    return dict(zip(CANDIDATES, (hed, canny, hed * canny, torch.maximum(hed, canny)), strict=True))


def trained_discriminator(generator: nn.Module, photos: PreparedPhotos, steps: int, width: int, seed: int) -> nn.Module:
    """D1 after ``steps`` of Eq. 3 on four photos each, against R as this network draws it."""
    torch.manual_seed(seed)
    scn = SCN(generator, SNPatchGAN(1, width=width))
    optimizer = torch.optim.Adam(scn.discriminator.parameters(), 4e-4, betas=(0.0, 0.9))
    draw = SketchMixture()
    order = torch.randperm(len(photos)).tolist()
    for step in range(steps):
        chosen = [order[(4 * step + k) % len(order)] for k in range(4)]
        batch = default_collate([photos[place] for place in chosen])
        with torch.no_grad():
            sketch = draw(batch["photo"], seed=seed, epoch=step, index=chosen)
            batch["refined"] = generator(sketch)
        loss = scn.discriminator_losses(batch)["scn/discriminator"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return scn.discriminator.eval()


@torch.no_grad()
def table(discriminator: nn.Module, photos: PreparedPhotos | Subset) -> dict[str, dict[str, float]]:
    """{candidate: {"ink", "HED", "Canny", "sum", "L1 HED", "L1 Canny", "L1 sum"}}, means over the photos."""
    totals: dict[str, dict[str, float]] = {name: {} for name in CANDIDATES}
    for place in range(len(photos)):
        batch = default_collate([photos[place]])
        made = candidates(batch)
        features = {name: discriminator(drawing).features for name, drawing in made.items()}
        for name, drawing in made.items():
            row = {"ink": float(drawing.mean())}
            for target in ("HED", "Canny"):
                row[target] = float(feature_matching(features[target], features[name]))
                row[f"L1 {target}"] = float((made[target] - drawing).abs().mean())
            row["sum"], row["L1 sum"] = row["HED"] + row["Canny"], row["L1 HED"] + row["L1 Canny"]
            for key, value in row.items():
                totals[name][key] = totals[name].get(key, 0.0) + value / len(photos)
    return totals


def in_markdown(rows: dict[str, dict[str, float]]) -> str:
    """The table, a line a candidate."""
    columns = ["ink", "HED", "Canny", "sum", "L1 HED", "L1 Canny", "L1 sum"]
    lines = ["| R is | " + " | ".join(columns) + " |", "|---|" + "---|" * len(columns)]
    lines += [f"| {name} | " + " | ".join(f"{row[key]:.4f}" for key in columns) + " |" for name, row in rows.items()]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="a model folder with an SCN, whose R is D1's fake side")
    parser.add_argument("--data", type=Path, required=True, help="a prepared folder with contours")
    parser.add_argument("--steps", type=int, default=60, help="of D1's training, four photos each")
    parser.add_argument("--width", type=int, default=32, help="of D1")
    parser.add_argument("--photos", type=int, default=100, help="validation photos that are judged, at most")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="the table as JSON")
    options = parser.parse_args()
    generator = CaliSketch.from_pretrained(options.model).scn_generator
    if generator is None:
        parser.error(f"{options.model} has no SCN")
    train = PreparedPhotos(options.data, "train", cache=False)
    discriminator = trained_discriminator(generator, train, options.steps, options.width, options.seed)
    judged = PreparedPhotos(options.data, "validation", cache=False)
    rows = table(discriminator, Subset(judged, range(min(options.photos, len(judged)))))
    print(in_markdown(rows))
    if options.out is not None:
        said = {"model": Path(options.model).name, "steps": options.steps, "photos": min(options.photos, len(judged))}
        options.out.write_text(json.dumps({**said, "loss": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
