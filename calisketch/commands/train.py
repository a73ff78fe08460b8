"""Training from a configuration: what ``calisketch train`` runs."""

from __future__ import annotations

import hashlib
import random
import re
import sys
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy
import torch
from omegaconf import DictConfig, OmegaConf
from torch import Tensor
from torch.utils.data import Dataset, Subset

from ..datasets import MirroredPhotos
from ..sketching.styles import STYLES, SketchMixture
from ..stage import Stage
from ..systems import System
from ..training import CheckpointError, Engine, Interrupted, NonFiniteLoss, OutOfMemory, ProcessLost
from ..training.logging import read_metrics
from ..training.processes import rank_by_environment
from ..weights import folder as model_folder
from .conf_files import conf_dir
from .hydra_entry import complain, exit_status, wants_tracebacks
from .train_config import ConfigError, check_config, instantiate, names_of, settings_of

CALLERS = (ValueError, TypeError, OSError, CheckpointError, NonFiniteLoss, OutOfMemory, ProcessLost)
"""Errors that a person can mend, shown without a traceback."""


def main(argv: Sequence[str] | None = None) -> int:
    """Composes the configuration from ``argv`` (Hydra's overrides; the process's own if None) and trains.

    Returns:
        The exit status: 0, 1 after an error that was printed, 128 + the signal's number after an interruption.
    """
    for argument in sys.argv[1:] if argv is None else argv:
        if (said := _null_group(argument)) is not None:
            print(said, file=sys.stderr)
            return 1
    return exit_status("train", _run_reporting, argv, names_settings=False)


def _null_group(argument: str) -> str | None:
    """What to say to ``data=null`` and the like, at which Hydra ends in a traceback of its own."""
    found = re.fullmatch(r"\+*([\w/]+)(@[\w.]+)?=(null|~|\[\])?", argument)
    groups = sorted(path.name for path in conf_dir().iterdir() if path.is_dir())
    if found is None or found[1] not in (*groups, "hydra"):
        return None
    return (
        f"ConfigError: {argument}: a group is chosen by the name of one of its files, as in "
        f"experiment=smoke/cali_sketch; the groups are {groups}. Leave it out for the one that is chosen already."
    )


def _run_reporting(cfg: DictConfig) -> int:
    rank = rank_by_environment()  # the first process speaks for all, except of what happens to another one
    if rank:
        warnings.simplefilter("ignore")
    try:
        run(cfg)
    except Interrupted as error:
        if not rank:
            complain(str(error))
        return 128 + error.number
    except CALLERS as error:
        if wants_tracebacks():
            raise
        if not rank or not isinstance(error, ConfigError):
            complain(f"{f'process {rank}: ' if rank else ''}{type(error).__name__}: {error}")
        return 1
    return 0


