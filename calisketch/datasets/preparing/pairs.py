"""Preparation of pairs: photos of one person or one set, each with a person's drawing of it, by the same names.

SOURCE/photos/anna-01.jpg      SOURCE/sketches/anna-01.png
SOURCE/photos/test/bea.jpg     SOURCE/sketches/test/bea.png       folders train, val and test are kept as such
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from calisketch.datasets.preparing.cuhk import ROWS
from calisketch.datasets.preparing.item_images import Item
from calisketch.datasets.preparing.photos import TAR_PHOTOS, Report, aligned_how, collect, prepare_items, with_splits
from calisketch.datasets.preparing.placed_drawings import DRAWINGS, PAGES
from calisketch.datasets.preparing.shard_run import Progress
from calisketch.datasets.preparing.sources import ImageSource, Problem
from calisketch.sketching.edges import CANNY_SIGMA

__all__ = ["prepare_pairs"]

_ROLES = {"photo": "photo", "sketch": "sketch", "drawing": "sketch"}


def prepare_pairs(
    source: str | Path | Sequence[str | Path],
    out: str | Path,
    *,
    size: int = 256,
    align: bool | str = True,
    drawings: str = "traced",
    page: str | bool = "auto",
    contour: str = "hed",
    canny_sigma: float = CANNY_SIGMA,
    equalise: bool = True,
    validation_share: float = 0.1,
    validation_every: int | None = None,
    output: str = "folder",
    tar_photos: int = TAR_PHOTOS,
    shard: int | None = None,
    shards: int = 1,
    workers: int | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Report:
    """Prepare photos together with a person's drawings of them, for few_shot and photo_to_sketch.

    source: a folder (or zip archive, or several) with the folders `photos` and `sketches` (or `drawings`) in it; a
    drawing has the name of its photo, whatever the ending. A photo without a drawing is listed, and not taken.
    drawings: "traced" if they lie over their photos, line by line (filters, tracings, registered scans): then they are
    moved as the photos are. "own" if each was drawn on a sheet of its own: then it is placed by its own eyes.
    align: True and False as for `prepare_photos`. "rows": the cropped releases of CUFS (CUHK, AR, XM2VTS) are aligned
    as they come, photo and drawing; of both the square of `ROWS` is taken, which puts the eyes where they belong.
    page: clean a photographed page's paper away: "auto" where it looks like one, True, False; as for sketches that are
    handed to a model.
    validation_every: every so many-th training pair, in the order of the names, is for validation, in place of a share
    of them; 7 is CUHK's rule. Folders named val go before it.
    The other arguments, the Report and the errors are those of `prepare_photos`; drawings become the artist track.
    """
    if drawings not in DRAWINGS:
        raise ValueError(f"drawings must be one of {', '.join(DRAWINGS)}; got {drawings!r}.")
    if page not in PAGES:
        raise ValueError(f"page must be auto, true or false; got {page!r}.")
    if not 0.0 <= validation_share < 1.0:
        raise ValueError(f"validation_share must be in [0, 1); got {validation_share}.")
    if align not in (True, False, "rows"):
        raise ValueError(f"align must be true, false or rows; got {align!r}.")
    if validation_every is not None and (isinstance(validation_every, bool) or validation_every < 2):
        raise ValueError(f"validation_every must be a whole number, at least 2, or null; got {validation_every!r}.")
    out = Path(out).expanduser()
    images, problems = collect(source, out)
    report = Report(out, problems=problems)
    items = list(match_pairs(images, problems))
    if not items:
        raise ValueError(
            f"no pairs in {source}: expected a folder photos and a folder sketches, with files of the same names. "
            + " ".join(f"{each.file} {each.reason}." for each in problems[:3])
        )
    settings: dict[str, Any] = {
        "kind": "pairs",
        "size": size,
        "align": "rows" if align == "rows" else aligned_how(bool(align), report),
        **({"rows": ROWS} if align == "rows" else {}),
        "drawings": drawings,
        "page": page,
    }
    return prepare_items(
        with_splits(items, validation_share, validation_every),
        settings,
        report,
        contour=contour,
        canny_sigma=canny_sigma,
        equalise=equalise,
        output=output,
        tar_photos=tar_photos,
        shard=shard,
        shards=shards,
        needs_validation=validation_share > 0 or validation_every is not None,
        workers=workers,
        overwrite=overwrite,
        progress=progress,
    )


def match_pairs(images: Sequence[ImageSource], problems: list[Problem]) -> list[Item]:
    """Each photo with the drawing of the same name below its own folder; what has no partner is added to `problems`."""
    found: dict[str, dict[str, ImageSource]] = {}
    for image in images:
        role, name = _role_and_name(image)
        if role is None:
            remedy = "Put photos into a folder named photos, drawings into one named sketches."
            problems.append(Problem(image.shown, "may be a photo or a drawing", remedy))
        elif role in found.setdefault(name, {}):
            reason = f"is a second {role} named {name}, beside {found[name][role].shown}"
            problems.append(Problem(image.shown, reason, "Rename or leave out one of them."))
        else:
            found[name][role] = image
    items = []
    for name, pair in sorted(found.items()):
        if "photo" in pair and "sketch" in pair:
            items.append(Item(name, "train", pair["photo"], pair["sketch"]))
        elif pair:
            missing = "drawing" if "photo" in pair else "photo"
            (alone,) = pair.values()
            problems.append(Problem(alone.shown, f"has no {missing} of the same name", f"Add the {missing}."))
    return items


def _role_and_name(image: ImageSource) -> tuple[str | None, str]:
    """photo or sketch by the nearest folder or archive whose name says so; and the path without that, for a name."""
    for place in range(len(image.parts) - 2, -1, -1):
        role = next((role for word, role in _ROLES.items() if word in image.parts[place].lower()), None)
        if role is not None:
            around = [*image.parts[1:place], *image.parts[max(place, 0) + 1 : -1]]
            return role, "--".join((*around, image.stem))
    return None, image.stem
