"""What inference, training, sketching, preparation and evaluation cost on this machine: python -m tools.benchmark

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
from itertools import product
from pathlib import Path
from typing import Any

import hydra
import torch
from omegaconf import DictConfig, OmegaConf

from calisketch.commands.hydra_entry import help_that_is_no_text
from calisketch.inference.computing import best_device
from tools.benchmark import inference as benchmark_inference
from tools.benchmark.parts import RESULT
from tools.benchmark.tables import steps, table

ROOT = Path(__file__).resolve().parents[2]
HERE = {
    **os.environ,
    "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")])),
}  # finds tools from any folder
PARTS = ("inference", "models", "training", "styles", "preparation", "evaluation")


def jobs(cfg: dict[str, Any], device: str) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """(part, name, what its process is told) of every measurement."""
    told = {"device": device, "threads": cfg["threads"], "size": cfg["size"]}
    for part in cfg["parts"]:
        if part == "inference":
            for way in ways_of(cfg, device):
                asked = {key: cfg[key] for key in ("width", "batch", "repeats")}
                yield part, way, {**told, **asked, "name": way}
        elif part == "models":
            asked = {key: cfg[key] for key in ("batch", "repeats")}
            given = [cfg["models"]] if isinstance(cfg["models"], str) else cfg["models"]
            for model, way in product(given, ways_of(cfg, device)):
                yield part, f"{model}, {way}", {**told, **asked, "model": model, "name": way}
        elif part == "training":
            for name, stage, setting in steps(cfg["training"]):
                asked = {key: value for key, value in setting.items() if key != "stages"}
                yield part, name, {**told, "name": stage, "setting": asked}
        else:
            yield part, "all", {**told, **cfg[part]}


def ways_of(cfg: dict[str, Any], device: str) -> list[str]:
    """The ways of inference that are asked for; SystemExit for one that there is not."""
    offered = list(benchmark_inference.ways([], cfg["size"], torch.device(device)))
    chosen = offered if cfg["ways"] is None else cfg["ways"]
    if unknown := sorted(set(chosen) - set(offered)):
        raise SystemExit(f"ways must be some of {', '.join(offered)}; got {', '.join(unknown)}.")
    return chosen


def measured(part: str, asked: dict[str, Any], timeout: float) -> dict[str, Any]:
    """The figures of one measurement, from its process; {"failed": why} if it ended in an error."""
    command = [sys.executable, "-m", "tools.benchmark.parts", part, json.dumps(asked)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False, env=HERE)
    except subprocess.TimeoutExpired:
        return {"failed": f"not done after {timeout:.0f} s"}
    for line in done.stdout.splitlines():
        if line.startswith(RESULT):
            return json.loads(line.removeprefix(RESULT))
    return {"failed": (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1]}


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


@hydra.main(version_base="1.3", config_path=str(ROOT / "conf"), config_name="benchmark")
def main(cfg: DictConfig) -> None:
    settings: dict[str, Any] = OmegaConf.to_container(cfg, resolve=True)  # type: ignore[assignment]
    if unknown := sorted(set(settings["parts"]) - set(PARTS)):
        raise SystemExit(f"parts must be some of {', '.join(PARTS)}; got {', '.join(map(str, unknown))}.")
    device = settings["device"] or best_device().type
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
    with help_that_is_no_text():
        main()
