"""Comparisons from a configuration: what ``calisketch compare`` runs."""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf
from torch.utils.data import Subset

from ..datasets import PreparedPhotos
from ..datasets.reading.prepared_photos import SPLITS
from ..evaluation import FrozenSketches, benchmark_sketches
from ..evaluation.measures.every_measure import METRICS
from ..evaluation.reports.report import Report
from ..evaluation.running.comparing import Claim, Entry, compare
from ..relatives.any_model import load_model
from ..training.batches import evenly_chosen
from ..weights import folder as model_folder
from ..weights import names as model_names
from .conf_files import conf_dir
from .hydra_entry import exit_status, wants_tracebacks
from .train_config import ConfigError, instantiate

_ROW = {"model", "options", "draw", "sketch", "makers", "figures", "note", "paint"}
_CLAIM = {"says", "better", "worse", "metric", "margin"}


def main(argv: Sequence[str] | None = None) -> int:
    """Composes the configuration from ``argv`` (Hydra's overrides; the process's own if None), and compares.

    Returns:
        The exit status: 0, or 1 after an error that was printed.
    """
    return exit_status("compare", _run_reporting, argv)


def _run_reporting(cfg: DictConfig) -> int:
    progress = logging.StreamHandler()
    log = logging.getLogger("calisketch.evaluation")
    log.setLevel(logging.INFO)
    log.addHandler(progress)
    try:
        report, written = run(cfg)
    except (OSError, ValueError, ImportError) as error:
        if wants_tracebacks():
            raise
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    finally:
        log.removeHandler(progress)
    print(report.to_markdown())
    print(f"written: {', '.join(map(str, written))}")
    return 0


def run(cfg: DictConfig) -> tuple[Report, list[Path]]:
    """Compares as ``cfg`` (composed from conf/compare.yaml) says; returns the report and the files it is in.

    Raises:
        ConfigError: a wrong key or value, or no comparison.
        ValueError, OSError: models or photos that are not there or do not fit.
        calisketch.weights.MissingWeights: with ``required``, a metric lacks its weights.
    """
    given = _checked(cfg)
    if given["threads"] is not None:
        torch.set_num_threads(given["threads"])
    drawn = "artist" in {given["truth"], given["track"], *(row.get("sketch") for row in given["rows"].values())}
    photos: Any = PreparedPhotos(given["data"]["root"], given["split"], None, "artist" if drawn else None)
    models = {key: load_model(folder, precision="fp32") for key, folder in given["models"].items()}
    for key, model in models.items():
        if model.size != photos.size:
            raise ConfigError(
                f"models.{key} was trained on {model.size} pixels, and {given['data']['root']} holds photos of "
                f"{photos.size}. Prepare the photos at the model's size."
            )
    name, size = photos.root.name, photos.size
    if given["data"]["limit"] is not None:
        photos = _fewer(photos, given["data"]["limit"])
    entries = {name: _entry(cfg, name, row, models) for name, row in given["rows"].items()}
    report = compare(
        photos,
        entries,
        [Claim(**claim) for claim in given["claims"]],
        title=given["title"],
        metrics=given["metrics"],
        required=given["required"],
        truth=given["truth"],
        seed=given["seed"],
        batch_size=given["batch_size"],
        resamples=given["resamples"],
        protocol={
            "comparison": given["name"],
            "split": given["split"],
            "photos": f"{name}, {len(photos)} photos of {size} px",
            "models": {key: _told(given["models"][key], model) for key, model in models.items()},
        },
        frozen=FrozenSketches.read(benchmark_sketches()) if benchmark_sketches().is_file() else None,
    )
    return report, report.save(given["out"], given["name"])


def _fewer(photos: PreparedPhotos, limit: int) -> Any:
    """So many of the photos, with their names."""
    chosen = evenly_chosen(photos, limit)
    if isinstance(chosen, Subset):
        chosen.names = [photos.names[place] for place in chosen.indices]  # type: ignore[attr-defined]
    return chosen


def _told(folder: Any, model: Any) -> dict[str, Any]:
    """What is known of a model: where its weights came from, and how long it was trained."""
    known = {
        name: model.info[name]
        for name in ("name", "steps", "steps before", "photos", "validation")
        if name in model.info
    }
    hashes = model_folder.read_config(model_names.folder_of(folder)).get("sha256", {})
    return {**known, "sha256": {name: digest for name, digest in hashes.items() if name != "networks"}}


