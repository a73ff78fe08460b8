"""Evaluation from a configuration: what ``calisketch evaluate`` runs."""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, get_args

import torch
from omegaconf import DictConfig, OmegaConf

from ..datasets import JoinedPhotos, PreparedPhotos
from ..datasets.reading.prepared_photos import SPLITS
from ..evaluation import FrozenSketches, Report, benchmark_sketches, evaluate
from ..evaluation.device import chosen_device
from ..evaluation.measures.every_measure import EDGECONNECT, METRICS, PAPER
from ..evaluation.reports.report import FORMAT
from ..evaluation.running.evaluating import BASELINES
from ..evaluation.running.protocol import TRACKS
from ..inference.computing import Precision
from ..pipeline import CaliSketch
from ..sketching.styles import SketchMixture
from .conf_files import conf_dir
from .hydra_entry import exit_status, wants_tracebacks
from .train_config import ConfigError

MODES = {"paper": PAPER, "edgeconnect": EDGECONNECT}
_CHOICES = {"precision": get_args(Precision), "track": TRACKS, "split": SPLITS, "mode": tuple(MODES)}
_LISTS: dict[str, tuple[str, ...]] = {"metrics": tuple(METRICS), "baselines": BASELINES, "training": SPLITS}
_WHOLE = {"seed": 0, "batch_size": 1, "resamples": 100, "threads": 1}  # and the least of each


def main(argv: Sequence[str] | None = None) -> int:
    """Composes the configuration from ``argv`` (Hydra's overrides; the process's own if None), and evaluates.

    Returns:
        The exit status: 0, or 1 after an error that was printed.
    """
    return exit_status("evaluate", _run_reporting, argv)


def _run_reporting(cfg: DictConfig) -> int:
    progress = logging.StreamHandler()
    log = logging.getLogger("calisketch.evaluation")
    log.setLevel(logging.INFO)
    log.addHandler(progress)
    earlier: Any = None
    try:
        if cfg.get("against") is not None:  # before the work of minutes
            earlier = _read_report(cfg.against)
        report, written = run(cfg)
    except (OSError, ValueError, ImportError, DeviceFailed) as error:
        if wants_tracebacks():
            raise
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    finally:
        log.removeHandler(progress)
    print(report.to_markdown())
    print(f"written: {', '.join(map(str, written))}")
    if earlier is None:
        return 0
    try:
        told = report.differences(earlier)
    except ValueError as error:
        print(f"ValueError: {error}", file=sys.stderr)
        return 1
    print("\n".join([f"against {cfg.against}: {f'{len(told)} figures differ' if told else 'all figures hold'}", *told]))
    return 1 if told else 0


def _read_report(path: Any) -> Any:
    if not _is_text(path):
        raise ConfigError(f"against must be a report's JSON file; got {path!r}.")
    try:
        earlier = json.loads(Path(path).read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"against must be a report's JSON file; {path} is none: {error}.") from error
    try:
        rows = [(table["key"], row) for table in earlier["tables"] for row in table["rows"]]
        values = [(row["name"], figure["value"]) for _, row in rows for figure in row["figures"].values()]
        whole = bool(values) and earlier["format"] == FORMAT and isinstance(earlier["protocol"], dict)
    except (KeyError, TypeError, AttributeError):
        whole = False
    if not whole:
        raise ConfigError(f"against must be a JSON file that an evaluation wrote; {path} is another one.")
    return earlier


def run(cfg: DictConfig) -> tuple[Report, list[Path]]:
    """Evaluates as ``cfg`` (composed from conf/evaluate.yaml) says; returns the report and the files it is in.

    Raises:
        ConfigError: a wrong key or value.
        ValueError, OSError: models, photos or a device that are not there or do not fit; test sketches that changed.
        calisketch.weights.MissingWeights: a metric that was asked for by name lacks its weights.
        DeviceFailed: a GPU's memory is full, or it failed otherwise.
    """
    given = _checked(cfg)
    name = f"{given['split']}-{given['track']}" + ("" if given["mode"] == "paper" else f"-{given['mode']}")
    own = (Path(given["out"]) / f"{name}.json").resolve()
    if given["against"] is not None and Path(given["against"]).resolve() == own:
        raise ConfigError(f"against={given['against']} is the file that this report goes to; give another out.")
    if given["threads"] is not None:
        torch.set_num_threads(given["threads"])
    device = chosen_device(given["device"])
    with _told_of(device):
        return _measured(given, device, name)


class DeviceFailed(RuntimeError):
    """A device that is no CPU could not do what was asked of it."""


@contextmanager
def _told_of(device: torch.device) -> Iterator[None]:
    """Says of an error on a device that is no CPU where it was, and what else there is: mostly its memory is full."""
    try:
        yield
    except RuntimeError as error:
        if device.type == "cpu":
            raise
        raise DeviceFailed(f"{error}\nThat was on {device}: give device=cpu, or a smaller batch_size.") from error


