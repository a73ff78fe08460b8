"""The way into a command that Hydra configures: arguments in, exit status out, and no traceback for a misprint."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import hydra
import yaml
from hydra.errors import CompactHydraException, HydraException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from .conf_files import conf_dir

UNREADABLE = (HydraException, OmegaConfBaseException, yaml.YAMLError, RecursionError, ValueError, OSError)
"""What composing a configuration from files and overrides ends in, if they cannot be read or put together."""


class Unfinished(CompactHydraException):
    """What a run of several (``--multirun``) ends in that was not all done. An exit would take the others along."""


def exit_status(
    name: str, run: Callable[[DictConfig], int], argv: Sequence[str] | None, *, names_settings: bool = True
) -> int:
    """Composes conf/NAME.yaml with ``argv`` (the process's own arguments if None) and runs.

    Args:
        name: of the configuration.
        run: the configuration -> the exit status. It sees ``sys.argv`` and the environment as they were.
        names_settings: also say in which file the settings are, where they cannot be read.

    Returns:
        What ``run`` returns (of several runs the first that is not 0), or 1 after a configuration that cannot be read,
        which is told; with HYDRA_FULL_ERROR=1 in the environment its error is raised.
    """
    original, in_full = sys.argv, os.environ.get("HYDRA_FULL_ERROR")
    status = 0

    def restore() -> None:  # further processes, if any, are started with this process's own arguments
        sys.argv = original
        os.environ.pop("HYDRA_FULL_ERROR", None)
        if in_full is not None:
            os.environ["HYDRA_FULL_ERROR"] = in_full

    def task(cfg: DictConfig) -> None:
        nonlocal status
        restore()
        try:
            own = run(cfg)
        finally:
            os.environ["HYDRA_FULL_ERROR"] = "1"
        status = status or own

    entry = hydra.main(version_base="1.3", config_path=str(conf_dir()), config_name=name)(task)
    try:
        if argv is not None:
            sys.argv = [original[0], *argv]
        os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra raises, instead of printing the traceback of a misprint in a file
        with help_that_is_no_text():
            entry()
    except Unfinished as error:
        complain(f"error: {error}")
        return 1
    except UNREADABLE as error:
        if in_full == "1":
            raise
        where = f"\nThe settings and their values are those of {conf_dir() / f'{name}.yaml'}." if names_settings else ""
        complain(f"ConfigError: {error}{where}")
        return 1
    finally:
        restore()
    return status


@contextmanager
def help_that_is_no_text() -> Iterator[None]:
    """Hydra 1.3 gives argparse an object as a help text, which Python 3.14 refuses; within this context it passes."""
    container: Any = argparse._ActionsContainer
    check = getattr(container, "_check_help", None)  # there from Python 3.14 on
    if check is None:
        yield
        return

    def check_texts(parser: Any, action: argparse.Action) -> None:
        if isinstance(action.help, str):
            check(parser, action)

    container._check_help = check_texts
    try:
        yield
    finally:
        container._check_help = check


def wants_tracebacks() -> bool:
    """Whether HYDRA_FULL_ERROR=1 asks for errors as they are."""
    return os.environ.get("HYDRA_FULL_ERROR") == "1"


def complain(text: str) -> None:
    """On standard error, unless that was a terminal that is closed: the exit status still says what it has to."""
    try:
        print(text, file=sys.stderr, flush=True)
    except OSError:
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115 - whatever is said from now on, until the end
