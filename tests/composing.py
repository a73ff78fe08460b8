"""Configurations as the commands compose them, and what they describe."""

from __future__ import annotations

from typing import Any

from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from omegaconf import DictConfig

from calisketch.commands.train_config import conf_dir


def composed(command: str, *overrides: str) -> DictConfig:
    """conf/COMMAND.yaml with the overrides of a command line."""
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        return compose(command, list(overrides))


def build(node: Any) -> Any:
    """What a node with a _target_ describes."""
    return instantiate(node, _convert_="all")
