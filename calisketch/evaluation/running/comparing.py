"""Comparisons: several ways to paint the same test photos, in one table, and claims about them put to the test."""

from __future__ import annotations

import logging
import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any, Protocol, TypeGuard

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from torch import Tensor
from torch.utils.data import default_collate

from ...boundary.colours import over_paper
from ...datasets.reading.conditioned_photos import Maker, PhotosWith
from ...sketching.styles import SketchMixture
from ..measures.every_measure import METRICS, SET_DISTANCES, Measures, Row, in_row
from ..measures.intervals import Interval, jackknife, paired_difference
from ..measures.pixel import to_uint8
from ..reports.grid import CAPTION_HEIGHT
from ..reports.report import HEADINGS, Report, Table
from .frozen import BENCHMARK_SEED, FrozenSketches, draw_frozen

__all__ = ["Claim", "Entry", "compare"]

Batch = dict[str, Tensor]
Answer = Tensor | tuple[Tensor, Mapping[str, Sequence[float]]]

_LOG = logging.getLogger("calisketch.evaluation")
_SHOWN = 4  # photos in the picture
_PLAIN = ("photo", "contour", "detail", "artist", "index")  # of an item; what is more are conditions


class Figure(Protocol):
    """A figure that is measured picture by picture, beside those of `measures.METRICS`."""

    @property
    def higher_is_better(self) -> bool:
        """Which way is better."""
        ...

    @property
    def says(self) -> str:
        """How it is computed, for the report."""
        ...

    def __call__(self, batch: Batch, made: Tensor) -> Tensor:
        """batch as it was painted from, with the truth in ``photo``; made (B, 3, H, W) -> (B,); NaN: has none."""
        ...


@dataclass(frozen=True)
class Entry:
    """A row of a comparison.

    Args:
        paint: a batch, as training has it, -> pictures (B, 1 or 3, H, W) in [0, 1], or such pictures and figures of its
            own, name -> one value a picture. It must not look at ``photo``.
        draw: (photo, seed=, epoch=, index=) -> (B, C, H, W), which becomes ``batch["sketch"]``; or the name of what
            the photos have in its place, such as "artist"; None: there is none.
        makers: of further conditions, by name; see `datasets.PhotosWith`.
        figures: further figures, by name.
        note: shown after the row's name.
    """

    paint: Callable[[Batch], Answer]
    draw: Callable[..., Tensor] | str | None = None
    makers: Mapping[str, Maker] = field(default_factory=dict)
    figures: Mapping[str, Figure] = field(default_factory=dict)
    note: str = ""


@dataclass(frozen=True)
class Claim:
    """That a row is better than another, or a number, by a metric; with a margin: that it is at most so much worse.

    Args:
        says: the claim in words, with its source.
        better, worse: names of rows; or for worse a figure to beat, in the metric's unit.
        metric: a figure that both have.
        margin: in the metric's unit, at least 0.
    """

    says: str
    better: str
    worse: str | float
    metric: str
    margin: float = 0.0


