"""Trainings that build on one another, and the tables that compare them: python tools/recipe.py recipe=small ...

Each run is a ``tools/train.py`` of its own in ``out/NAME``, each table a ``tools/evaluate.py`` (``tools/compare.py``,
where it names a comparison) in ``out/tables``; what is done is passed over, what was stopped goes on. With ``minutes``
each run's steps are chosen by how fast this machine turns out to be: its ``share`` of the time, after a trial of a few
steps that is counted in.
"""

from __future__ import annotations

import json
import math
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import hydra
from omegaconf import DictConfig, OmegaConf

ROOT = Path(__file__).resolve().parents[1]
EVERY = ("validate_every", "preview_every", "checkpoint_every")


class RecipeError(ValueError):
    """A recipe that cannot be followed, or a part of it that failed."""


def listed(values: Sequence[object]) -> str:
    """Hydra's spelling of a list of paths or names."""
    return "[" + ",".join("'" + str(value).replace("'", "\\'") + "'" for value in values) + "]"


def quoted(value: object) -> str:
    """Hydra's spelling of one path."""
    return listed([value])[1:-1]


def folders(cfg: DictConfig, names: Sequence[str], part: str) -> list[str]:
    """The prepared folders of the data sets called ``names``."""
    for name in names:
        if name not in cfg.data:
            raise RecipeError(f"{part} uses the data set {name!r}; a recipe has {sorted(cfg.data)}.")
        if OmegaConf.is_missing(cfg.data, name) or cfg.data[name] is None:
            raise RecipeError(f"{part} needs data.{name}=FOLDER, prepared at size={cfg.size}; see data/README.md.")
    return [str(cfg.data[name]) for name in names]


def training(cfg: DictConfig, name: str) -> list[str]:
    """The command of the run called ``name``."""
    run, out = cfg.runs[name], Path(cfg.out)
    roots = folders(cfg, run.data, f"run {name}")
    command = [sys.executable, str(ROOT / "tools" / "train.py"), *cfg.common]
    command.append(f"data.root={listed(roots) if len(roots) > 1 else quoted(roots[0])}")
    command += [f"run_dir={quoted(out / name)}", f"name={name}", *run.get("set", []), *cfg.set]
    sources = run.get("from") or {}
    for network, source in {"": sources}.items() if isinstance(sources, str) else sources.items():
        if source not in cfg.runs:
            raise RecipeError(f"run {name} builds on {source!r}; the recipe's runs are {sorted(cfg.runs)}.")
        command.append(f"init_from{'.' if network else ''}{network}={quoted(out / source)}")
    return command


