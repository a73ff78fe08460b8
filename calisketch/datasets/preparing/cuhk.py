"""CUHK student faces of the CUFS release: 188 photos, each with an artist's drawing, split 88 / 100.

The release comes as zip archives (or their unpacked folders) named CUHK_training_cropped_photos,
CUHK_training_cropped_sketches, CUHK_testing_cropped_photos and so on. A drawing is named after its photo with a mark
of the scan's size: photo f-005-01.jpg, drawing f-005-01-sz1.jpg or F2-005-01-sz1.jpg.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from calisketch.datasets.preparing.item_images import Item
from calisketch.datasets.preparing.photos import TAR_PHOTOS, Report, collect, prepare_items
from calisketch.datasets.preparing.shard_run import Progress
from calisketch.datasets.preparing.sources import ImageSource, Problem
from calisketch.sketching.edges import CANNY_SIGMA

__all__ = ["ROWS", "VALIDATION_EVERY", "prepare_cuhk", "read_split", "subject"]

ROWS: dict[str, list[int]] = {"200x250": [25, 225], "400x500": [50, 450]}
"""The square of each known size (width x height): its first row, and the row after its last."""

VALIDATION_EVERY = 7  # every 7th training subject in manifest order, so that both sexes are in it: 12 of 88


def standard_split() -> Path:
    """The split manifest that comes with the project: inside an installed package, or in a checkout's data folder."""
    package = Path(__file__).resolve().parents[2]
    for folder in (package / "data", package.parent / "data"):
        if (folder / "cuhk_split.json").is_file():
            return folder / "cuhk_split.json"
    raise FileNotFoundError(f"no data/cuhk_split.json beside or in {package}. Install calisketch again.")


def prepare_cuhk(
    source: str | Path | Sequence[str | Path],
    out: str | Path,
    split: Mapping[str, str] | str | Path | None = None,
    *,
    size: int = 256,
    contour: str = "hed",
    canny_sigma: float = CANNY_SIGMA,
    equalise: bool = True,
    output: str = "folder",
    tar_photos: int = TAR_PHOTOS,
    shard: int | None = None,
    shards: int = 1,
    workers: int | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Report:
    """Prepare the CUHK student set.

    source: the release's archives or folders, or one folder that has `photos/` and `sketches/`.
    split: {subject: "train" | "validation" | "test"}, or the path of the split manifest it is read from; None:
        the project's own, `standard_split`.
    The other arguments, the Report and the errors are those of `prepare_photos`; the photos are aligned as they come.
    """
    splits = split if isinstance(split, Mapping) else read_split(split or standard_split())
    out = Path(out).expanduser()
    images, problems = collect(_only_pairs(source), out)
    report = Report(out, problems=problems)
    items = match(images, splits, problems)
    missing = [sum(1 for name, part in splits.items() if (part == "test") == test) for test in (False, True)]
    for item in items:
        missing[item.split == "test"] -= 1
    if any(missing):
        report.warnings.append(
            f"{missing[0]} training and {missing[1]} test subjects of the split are not in the source."
        )
    settings: dict[str, Any] = {"kind": "cuhk", "size": size, "align": "rows", "rows": ROWS}
    return prepare_items(
        items,
        settings,
        report,
        contour=contour,
        canny_sigma=canny_sigma,
        equalise=equalise,
        output=output,
        tar_photos=tar_photos,
        shard=shard,
        shards=shards,
        workers=workers,
        overwrite=overwrite,
        progress=progress,
    )


def _only_pairs(source: str | Path | Sequence[str | Path]) -> list[Path]:
    """A folder with photos/ and sketches/ is only these two, whatever else lies beside them."""
    roots: list[Path] = []
    for root in [source] if isinstance(source, (str, Path)) else source:
        path = Path(root).expanduser()
        pair = [path / "photos", path / "sketches"]
        roots += pair if all(folder.is_dir() for folder in pair) else [path]
    return roots


def read_split(path: str | Path) -> dict[str, str]:
    """{subject: "train" | "validation" | "test"} of a split manifest, in its order.

    The file lists `train` (88 subjects), `validation` (those of `train` that are held out: every 7th) and `test`.
    Raises ValueError if it is no such file or contradicts itself.
    """
    path = Path(path)
    try:
        lists = json.loads(path.read_text(encoding="utf-8"))
        train, validation, test = (list(lists[part]) for part in ("train", "validation", "test"))
        if not all(isinstance(name, str) for name in (*train, *validation, *test)):
            raise TypeError("a subject that is no text")
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise ValueError(
            f"{path} is no split manifest (a JSON object with train, validation and test): {error!r}."
        ) from error
    if set(train) & set(test) or not set(validation) <= set(train) or len({*train, *test}) != len(train) + len(test):
        raise ValueError(f"{path} contradicts itself: a subject is listed twice, or validation is not part of train.")
    held_out = set(validation)
    return {**{name: "validation" if name in held_out else "train" for name in train}, **dict.fromkeys(test, "test")}


def subject(stem: str, known: Mapping[str, Any]) -> str | None:
    """The subject that a file belongs to, by its name without suffix; None if it is none of the known ones.

    The mark of a scan's size is left out, and F2- and M2- are drawings of f- and m- subjects.
    """
    name = re.sub(r"-sz\d+$", "", stem.lower())
    if name in known:
        return name
    name = re.sub(r"^([fm])2-", r"\1-", name)
    return name if name in known else None


def _role(image: ImageSource) -> str | None:
    """photo or sketch, by the nearest folder or archive whose name says so, else by the mark of a scan."""
    for part in reversed(image.parts[:-1]):
        if "sketch" in part.lower():
            return "sketch"
        if "photo" in part.lower():
            return "photo"
    return "sketch" if re.search(r"-sz\d+$", image.stem.lower()) else None


def match(images: Sequence[ImageSource], splits: Mapping[str, str], problems: list[Problem]) -> list[Item]:
    """Pair each photo with its drawing, in the split's order; what has no partner is added to `problems`.

    A photo without a drawing is taken, without its artist track. Of two files for one place the one under a folder
    named "cropped" is taken, since the release also has uncropped ones.
    """
    found: dict[tuple[str, str], ImageSource] = {}
    for image in sorted(images, key=lambda image: not any("cropped" in part.lower() for part in image.parts)):
        role, name = _role(image), subject(image.stem, splits)
        if name is None:
            remedy = "Leave it out, or correct its name (photo f-005-01.jpg, drawing f-005-01-sz1.jpg)."
            problems.append(Problem(image.shown, "belongs to no subject of the split", remedy))
        elif role is None:
            remedy = "Put photos into a folder named photos, drawings into one named sketches."
            problems.append(Problem(image.shown, "may be a photo or a drawing", remedy))
        elif (name, role) in found:
            problems.append(
                Problem(
                    image.shown,
                    f"is a second {role} of {name}, beside {found[name, role].shown}",
                    "Leave one of them out.",
                )
            )
        else:
            found[name, role] = image
    items = []
    for name, split in splits.items():
        photo, artist = found.get((name, "photo")), found.get((name, "sketch"))
        if photo is not None:
            alone = Problem(photo.shown, "has no drawing; it was taken without one", "Add the archive of the drawings.")
            items.append(Item(name, split, photo, artist, note=alone if artist is None else None))
        elif artist is not None:
            problems.append(Problem(artist.shown, "has no photo", "Add the archive of the photos."))
    return items
