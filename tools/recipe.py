"""Trainings that build on one another, and the tables that compare them: python tools/recipe.py recipe=small ...

Each run is a ``calisketch train`` of its own in ``out/NAME``, each table a ``calisketch evaluate`` (``compare``, where
it names a comparison) in ``out/tables``; what is done is passed over, what was stopped goes on. With ``minutes``
each run's steps are chosen by how fast this machine turns out to be: a run's ``share`` is of the time that those before
it have left, and a trial of a few steps is counted in, as is all that a run takes beside its steps. A ``stage`` that is
a group names several, each with its part of the run's time; a run's own ``common`` is in place of the recipe's. What
a run or a table has ``before`` it, a tool's command or several, makes model folders that it needs.
"""

from __future__ import annotations

import json
import math
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import hydra
from omegaconf import DictConfig, OmegaConf

from calisketch.commands.hydra_entry import help_that_is_no_text

ROOT = Path(__file__).resolve().parents[1]


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
    command = [sys.executable, str(ROOT / "tools" / "train.py"), *run.get("common", cfg.common)]
    command.append(f"data.root={listed(roots) if len(roots) > 1 else quoted(roots[0])}")
    if "stage" in run:
        command.append(f"stages=[{','.join(stages_of(run))}]")
    if "batch_size" in run:
        command.append(f"batch_size={run.batch_size}")
    command += [f"run_dir={quoted(out / name)}", f"name={name}", *run.get("set", []), *cfg.set]
    sources = run.get("from") or {}
    for network, source in {"": sources}.items() if isinstance(sources, str) else sources.items():
        if source not in cfg.runs:
            raise RecipeError(f"run {name} builds on {source!r}; the recipe's runs are {sorted(cfg.runs)}.")
        command.append(f"init_from{'.' if network else ''}{network}={quoted(out / source)}")
    return command


def stages_of(run: DictConfig) -> dict[str, float]:
    """The stages that a run trains, each with its part of the run's time."""
    return {run.stage: 1.0} if isinstance(run.stage, str) else {str(name): part for name, part in run.stage.items()}


def account(cfg: DictConfig, name: str) -> Path:
    """What is kept beside the run called ``name`` where steps are fitted: its steps, its seconds, and whether it is
    done."""
    return Path(cfg.out) / f"{name}.fitted.json"


def seconds_for(cfg: DictConfig, name: str) -> float:
    """Its share of what is left of ``minutes``, among the runs that are not done: what one takes too long, or leaves,
    is everyone's after it."""
    kept = {each: _read(account(cfg, each)) for each in cfg.runs}
    left = 60 * float(cfg.minutes) - sum(each["seconds"] for each in kept.values() if each)
    waiting = sum(cfg.runs[each].share for each, book in kept.items() if not (book and book["done"]))
    return left * float(cfg.runs[name].share / waiting)


