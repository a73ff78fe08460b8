"""Training from a configuration: what tools/train.py and ``python -m calisketch train`` run."""

from __future__ import annotations

import inspect
import math
import os
import random
import re
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import hydra
import numpy
import torch
from hydra.errors import InstantiationException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from torch import Tensor, nn
from torch.utils.data import Dataset, Subset

from .pipeline import CaliSketch
from .stage import Stage
from .training import CheckpointError, Engine, Interrupted, NonFiniteLoss, OutOfMemory, ProcessLost
from .training.logging import WANDB_MODES
from .training.processes import rank_by_environment
from .training.settings import Settings, check_stages

CALLERS = (ValueError, TypeError, OSError, CheckpointError, NonFiniteLoss, OutOfMemory, ProcessLost)
"""Errors that a person can mend, shown without a traceback."""

LARGEST = {
    "accumulate": 65_536,
    "batch_size": 65_536,
    "data.size": 8_192,
    "preview_samples": 4_096,
    "seed": 2**32 - 1,  # NumPy's limit
    "threads": 1_024,
    "workers": 1_024,
}
"""Beyond these a slip of the finger would fill the memory, or never come to a first step."""


class ConfigError(ValueError):
    """A key or value of the configuration that makes no sense, by its name."""


def conf_dir() -> Path:
    """The configuration folder: inside an installed package, or beside the package in a checkout."""
    package = Path(__file__).resolve().parent
    for folder in (package / "conf", package.parent / "conf"):
        if (folder / "train.yaml").is_file():
            return folder
    raise FileNotFoundError(f"no conf/train.yaml beside or in {package}. Install calisketch again.")


def main(argv: Sequence[str] | None = None) -> int:
    """Composes the configuration from ``argv`` (Hydra's overrides; the process's own if None) and trains.

    Returns:
        The exit status: 0, 1 after an error that was printed, 128 + the signal's number after an interruption.
    """
    original = sys.argv
    status = 0

    def task(cfg: DictConfig) -> None:
        nonlocal status
        sys.argv = original  # further processes, if any, are started with this process's own arguments
        status = _run_reporting(cfg)

    for argument in sys.argv[1:] if argv is None else argv:
        if (said := _null_group(argument)) is not None:
            print(said, file=sys.stderr)
            return 1
    entry = hydra.main(version_base="1.3", config_path=str(conf_dir()), config_name="train")(task)
    try:
        if argv is not None:
            sys.argv = [original[0], *argv]
        entry()
    finally:
        sys.argv = original
    return status


def _null_group(argument: str) -> str | None:
    """What to say to ``data=null`` and the like, at which Hydra ends in a traceback of its own."""
    found = re.fullmatch(r"\+*([\w/]+)(@[\w.]+)?=(null|~|\[\])?", argument)
    groups = sorted(path.name for path in conf_dir().iterdir() if path.is_dir())
    if found is None or found[1] not in (*groups, "hydra"):
        return None
    return (
        f"ConfigError: {argument}: a group is chosen by the name of one of its files, as in experiment=smoke; the "
        f"groups are {groups}. Leave it out for the one that is chosen already."
    )


def _run_reporting(cfg: DictConfig) -> int:
    rank = rank_by_environment()  # the first process speaks for all, except of what happens to another one
    if rank:
        warnings.simplefilter("ignore")
    try:
        run(cfg)
    except Interrupted as error:
        if not rank:
            print(error, file=sys.stderr)
        return 128 + error.number
    except CALLERS as error:
        if os.environ.get("HYDRA_FULL_ERROR") == "1":
            raise
        if not rank or not isinstance(error, ConfigError):
            print(f"{f'process {rank}: ' if rank else ''}{type(error).__name__}: {error}", file=sys.stderr)
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
    train, validation, data_source = _datasets(cfg)
    draw = _instantiate(cfg.data.draw, "data.draw")
    system = _instantiate(cfg.system, "system")
    _check_size(cfg.data.size, system.generators)
    _check_channels(system, cfg.data.size)
    plain: Any = OmegaConf.to_container(cfg, resolve=True)
    engine = Engine(
        cfg.run_dir,
        wandb=plain["wandb"],
        config=plain,
        **_settings(cfg),
    )
    _check_half_precision(cfg, engine.fabric.device)
    say = engine.terminal.say
    say(f"data: {data_source}; {len(train)} training and {len(validation)} validation photos of {cfg.data.size} px")  # type: ignore[arg-type]
    say(f"device {engine.fabric.device}, precision {engine.settings.precision}, writes to {engine.run_dir}")
    for line in _describe(system.stages):
        say(line)

    def save_model(stage: Any) -> None:
        info = {
            "name": cfg.name,
            "trained": f"up to stage {stage.name}",
            "photos": len(train),  # type: ignore[arg-type]
            "precision": engine.settings.precision,
            "perceptual network": system.isn.vgg.source,
        }
        generators = system.generators
        model = CaliSketch(generators["scn"], generators["isn"], cfg.data.size, info)
        say(f"model saved in {model.save_pretrained(engine.run_dir / 'model')}")

    engine.fit(
        system.stages,
        train,
        validation,
        draw=draw,
        only=_names(cfg.stages),
        init_from=_init_from(cfg.init_from),
        after_stage=save_model,
    )
    engine.close()
    return engine.run_dir