def fitted(cfg: DictConfig, name: str) -> list[str]:
    """Overrides that give the run called ``name`` as many steps as its share of ``minutes`` has room for.

    They are settled once, by a trial run, and kept beside the run: the same command goes on with the same schedule.
    """
    run, kept = cfg.runs[name], Path(cfg.out) / f"{name}.steps.json"
    if not kept.is_file():
        started = time.monotonic()
        trial = Path(cfg.out) / "trials" / name
        short = [f"system.schedules.{run.stage}.iterations={cfg.trial_steps}", "log_every=5"]
        short.append(f"run_dir={quoted(trial)}")
        _run(f"{name}, a trial of {cfg.trial_steps} steps", [*training(cfg, name), *short])
        records = [json.loads(line) for line in (trial / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
        speeds = [record["images_per_second"] for record in records if record["kind"] == "train"]
        plain = OmegaConf.to_container(cfg, resolve=True)
        left = 60 * plain["minutes"] * run.share - (time.monotonic() - started)  # type: ignore[index,call-overload]
        # The later half is free of compilation; a twentieth goes to validation, pictures and checkpoints.
        rate = sorted(speeds[len(speeds) // 2 :])[len(speeds[len(speeds) // 2 :]) // 2] / run.batch_size
        steps = math.floor(0.95 * left * rate)
        if steps < cfg.trial_steps:
            raise RecipeError(
                f"run {name} has {left:.0f} s left of its share of minutes={cfg.minutes}, for {steps} steps at "
                f"{rate:.2f} a second: too few to learn anything. Give more minutes, or "
                "leave them out for the recipe's own steps."
            )
        kept.parent.mkdir(parents=True, exist_ok=True)
        aside = kept.with_suffix(".writing")
        aside.write_text(json.dumps({"steps": steps, "steps_per_second": round(rate, 3)}) + "\n", encoding="utf-8")
        aside.replace(kept)
    steps = json.loads(kept.read_text(encoding="utf-8"))["steps"]
    return [f"system.schedules.{run.stage}.iterations={steps}", *(f"{key}={max(1, steps // 8)}" for key in EVERY)]


def evaluation(cfg: DictConfig, name: str) -> list[str]:
    """The command of the table called ``name``."""
    table, out = cfg.tables[name], Path(cfg.out)
    (root,) = folders(cfg, [table.data], f"table {name}")
    if "comparison" in table:
        command = [sys.executable, str(ROOT / "tools" / "compare.py"), f"comparison={table.comparison}"]
        for key, each in table.models.items():
            command.append(f"models.{key}={quoted(out / each / 'model' if each in cfg.runs else each)}")
        command += [f"data.root={quoted(root)}", f"out={quoted(out / 'tables' / name)}"]
        return [*command, *table.get("set", []), *cfg.evaluate]
    models = [out / each / "model" if each in cfg.runs else each for each in table.models]
    command = [sys.executable, str(ROOT / "tools" / "evaluate.py"), f"model={listed(models)}"]
    command += [f"data.root={quoted(root)}", f"out={quoted(out / 'tables' / name)}"]
    return [*command, *table.get("set", []), *cfg.evaluate]


def parts(cfg: DictConfig) -> Iterator[tuple[str, list[str]]]:
    """Name and command of everything that is to be run, in order."""
    chosen = None if cfg.only is None else [cfg.only] if isinstance(cfg.only, str) else list(cfg.only)
    unknown = sorted(set(chosen or []) - set(cfg.runs) - set(cfg.tables))
    if unknown:
        raise RecipeError(f"only names {unknown}; the recipe has {[*cfg.runs, *cfg.tables]}.")
    if cfg.minutes is not None and (lacking := sorted({"stage", "share", "batch_size"} - _common_keys(cfg.runs))):
        raise RecipeError(
            f"minutes={cfg.minutes}: this recipe's runs do not say their {', '.join(lacking)}, so that no steps can be "
            "fitted. Leave minutes out for the recipe's own steps, or take recipe=gpu_256."
        )
    for make, group in ((training, cfg.runs), (evaluation, cfg.tables)):
        for name in group:
            if chosen is None or name in chosen:
                if (before := group[name].get("before")) and not (Path(before[-1]) / "config.json").is_file():
                    tool, *arguments = map(str, before)
                    yield f"{name}, before it", [sys.executable, str(ROOT / "tools" / tool), *arguments]
                yield name, make(cfg, name)


def _asked_of(cfg: DictConfig, name: str) -> tuple[str, bool]:
    """The split that a table is of, and whether it needs artists' drawings."""
    table = cfg.tables[name]
    chosen: dict[str, Any] = {"split": "test", "track": "synthetic"}
    drawn = False
    if "comparison" in table:
        told = OmegaConf.load(ROOT / "conf" / "comparison" / f"{table.comparison}.yaml")
        chosen |= {key: told[key] for key in ("split", "track") if key in told}
        drawn = told.get("truth") == "artist" or any(row.get("sketch") == "artist" for row in told.rows.values())
    given = [*table.get("set", []), *cfg.evaluate]
    chosen |= dict(each.split("=", 1) for each in given if each.startswith(("split=", "track=")))
    return chosen["split"], drawn or chosen["track"] == "artist"


def check_photos(cfg: DictConfig, tables: Sequence[str], runs: Sequence[str] = ()) -> None:
    """Raises RecipeError where a table's prepared folder is of another size, or has no photos in the table's split; or
    lacks the artist's drawings that a table needs, or a run whose ``track`` is artist."""
    from calisketch.datasets import PreparedPhotos

    for name in runs:
        if cfg.runs[name].get("track") == "artist":
            for root in folders(cfg, cfg.runs[name].data, f"run {name}"):
                try:
                    PreparedPhotos(root, "train", cfg.size, "artist")
                except (OSError, ValueError) as error:
                    raise RecipeError(f"run {name} cannot be made: {error}") from error
    for name in tables:
        (root,) = folders(cfg, [cfg.tables[name].data], f"table {name}")
        split, drawn = _asked_of(cfg, name)
        try:
            PreparedPhotos(root, split, cfg.size, "artist" if drawn else None)
        except (OSError, ValueError) as error:
            raise RecipeError(
                f"table {name} cannot be made: {error} (photos for test are those in a folder named test, before they "
                "are prepared; only=[...] leaves tables out.)"
            ) from error


def _common_keys(runs: DictConfig) -> set[str]:
    return set.intersection(*(set(map(str, run)) for run in runs.values())) if runs else set()


def follow(cfg: DictConfig) -> None:
    """Runs all parts; the first that fails ends it."""
    commands: list[tuple[str, list[str]]] = list(parts(cfg))  # so that a mistake is found before hours of training
    names = [name for name, _ in commands]
    check_photos(cfg, [name for name in names if name in cfg.tables], [name for name in names if name in cfg.runs])
    for name, command in commands:
        more = fitted(cfg, name) if cfg.minutes is not None and name in cfg.runs else []
        _run(name, [*command, *more])


def _run(name: str, command: list[str]) -> None:
    print(f"== {name}\n{shlex.join(command)}", flush=True)
    status = subprocess.run(command, check=False).returncode
    if status:
        raise RecipeError(f"{name} ended with status {status}; the same command goes on from there.")


@hydra.main(version_base="1.3", config_path=str(ROOT / "conf"), config_name="recipe")
def main(cfg: DictConfig) -> Any:
    try:
        follow(cfg)
    except (RecipeError, OSError) as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
