"""What inference, training, sketching, preparation and evaluation cost on this machine: python tools/benchmark.py

Writes JSON and a Markdown table. Every measurement has a process of its own, in which a candidate and its baseline take
turns. The settings are in conf/benchmark.yaml; run it on a machine that does nothing else.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import benchmark_inference
import benchmark_training
import hydra
import torch
from benchmark_parts import RESULT
from omegaconf import DictConfig, OmegaConf

ROOT = Path(__file__).resolve().parents[1]
PARTS = ("inference", "training", "styles", "preparation", "evaluation")


def jobs(cfg: dict[str, Any], device: str) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """(part, name, what its process is told) of every measurement."""
    told = {"device": device, "threads": cfg["threads"], "size": cfg["size"]}
    offered = list(benchmark_inference.ways(torch.nn.Identity(), cfg["size"], torch.device(device)))
    for part in cfg["parts"]:
        if part == "inference":
            chosen = offered if cfg["ways"] is None else cfg["ways"]
            if unknown := sorted(set(chosen) - set(offered)):
                raise SystemExit(f"ways must be some of {', '.join(offered)}; got {', '.join(unknown)}.")
            for way in chosen:
                asked = {key: cfg[key] for key in ("width", "batch", "repeats")}
                yield part, way, {**told, **asked, "name": way}
        elif part == "training":
            for stage in benchmark_training.STAGES:
                yield part, stage, {**told, **cfg["training"], "name": stage}
        else:
            yield part, "all", {**told, **cfg[part]}


def measured(part: str, asked: dict[str, Any], timeout: float) -> dict[str, Any]:
    """The figures of one measurement, from its process; {"failed": why} if it ended in an error."""
    command = [sys.executable, str(ROOT / "tools" / "benchmark_parts.py"), part, json.dumps(asked)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False)
    except subprocess.TimeoutExpired:
        return {"failed": f"not done after {timeout:.0f} s"}
    for line in done.stdout.splitlines():
        if line.startswith(RESULT):
            return json.loads(line.removeprefix(RESULT))
    return {"failed": (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1]}


def table(report: dict[str, Any]) -> str:
    """The report as Markdown."""
    of, parts = report["settings"], report["parts"]
    told = ", ".join(f"{key} {value}" for key, value in report["machine"].items())
    lines = [f"Machine: {told}.", ""]
    if "inference" in parts:
        lines += _inference(parts["inference"], of)
    if "training" in parts:
        lines += _training(parts["training"], of["training"])
    for part, inner in (("styles", "styles"), ("evaluation", "metrics")):
        found = parts.get(part, {}).get("all", {})
        if inner in found:
            per = f"a batch of {of['styles']['batch']}" if part == "styles" else "an image, or a comparison of sets"
            lines += [
                f"{part}, {of['size']} px, milliseconds for {per}:",
                "",
                "| what | median | min | max |",
                "|---|---|---|---|",
            ]
            lines += [f"| {name} | {_times(row)} |" for name, row in found[inner].items()]
            lines.append("")
    if "seconds_per_photo" in (found := parts.get("preparation", {}).get("all", {})):
        what = "with HED" if found["contour"] == "hed" else "without HED, whose weights are not here"
        lines += [
            f"preparation, {of['size']} px, {what}: {found['seconds_per_photo']:.2f} s a photo in one process",
            "",
        ]
    for part, rows in parts.items():
        for name, row in rows.items():
            if why := row.get("failed") or row.get("skipped"):
                lines.append(f"{part}, {name}: not measured: {why}")
    return "\n".join(lines).rstrip() + "\n"


def _inference(rows: dict[str, Any], of: dict[str, Any]) -> list[str]:
    lines = [
        f"Inference: the paper's ISN generator of width {of['width']}, {of['size']} px, batch {of['batch']}, random "
        "weights. Times in milliseconds; each way's factor is to eager fp32 in its own process.",
        "",
        "| way | precision | median | min | max | images/s | times eager fp32 | peak MB | share of bf16 peak | "
        "grey levels from fp32, max / mean |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for name, row in rows.items():
        if "median_s" in row:
            off = row["grey_levels_from_fp32"]
            lines.append(
                f"| {name} | {row['precision']} | {_times(row)} | {row['images_per_second']:.2f} | "
                f"{row['times_faster']:.2f} | {row['peak_memory_mb']:.0f} | {row['share_of_bf16_peak']:.0%} | "
                f"{off['max']:.2f} / {off['mean']:.3f} |"
            )
    return [*lines, ""]


def _training(rows: dict[str, Any], of: dict[str, Any]) -> list[str]:
    lines = [
        f"A training step of {of['batch']} images, {of['size']} px, width {of['width']}. Times in milliseconds; the "
        "wait is for fetching photos and drawing their sketches.",
        "",
        "| stage | fp32 | bf16 | times faster | images/s fp32 / bf16 | wait | share of a step fp32 / bf16 | peak MB |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, row in rows.items():
        if "fp32" in row:
            rate, share = row["images_per_second"], row["data_share"]
            lines.append(
                f"| {name} | {row['fp32']['median_s'] * 1e3:.0f} | {row['bf16']['median_s'] * 1e3:.0f} | "
                f"{row['times_faster_bf16']:.2f} | {rate['fp32']:.2f} / {rate['bf16']:.2f} | "
                f"{row['data_wait']['median_s'] * 1e3:.1f} | {share['fp32']:.1%} / {share['bf16']:.1%} | "
                f"{row['peak_memory_mb']:.0f} |"
            )
    return [*lines, ""]


def _times(row: dict[str, Any]) -> str:
    return " | ".join(f"{row[key] * 1e3:.1f}" for key in ("median_s", "min_s", "max_s"))


def write(path: Path, text: str) -> None:
    """Aside and renamed, so that no half-written report is ever seen."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, aside = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", text=True)
    with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
        stream.write(text)
    os.chmod(aside, 0o644)
    os.replace(aside, path)


def without_nan(value: Any) -> Any:
    """JSON has no NaN."""
    if isinstance(value, dict):
        return {key: without_nan(each) for key, each in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value


@hydra.main(version_base="1.3", config_path="../conf", config_name="benchmark")
def main(cfg: DictConfig) -> None:
    settings: dict[str, Any] = OmegaConf.to_container(cfg, resolve=True)  # type: ignore[assignment]
    if unknown := sorted(set(settings["parts"]) - set(PARTS)):
        raise SystemExit(f"parts must be some of {', '.join(PARTS)}; got {', '.join(map(str, unknown))}.")
    device = settings["device"] or ("cuda" if torch.cuda.is_available() else "cpu")
    report: dict[str, Any] = {"machine": {}, "settings": settings, "parts": {}}
    out = Path(settings.pop("out"))
    for part, name, asked in jobs(settings, device):
        figures = measured(part, asked, settings["timeout"])
        report["machine"] = figures.pop("machine", report["machine"])
        report["parts"].setdefault(part, {})[name] = figures
        state = figures.get("failed") or figures.get("skipped") or "measured"
        print(f"{part}, {name}: {state}", file=sys.stderr, flush=True)
        write(out, json.dumps(without_nan(report), indent=1) + "\n")
    write(out.with_suffix(".md"), table(report))
    print(table(report))
    print(f"wrote {out} and {out.with_suffix('.md')}")
    if any("failed" in row for rows in report["parts"].values() for row in rows.values()):
        sys.exit(1)


if __name__ == "__main__":
    main()