def check_config(cfg: DictConfig) -> None:
    """Checks keys and values that can be judged without making anything.

    Raises:
        ConfigError: naming the key, what was got and what is expected.
    """
    known = set(OmegaConf.load(conf_dir() / "train.yaml")) - {"defaults"} | {"system", "data", "experiment", "debug"}
    for key in cfg:
        if key not in known:
            raise ConfigError(f"unknown key {key!r}; expected one of {sorted(map(str, known))}.")
    if missing := sorted(map(str, known - {"experiment", "debug", "hydra"} - set(cfg))):
        raise ConfigError(f"{', '.join(missing)} must be given; the configuration is without.")
    for group, shipped in (("data", "data/photos.yaml"), ("wandb", None)):
        if not OmegaConf.is_dict(cfg[group]):
            raise ConfigError(f"{group} must be a group of settings; got {_shown(cfg[group])}.")
        expected = set(OmegaConf.load(conf_dir() / shipped)) if shipped else {"mode", "project", "name"}
        for key in cfg[group]:
            if key not in expected:
                raise ConfigError(f"unknown key '{group}.{key}'; expected one of {sorted(map(str, expected))}.")
    try:
        plain = OmegaConf.to_container(cfg, resolve=True, throw_on_missing=True)
    except OmegaConfBaseException as error:
        raise ConfigError(str(error)) from error
    kinds = _shipped_kinds()
    for name in ("data.train", "data.validation", "data.draw", "system.scn", "system.isn", "system.schedules"):
        if not OmegaConf.is_dict(OmegaConf.select(cfg, name)):
            raise ConfigError(f"{name} must be a group of settings; got {_shown(OmegaConf.select(cfg, name))}.")
    if not isinstance(cfg.run_dir, str):
        raise ConfigError(f"run_dir must be a folder's path; got {cfg.run_dir!r}.")
    if not (cfg.init_from is None or isinstance(cfg.init_from, str) or OmegaConf.is_config(cfg.init_from)):
        raise ConfigError(f"init_from must be a run folder, or one for each network; got {cfg.init_from!r}.")
    for key, value in _leaves(plain):
        if key in Settings.__dataclass_fields__:
            continue  # it checks them itself, with what it expects
        whole_group = any(shipped.startswith(f"{key}.") for shipped in kinds)
        if whole_group and value is not None and key != "init_from":
            raise ConfigError(f"{key} must be a group of settings; got {value!r}.")
        optional = type(None) in kinds.get(key, set() if whole_group else {type(None)})
        if value is None and key != "init_from" and not optional:
            raise ConfigError(f"{key} must be {'a group of settings' if whole_group else 'given'}; got null.")
        if isinstance(value, float) and not math.isfinite(value):
            raise ConfigError(f"{key} must be a finite number; got {value!r}.")
        allowed = (kinds.get(key) or kinds.get(f"*.{key.rsplit('.', 1)[-1]}") or set()) - {type(None)}
        fits = not allowed or value is None or type(value) in allowed or (isinstance(value, int) and float in allowed)
        if not fits or (isinstance(value, bool) and allowed and bool not in allowed):
            expected_kinds = " or ".join(sorted(kind.__name__ for kind in allowed))
            raise ConfigError(f"{key} must be {expected_kinds}; got {value!r}.")
    try:
        check_stages(_names(cfg.stages), list(cfg.system.schedules))
        Settings(**_settings(cfg))
        for name in ("data.size", "data.limit", "threads"):
            value = OmegaConf.select(cfg, name)
            whole = isinstance(value, int) and not isinstance(value, bool) and value >= 1
            if not whole and (value is not None or name == "data.size"):
                raise ConfigError(f"{name} must be a whole number, at least 1; got {value!r}.")
        for name, most in LARGEST.items():
            value = OmegaConf.select(cfg, name)
            if value is not None and value > most:
                raise ConfigError(f"{name} must be at most {most}; got {value!r}.")
    except ConfigError:
        raise
    except (ValueError, TypeError) as error:
        raise ConfigError(str(error)) from error
    if cfg.wandb.mode not in WANDB_MODES:
        raise ConfigError(f"wandb.mode must be one of {list(WANDB_MODES)}; got {cfg.wandb.mode!r}.")
    for name in cfg.system.schedules:
        _instantiate(cfg.system.schedules[name], f"system.schedules.{name}")
    for place in ("data", "data.stand_in"):
        for part in ("train", "validation"):
            if OmegaConf.select(cfg, f"{place}.{part}") is not None:
                _check_arguments(plain, f"{place}.{part}")
    if cfg.data.root is None and cfg.data.stand_in is None:
        raise ConfigError(
            "data.root is null: give the folder of prepared photos, data.root=FOLDER (made by tools/prepare_cuhk.py or "
            f"tools/prepare.py at size={cfg.data.size}), or try experiment=smoke, which needs none."
        )


