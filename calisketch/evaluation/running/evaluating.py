"""The whole evaluation: models and baselines on one test set, in one report."""

from __future__ import annotations

import hashlib
import logging
import platform
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ...inference.computing import device_of
from ...sketching.styles import SketchMixture
from ..device import device_in_words, drawing_device, exact_float32
from ..measures.every_measure import METRICS, Measures, Row, in_row, line_figures, paired_rows
from ..measures.intervals import Interval
from ..reports.grid import picture_grid
from ..reports.report import Report, Table
from .baselines import BLUR, mean_face, nearest_drawings, nearest_when_drawn
from .frozen import BENCHMARK_SEED, FrozenSketches
from .protocol import TRACKS, Samples, artist_samples, in_one_style, read_photos, styles_of, synthetic_samples

__all__ = ["BASELINES", "Model", "evaluate"]

_LOG = logging.getLogger("calisketch.evaluation")
BASELINES = ("mean_face", "nearest_photo", "training_photos")
_ROW_NAMES = {
    "mean_face": "the mean training face, for everyone",
    "nearest_photo": "the training photo with the nearest sketch",
    "training_photos": "real training photos",
}


class Model(Protocol):
    """What is measured: `CaliSketch`, or anything that paints as it does."""

    @property
    def size(self) -> int:
        """Side of its images."""

    @property
    def info(self) -> Mapping[str, Any]:
        """What is known of it, "name" and "styles" among it."""

    @property
    def scn_generator(self) -> Any:
        """None where it paints from the strokes as they are."""

    @property
    def synthesize(self) -> Callable[..., Any]:
        """(N, 1, H, W) sketches, strength, True, options -> (N, 3, H, W) faces and (N, 1, H, W) refined sketches."""


@exact_float32()
def evaluate(
    models: Model | Mapping[str, Model],
    photos: Any,
    *,
    track: str = "synthetic",
    training: Any = None,
    strength: float = 1.0,
    seed: int = BENCHMARK_SEED,
    mixture: SketchMixture | None = None,
    frozen: FrozenSketches | str | Path | None = None,
    metrics: Sequence[str] | None = None,
    required: bool = False,
    baselines: Sequence[str] = BASELINES,
    per_style: bool = True,
    batch_size: int = 8,
    resamples: int = 2000,
    networks: Mapping[str, Any] | None = None,
    device: str | torch.device = "cpu",
) -> Report:
    """Measures models on the photos of a test set.

    Args:
        models: one, or several by name; `CaliSketch` of the photos' size. One without an SCN paints from the strokes as
            they are, whatever `strength`, and has no figures of its lines.
        photos: a data set with items {"photo", "detail", "contour" (may be missing), "artist" (for that track)}, such
            as `datasets.PreparedPhotos`.
        track: "synthetic", human-like sketches of the photos, or "artist", the artists' drawings.
        training: the photos the models were trained on, in the same form: for the baselines, and for the nearest
            training person of each face. None: without these.
        strength: t of R_t = (1 - t) S + t R.
        seed, mixture: of the synthetic sketches; `SketchMixture()` if None.
        frozen: manifest of frozen sketches to compare with, or its path; see `protocol.synthetic_samples`.
        metrics: some of `measures.METRICS`; those of the paper if None.
        required: an error where a metric's weights are missing, instead of a report without it.
        baselines: some of `BASELINES`, each a row of the table.
        per_style: also every photo drawn in each single style (the synthetic track), without FID and KID.
        batch_size: sketches that go through a model at a time. resamples: of the intervals.
        networks, device: see `Measures`; on CUDA the single styles are drawn, too, and those that the nearest training
            photo is found by. Models paint where they are.

    Raises:
        ValueError: models, photos, settings or a device that do not fit, ChangedSketches among them.
        calisketch.weights.MissingWeights: with `required`, saying how to get the file.
    """
    named: dict[str, Model] = dict(models) if isinstance(models, Mapping) else {_name_of(models): models}
    _check(named, photos, track, strength, baselines)
    if track == "artist":
        samples = artist_samples(photos)
    else:
        if frozen is not None and not isinstance(frozen, FrozenSketches):
            frozen = FrozenSketches.read(frozen)
        samples = synthetic_samples(photos, seed=seed, mixture=mixture, frozen=frozen)
    options: dict[str, Any] = {"required": required, "resamples": resamples, "networks": networks, "device": device}
    measures = Measures(samples.photo, metrics, **options)
    painted = {name: _paint(model, samples.sketch, strength, batch_size) for name, model in named.items()}

    _LOG.info("measuring %s", ", ".join(measures.names))
    faces = [measures.of(name, face) for name, (face, _) in painted.items()]
    tables = []
    known = None if training is None else read_photos(training)
    beside: dict[str, Tensor] = {}
    if known is not None:
        _LOG.info("baselines from %d training photos", len(known[0]))
        rows, beside = _baseline_rows(baselines, measures, samples, known[1], track, seed, mixture)
        faces += rows
    tables.append(Table("faces", "Faces", faces))
    if paired := paired_rows(faces, resamples):
        tables.append(Table("paired", "Image by image: the first model less each other row", paired))
    tables.append(
        Table(
            "lines", "Lines: what is painted from, against edge maps of the photo", _lines(measures, samples, painted)
        )
    )
    if per_style and track == "synthetic":
        tables.append(_style_table(measures, samples, named, strength, batch_size, seed, mixture))
    if known is not None and measures.identity is not None:
        made = {name: face for name, (face, _) in painted.items()}
        tables.append(_copies(measures, made | beside, known))
    protocol = _protocol(named, photos, samples, measures, track, strength, training, resamples)
    pictures = {row.name: _picture(samples, painted[row.name], row) for row in faces[: len(named)]}
    return Report(protocol, tables, samples.names, measures.absent, pictures)


