"""One measurement of tools/benchmark.py in a process of its own, for its memory's sake: JSON in, JSON out."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from calisketch import weights
from calisketch.datasets import prepare_photos
from calisketch.datasets.drawn.procedural import ProceduralFaces
from calisketch.evaluation import InceptionFeatures, frechet_distance, kernel_distance, lpips, psnr, ssim
from calisketch.evaluation.measures.distribution import inception_network
from calisketch.networks import LPIPS
from calisketch.sketching import DEFORM_UNIFORMS, STYLES, DrawingMixture, SketchMixture, deform, draw_uniforms, simplify
from tools.benchmark import inference as benchmark_inference
from tools.benchmark import models as benchmark_models
from tools.benchmark import training as benchmark_training
from tools.benchmark.timing import alternated, machine, peak_memory_mb, seconds, summary

RESULT = "benchmark result: "


def measure(part: str, asked: dict[str, Any]) -> dict[str, Any]:
    """A part's figures; {"skipped": why} where a package that it needs is not installed."""
    device = torch.device(asked["device"])
    try:
        made = {"inference": inference, "models": models, "training": training, "styles": styles,
                "preparation": preparation, "evaluation": evaluation}[part](asked, device)  # fmt: skip
    except ModuleNotFoundError as error:
        return {"skipped": str(error)}
    return {**made, "machine": machine(device)}


def inference(asked: dict[str, Any], device: torch.device) -> dict[str, Any]:
    network = benchmark_inference.generator(asked["width"], device)
    ink = benchmark_inference.drawing(asked["batch"], asked["size"], device)
    return benchmark_inference.measure(asked["name"], [network], [ink], asked["repeats"], device)


def models(asked: dict[str, Any], device: torch.device) -> dict[str, Any]:
    return benchmark_models.measure(asked["model"], asked["name"], asked["batch"], asked["repeats"], device)


def training(asked: dict[str, Any], device: torch.device) -> dict[str, Any]:
    return benchmark_training.measure(asked["name"], device=device, **asked["setting"])


def styles(asked: dict[str, Any], device: torch.device) -> dict[str, Any]:
    """Sketch styles on a batch of drawn faces; the mixtures are what training draws.

    The drawing mixture draws one after the other on the CPU, from base drawings that are kept: a row for each.
    """
    batch, size = asked["batch"], asked["size"]
    faces = ProceduralFaces(batch, size)
    photo = torch.stack([faces[number]["photo"] for number in range(batch)]).to(device)
    random = torch.Generator().manual_seed(0)
    sketch = STYLES["xdog"].draw(photo)
    work: dict[str, Callable[[], object]] = {}
    for name, style in STYLES.items():
        extra = {"uniforms": draw_uniforms(batch, style.uniforms, random)} if style.uniforms else {}
        work[name] = lambda style=style, extra=extra: style.draw(photo, **extra)
    mixture, epochs = SketchMixture(), iter(range(10**6))
    field = draw_uniforms(batch, DEFORM_UNIFORMS, random)
    work["simplify"] = lambda: simplify(sketch)
    work["deform"] = lambda: deform(sketch, field)
    work["mixture"] = lambda: mixture(photo, seed=0, epoch=next(epochs), index=range(batch))
    drawings = DrawingMixture()
    bases = [drawings.base(photo[k : k + 1]) for k in range(batch)]
    # Each style once a turn.
    turns = [(base, index) for base in bases for index in first_of_each_style(drawings)]
    work["base drawings"] = lambda: [drawings.base(photo[k : k + 1]) for k in range(batch)]
    work["drawing mixture"] = lambda: [drawings.draw(base, seed=0, epoch=0, index=index) for base, index in turns]
    images = {"drawing mixture": len(turns)}
    took = alternated(work, asked["repeats"], device)
    rows = {
        name: {**summary(each), "images_per_second": images.get(name, batch) / summary(each)["median_s"]}
        for name, each in took.items()
    }
    return {"styles": rows, "peak_memory_mb": peak_memory_mb(device)}


def first_of_each_style(mixture: DrawingMixture) -> list[int]:
    """The first index whose drawing has each of the mixture's styles."""
    found: dict[str, int] = {}
    for index, decided in enumerate(mixture.decisions(seed=0, epoch=0, index=range(1000))):
        found.setdefault(decided["style"], index)
    return sorted(found.values())


def preparation(asked: dict[str, Any], device: torch.device) -> dict[str, Any]:
    """Photos on the disk to what training reads, in one process on the CPU: with HED where its weights are there."""
    contour, count = ("hed" if weights.available("hed") else "none"), asked["photos"]
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "photos"
        source.mkdir()
        faces = ProceduralFaces(count, 256)
        for number in range(count):
            pixels = (faces[number]["photo"].permute(1, 2, 0).numpy() * 255).round().astype(np.uint8)
            Image.fromarray(pixels).save(source / f"{number:04d}.png")
        took = seconds(
            lambda: prepare_photos(source, Path(folder) / "out", size=asked["size"], contour=contour, workers=0),
            torch.device("cpu"),
        )
    return {"contour": contour, "seconds_per_photo": took / count, "images_per_second": count / took, "photos": count,
            "peak_memory_mb": peak_memory_mb(torch.device("cpu"))}  # fmt: skip


def evaluation(asked: dict[str, Any], device: torch.device) -> dict[str, Any]:
    """Metrics, per image or per set; networks with random weights, which cost the same."""
    count, size = asked["photos"], asked["size"]
    random = torch.Generator().manual_seed(0)
    one, other = (torch.rand(count, 3, size, size, generator=random) for _ in range(2))
    inception, distance = InceptionFeatures(inception_network().to(device)), LPIPS().to(device)
    normal = np.random.default_rng(0).standard_normal
    small, large = [normal((100, 2048)) for _ in range(2)], [normal((2500, 2048)) for _ in range(2)]
    each: dict[str, Callable[[], object]] = {
        "psnr": lambda: psnr(one, other),
        "ssim": lambda: ssim(one, other),
        "lpips": lambda: lpips(one, other, distance),
        "inception": lambda: inception(one),
    }
    whole: dict[str, Callable[[], object]] = {
        "frechet, 100 and 100 images": lambda: frechet_distance(*small),
        "frechet, 2500 and 2500 images": lambda: frechet_distance(*large),
        "kernel, 100 and 100 images": lambda: kernel_distance(*small),
    }
    repeats = asked["repeats"]
    rows = {}
    for name, took in alternated(each, repeats, device).items():
        row = summary([value / count for value in took])
        rows[name] = {**row, "images_per_second": 1 / row["median_s"]}
    rows |= {name: summary(took) for name, took in alternated(whole, 1, device).items()}
    return {"metrics": rows, "images": count, "peak_memory_mb": peak_memory_mb(device)}


def main() -> None:
    part, asked = sys.argv[1], json.loads(sys.argv[2])
    if asked.get("threads"):
        torch.set_num_threads(asked["threads"])
    print(RESULT + json.dumps(measure(part, asked)))


if __name__ == "__main__":
    main()
