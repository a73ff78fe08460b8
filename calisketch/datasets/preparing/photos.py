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

import errno
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import torch

from calisketch import weights
from calisketch.boundary import alignment
from calisketch.datasets.manifest import read_manifest
from calisketch.datasets.preparing.item_images import Item
from calisketch.datasets.preparing.merged_shards import merge
from calisketch.datasets.preparing.shard_run import Progress, ShardRun
from calisketch.datasets.preparing.sources import ImageSource, Problem, find_images
from calisketch.datasets.preparing.work_plan import Plan, check_recorded, rank
from calisketch.datasets.shard_journal import Shard
from calisketch.sketching.edges import CANNY_SIGMA

__all__ = ["Item", "Progress", "Report", "prepare_items", "prepare_photos"]

TAR_PHOTOS = 1000  # at 256 pixels about 150 MB


@dataclass
class Report:
    """What a preparation did. `ok` is False if a file could not be read or matched.

    made, kept: photos of this shard, where there are several. splits: the photos of the whole folder; empty while it is
    not `finished`, since shards are missing.
    """

    out: Path
    made: int = 0
    kept: int = 0
    splits: dict[str, int] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    seconds: float = 0.0
    finished: bool = True

    @property
    def ok(self) -> bool:
        """Whether every file was read and matched."""
        return not self.problems

    def __str__(self) -> str:
        splits = ", ".join(f"{count} {split}" for split, count in self.splits.items())
        whole = splits or ("nothing" if self.finished else "one shard of several")
        lines = [f"{self.out}: {self.made} made, {self.kept} already there ({whole}), {self.seconds:.1f} s"]
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
    train_photos: int | None = None,
    output: str = "folder",
    tar_photos: int = TAR_PHOTOS,
    shard: int | None = None,
    shards: int = 1,
    workers: int | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Report:
    """Prepare any folder (or zip archive, or several) of photos of faces.

    align: bring the eyes to their canonical places with YuNet, which is part of the package. Where it cannot run the
    report warns, and the square in the middle of each photo is taken instead, as with False.
    contour: "hed", or "none" to do without (for networks that are not calibrated on contours).
    canny_sigma: of Canny, in pixels at 256; in proportion at other sizes.
    validation_share: the share of photos for validation, chosen by a hash of the name, so that it stays the same when
    photos are added; at least one, where two could be taken. Photos under folders named train, val / validation or test
    keep that split.
    train_photos: take only so many of the photos for training: those whose names have the smallest hashes, so that the
    same are taken on every machine, and from every source its share. None: all.
    output: "folder" for a file an image, or "tar" for WebDataset's tars with about `tar_photos` photos each.
    shard, shards: make only part `shard` (from 0) of `shards`, while other processes or machines make the others. The
    last to finish writes the manifest; the files are byte for byte those of one process.
    workers: processes; 0: in this process; None: one per core, or with a shard this one. overwrite: make everything
    anew. progress: see `Progress`; it is called for checking what is there, then for making the rest.

    Returns a Report. Raises SettingsDiffer if `out` was prepared with other settings, MissingWeights without HED's
    file, FileNotFoundError or ValueError for a source that is not there or holds no image, OSError if the disk is full
    or `out` may not be written, RuntimeError if a worker process died. After all of these and after a kill the same
    call goes on with what was made.
    """
    if not 0.0 <= validation_share < 1.0:
        raise ValueError(f"validation_share must be in [0, 1); got {validation_share}.")
    out = Path(out).expanduser()
    images, problems = collect(source, out)
    report = Report(out, problems=problems)
    how = aligned_how(align, report)
    items = list(_named(images, problems))
    settings = {"kind": "photos", "size": size, "align": how}
    return prepare_items(
        _fewer(with_splits(items, validation_share), train_photos),
        settings,
        report,
        contour=contour,
        canny_sigma=canny_sigma,
        equalise=equalise,
        output=output,
        tar_photos=tar_photos,
        shard=shard,
        shards=shards,
        needs_validation=validation_share > 0,
        workers=workers,
        overwrite=overwrite,
        progress=progress,
    )


def collect(source: str | Path | Sequence[str | Path], out: Path) -> tuple[list[ImageSource], list[Problem]]:
    """The images of one or several folders and archives, `out` left out. Raises ValueError if there are none at all."""
    roots = [source] if isinstance(source, (str, Path)) else list(source)
    images: list[ImageSource] = []
    problems: list[Problem] = []
    for root in roots:
        found, bad = find_images(Path(root).expanduser(), out)
        images += found
        problems += bad
    if not images and not problems:
        shown = ", ".join(str(root) for root in roots) or "nothing"
        raise ValueError(f"no images in {shown}. Give a folder or zip archive with .jpg or .png files.")
    return images, problems


def aligned_how(align: bool, report: Report) -> str:
    """How photos come to their square, "eyes" or "centre"; that the detector cannot run is added to the warnings."""
    if align and not alignment.detector_available():
        report.warnings.append(
            "the photos were NOT aligned, since the face detector cannot run here; the square in the middle of each "
            f"was taken. {alignment.DETECTOR_REMEDY} Then prepare again with overwrite=true."
        )
        return "centre"
    return "eyes" if align else "centre"


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