def run(cfg: DictConfig) -> Path:
    """Trains as ``cfg`` (composed from conf/train.yaml) says, and returns the run folder.

    Raises:
        ConfigError: a wrong key or value, before anything is made.
        calisketch.weights.MissingWeights: VGG-19 is wanted and not there.
        NonFiniteLoss, OutOfMemory, Interrupted, CheckpointError: see ``training.Engine.fit``.
    """
    check_config(cfg)
    if cfg.threads is not None:
        torch.set_num_threads(cfg.threads)
    random.seed(cfg.seed)
    numpy.random.seed(cfg.seed)  # noqa: NPY002 - others' code may draw from the global generator
    torch.manual_seed(cfg.seed)
    train, validation, data_source, count = _datasets(cfg)
    if cfg.data.draw is None and "sketch" not in train[0]:
        raise ConfigError(
            "data.draw must be a group of settings; got null, which is for photos that bring their sketches with them, "
            "as with data=pairs, and these do not."
        )
    draw = None if cfg.data.draw is None else instantiate(cfg.data.draw, "data.draw")
    system: System = instantiate(cfg.system, "system")
    _check_size(cfg.data.size, system)
    _check_channels(system, cfg.data.size)
    plain: Any = OmegaConf.to_container(cfg, resolve=True)
    engine = Engine(
        cfg.run_dir,
        wandb=plain["wandb"],
        config=plain,
        **settings_of(cfg),
    )
    _check_half_precision(cfg, engine.fabric.device)
    say = engine.terminal.say
    also = ", mirrored too," if cfg.data.mirrored else ""
    say(f"data: {data_source}; {count} training{also} and {len(validation)} validation photos of {cfg.data.size} px")  # type: ignore[arg-type]
    say(f"device {engine.fabric.device}, precision {engine.settings.precision}, writes to {engine.run_dir}")
    for line in _describe(system.stages):
        say(line)

    def save_model(stage: Any) -> None:
        info = {
            "name": cfg.name,
            "system": system.name,
            "trained": f"up to stage {stage.name}",
            "steps": _steps(engine.run_dir),
            **_steps_before(_init_from(cfg.init_from)),
            "validation": _curve(engine.run_dir),
            "photos": count,
            "mirrored": bool(cfg.data.mirrored),
            "styles": styles_of(plain["data"]["draw"] or {}),
            "precision": engine.settings.precision,
        }
        vgg = stage.frozen.get("vgg")
        if vgg is not None:
            info["perceptual network"] = vgg.source
        info |= getattr(system, "info", {})  # what those who use its models have to know
        folder = engine.run_dir / "model"
        for left in folder.glob(".*"):  # by a process that was killed while it saved the model
            left.unlink(missing_ok=True)
        say(f"model saved in {model_folder.save(folder, system.generators, cfg.data.size, info)}")

    engine.fit(
        system.stages,
        train,
        validation,
        draw=draw,
        only=names_of(cfg.stages),
        init_from=_init_from(cfg.init_from),
        after_stage=save_model,
    )
    engine.close()
    return engine.run_dir


def _init_from(source: Any) -> Any:
    plain = OmegaConf.to_container(source) if OmegaConf.is_config(source) else source
    if isinstance(plain, Mapping):
        return {name: path for name, path in plain.items() if path is not None} or None
    return plain or None


def _datasets(cfg: DictConfig) -> tuple[Dataset[Any], Dataset[Any], str, int]:
    """Training and validation data, where they are from, and how many photos there are, each counted once."""
    chosen, prefix, source = cfg.data, "data", str(cfg.data.root)
    if cfg.data.root is None:
        chosen, prefix = cfg.data.stand_in, "data.stand_in"
        source = "procedural faces, since data.root is null (for trying the machinery, not for models)"
    train, validation = (instantiate(chosen[part], f"{prefix}.{part}") for part in ("train", "validation"))
    if cfg.data.limit is not None:
        train = Subset(train, range(min(cfg.data.limit, len(train))))
    count = len(set(getattr(train, "names", ()))) or len(train)
    if cfg.data.mirrored:
        train = MirroredPhotos(train)
    return train, validation, source, count


def _steps(run_dir: Path) -> dict[str, int]:
    """How many steps each stage of a run has come to: every stage's last one is logged or validated."""
    steps: dict[str, int] = {}
    for record in read_metrics(run_dir / "metrics.jsonl"):
        steps[record["stage"]] = max(steps.get(record["stage"], 0), record["step"])
    return steps