def _check(models: Mapping[str, Model], photos: Any, track: str, strength: float, baselines: Sequence[str]) -> None:
    if not models:
        raise ValueError("models is empty; give at least one CaliSketch.")
    if track not in TRACKS:
        raise ValueError(f"track must be one of {', '.join(TRACKS)}; got {track!r}.")
    if isinstance(strength, bool) or not isinstance(strength, int | float) or not 0 <= strength <= 1:
        raise ValueError(f"strength must be in [0, 1]; got {strength!r}. 0 keeps the strokes, 1 replaces them.")
    if unknown := [name for name in baselines if name not in BASELINES]:
        raise ValueError(f"baselines must be some of {', '.join(BASELINES)}; got {', '.join(map(str, unknown))}.")
    if len(photos) == 0:
        raise ValueError("there are no photos to evaluate on. Choose another split, or prepare photos first.")
    size = photos[0]["photo"].shape[-1]
    for name, model in models.items():
        if model.size != size:
            raise ValueError(
                f"the photos must be of the model's size; {name} has {model.size} px, the photos {size}. Prepare the "
                f"photos at size={model.size}, and evaluate models of different sizes one by one."
            )


def _paint(model: Model, sketch: Tensor, strength: float, batch_size: int) -> tuple[Tensor, Tensor | None]:
    """Faces, and what they were painted from; None where a model has nothing that refines."""
    one_stage = model.scn_generator is None
    _LOG.info("%s paints %d sketches", _name_of(model), len(sketch))
    face, refined = model.synthesize(
        sketch,
        0.0 if one_stage else float(strength),
        True,
        align=False,
        page=False,
        polarity="light_on_dark",
        batch_size=batch_size,
    )
    return face, None if one_stage else refined


def _baseline_rows(
    baselines: Sequence[str],
    measures: Measures,
    samples: Samples,
    known: Mapping[str, Tensor],
    track: str,
    seed: int,
    mixture: SketchMixture | None,
) -> tuple[list[Row], dict[str, Tensor]]:
    """The baselines' rows, and by row the faces of those that have a face of their own for everyone."""
    rows, photo = [], known["photo"]
    copies = {"nearest_photo", "training_photos"} & set(baselines)
    features = measures.features(photo) if copies and measures.of_sets else np.empty((0, 0))
    beside: dict[str, Tensor] = {}
    if "mean_face" in baselines:  # one face for all has no distribution to compare
        rows.append(measures.of(_ROW_NAMES["mean_face"], mean_face(photo, len(samples)), sets=False))
    if "nearest_photo" in baselines:
        place = _nearest_photo(samples, known, track, seed, mixture, drawing_device(measures.device))
        beside[_ROW_NAMES["nearest_photo"]] = photo[place]
        of_these = features[place.numpy()] if len(features) else None
        rows.append(measures.of(_ROW_NAMES["nearest_photo"], photo[place], features=of_these))
    if "training_photos" in baselines and measures.of_sets:
        rows.append(measures.of_a_set(_ROW_NAMES["training_photos"], features, f"{len(photo)} of them"))
    return rows, beside