def _entry(cfg: DictConfig, name: str, row: Mapping[str, Any], models: Mapping[str, Any]) -> Entry:
    node = cfg.rows[name]
    if row.get("paint") is not None:
        paint = instantiate(node.paint, f"rows.{name}.paint")
    else:
        paint = partial(models[row["model"]].from_batch, **(row.get("options") or {}))
    draw: Any = row.get("sketch")
    if row.get("draw") is not None:
        draw = instantiate(node.draw, f"rows.{name}.draw")
    makers = {} if row.get("makers") is None else instantiate(node.makers, f"rows.{name}.makers")
    figures = {} if row.get("figures") is None else instantiate(node.figures, f"rows.{name}.figures")
    return Entry(paint, draw, makers, figures, row.get("note") or "")


def _checked(cfg: DictConfig) -> dict[str, Any]:
    """The configuration as plain values, each of its kind."""
    if cfg.get("comparison") is None and not cfg.rows:
        found = sorted(path.stem for path in (conf_dir() / "comparison").glob("*.yaml"))
        raise ConfigError(f"give a comparison, comparison=NAME; there are {', '.join(found)}.")
    if missing := OmegaConf.missing_keys(cfg):
        raise ConfigError(f"{', '.join(sorted(missing))} must be given, for example data.root=data/faces64.")
    plain: Any = OmegaConf.to_container(cfg, resolve=True)
    for key, kind in {"models": dict, "rows": dict, "claims": list, "metrics": list, "data": dict}.items():
        if not isinstance(plain[key], kind):
            raise ConfigError(f"{key} must be a {'list' if kind is list else 'group of settings'}; got {plain[key]!r}.")
    if set(plain["data"]) != {"root", "limit"} or not isinstance(plain["data"]["root"], str):
        raise ConfigError(f"data must have root, a prepared folder, and limit; got {plain['data']!r}.")
    for key, least in {"seed": 0, "batch_size": 1, "resamples": 100, "threads": 1, "data.limit": 2}.items():
        value = plain["data"]["limit"] if key == "data.limit" else plain[key]
        if not (type(value) is int and value >= least) and not (key in ("threads", "data.limit") and value is None):
            raise ConfigError(f"{key} must be a whole number, at least {least}; got {value!r}.")
    for key, choices in {"split": SPLITS, "truth": ("photo", "artist"), "track": (None, "artist")}.items():
        if plain[key] not in choices:
            raise ConfigError(f"{key} must be one of {', '.join(map(str, choices))}; got {plain[key]!r}.")
    if not isinstance(plain["required"], bool):
        raise ConfigError(f"required must be true or false; got {plain['required']!r}.")
    if wrong := sorted(set(map(str, plain["metrics"])) - set(METRICS)):
        raise ConfigError(f"metrics must be some of {', '.join(METRICS)}; got {', '.join(wrong)}.")
    for name, row in plain["rows"].items():
        if not isinstance(row, dict) or set(row) - _ROW or ("model" in row) == ("paint" in row):
            raise ConfigError(
                f"rows.{name} must have model or paint, and of {sorted(_ROW)} what it needs; got {row!r}."
            )
        if "model" in row and row["model"] not in plain["models"]:
            raise ConfigError(f"rows.{name} is of models.{row['model']}; the models are {sorted(plain['models'])}.")
        if row.get("sketch") not in (None, "artist") or (row.get("sketch") and row.get("draw")):
            raise ConfigError(f"rows.{name} must have draw, or sketch=artist, or neither; got {row!r}.")
    for claim in plain["claims"]:
        if not isinstance(claim, dict) or set(claim) - _CLAIM or not _CLAIM - {"margin"} <= set(claim):
            raise ConfigError(f"a claim has {sorted(_CLAIM)} (margin is 0 if not given); got {claim!r}.")
        if not isinstance(claim["worse"], str | int | float) or isinstance(claim["worse"], bool):
            raise ConfigError(f"a claim's worse must be a row or a number; got {claim['worse']!r}.")
    return dict(plain)
