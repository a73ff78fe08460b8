"""What preparing a large set of photos costs: photos per second, memory, gigabytes, and from them 200,000 photos.

    python tools/benchmark/prepare.py --photos FOLDER --out outputs/benchmark_prepare.json

With HED at 256 pixels by one process and by two; then many small photos without contours, for the memory over the run,
the checking of what is there, and the opening of the result. Photos are repeated where there are too few. Needs HED's
weights. Prints a table and writes JSON.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import platform
import shutil
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from calisketch.datasets import PreparedPhotos, Report, prepare_photos
from calisketch.datasets.preparing.sources import find_images

ALL = 200_000  # about CelebA's
MEGABYTE = 2**20


class Watch:
    """Times a preparation and notes the memory of all its processes after so many photos."""

    def __init__(self, *after: int) -> None:
        self.after = set(after)
        self.memory: dict[int, float] = {}
        self.rates: list[float] = []

    def __call__(self, results: Iterable[Any], total: int) -> Iterator[Any]:
        """As `calisketch.datasets.preparing.shard_run.Progress` asks for."""
        started = first = time.perf_counter()
        for count, result in enumerate(results, 1):
            if count == min(20, total // 2):
                first = time.perf_counter()  # the processes have started and read their weights by now
            if count in self.after:
                self.memory[count] = memory()
            yield result
        ended = time.perf_counter()
        counted = total - min(20, total // 2) if first > started else total
        self.rates.append(counted / max(ended - first, 1e-9))


def memory() -> float:
    """MB that this process and its workers hold now; Linux tells."""
    pids = [os.getpid(), *(child.pid for child in multiprocessing.active_children())]
    kilobytes = 0
    for pid in pids:
        status = Path(f"/proc/{pid}/status")
        if status.is_file():
            lines = [line for line in status.read_text().splitlines() if line.startswith("VmRSS")]
            kilobytes += sum(int(line.split()[1]) for line in lines)
    return kilobytes / 1024


def repeated(photos: list[Path], count: int, folder: Path, side: int | None = None) -> Path:
    """A folder of `count` photos, repeated; side: made this small first."""
    folder.mkdir()
    if side is not None:
        small = folder.with_name(f"{folder.name}-small")
        small.mkdir()
        for number, photo in enumerate(photos[:50]):
            with Image.open(photo) as image:
                image.convert("RGB").resize((side, side)).save(small / f"{number}.jpg", quality=90)
        photos = sorted(small.iterdir())
    for number in range(count):
        shutil.copyfile(photos[number % len(photos)], folder / f"{number:06d}.jpg")
    return folder


def bytes_each(out: Path, count: int) -> dict[str, float]:
    """Kilobytes a photo: the files' own, and what they take on this disk."""
    files = [path.stat() for path in out.rglob("*") if path.is_file()]
    return {
        "kilobytes": sum(file.st_size for file in files) / count / 1000,
        "kilobytes_on_disk": sum(file.st_blocks * 512 for file in files) / count / 1000,
    }


def with_hed(photos: list[Path], work: Path, workers: int, count: int, output: str) -> dict[str, Any]:
    source = repeated(photos, count, work / f"hed-{workers}")
    watch = Watch(count // 2, count - 1)
    report = prepare_photos(source, work / f"hed-{workers}-out", workers=workers, output=output, progress=watch)
    check(report, count)
    sizes = bytes_each(work / f"hed-{workers}-out", report.made)
    return {"processes": workers, "photos": count, "photos_per_second": watch.rates[0], "memory_mb": watch.memory,
            "output": output, **sizes}  # fmt: skip


def without_contours(photos: list[Path], work: Path, workers: int, count: int) -> dict[str, Any]:
    source, out = repeated(photos, count, work / "many", side=96), work / "many-out"
    options: dict[str, Any] = {"size": 64, "contour": "none", "align": False, "workers": workers}
    watch = Watch(500, 1000, count // 2, count - 1)
    check(prepare_photos(source, out, progress=watch, **options), count)
    again = Watch()
    assert prepare_photos(source, out, progress=again, **options).kept == count
    started = time.perf_counter()
    opened = PreparedPhotos(out)
    seconds = time.perf_counter() - started
    started = time.perf_counter()
    find_images(source)
    return {"processes": workers, "photos": count, "photos_per_second": watch.rates[0], "memory_mb": watch.memory,
            "checked_per_second": again.rates[0], "opened_in_seconds": seconds, "opened": len(opened),
            "listed_in_seconds": time.perf_counter() - started}  # fmt: skip


def check(report: Report, count: int) -> None:
    """A benchmark of something that went wrong says nothing."""
    if report.made < 0.95 * count:
        sys.exit(f"only {report.made} of {count} photos were made:\n{report}"[:2000])


def table(result: dict[str, Any]) -> str:
    lines = []
    for run in [*result["hed"], result["many"]]:
        mb = ", ".join(f"{memory:.0f} MB after {count}" for count, memory in sorted(run["memory_mb"].items()))
        what = f"HED at 256, {run['output']}" if "output" in run else "no contours, at 64, folder"
        lines.append(f"{run['processes']} processes, {what}: {run['photos_per_second']:.2f} photos/s; {mb}")
    lines.append(f"checking what is there: {result['many']['checked_per_second']:.0f} photos/s")
    for name, cost in result["all"].items():
        lines.append(f"{ALL:,} photos, {name}: {cost:.1f}")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description="What preparing a large set of photos costs.")
    parser.add_argument("--photos", type=Path, required=True, help="a folder of photos of faces")
    parser.add_argument("--out", type=Path, default=Path("outputs/benchmark_prepare.json"))
    parser.add_argument(
        "--work", type=Path, default=None, help="where to prepare, and to clean up; null: a temporary folder"
    )
    parser.add_argument("--one", type=int, default=100, help="photos with HED by one process, into tars")
    parser.add_argument("--two", type=int, default=1000, help="photos with HED by two processes, into a folder")
    parser.add_argument("--many", type=int, default=10_000, help="small photos without contours")
    arguments = parser.parse_args()
    photos = [image.path for image in find_images(arguments.photos)[0] if image.member is None]
    if not photos:
        sys.exit(f"error: no photos in {arguments.photos}")
    with tempfile.TemporaryDirectory(dir=arguments.work) as folder:
        work = Path(folder)
        one = with_hed(photos, work, 1, arguments.one, "tar")
        two = with_hed(photos, work, 2, arguments.two, "folder")
        many = without_contours(photos, work, 2, arguments.many)
    hours = {f"hours with {run['processes']} processes": ALL / run["photos_per_second"] / 3600 for run in (one, two)}
    disk = {f"GB as {run['output']}": ALL * run["kilobytes_on_disk"] / 1e6 for run in (one, two)}
    checking = {"minutes of checking what is there": ALL / many["checked_per_second"] / 60}
    machine = {"processor": platform.processor() or platform.machine(), "cores": os.cpu_count()}
    result = {"hed": [one, two], "many": many, "all": {**hours, **disk, **checking}, "machine": machine,
              "torch": torch.__version__}  # fmt: skip
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps(result, indent=1) + "\n")
    print(table(result))


if __name__ == "__main__":
    main()