def _curve(run_dir: Path) -> dict[str, list[list[float]]]:
    """Each stage's validation figures, (step, figure), at most five of them, evenly spread, the last one among them."""
    found: dict[str, dict[int, float]] = {}
    for record in read_metrics(run_dir / "metrics.jsonl"):
        if record["kind"] == "validation":
            found.setdefault(record["stage"], {})[record["step"]] = round(record["figure"], 5)
    curves = {}
    for stage, figures in found.items():
        steps = sorted(figures)
        kept = steps[:: -max(1, -(-len(steps) // 5))][::-1]
        curves[stage] = [[step, figures[step]] for step in kept]
    return curves


def _steps_before(source: Any) -> dict[str, Any]:
    """How many steps of each stage there were in the runs that this one started from, if that is known.

    Returns:
        {"steps before": {stage: steps}, "made from": {a model's SHA-256, its beginning: {stage: its own steps}}}, each
        run counted once, however many networks come from it; {} if nothing is known.
    """
    ancestors: dict[str, dict[str, int]] = {}
    for folder in set(map(str, source.values())) if isinstance(source, Mapping) else [source] if source else []:
        for config in (Path(folder) / "model" / model_folder.CONFIG_FILE, Path(folder) / model_folder.CONFIG_FILE):
            if not config.is_file():
                continue
            info = model_folder.read_config(config.parent).get("info", {})
            own = hashlib.sha256(config.read_bytes()).hexdigest()[:16]
            older = {f"before {own}": info.get("steps before")}  # a model that does not say what it was made from
            earlier = info.get("made from", older)
            for name, steps in {**earlier, own: info.get("steps")}.items():
                if isinstance(steps, dict) and steps:
                    ancestors[name] = {str(stage): int(count) for stage, count in steps.items()}
            break
    before: Counter[str] = Counter()
    for steps in ancestors.values():
        before.update(steps)
    return {"steps before": dict(before), "made from": ancestors} if ancestors else {}


def styles_of(draw: Mapping[str, Any]) -> list[str]:
    """The sketch styles that training has drawn, of a run's configuration data.draw; none if it is of another kind."""
    if not str(draw.get("_target_")).endswith((f".{SketchMixture.__name__}", ".missing_from_mixture")):
        return []
    weights = draw.get("weights")
    return [name for name in (*STYLES, *(draw.get("learned") or {})) if weights is None or weights.get(name, 0) > 0]


def _check_size(size: int, system: System) -> None:
    for key, (network, _, made) in system.channels.items():
        if made is None:  # discriminators take any size
            continue
        divisor, least = int(network.divisor), int(network.minimum_side)  # type: ignore[arg-type]
        if size % divisor or size < least:
            remedy = f" A smaller system.{key}.depth takes others." if "depth" in getattr(network, "config", {}) else ""
            name = key.partition(".")[0]
            raise ConfigError(
                f"data.size must be at least {least} and divide by {divisor} for {name}; got {size}.{remedy}"
            )


def _check_channels(system: System, size: int) -> None:
    """Runs every network once on bare shapes, which takes no memory, to see that each takes what it is given."""
    for key, (module, given, made) in system.channels.items():
        outline = {name: torch.empty_like(value, device="meta") for name, value in module.named_parameters()}
        outline |= {name: torch.empty_like(value, device="meta") for name, value in module.named_buffers()}
        image = torch.empty(2, given, size, size, device="meta")
        try:
            with torch.no_grad():
                answer = torch.func.functional_call(module, outline, (image,))
        except (RuntimeError, ValueError, NotImplementedError) as error:
            said = str(error).splitlines()[0]
            raise ConfigError(f"system.{key} does not take {tuple(image.shape)}, as it has to: {said}") from error
        if made is not None and isinstance(answer, Tensor) and answer.shape[1] != made:
            raise ConfigError(f"system.{key} must make {made} channels; got {answer.shape[1]}. See out_channels.")


def _check_half_precision(cfg: DictConfig, device: torch.device) -> None:
    """Refuses what PyTorch computes wrongly, as far as is known.

    On a CPU, the bf16 weight gradient of a strided 5x5 convolution on a 1x1 input is uninitialised memory (PyTorch
    2.13). SN-PatchGAN's last layer sees 1x1 at 32 pixels.
    """
    if device.type == "cpu" and cfg.precision != "32-true" and cfg.data.size < 64:
        raise ConfigError(
            f"data.size must be at least 64 for precision={cfg.precision} on a CPU; got {cfg.data.size}. "
            "Use precision=32-true."
        )


def _describe(stages: Sequence[Stage]) -> Iterator[str]:
    for role in ("generators", "discriminators", "frozen"):
        modules = {name: module for stage in stages for name, module in getattr(stage, role).items()}
        for name, module in modules.items():
            millions = sum(parameter.numel() for parameter in module.parameters()) / 1e6
            source = f", {module.source}" if hasattr(module, "source") else ""
            yield f"{role.removesuffix('s')} {name}: {type(module).__name__}, {millions:.2f} M parameters{source}"
