"""The configuration of a training as a person gives it: every key and value judged before anything is made."""

from __future__ import annotations

import functools
import inspect
import math
from collections.abc import Iterator, Mapping
from dataclasses import fields
from typing import Any

import hydra
from hydra.errors import InstantiationException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from ..training.logging import WANDB_MODES
from ..training.settings import Settings, check_stages
from .conf_files import conf_dir

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
        plain: Any = OmegaConf.to_container(cfg, resolve=True, throw_on_missing=True)
    except OmegaConfBaseException as error:
        raise ConfigError(str(error)) from error
    kinds = _shipped_kinds()
    there = cfg.system if OmegaConf.is_dict(cfg.system) else {}
    systems = ("scn", "isn", "painter", "plan", "pix2pix", "pi_rec", "x_gan", "sketcher")
    networks = [f"system.{name}" for name in systems if name in there]
    drawn = ["data.draw"] if cfg.data.draw is not None else []  # null: the data set's items hold the sketches
    for name in ("data.train", "data.validation", *drawn, "system", *networks, "system.schedules"):
        if not OmegaConf.is_dict(OmegaConf.select(cfg, name)):
            raise ConfigError(f"{name} must be a group of settings; got {_shown(OmegaConf.select(cfg, name))}.")
    if not isinstance(cfg.run_dir, str):
        raise ConfigError(f"run_dir must be a folder's path; got {cfg.run_dir!r}.")
    if not (cfg.init_from is None or isinstance(cfg.init_from, str) or OmegaConf.is_config(cfg.init_from)):
        raise ConfigError(f"init_from must be a run or model folder, or one for each network; got {cfg.init_from!r}.")
    root = plain["data"]["root"]
    if isinstance(root, list) and not (root and all(isinstance(folder, str) for folder in root)):
        raise ConfigError(f"data.root must be a prepared folder or a list of them; got {root!r}.")
    for key, value in _containers(plain):
        single = kinds.get(key, set()) - {type(None)}  # what is null everywhere may be a group, such as a network
        if single and key != "data.root" and not any(shipped.startswith(f"{key}.") for shipped in kinds):
            raise ConfigError(f"{key} must be a single value; got {value!r}.")
    for key, value in leaves(plain):
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
        check_stages(names_of(cfg.stages), list(cfg.system.schedules))
        Settings(**settings_of(cfg))
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
    if cfg.compile is True and OmegaConf.select(cfg, "system.isn.r1_weight"):
        raise ConfigError(
            "compile=true cannot be had with system.isn.r1_weight above 0: R1 needs second derivatives, which compiled "
            "networks do not have. Give compile=false, or r1_weight=0."
        )
    for name in cfg.system.schedules:
        instantiate(cfg.system.schedules[name], f"system.schedules.{name}")
    for place in ("data", "data.stand_in"):
        for part in ("train", "validation"):
            if OmegaConf.select(cfg, f"{place}.{part}") is not None:
                _check_arguments(plain, f"{place}.{part}")
    if cfg.data.root is None and cfg.data.stand_in is None:
        raise ConfigError(
            "data.root is null: give the folder of prepared photos, data.root=FOLDER (made by calisketch prepare "
            f"or prepare-cuhk at size={cfg.data.size}), or try experiment=smoke/cali_sketch, which needs none."
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


def settings_of(cfg: DictConfig) -> dict[str, Any]:
    """The engine's settings in a configuration."""
    return {field.name: cfg[field.name] for field in fields(Settings)}


def names_of(stages: Any) -> list[str]:
    """The stages to run, which may be given as one name."""
    return list(stages) if OmegaConf.is_list(stages) else [] if stages is None else [stages]


def instantiate(node: Any, key: str) -> Any:
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


def _containers(node: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in node.items():
        name = f"{prefix}.{key}" if prefix else str(key)
        if isinstance(value, Mapping | list):
            yield name, value
        if isinstance(value, Mapping):
            yield from _containers(value, name)


def leaves(node: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Every single value of a nested mapping, with its dotted name; lists are left out."""
    if isinstance(node, Mapping):
        for key, value in node.items():
            yield from leaves(value, f"{prefix}.{key}" if prefix else str(key))
    elif not isinstance(node, list):
        yield prefix, node


@functools.cache  # dozens of files
def _shipped_kinds() -> dict[str, set[type]]:
    """Of which types each setting is in the shipped files; a network's, which may stand anywhere, as ``*.name``."""
    kinds: dict[str, set[type]] = {}
    places = (("train", ""), ("system/*", "system."), ("data/*", "data."), ("experiment/*/*", ""), ("network/*", "*."))
    for pattern, prefix in places:
        for path in conf_dir().glob(f"{pattern}.yaml"):
            for key, value in leaves(OmegaConf.to_container(OmegaConf.load(path), resolve=False)):
                if not (isinstance(value, str) and "${" in value):
                    kinds.setdefault(prefix + key, set()).add(type(value))
    return kinds