def _shown(value: Any) -> str:
    return "null" if value is None else repr(value)


def _check_arguments(plain: Any, key: str) -> None:
    """Compares a part's settings with its constructor's arguments, whether or not this run will construct it."""
    node = plain
    for name in key.split("."):
        node = node[name]
    if not isinstance(node, Mapping) or not isinstance(node.get("_target_"), str):
        raise ConfigError(f"{key} must be a group of settings with a _target_, the name of its class; got {node!r}.")
    try:
        target = hydra.utils.get_object(node["_target_"])
        inspect.signature(target).bind(**{name: None for name in node if not str(name).startswith("_")})
    except (ImportError, AttributeError, ValueError, TypeError) as error:
        raise ConfigError(f"{key}: {node['_target_']}: {error}") from error


def _settings(cfg: DictConfig) -> dict[str, Any]:
    return {field.name: cfg[field.name] for field in fields(Settings)}


def _names(stages: Any) -> list[str]:
    return list(stages) if OmegaConf.is_list(stages) else [] if stages is None else [stages]


def _init_from(source: Any) -> Any:
    plain = OmegaConf.to_container(source) if OmegaConf.is_config(source) else source
    if isinstance(plain, Mapping):
        return {name: path for name, path in plain.items() if path is not None} or None
    return plain or None


def _datasets(cfg: DictConfig) -> tuple[Dataset[Any], Dataset[Any], str]:
    chosen, prefix, source = cfg.data, "data", str(cfg.data.root)
    if cfg.data.root is None:
        chosen, prefix = cfg.data.stand_in, "data.stand_in"
        source = "procedural faces, since data.root is null (for trying the machinery, not for models)"
    train, validation = (_instantiate(chosen[part], f"{prefix}.{part}") for part in ("train", "validation"))
    if cfg.data.limit is not None:
        train = Subset(train, range(min(cfg.data.limit, len(train))))
    return train, validation, source


def _instantiate(node: Any, key: str) -> Any:
    """Hydra's, with an error that says which key it was and nothing else."""
    try:
        return hydra.utils.instantiate(node, _convert_="all")
    except InstantiationException as error:
        inner = str(error).rsplit("full_key: ", 1)
        path = inner[1].strip() if len(inner) == 2 else key
        cause = error.__cause__ or error
        if isinstance(cause, OSError):
            raise cause from error
        raise ConfigError(f"{path}: {cause}") from error


def _check_size(size: int, generators: Mapping[str, nn.Module]) -> None:
    for name, generator in generators.items():
        divisor, least = int(generator.divisor), int(generator.minimum_side)  # type: ignore[arg-type]
        if size % divisor or size < least:
            raise ConfigError(f"data.size must be at least {least} and divide by {divisor} for {name}; got {size}.")


def _check_channels(system: Any, size: int) -> None:
    """Runs every network once on bare shapes, which takes no memory, to see that each takes what it is given."""
    for name, module, given, made in (
        ("scn.generator", system.scn.generator, 1, 1),
        ("scn.discriminator", system.scn.discriminator, 1, None),
        ("isn.generator", system.isn.generator, 1, 3),
        ("isn.discriminator", system.isn.discriminator, 3, None),
    ):
        outline = {key: torch.empty_like(value, device="meta") for key, value in module.named_parameters()}
        outline |= {key: torch.empty_like(value, device="meta") for key, value in module.named_buffers()}
        image = torch.empty(2, given, size, size, device="meta")
        try:
            with torch.no_grad():
                answer = torch.func.functional_call(module, outline, (image,))
        except (RuntimeError, ValueError, NotImplementedError) as error:
            said = str(error).splitlines()[0]
            raise ConfigError(f"system.{name} does not take {tuple(image.shape)}, as it has to: {said}") from error
        if made is not None and isinstance(answer, Tensor) and answer.shape[1] != made:
            raise ConfigError(f"system.{name} must make {made} channels; got {answer.shape[1]}. See out_channels.")


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


def _leaves(node: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(node, Mapping):
        for key, value in node.items():
            yield from _leaves(value, f"{prefix}.{key}" if prefix else str(key))
    elif not isinstance(node, list):
        yield prefix, node


def _shipped_kinds() -> dict[str, set[type]]:
    """Of which types each setting is in the shipped files; a network's, which may stand anywhere, as ``*.name``."""
    kinds: dict[str, set[type]] = {}
    places = (("train", ""), ("system/*", "system."), ("data/*", "data."), ("experiment/*", ""), ("network/*", "*."))
    for pattern, prefix in places:
        for path in conf_dir().glob(f"{pattern}.yaml"):
            for key, value in _leaves(OmegaConf.to_container(OmegaConf.load(path), resolve=False)):
                if not (isinstance(value, str) and "${" in value):
                    kinds.setdefault(prefix + key, set()).add(type(value))
    return kinds