def _nearest_photo(
    samples: Samples,
    known: Mapping[str, Tensor],
    track: str,
    seed: int,
    mixture: SketchMixture | None,
    device: torch.device,
) -> Tensor:
    if track == "artist":
        if "artist" not in known:
            raise ValueError(
                "the baseline nearest_photo needs the artists' drawings of the training photos too. Open them with "
                'track="artist", or leave it out of baselines.'
            )
        return nearest_drawings(samples.sketch, known["artist"])
    return nearest_when_drawn(samples.sketch, known["photo"], seed, mixture, device=device)


def _lines(measures: Measures, samples: Samples, painted: Mapping[str, tuple[Tensor, Tensor | None]]) -> list[Row]:
    targets = {"Canny": samples.detail} | ({} if samples.contour is None else {"HED": samples.contour})
    rows = []
    for against, target in targets.items():
        for name, (_, refined) in painted.items():
            if refined is not None:
                rows.append(line_figures(measures, f"{name}, against {against}", refined, target, samples.sketch))
        rows.append(line_figures(measures, f"the sketch as drawn, against {against}", samples.sketch, target, None))
    if samples.contour is not None:  # what the paper's last row of Table 2 looks like
        product = samples.detail * samples.contour
        rows.append(line_figures(measures, "Canny x HED itself, against Canny", product, samples.detail, None))
    return rows


def _style_table(
    measures: Measures,
    samples: Samples,
    models: Mapping[str, Model],
    strength: float,
    batch_size: int,
    seed: int,
    mixture: SketchMixture | None,
) -> Table:
    rows, silent = [], [name for name, model in models.items() if styles_seen(model) is None]
    for style in styles_of(mixture):
        _LOG.info("every photo as %s", style)
        drawn = in_one_style(samples, style, seed, mixture, drawing_device(measures.device))
        for name, model in models.items():
            face, refined = _paint(model, drawn.sketch, strength, batch_size)
            seen = styles_seen(model)
            note = "a style left out of its training" if seen is not None and style not in seen else ""
            row = measures.of(f"{name}, {style}", face, sets=False, note=note)
            if refined is not None:
                lines = line_figures(measures, "", refined, samples.detail, drawn.sketch)
                wanted = ("precision_2px", "recall_2px", "strokes_kept")
                figures = {**row.figures, **{metric: lines.figures[metric] for metric in wanted}}
                per_image = {**row.per_image, **{metric: lines.per_image[metric] for metric in wanted}}
                row = Row(row.name, figures, per_image, note)
            rows.append(row)
    said = "Every photo drawn in each style, simplified and deformed as in the mixture; lines against Canny."
    if silent:
        said += f" {', '.join(silent)}: which styles it was trained on, the model does not say."
    return Table("styles", "By sketch style", rows, said)


def styles_seen(model: Model) -> set[str] | None:
    """The styles that a model says it was trained on (its info's "styles"); None where it says nothing."""
    said = model.info.get("styles")
    if isinstance(said, Mapping):
        return {str(name) for name, share in said.items() if share}
    return None if said is None else {said} if isinstance(said, str) else {str(name) for name in said}


def _copies(measures: Measures, made: Mapping[str, Tensor], known: tuple[tuple[str, ...], dict[str, Tensor]]) -> Table:
    names, kinds = known
    gallery = measures.gallery(kinds["photo"])
    rows = []
    for name, face in [*made.items(), ("the true photos of the test set", None)]:
        place, cosine = measures.nearest(face, gallery)
        people, most = len(set(place.tolist())), float(cosine.max())
        figures = {
            "nearest": measures.interval(cosine),
            "nearest_most": Interval(most, np.nan, np.nan, len(cosine)),
            "people": Interval(float(people), np.nan, np.nan, len(cosine)),
        }
        row = in_row(name, figures, {"nearest": cosine})
        rows.append(Row(name, figures, {**row.per_image, "nearest_person": [names[k] for k in place]}))
    note = (
        f"Of {len(names)} training photos, the nearest by identity. Faces nearer to one than true photos are, and far "
        "fewer people than there are, mean that training people are painted again. (A training photo itself stays a "
        "little below 1: it is aligned as the true photo is.)"
    )
    return Table("copies", "Memorisation", rows, note)