def compare(
    photos: Any,
    entries: Mapping[str, Entry],
    claims: Sequence[Claim] = (),
    *,
    title: str = "Comparison",
    metrics: Sequence[str] = ("psnr", "ssim", "lpips"),
    required: bool = False,
    truth: str = "photo",
    seed: int = BENCHMARK_SEED,
    batch_size: int = 8,
    resamples: int = 2000,
    networks: Mapping[str, Any] | None = None,
    protocol: Mapping[str, Any] | None = None,
    frozen: FrozenSketches | None = None,
) -> Report:
    """Paints the same photos in every way, measures all, and judges the claims.

    A claim has *held* if the 95 % interval of the difference, photo by photo (FID, KID and MMD: jackknife), lies on its
    side of zero, *did not hold* if it lies on the other, and is *undecided* in between.

    Args:
        photos: a data set with items {"photo": (3, H, W), ...}, the test photos.
        entries: by name, in the table's order.
        claims: about the entries.
        title: of the table.
        metrics, required, resamples, networks: as `Measures` takes them.
        truth: what of an item the pictures should equal; one channel counts as grey.
        seed: of all sketches and conditions: the same for every entry.
        protocol: more lines for the report.
        frozen: manifest that sketches of the default `SketchMixture` are compared with, where it covers the photos.

    Raises:
        ChangedSketches: a sketch is not the frozen one.
        ValueError: no entries, fewer than 2 photos, a claim about a row or figure that is not there, or pictures of
            another size.
    """
    if not entries:
        raise ValueError("entries must hold at least one way to paint; got none.")
    if len(photos) < 2:
        raise ValueError(f"photos must be at least 2 test photos; got {len(photos)}.")
    for claim in claims:
        if missing := {row for row in (claim.better, claim.worse) if isinstance(row, str)} - set(entries):
            raise ValueError(f"the claim {claim.says!r} is about {sorted(missing)}; the rows are {list(entries)}.")
    real = _three(torch.stack([photos[place][truth] for place in range(len(photos))]).float())
    measures = Measures(real, metrics, required=required, resamples=resamples, networks=networks)
    names = list(getattr(photos, "names", [])) or [str(place) for place in range(len(photos))]
    if frozen is not None and frozen.covers(names, int(real.shape[-1]), seed) is not None:
        frozen = None
    checked = 0
    rows: dict[str, Row] = {}
    features: dict[str, NDArray[np.float64]] = {}
    shown: dict[str, tuple[Tensor, Tensor]] = {}
    places = [place * len(photos) // min(_SHOWN, len(photos)) for place in range(min(_SHOWN, len(photos)))]
    for name, entry in entries.items():
        _LOG.info("painting: %s", name)
        answer, seen, own, sketches = _painted(photos, entry, seed, batch_size, real)
        if frozen is not None and _draws_the_benchmark(entry.draw):
            frozen.check(torch.stack([photos[place]["photo"] for place in range(len(photos))]), sketches, entry.draw)
            checked += 1
        if measures.of_sets:
            features[name] = measures.features(answer)
        row = measures.of(name, answer, features=features.get(name), note=entry.note)
        figures = {**row.figures, **{key: measures.interval(values) for key, values in own.items()}}
        rows[name] = Row(name, figures, {**row.per_image, **own}, entry.note)
        shown[name] = (seen[places], answer[places])
    further = {name: figure for entry in entries.values() for name, figure in entry.figures.items()}
    headings = {name: (f"{name} {'↑' if figure.higher_is_better else '↓'}", 3) for name, figure in further.items()}
    headings = HEADINGS | {name: heading for name, heading in headings.items() if name not in HEADINGS}
    judged = [_judged(claim, rows, features, measures, headings) for claim in claims]
    tables = [Table("comparison", title, list(rows.values()), headings=headings)]
    if judged:
        note = "difference: the row that is said to be better, less the other, with its 95 % interval"
        tables.append(Table("claims", "Claims", judged, note))
    said = {
        "N": len(photos),
        "size": int(real.shape[-1]),
        "seed": seed,
        "sketches": "drawn in double precision, in 8 bits" + f"; as frozen in {checked} rows" * bool(checked),
        "metrics": {name: METRICS[name] for name in measures.names}
        | {name: figure.says for name, figure in further.items()},
        **dict(protocol or {}),
        "weights": measures.sources(),
        "versions": {name: version(name) for name in ("torch", "calisketch")} | {"python": platform.python_version()},
    }
    return Report(said, tables, names, measures.absent, {"grid": _grid(real[places], shown)})


def _painted(
    photos: Any, entry: Entry, seed: int, batch_size: int, real: Tensor
) -> tuple[Tensor, Tensor, dict[str, list[float]], Tensor]:
    """All answers, what is shown of all inputs, the entry's own figures, and what was drawn."""
    given = PhotosWith(photos, entry.makers, 1, seed) if entry.makers else photos
    answers, inputs, drawn = [], [], []
    own: dict[str, list[float]] = {}
    for first in range(0, len(given), batch_size):
        places = range(first, min(first + batch_size, len(given)))
        batch: Batch = default_collate([given[place] for place in places])
        if isinstance(entry.draw, str):
            batch["sketch"] = batch[entry.draw]
        elif entry.draw is not None:
            batch["sketch"] = draw_frozen(entry.draw, batch["photo"], seed, first_index=first)
            drawn.append(batch["sketch"])
        with torch.no_grad():
            made = entry.paint(batch)
        picture, figures = made if isinstance(made, tuple) else (made, {})
        picture = _three(picture.detach().float().cpu())
        if picture.shape[-2:] != real.shape[-2:] or len(picture) != len(places):
            raise ValueError(
                f"a row painted {tuple(picture.shape)} for {len(places)} photos of {tuple(real.shape[-2:])}; expected "
                "one picture of that size each."
            )
        for name, values in figures.items():
            own.setdefault(name, []).extend(map(float, values))
        for name, figure in entry.figures.items():
            own.setdefault(name, []).extend(map(float, figure(batch, picture)))
        answers.append(picture)
        inputs.append(_seen(batch))
    return torch.cat(answers), torch.cat(inputs), own, torch.cat(drawn) if drawn else torch.empty(0)


def _draws_the_benchmark(draw: Any) -> TypeGuard[SketchMixture]:
    """Whether it is `SketchMixture` as it is by default, which the frozen sketches are of."""
    usual = SketchMixture()
    settings = ("names", "learned", "simplify", "deform", "ranges")
    return (
        type(draw) is SketchMixture
        and all(getattr(draw, name) == getattr(usual, name) for name in settings)
        and torch.equal(draw.cumulated, usual.cumulated)
    )


def _seen(batch: Batch) -> Tensor:
    """What was painted from, as a picture: lines dark on white, over the first three channels of what is in colour."""
    conditions = {name: value for name, value in batch.items() if name not in _PLAIN and value.ndim == 4}
    size = batch["photo"].shape
    page = torch.ones(size[0], 3, *size[-2:])
    lines = None
    for name, value in conditions.items():
        value = value.float().cpu()
        if name == "colours" and value.shape[1] == 4:  # colours where they are given, paper elsewhere
            page = over_paper(value)
        elif value.shape[1] >= 3:
            page = value[:, :3]
        elif lines is None:
            lines = value[:, :1]
    return page if lines is None else page * (1 - lines)


def _judged(
    claim: Claim,
    rows: Mapping[str, Row],
    features: Mapping[str, NDArray[np.float64]],
    measures: Measures,
    headings: Mapping[str, tuple[str, int]],
) -> Row:
    """The claim as a row: the difference with its interval, the verdict as its note."""
    better = rows[claim.better]
    worse = rows[claim.worse] if isinstance(claim.worse, str) else None
    if claim.metric in measures.absent:
        return in_row(claim.says, {}, {}, f"not measured: {claim.metric}")
    if any(claim.metric not in row.figures for row in (better, worse) if row) or claim.metric not in headings:
        raise ValueError(f"the claim {claim.says!r} is about {claim.metric!r}; its rows have {sorted(better.figures)}.")
    if worse is None:
        if claim.metric in SET_DISTANCES:
            raise ValueError(f"the claim {claim.says!r} must be about a figure of single images; got {claim.metric!r}.")
        difference = measures.interval([value - float(claim.worse) for value in better.per_image[claim.metric]])
    elif claim.metric in SET_DISTANCES:
        distance = SET_DISTANCES[claim.metric]
        parts = measures.real_features, features[better.name], features[worse.name]
        difference = jackknife(lambda real, one, two: distance(real, one) - distance(real, two), *parts)
    else:
        pair = better.per_image[claim.metric], worse.per_image[claim.metric]
        difference = paired_difference(*pair, resamples=measures.resamples)
    return in_row(claim.says, {"difference": difference}, {}, verdict(difference, claim.metric, claim.margin, headings))


def verdict(
    difference: Interval, metric: str, margin: float = 0.0, headings: Mapping[str, tuple[str, int]] = HEADINGS
) -> str:
    """What the interval of (said to be better) - (the other) says: held, did not hold, undecided."""
    sign = -1.0 if "↓" in headings[metric][0] else 1.0
    low, high = sorted((sign * difference.low + margin, sign * difference.high + margin))
    return f"{metric}: " + ("held" if low > 0 else "did not hold" if high < 0 else "undecided")


def _three(images: Tensor) -> Tensor:
    """One channel as grey in three, dark lines on white; three as they are."""
    return (1 - images).expand(-1, 3, -1, -1) if images.shape[1] == 1 else images


def _grid(real: Tensor, shown: Mapping[str, tuple[Tensor, Tensor]]) -> Image.Image:
    """A column for the truth and one for each row of the table; of each photo what was given, and below the answer."""
    height, width = real.shape[-2:]
    cell = max(width, 96)  # room for the captions
    page = Image.new("RGB", ((len(shown) + 1) * cell, CAPTION_HEIGHT * 2 + 2 * height * len(real)), "white")
    pen = ImageDraw.Draw(page)
    for column, (name, pictures) in enumerate([("the truth", (torch.ones_like(real), real)), *shown.items()]):
        for line, text in enumerate((name[: cell // 6], name[cell // 6 : 2 * (cell // 6)])):
            pen.text((column * cell + 2, 2 + line * CAPTION_HEIGHT), text, fill="black")
        for place in range(len(real)):
            for below, images in enumerate(pictures):
                picture = Image.fromarray(to_uint8(images[place : place + 1].clamp(0, 1))[0])
                page.paste(picture, (column * cell, CAPTION_HEIGHT * 2 + (2 * place + below) * height))
    return page
