"""Images per second of every sketch style, beside the same formula one image at a time with NumPy, SciPy, scikit-image.

    python tools/benchmark/styles.py --out outputs/benchmark_styles.json

The per-image code is the one the tests hold the styles to (tests/sketching/reference_styles.py), so this runs from a
checkout. Prints a table and writes JSON. Photos are procedural: smooth blobs and lines with a little noise.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import platform
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import torch
from torch import Tensor

from calisketch.sketching import DEFORM_UNIFORMS, STYLES, SketchMixture, deform, draw_uniforms, simplify
from calisketch.sketching.kernels import smooth_field

REFERENCE = Path(__file__).resolve().parents[2] / "tests" / "sketching" / "reference_styles.py"


def load_reference() -> ModuleType:
    specification = importlib.util.spec_from_file_location("reference_styles", REFERENCE)
    if specification is None or specification.loader is None or not REFERENCE.is_file():
        raise SystemExit(f"The benchmark compares with {REFERENCE}, which is not there: run it from a checkout.")
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def photos(batch: int, size: int, generator: torch.Generator) -> Tensor:
    """Busy pictures, (batch, 3, size, size) in [0, 1]."""
    blank = torch.zeros(batch, 1, size, size)
    coarse = smooth_field(draw_uniforms(batch, 3 * 8 * 8, generator), 8, blank)
    fine = smooth_field(draw_uniforms(batch, 3 * 40 * 40, generator), 40, blank)
    noise = torch.rand(batch, 3, size, size, generator=generator)
    return torch.sigmoid(1.5 * coarse + 0.6 * fine + 0.1 * noise)


def best_seconds(work: Callable[[], object], repeats: int, device: torch.device) -> float:
    """The shortest of `repeats` runs after one warm-up: least disturbed by whatever else the machine does."""
    best = float("inf")
    for run in range(repeats + 1):
        start = time.perf_counter()
        work()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        if run:
            best = min(best, time.perf_counter() - start)
    return best


def measure(batch: int, size: int, repeats: int, device: torch.device) -> dict[str, dict[str, float]]:
    """Style -> images per second of both, and their ratio."""
    reference = load_reference()
    generator = torch.Generator().manual_seed(0)
    photo = photos(batch, size, generator)
    arrays = [sample.permute(1, 2, 0).contiguous().numpy() for sample in photo]
    sketch = STYLES["xdog"].draw(photo)
    sketch_arrays = [sample[0].numpy() for sample in sketch]
    on_device, sketch_on_device = photo.to(device), sketch.to(device)

    work: dict[str, tuple[Callable[[], object], Callable[[], object]]] = {}
    for name, style in STYLES.items():
        extra = {"uniforms": draw_uniforms(batch, style.uniforms, generator)} if style.uniforms else {}
        alone = [{key: value[k].double().numpy() for key, value in extra.items()} for k in range(batch)]
        single = getattr(reference, name)
        work[name] = (
            lambda style=style, extra=extra: style.draw(on_device, **extra),
            lambda single=single, alone=alone: [single(a, **e) for a, e in zip(arrays, alone, strict=True)],
        )
    field = draw_uniforms(batch, DEFORM_UNIFORMS, generator)
    fields = list(field.double().numpy())
    work["simplify"] = (lambda: simplify(sketch_on_device), lambda: [reference.simplify(a) for a in sketch_arrays])
    work["deform"] = (
        lambda: deform(sketch_on_device, field),
        lambda: [reference.deform(a, f) for a, f in zip(sketch_arrays, fields, strict=True)],
    )

    results = {}
    for name, (ours, theirs) in work.items():
        rate = batch / best_seconds(ours, repeats, device)
        reference_rate = batch / best_seconds(theirs, max(1, repeats // 2), torch.device("cpu"))
        results[name] = {"images_per_second": rate, "reference": reference_rate, "times_faster": rate / reference_rate}
    mixture = SketchMixture()
    epochs = iter(range(10**6))
    start = time.perf_counter()
    seconds = [
        best_seconds(lambda: mixture(on_device, seed=0, epoch=next(epochs), index=range(batch)), 1, device)
        for _ in range(max(3, repeats))
    ]
    results["mixture"] = {"images_per_second": batch * len(seconds) / sum(seconds)}
    results["mixture"]["wall_seconds"] = time.perf_counter() - start
    return results


def main() -> None:
    parser = argparse.ArgumentParser(description="Images per second of every sketch style.")
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--repeats", type=int, default=4)
    parser.add_argument("--threads", type=int, default=None, help="of PyTorch on the CPU; default: its own choice")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--out", type=Path, default=Path("outputs/benchmark_styles.json"))
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    results = measure(arguments.batch, arguments.size, arguments.repeats, torch.device(arguments.device))

    print(f"{'style':<12}{'images/s':>12}{'one by one':>12}{'faster':>9}")
    for name, row in results.items():
        compared = f"{row['reference']:12.1f}{row['times_faster']:8.1f}x" if "reference" in row else ""
        print(f"{name:<12}{row['images_per_second']:12.1f}{compared}")
    report = {
        "size": arguments.size,
        "batch": arguments.batch,
        "device": arguments.device,
        "threads": torch.get_num_threads(),
        "processor": platform.processor() or platform.machine(),
        "torch": torch.__version__,
        "styles": results,
    }
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps(report, indent=2) + "\n")
    print(f"wrote {arguments.out}")


if __name__ == "__main__":
    main()