def with_splits(items: Sequence[Item], share: float, every: int | None = None) -> list[Item]:
    """The items with their splits: by folders named train, val or test, else a share for validation, by their names.

    every: every so many-th item for training, in the order of the names, is for validation in place of the share.
    """

    def split_of(item: Item) -> str | None:
        return next(
            (SPLIT_FOLDERS[part.lower()] for part in item.photo.parts[1:-1] if part.lower() in SPLIT_FOLDERS), None
        )

    named = {item.name: split for item in items if (split := split_of(item)) is not None}
    if "validation" not in named.values():
        training = sorted(item.name for item in items if named.get(item.name, "train") == "train")
        chosen = [name for name in training if rank(name) < share] if every is None else training[every - 1 :: every]
        named |= dict.fromkeys(chosen, "validation")
    return [Item(item.name, named.get(item.name, "train"), item.photo, item.artist) for item in items]


def _fewer(items: Sequence[Item], train_photos: int | None) -> list[Item]:
    """The items with only so many for training, chosen by the hashes of their names."""
    if train_photos is None:
        return list(items)
    training = sorted((item for item in items if item.split == "train"), key=lambda item: (rank(item.name), item.name))
    if isinstance(train_photos, bool) or not 1 <= train_photos <= len(training):
        raise ValueError(
            f"train_photos must be from 1 to the {len(training)} photos for training that there are; got "
            f"{train_photos!r}. Give a smaller number, or null for all."
        )
    left_out = {item.name for item in training[train_photos:]}
    return [item for item in items if item.name not in left_out]


def prepare_items(
    items: Sequence[Item],
    settings: dict[str, Any],
    report: Report,
    *,
    contour: str = "hed",
    canny_sigma: float = CANNY_SIGMA,
    equalise: bool = True,
    output: str = "folder",
    tar_photos: int = TAR_PHOTOS,
    shard: int | None = None,
    shards: int = 1,
    workers: int | None = None,
    overwrite: bool = False,
    needs_validation: bool = False,
    progress: Progress | None = None,
) -> Report:
    """Make each item's files and write the manifest; what cannot be taken is added to the report, the rest goes on.

    settings: at least `size` and `align` ("eyes", "centre", or "rows": CUHK's). needs_validation: see `Plan`. The other
    arguments are as in `prepare_photos`, whose errors it raises too.
    """
    if not hasattr(os, "pread"):
        raise OSError("photos are prepared on Linux and macOS only; on Windows use WSL, and take the finished folder.")
    _check_arguments(contour, settings["size"], output, tar_photos)
    part = Shard(0, 1) if shard is None else Shard(shard, shards)
    if shard is None:
        Shard(0, shards)  # refuses impossible numbers
    elif workers is None:
        workers = 1  # the shards themselves are the processes
    started = time.monotonic()
    out = report.out
    settings = {**settings, "canny_sigma": float(canny_sigma), "contour": contour, "equalise": equalise}
    if settings["align"] == "eyes":
        settings["border"] = "blurred"  # beyond the photo; folders of before repeat the photo's edge
    if output == "tar":
        settings["output"] = "tar"
    if contour == "hed":
        manifest = read_manifest(out) if not overwrite else None
        settings["hed"] = _hed_fingerprint(manifest.settings if manifest is not None else None)
    if not overwrite:
        check_recorded(out, settings)
    plan = Plan(
        out=out,
        items=sorted(items, key=lambda item: item.name),
        settings=settings,
        versions=_versions(),
        tars=max(1, -(-len(items) // tar_photos)) if output == "tar" else 0,
        shards=part.count,
        overwrite=overwrite,
        needs_validation=needs_validation,
    )
    # Before any work and before any folder is made, so that a missing file costs nothing.
    run = ShardRun(plan, part, workers, progress, before_work=lambda: contour == "hed" and weights.locate("hed"))
    with _clear_of_disk_errors(out):
        run.run()
        merged = merge(plan)
    if part.number:  # what concerns the whole source is said once, by the first shard
        report.problems, report.warnings = [], []
    report.made, report.kept, report.splits, report.finished = run.made, run.kept, merged.splits, merged.finished
    report.problems += sorted(run.problems, key=lambda problem: problem.file)
    report.warnings += merged.warnings
    report.seconds = time.monotonic() - started
    return report


def _check_arguments(contour: str, size: object, output: str, tar_photos: object) -> None:
    if contour not in ("hed", "none"):
        raise ValueError(f'contour must be "hed" or "none"; got {contour!r}.')
    if not isinstance(size, int) or size < 16:
        raise ValueError(f"size must be a whole number of pixels, at least 16; got {size!r}.")
    if output not in ("folder", "tar"):
        raise ValueError(f'output must be "folder" or "tar"; got {output!r}.')
    if not isinstance(tar_photos, int) or tar_photos < 1:
        raise ValueError(f"tar_photos must be a whole number, at least 1; got {tar_photos!r}.")


@contextmanager
def _clear_of_disk_errors(out: Path) -> Iterator[None]:
    """A full disk, a folder that may not be written: what it is about, and that nothing is lost."""
    again = "What was made is kept whole: run the same command again, it goes on from there."
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise OSError(error.errno, f"the disk of {out} is full. Make room. {again}") from error
        if error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
            raise OSError(
                error.errno,
                f"{error.filename or out} may not be written ({error.strerror}). Allow it, or give "
                f"another folder with out=... {again}",
            ) from error
        raise


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
