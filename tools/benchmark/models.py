"""What it costs to paint a face with a whole model, sketch -> refined -> face, from the drawings in examples/."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from calisketch import CaliSketch
from calisketch.boundary.sheet import Sheets, inks_of
from calisketch.weights import address as hub
from calisketch.weights import names as model_names
from tools.benchmark import inference as benchmark_inference

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


def measure(model: str, way: str, batch: int, repeats: int, device: torch.device) -> dict[str, Any]:
    """One way of running a model's networks joined, at full strength, as `benchmark_inference.measure`.

    Args:
        model: a shipped model's name, a folder or an address, as `CaliSketch.from_pretrained` takes it.
        way: one of `benchmark_inference.ways`.
        batch: sketches at a time.
        repeats: of each.
        device: to compute on.

    Raises:
        as `CaliSketch.from_pretrained` and `hub.published_hash`.
    """
    folder = model_names.folder_of(model)
    loaded = CaliSketch.from_pretrained(folder, device)
    networks = {"SCN": loaded.scn_generator, "ISN": loaded.isn_generator}
    there = {name: network for name, network in networks.items() if network is not None}
    drawings = sketches(loaded.size)
    inks = [each.to(device) for each in in_batches(drawings, batch)]
    return {
        **benchmark_inference.measure(way, list(there.values()), inks, repeats, device),
        "model": {
            "name": model,
            "sha256": hub.published_hash(folder),
            "size": loaded.size,
            "networks": list(there),
            "sketches": len(drawings),
        },
    }


def sketches(size: int) -> Tensor:
    """The example drawings as a model of this side sees them: (N, 1, size, size), ink = 1."""
    paths = sorted(path for path in EXAMPLES.iterdir() if path.suffix in (".png", ".jpg"))
    return torch.cat([inks_of(batch) for batch in Sheets(paths, size)])


def in_batches(drawings: Tensor, batch: int) -> tuple[Tensor, ...]:
    """All of them, `batch` at a time; the last batch is filled up from the beginning."""
    count = -(-len(drawings) // batch) * batch
    return drawings[torch.arange(count) % len(drawings)].split(batch)
