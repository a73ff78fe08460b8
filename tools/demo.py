"""What `make demo` shows: the example sketches calibrated and painted, and the training path alive for a few steps.

python tools/demo.py [--model NAME|FOLDER] [--out outputs/demo.png] [--no-training]
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import time
from pathlib import Path

from PIL import Image, ImageDraw, ImageOps

from calisketch import CaliSketch
from calisketch.weights import names as model_names

ROOT = Path(__file__).resolve().parents[1]
TILE, GAP, BLOCKS = 192, 6, 2
STEPS = {"scn": 8, "isn": 8, "joint": 4}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--model", default=model_names.DEFAULT_MODEL, help="shipped model or model folder (%(default)s)"
    )
    parser.add_argument("--out", type=Path, default=ROOT / "outputs" / "demo.png", help="the picture (%(default)s)")
    parser.add_argument("--no-training", action="store_true", help="leave the training steps out")
    options = parser.parse_args()
    start = time.perf_counter()
    options.out.parent.mkdir(parents=True, exist_ok=True)
    paint(options.model, options.out)
    status = 0 if options.no_training else train(options.out.parent / "demo-training")
    print(f"\nall in {time.perf_counter() - start:.0f} s. Look at {options.out}")
    return status


def paint(model: str, out: Path) -> None:
    """Calibrate and paint every example, and lay sketch | calibrated | face out in one picture."""
    start = time.perf_counter()
    system = CaliSketch.from_pretrained(model)
    print(f"model {model}: {system.size} px, loaded in {time.perf_counter() - start:.1f} s")
    examples = sorted((ROOT / "examples").glob("*.png")) + sorted((ROOT / "examples").glob("*.jpg"))
    rows = []
    for path in examples:
        start = time.perf_counter()
        face, refined = system.synthesize(path, return_refined=True)
        print(f"  {path.stem:20} calibrated and painted in {time.perf_counter() - start:.2f} s")
        with Image.open(path) as sketch:
            rows.append([sketch.convert("RGB"), refined.convert("RGB"), face])
    sheet(rows).save(out)


def sheet(rows: list[list[Image.Image]]) -> Image.Image:
    """Rows of three pictures in BLOCKS blocks side by side, with a caption over each column."""
    per_block = -(-len(rows) // BLOCKS)
    step, caption = TILE + GAP, 18
    page = Image.new("RGB", (BLOCKS * (3 * step + 2 * GAP), caption + per_block * step), "white")
    pen = ImageDraw.Draw(page)
    for number, row in enumerate(rows):
        block, line = divmod(number, per_block)
        for column, (picture, name) in enumerate(zip(row, ("sketch", "calibrated", "face"), strict=True)):
            left = GAP + block * (3 * step + 2 * GAP) + column * step
            if line == 0:
                pen.text((left, 3), name, fill="black")
            tile = ImageOps.pad(picture, (TILE, TILE), Image.Resampling.LANCZOS, color="white")
            page.paste(tile, (left, caption + line * step))
    return page


def train(run: Path) -> int:
    """A few steps of all three stages in miniature, as a user would start them."""
    print("\na few training steps of each stage, in miniature, on faces drawn by a procedure:", flush=True)
    shutil.rmtree(run, ignore_errors=True)  # or it would go on where the last demo ended
    steps = [f"system.schedules.{stage}.iterations={count}" for stage, count in STEPS.items()]
    command = [
        sys.executable,
        str(ROOT / "tools" / "train.py"),
        "experiment=smoke/cali_sketch",
        f"run_dir='{run}'",
        "threads=1",
        *steps,
    ]
    return subprocess.run(command, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