def _measured(given: dict[str, Any], device: torch.device, name: str) -> tuple[Report, list[Path]]:
    models = _models(given["model"], given["precision"], device)
    size = next(iter(models.values())).size
    artist = "artist" if given["track"] == "artist" else None
    root = given["data"]["root"]
    photos = PreparedPhotos(root, given["split"], size, artist)
    folders = given["training_root"] or [root]
    if given["split"] in given["training"] and Path(root).resolve() in [Path(folder).resolve() for folder in folders]:
        raise ConfigError(
            f"training holds split {given['split']} of {root}, which is what is evaluated: everyone would be their own "
            "nearest training person. Name other splits in training, or none: training=[]."
        )
    drawn = artist if "nearest_photo" in given["baselines"] else None  # which alone looks at them
    parts = [PreparedPhotos(folder, split, size, drawn) for folder in folders for split in given["training"]]
    training = JoinedPhotos(parts, alike=False) if parts else None
    try:
        mixture = None if given["mixture"] is None else SketchMixture(**given["mixture"])
    except TypeError as error:
        raise ConfigError(f"mixture takes weights, simplify, deform and ranges: {error}.") from error
    report = evaluate(
        models,
        photos,
        track=given["track"],
        training=training,
        strength=given["strength"],
        seed=given["seed"],
        mixture=mixture,
        frozen=FrozenSketches.read(benchmark_sketches()) if given["frozen"] else None,
        metrics=given["metrics"] or MODES[given["mode"]],
        required=bool(given["metrics"]),
        baselines=given["baselines"],
        per_style=given["per_style"],
        batch_size=given["batch_size"],
        resamples=given["resamples"],
        device=device,
    )
    return report, report.save(given["out"], name)


def _models(given: str | list[str], precision: Precision, device: torch.device) -> dict[str, CaliSketch]:
    """Each by the name it goes by: a shipped model's, or a folder's that says which run it is of."""
    models: dict[str, CaliSketch] = {}
    for each in [given] if isinstance(given, str) else given:
        name = str(each)
        if os.path.isdir(each):
            path = Path(each).resolve()
            name = path.parent.name if path.name == "model" else path.name  # runs/NAME/model
        while name in models:
            name += "'"
        models[name] = CaliSketch.from_pretrained(each, device, precision=precision)
    return models


def _checked(cfg: DictConfig) -> dict[str, Any]:
    """The configuration as plain values, each of its kind."""
    if missing := OmegaConf.missing_keys(cfg):
        raise ConfigError(f"{', '.join(sorted(missing))} must be given, for example data.root=data/cuhk128.")
    plain: Any = OmegaConf.to_container(cfg, resolve=True)
    known = set(OmegaConf.load(conf_dir() / "evaluate.yaml")) - {"defaults", "hydra"}
    if wrong := sorted(map(str, known ^ set(plain))):
        raise ConfigError(f"the keys are {sorted(map(str, known))}; unknown or missing: {wrong}.")
    if not isinstance(plain["data"], Mapping) or set(plain["data"]) != {"root"} or not _is_text(plain["data"]["root"]):
        raise ConfigError(f"data.root must be a prepared folder, and all there is in data; got {plain['data']!r}.")
    model = plain["model"]
    if not _is_text(model) and not (isinstance(model, list) and model and all(map(_is_text, model))):
        raise ConfigError(f"model must be a model's name or folder, or a list of them; got {model!r}.")
    folders = plain["training_root"]
    plain["training_root"] = [] if folders is None else [folders] if isinstance(folders, str) else folders
    if not isinstance(plain["training_root"], list) or not all(map(_is_text, plain["training_root"])):
        raise ConfigError(f"training_root must be a prepared folder, a list of them, or null; got {folders!r}.")
    if plain["device"] is not None and not _is_text(plain["device"]):
        raise ConfigError(
            f"device must be a device's name, such as cpu, cuda or mps, or null; got {plain['device']!r}."
        )
    if not _is_text(plain["out"]):
        raise ConfigError(f"out must be a folder; got {plain['out']!r}.")
    for key, choices in _CHOICES.items():
        if plain[key] not in choices:
            raise ConfigError(f"{key} must be one of {', '.join(choices)}; got {plain[key]!r}.")
    for key, choices in _LISTS.items():
        plain[key] = [] if plain[key] is None else [plain[key]] if isinstance(plain[key], str) else plain[key]
        if not isinstance(plain[key], list) or not set(map(str, plain[key])) <= set(choices):
            raise ConfigError(f"{key} must be some of {', '.join(choices)}; got {plain[key]!r}.")
    for key, least in _WHOLE.items():
        value = plain[key]
        if not (type(value) is int and value >= least) and not (key == "threads" and value is None):
            raise ConfigError(f"{key} must be a whole number, at least {least}; got {value!r}.")
    for key in ("per_style", "frozen"):
        if not isinstance(plain[key], bool):
            raise ConfigError(f"{key} must be true or false; got {plain[key]!r}.")
    if plain["mixture"] is not None and not isinstance(plain["mixture"], Mapping):
        raise ConfigError(f"mixture must be null or the arguments of SketchMixture; got {plain['mixture']!r}.")
    return dict(plain)


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value)