def fitted(cfg: DictConfig, name: str) -> list[str]:
    """Overrides that give the run called ``name`` as many steps as its share of ``minutes`` has room for; at least as
    many as a trial has, and then it says that they are too few.

    They are settled once, by a trial run, and kept beside the run: the same command goes on with the same schedule.

    Raises:
        RecipeError: they were settled for another number of minutes.
    """
    run, kept = cfg.runs[name], account(cfg, name)
    stages = stages_of(run)
    if kept.is_file() and (before := _read(kept)["minutes"]) != cfg.minutes:
        raise RecipeError(
            f"the steps of run {name} were settled for minutes={before}; got minutes={cfg.minutes}. Give an out of its "
            f"own to another number, or minutes={before} to go on."
        )
    if not kept.is_file():
        room, started = seconds_for(cfg, name), time.monotonic()
        trial = Path(cfg.out) / "trials" / name
        shutil.rmtree(trial, ignore_errors=True)  # one that was stopped took less time than a trial does
        short = [f"system.schedules.{stage}.iterations={cfg.trial_steps}" for stage in stages]
        short += ["log_every=5", f"run_dir={quoted(trial)}"]
        _run(f"{name}, a trial of {cfg.trial_steps} steps", [*training(cfg, name), *short])
        rates = _steps_per_second(trial, stages)
        shutil.rmtree(trial)
        spent = time.monotonic() - started
        # All of the trial but its steps, which the run takes once more: to start, to compile, to save.
        around = max(0.0, spent - sum(cfg.trial_steps / rate for rate in rates.values()))
        left = room - spent - around
        # A tenth goes to validation, pictures and checkpoints in between.
        steps = {stage: math.floor(0.9 * left * part * rates[stage]) for stage, part in stages.items()}
        short_of = sorted(stage for stage, count in steps.items() if count < cfg.trial_steps)
        steps = {stage: max(int(cfg.trial_steps), count) for stage, count in steps.items()}
        book = {"steps": steps, "steps_per_second": {stage: round(rate, 3) for stage, rate in rates.items()}}
        book |= {"minutes": cfg.minutes, "too_short": bool(short_of), "seconds": spent, "done": False}
        _keep(kept, book)
        if short_of:
            print(
                f"warning: run {name} has {max(0.0, room):.0f} s of minutes={cfg.minutes}, and starts twice, in "
                f"{around:.0f} s: no time for {', '.join(short_of)}, which gets {cfg.trial_steps} steps, too few to "
                "learn anything. Give more minutes and another out, or leave minutes out for the recipe's own steps.",
                flush=True,
            )
    steps = _read(kept)["steps"]
    every = max(1, min(sum(steps.values()) // 4, *steps.values()))  # at the end of each stage, at the latest
    lengths = [f"system.schedules.{stage}.iterations={count}" for stage, count in steps.items()]
    often = {"validate_every": every, "preview_every": every, "checkpoint_every": max(1, every // 2)}
    return [*lengths, *(f"{key}={count}" for key, count in often.items())]


def _steps_per_second(run: Path, stages: Iterable[str]) -> dict[str, float]:
    """How quick each stage of a run was in its later half, which is free of compilation."""
    records = [json.loads(line) for line in (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    found = {}
    for stage in stages:
        own = [each for each in records if each["kind"] == "train" and each["stage"] == stage]
        speeds = sorted(each["steps_per_second"] for each in own[len(own) // 2 :])
        found[stage] = speeds[len(speeds) // 2]
    return found


def _read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None


def _keep(path: Path, book: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_suffix(".writing")
    aside.write_text(json.dumps(book) + "\n", encoding="utf-8")
    aside.replace(path)


def _run_on_account(cfg: DictConfig, name: str, command: list[str]) -> None:
    """Runs a training whose steps are fitted, and notes how long it took, until it is done."""
    started = time.monotonic()
    done = False
    try:
        _run(name, command)
        done = True
    finally:
        book = _read(account(cfg, name))
        if not book["done"]:
            _keep(account(cfg, name), book | {"seconds": book["seconds"] + time.monotonic() - started, "done": done})


def told(cfg: DictConfig) -> str:
    """What the runs whose steps were fitted came to, in words."""
    kept = {name: book for name in cfg.runs if (book := _read(account(cfg, name)))}
    lines = [f"== {cfg.minutes} minutes of training: {sum(book['seconds'] for book in kept.values()) / 60:.1f} taken"]
    for name, book in kept.items():
        steps = " + ".join(f"{count} ({stage})" for stage, count in book["steps"].items())
        few = "; too few to learn anything: give more minutes, and another out" if book["too_short"] else ""
        lines.append(f"{name}: {steps} steps, {book['seconds']:.0f} s with its trial{few}")
    return "\n".join(lines)


def evaluation(cfg: DictConfig, name: str) -> list[str]:
    """The command of the table called ``name``."""
    table, out = cfg.tables[name], Path(cfg.out)
    (root,) = folders(cfg, [table.data], f"table {name}")
    if "comparison" in table:
        command = [sys.executable, "-m", "calisketch", "compare", f"comparison={table.comparison}"]
        for key, each in table.models.items():
            command.append(f"models.{key}={quoted(out / each / 'model' if each in cfg.runs else each)}")
        command += [f"data.root={quoted(root)}", f"out={quoted(out / 'tables' / name)}"]
        return [*command, *table.get("set", []), *cfg.evaluate]
    models = [out / each / "model" if each in cfg.runs else each for each in table.models]
    command = [sys.executable, "-m", "calisketch", "evaluate", f"model={listed(models)}"]
    command += [f"data.root={quoted(root)}", f"out={quoted(out / 'tables' / name)}"]
    if "training" in table:  # what its models were trained on, if not on the set that the test photos are of
        command.append(f"training_root={listed(folders(cfg, table.training, f'table {name}'))}")
    return [*command, *table.get("set", []), *cfg.evaluate]


def parts(cfg: DictConfig) -> Iterator[tuple[str, list[str]]]:
    """Name and command of everything that is to be run, in order."""
    chosen = None if cfg.only is None else [cfg.only] if isinstance(cfg.only, str) else list(cfg.only)
    unknown = sorted(set(chosen or []) - set(cfg.runs) - set(cfg.tables))
    if unknown:
        raise RecipeError(f"only names {unknown}; the recipe has {[*cfg.runs, *cfg.tables]}.")
    for key, said, kinds in (("minutes", "number", int | float), ("trial_steps", "whole number", int)):
        value = cfg[key]
        if value is not None and (isinstance(value, bool) or not isinstance(value, kinds) or not value > 0):
            raise RecipeError(f"{key} must be a {said} above 0; got {value!r}.")
    if cfg.minutes is not None and (lacking := sorted({"stage", "share", "batch_size"} - _common_keys(cfg.runs))):
        raise RecipeError(
            f"minutes={cfg.minutes}: this recipe's runs do not say their {', '.join(lacking)}, so that no steps can be "
            "fitted. Leave minutes out for the recipe's own steps, or take recipe=gpu_256."
        )
    made: set[str] = set()
    for make, group in ((training, cfg.runs), (evaluation, cfg.tables)):
        for name in group:
            if chosen is None or name in chosen:
                yield from _before(name, group[name].get("before") or [], made)
                yield name, make(cfg, name)


def _before(name: str, before: Sequence[Any], made: set[str]) -> Iterator[tuple[str, list[str]]]:
    """The tool, or tools one after the other, that make what a run or table needs; the last word is the folder, passed
    over if it is there or in ``made``, to which it is added."""
    commands = [list(each) for each in ([before] if before and isinstance(before[0], str) else before)]
    for number, words in enumerate(commands, start=1):
        if len(words) < 2 or not all(isinstance(word, str | int | float) for word in words):
            raise RecipeError(f"before {name} expected [TOOL, ARGUMENT, ..., FOLDER], or a list of such; got {before}.")
        tool, *arguments = map(str, words)
        if arguments[-1] not in made and not (Path(arguments[-1]) / "config.json").is_file():
            label = "before it" if len(commands) == 1 else f"before it, {number} of {len(commands)}"
            yield f"{name}, {label}", [sys.executable, str(ROOT / "tools" / tool), *arguments]
        made.add(arguments[-1])


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
        if cfg.minutes is not None and name in cfg.runs:
            _run_on_account(cfg, name, [*command, *fitted(cfg, name)])
        else:
            _run(name, command)
    if cfg.minutes is not None:
        print(told(cfg), flush=True)


def _run(name: str, command: list[str]) -> None:
    """Runs a command to its end, or to where it stops by itself after a signal; RecipeError for any status but 0."""
    print(f"== {name}\n{shlex.join(command)}", flush=True)
    child = subprocess.Popen(command)
    # Ctrl-C, or a terminal that is closed, tells the child, too, which saves and stops; SIGTERM is passed on.
    before = {number: signal.signal(number, _nothing) for number in (signal.SIGINT, signal.SIGHUP)}
    before[signal.SIGTERM] = signal.signal(signal.SIGTERM, lambda number, _: child.send_signal(number))
    try:
        status = child.wait()
    finally:
        for number, reply in before.items():
            signal.signal(number, reply)
    if status:
        raise RecipeError(f"{name} ended with status {status}; the same command goes on from there.")


def _nothing(*_: object) -> None:
    pass


@hydra.main(version_base="1.3", config_path=str(ROOT / "conf"), config_name="recipe")
def main(cfg: DictConfig) -> Any:
    try:
        follow(cfg)
    except (RecipeError, OSError) as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    with help_that_is_no_text():
        main()