def _picture(samples: Samples, painted: tuple[Tensor, Tensor | None], row: Row) -> Image.Image:
    face, refined = painted
    columns = {"sketch": samples.sketch}
    if refined is not None:
        columns["calibrated"] = refined
    columns |= {"face": face, "photo": samples.photo}
    judged_by = {"lpips": "LPIPS", "ssim": "SSIM", "grey_ssim": "SSIM", "psnr": "PSNR", "grey_psnr": "PSNR"}
    metric = next((name for name in judged_by if name in row.per_image), None)
    if metric is None:  # none of the chosen metrics is of single images
        values = (face - samples.photo).abs().mean((1, 2, 3)).tolist()
        return picture_grid(columns, samples.names, values, "mean difference", lower_is_better=True)
    better = metric == "lpips"
    return picture_grid(columns, samples.names, row.per_image[metric], judged_by[metric], lower_is_better=better)


def _protocol(
    models: Mapping[str, Model],
    photos: Any,
    samples: Samples,
    measures: Measures,
    track: str,
    strength: float,
    training: Any,
    resamples: int,
) -> dict[str, Any]:
    settings = getattr(photos, "settings", None) or {"kind": type(photos).__name__}
    shown = ("kind", "rows", "align", "contour", "equalise", "canny_sigma", "hed")
    return {
        "models": {name: described(model) for name, model in models.items()},
        "track": track,
        "split": getattr(photos, "split", None) or "the given photos",
        "N": len(samples),
        "size": int(samples.photo.shape[-1]),
        "data": {key: settings[key] for key in shown if key in settings},
        "sketches": samples.statement,
        "precision": {name: getattr(model, "precision", None) for name, model in models.items()},
        "strength": {name: 0.0 if model.scn_generator is None else float(strength) for name, model in models.items()},
        "training photos": None
        if training is None
        else f"{len(training)}, split {getattr(training, 'split', 'as given')}",
        "nearest sketch": f"L2 of ink blurred by {BLUR:g} px at 256; synthetic: every training photo in every style",
        "metrics": {name: METRICS[name] for name in measures.names},
        "weights": measures.sources(),
        **_devices(models, measures.device),
        "resamples": resamples,
        "versions": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "numpy": np.__version__,
            "scikit-image": version("scikit-image"),
            "opencv": cv2.__version__,
        },
    }


def _devices(models: Mapping[str, Model], device: torch.device) -> dict[str, Any]:
    """{"device": where models painted and networks measured}, in words; nothing where that was the CPU alone."""
    painters = {name: getattr(model, "isn_generator", None) for name, model in models.items()}
    where = {name: device_of(network) for name, network in painters.items() if isinstance(network, torch.nn.Module)}
    where["LPIPS and Inception"] = device
    if all(each.type == "cpu" for each in where.values()):
        return {}
    words = {name: device_in_words(each) for name, each in where.items()}
    return {"device": words if len(set(words.values())) > 1 else words["LPIPS and Inception"]}


def described(model: Model) -> dict[str, Any]:
    """What tells one model from another: its networks, what its info says, and a digest of its weights."""
    networks = {name: getattr(model, f"{name}_generator", None) for name in ("scn", "isn")}
    digest = hashlib.sha256()
    counts = {}
    for name, network in networks.items():
        if isinstance(network, torch.nn.Module):
            counts[name] = f"{sum(weight.numel() for weight in network.parameters()) / 1e6:.2f} M parameters"
            for key, value in sorted(network.state_dict().items()):
                digest.update(f"{name}.{key}".encode() + value.detach().float().cpu().numpy().tobytes())
    said = {"info": dict(model.info)} if model.info else {}
    return {**counts, **said, "weights sha256": digest.hexdigest()}


def _name_of(model: Model) -> str:
    return str(model.info.get("name") or "model")
