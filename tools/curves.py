"""Plots a run's figures: python tools/curves.py RUN [RUN ...] [--out curves.png] [--smooth 5]."""

from __future__ import annotations

import argparse
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot

from calisketch.training.logging import read_metrics

Curves = dict[str, dict[str, tuple[list[int], list[float]]]]
PANELS = {
    "generator": "generator terms, weighted",
    "discriminator": "discriminator terms",
    "scores": "discriminators' mean output",
    "gradient_norm": "gradient norms",
    "validation": "plateau figure, lower is better",
    "images_per_second": "images / s",
}
LOGARITHMIC = ("generator", "gradient_norm")


def collect(records: list[dict[str, Any]]) -> Curves:
    """The figures by panel and name, over the steps of the whole run."""
    curves: Curves = defaultdict(lambda: defaultdict(lambda: ([], [])))
    for record in records:
        named: dict[str, dict[str, Any]] = {
            panel: record[panel] for panel in PANELS if isinstance(record.get(panel), dict)
        }
        if record["kind"] == "validation":
            named["validation"] = {record["stage"]: record["figure"]}
        elif "images_per_second" in record:
            named["images_per_second"] = {record["stage"]: record["images_per_second"]}
        for panel, values in named.items():
            for name, value in values.items():
                if value is not None:
                    steps, figures = curves[panel][name]
                    steps.append(record["total"])
                    figures.append(value)
    return curves


def smoothed(figures: list[float], width: int) -> list[float]:
    """Each figure's mean with up to ``width - 1`` before it."""
    return [sum(figures[max(0, i + 1 - width) : i + 1]) / min(i + 1, width) for i in range(len(figures))]


def plot(run: Path, out: Path, width: int) -> None:
    """Draws one run's panels into ``out``."""
    records = read_metrics(run / "metrics.jsonl" if run.is_dir() else run)
    if not records:
        raise ValueError(f"{run} holds no figures yet.")
    curves = collect(records)
    starts = {record["stage"]: record["total"] - record["step"] for record in reversed(records)}
    figure, axes = pyplot.subplots(3, 2, figsize=(14, 12), constrained_layout=True)
    for axis, (panel, title) in zip(axes.flat, PANELS.items(), strict=True):
        for name, (steps, figures) in sorted(curves[panel].items()):
            smooth = figures if panel == "validation" else smoothed(figures, width)
            axis.plot(steps, smooth, label=name, linewidth=1.2, marker="." if panel == "validation" else None)
        for stage, start in starts.items():
            axis.axvline(start, color="0.7", linewidth=0.8)
            axis.annotate(stage, (start, 1.0), xycoords=("data", "axes fraction"), fontsize=8, color="0.4", va="bottom")
        axis.set_title(title, pad=16)
        axis.set_xlabel("step")
        axis.set_yscale("log" if panel in LOGARITHMIC else "linear")
        axis.grid(alpha=0.3)
        if curves[panel]:
            axis.legend(fontsize=7)
    figure.suptitle(run.name if run.is_dir() else run.parent.name)
    out.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(out, dpi=110)
    pyplot.close(figure)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="run folders, or their metrics.jsonl")
    parser.add_argument("--out", type=Path, help="picture to write, for a single run (RUN/curves.png)")
    parser.add_argument("--smooth", type=int, default=5, help="mean over so many logged steps (%(default)s)")
    options = parser.parse_args()
    if options.smooth < 1 or (options.out is not None and len(options.runs) > 1):
        parser.error("--smooth must be at least 1, and --out goes with a single RUN.")
    status = 0
    for run in options.runs:
        out = options.out or (run if run.is_dir() else run.parent) / "curves.png"
        try:
            plot(run, out, options.smooth)
            print(out)
        except (OSError, ValueError) as error:
            print(f"curves: {error}", file=sys.stderr)
            status = 1
    return status


if __name__ == "__main__":
    sys.exit(main())
