"""Preparation: images in, a folder of photo / contour / detail / artist PNGs and a manifest out.

    OUT/photo/ID.png      RGB
    OUT/contour/ID.png    HED of the photo with its luma equalised, looked at with at least 256 pixels; ink = white
    OUT/detail/ID.png     Canny of the photo, its sigma in proportion to the size; ink = white
    OUT/artist/ID.png     the artist's drawing, where there is one; ink = white
    OUT/manifest.json     settings, versions, split and SHA-256 of every file

An item whose files all have the recorded SHA-256, made from a source with the recorded SHA-256, is not made again; an
interrupted run continues where it was. Work is spread over processes, one image at a time in each.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import torch

from calisketch import alignment, weights
from calisketch.datasets.manifest import check_settings, intact, read_manifest, write_manifest
from calisketch.datasets.sources import ImageSource, Problem, find_images
from calisketch.datasets.tracks import Item, Job, Result, make_tracks, source_sha256
from calisketch.sketching.edges import CANNY_SIGMA

__all__ = ["Item", "Progress", "Report", "prepare_items", "prepare_photos"]

Progress = Callable[[Iterable[Any], int], Iterable[Any]]
"""Shows the progress of an iterable of known length and passes its elements on, as `tqdm(iterable, total=total)`."""

SAVE_EVERY = 5.0  # seconds between two manifests while a run goes on


@dataclass
class Report:
    """What a preparation did. `ok` is False if a file could not be read or matched."""

    out: Path
    made: int = 0
    kept: int = 0
    splits: dict[str, int] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def ok(self) -> bool:
        """Whether every file was read and matched."""
        return not self.problems

    def __str__(self) -> str:
        splits = ", ".join(f"{count} {split}" for split, count in self.splits.items())
        lines = [
            f"{self.out}: {self.made} made, {self.kept} already there ({splits or 'nothing'}), {self.seconds:.1f} s"
        ]
        lines += [f"warning: {warning}" for warning in self.warnings]
        if self.problems:
            lines.append(f"{len(self.problems)} problem{'s' if len(self.problems) > 1 else ''}:")
            lines += [f"  {item.file} {item.reason}. {item.remedy}" for item in self.problems]
        return "\n".join(lines)


def prepare_photos(
    source: str | Path | Sequence[str | Path],
    out: str | Path,
    *,
    size: int = 256,
    align: bool = True,
    contour: str = "hed",
    canny_sigma: float = CANNY_SIGMA,
    equalise: bool = True,
    validation_share: float = 0.1,
    workers: int | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Report:
    """Prepare any folder (or zip archive, or several) of photos of faces.

    align: bring the eyes to their canonical places with YuNet. Where its file is missing the report warns, and the
    square in the middle of each photo is taken instead, as with False.
    contour: "hed", or "none" to do without (for networks that are not calibrated on contours).
    canny_sigma: of Canny, in pixels at 256; in proportion at other sizes.
    validation_share: the share of photos for validation, chosen by a hash of the name, so that it stays the same when
    photos are added. Photos under folders named train, val / validation or test keep that split.
    workers: processes; 0: in this process; None: one per core. overwrite: make everything anew.
    progress: see `Progress`.

    Returns a Report. Raises SettingsDiffer if `out` was prepared with other settings, MissingWeights without HED's
    file, FileNotFoundError or ValueError for a source that is not there or holds no image.
    """
    if not 0.0 <= validation_share < 1.0:
        raise ValueError(f"validation_share must be in [0, 1); got {validation_share}.")
    images, problems = collect(source)
    report = Report(Path(out), problems=problems)
    by_eyes = align and alignment.detector_available()
    if align and not by_eyes:
        report.warnings.append(
            "the photos were NOT aligned, since the face detector's file is missing; the square in the middle of each "
            "was taken. To align them: python -c \"from calisketch import weights; weights.fetch('yunet')\", then "
            "prepare again with overwrite=true."
        )
    items = list(_named(images, problems))
    settings = {"kind": "photos", "size": size, "align": "eyes" if by_eyes else "centre"}
    items = _with_splits(items, validation_share)
    return prepare_items(
        items,
        settings,
        report,
        contour=contour,
        canny_sigma=canny_sigma,
        equalise=equalise,
        workers=workers,
        overwrite=overwrite,
        progress=progress,
    )


def collect(source: str | Path | Sequence[str | Path]) -> tuple[list[ImageSource], list[Problem]]:
    """The images of one or several folders and archives. Raises ValueError if there are none at all."""
    roots = [source] if isinstance(source, (str, Path)) else list(source)
    images: list[ImageSource] = []
    problems: list[Problem] = []
    for root in roots:
        found, bad = find_images(Path(root).expanduser())
        images += found
        problems += bad
    if not images and not problems:
        shown = ", ".join(str(root) for root in roots) or "nothing"
        raise ValueError(f"no images in {shown}. Give a folder or zip archive with .jpg or .png files.")
    return images, problems


def _named(images: Sequence[ImageSource], problems: list[Problem]) -> Iterator[Item]:
    """Names from the paths below the root: a/b.jpg becomes a--b, so that equal names in two folders stay apart."""
    taken: dict[str, ImageSource] = {}
    for image in images:
        name = "--".join((*image.parts[1:-1], image.stem))
        if name in taken:
            problems.append(Problem(image.shown, f"has the same name as {taken[name].shown}", "Rename one of them."))
            continue
        taken[name] = image
        yield Item(name, "train", image)


SPLIT_FOLDERS = {"train": "train", "training": "train", "val": "validation", "validation": "validation", "test": "test"}


def _with_splits(items: Sequence[Item], share: float) -> list[Item]:
    def split_of(item: Item) -> str | None:
        return next(
            (SPLIT_FOLDERS[part.lower()] for part in item.photo.parts[1:-1] if part.lower() in SPLIT_FOLDERS), None
        )

    named = {item.name: split for item in items if (split := split_of(item)) is not None}
    if "validation" not in named.values():
        ranks = {
            item.name: int(hashlib.sha256(item.name.encode()).hexdigest()[:8], 16) / 2**32
            for item in items
            if named.get(item.name, "train") == "train"
        }
        chosen = {name for name, rank in ranks.items() if rank < share}
        if not chosen and share > 0 and len(ranks) > 1:
            chosen = {min(ranks, key=lambda name: ranks[name])}
        named.update(dict.fromkeys(chosen, "validation"))
    return [Item(item.name, named.get(item.name, "train"), item.photo, item.artist) for item in items]


def prepare_items(
    items: Sequence[Item],
    settings: dict[str, Any],
    report: Report,
    *,
    contour: str = "hed",
    canny_sigma: float = CANNY_SIGMA,
    equalise: bool = True,
    workers: int | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Report:
    """Make each item's files and write the manifest; what cannot be taken is added to the report, the rest goes on.

    settings: at least `size` and `align` ("eyes", "centre", or "rows": CUHK's). The arguments are as in
    `prepare_photos`, whose errors it raises too.
    """
    if contour not in ("hed", "none"):
        raise ValueError(f'contour must be "hed" or "none"; got {contour!r}.')
    if not isinstance(settings["size"], int) or settings["size"] < 16:
        raise ValueError(f"size must be a whole number of pixels, at least 16; got {settings['size']!r}.")
    started = time.monotonic()
    out = report.out
    manifest = read_manifest(out)
    recorded = manifest["settings"] if manifest and not overwrite else None
    settings = {**settings, "canny_sigma": float(canny_sigma), "contour": contour, "equalise": equalise}
    if contour == "hed":
        settings["hed"] = _hed_fingerprint(recorded)
    if recorded is not None:
        check_settings(out, recorded, settings)
    entries: dict[str, Any] = dict(manifest["entries"]) if manifest and not overwrite else {}

    waiting = []
    for item in items:
        entry = entries.get(item.name)
        if entry is not None and entry["source_sha256"] == source_sha256(item) and intact(out, entry):
            entries[item.name] = {**entry, "split": item.split}
            report.kept += 1
        else:
            waiting.append(item)
    if waiting and contour == "hed":
        weights.locate("hed")  # before any work, so that a missing file costs no time
    out.mkdir(parents=True, exist_ok=True)
    job = Job(out, settings)
    saved = time.monotonic()
    try:
        results: Iterable[Result] = make_tracks(job, waiting, workers)
        for result in progress(results, len(waiting)) if progress else results:
            report.problems += result.problems
            if result.entry is not None:
                entries[result.name] = result.entry
                report.made += 1
            if time.monotonic() - saved > SAVE_EVERY:
                write_manifest(out, settings, _versions(), entries)
                saved = time.monotonic()
    finally:
        write_manifest(out, settings, _versions(), entries)
    others = len(set(entries) - {item.name for item in items})
    if others:
        report.warnings.append(
            f"{others} photos of earlier runs are not in this source and were kept; to drop them, "
            "prepare again with overwrite=true."
        )
    for entry in entries.values():
        report.splits[entry["split"]] = report.splits.get(entry["split"], 0) + 1
    report.seconds = time.monotonic() - started
    return report


def _hed_fingerprint(recorded: Mapping[str, Any] | None) -> str:
    """Which HED: file name and SHA-256. A folder that is complete can be checked where the file is missing."""
    if weights.available("hed"):
        path = weights.locate("hed")
        return f"{path.name} sha256:{weights.sha256_of(path)}"
    if recorded is not None and "hed" in recorded:
        return str(recorded["hed"])
    return str(weights.locate("hed"))  # raises MissingWeights


def _versions() -> dict[str, str]:
    import calisketch  # here: the package imports the pipeline first, and this module may be reached on that way

    return {
        "calisketch": calisketch.__version__,
        "numpy": np.__version__,
        "pillow": metadata.version("pillow"),
        "scikit-image": metadata.version("scikit-image"),
        "torch": torch.__version__,
    }
