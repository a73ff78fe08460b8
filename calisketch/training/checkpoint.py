"""Checkpoints: written aside, fsynced, renamed; read back with tensors and plain containers only."""

from __future__ import annotations

import os
import random
import re
import warnings
from pathlib import Path
from typing import Any

import numpy
import torch

FORMAT = "calisketch-checkpoint"
FORMAT_VERSION = 1
_NAME = re.compile(r"^step-(\d{8})-[a-z0-9_]+\.pt$")


class CheckpointError(RuntimeError):
    """A checkpoint that is missing, unreadable, of another format or of another system."""


def save_checkpoint(state: dict[str, Any], folder: Path, *, keep: int = 2) -> Path:
    """Writes ``state`` to ``folder/step-TOTAL-STAGE.pt`` and removes all but the newest ``keep``.

    The file appears under its name only when every byte is on the disk: a process killed at any moment leaves the
    previous checkpoint as it was.

    Args:
        state: tensors and plain containers, with ``total`` (steps of the whole run) and ``stage``.
        folder: the run's checkpoint folder, made when missing.
        keep: how many checkpoints stay, at least 1.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"step-{state['total']:08d}-{state['stage']}.pt"
    aside = folder / f".{path.name}.writing"
    with open(aside, "wb") as file:
        torch.save({"format": FORMAT, "format_version": FORMAT_VERSION, **state}, file)
        file.flush()
        os.fsync(file.fileno())
    os.replace(aside, path)
    _sync_folder(folder)
    for old in list_checkpoints(folder)[:-keep]:
        old.unlink()
    return path


def list_checkpoints(folder: Path) -> list[Path]:
    """The checkpoints in a folder, oldest first."""
    return sorted((path for path in folder.glob("step-*.pt") if _NAME.match(path.name)), key=lambda path: path.name)


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Reads one checkpoint onto the CPU; nothing in the file is executed.

    Raises:
        CheckpointError: the file is missing, cannot be read, or is not a checkpoint of this format.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise CheckpointError(f"no checkpoint at {path}.") from error
    except Exception as error:
        raise CheckpointError(f"{path} cannot be read as a checkpoint ({type(error).__name__}: {error}).") from error
    if not isinstance(state, dict) or state.get("format") != FORMAT:
        raise CheckpointError(f"{path} is not a calisketch checkpoint.")
    if state["format_version"] > FORMAT_VERSION:
        raise CheckpointError(
            f"{path} has format version {state['format_version']}; this calisketch reads up to {FORMAT_VERSION}. "
            "Update calisketch."
        )
    return state


def load_latest(folder: Path) -> dict[str, Any] | None:
    """The newest checkpoint in ``folder`` that can be read, None if there is none at all.

    Raises:
        CheckpointError: there are checkpoints, and none of them can be read.
    """
    failure: CheckpointError | None = None
    for path in reversed(list_checkpoints(folder)):
        try:
            return load_checkpoint(path)
        except CheckpointError as error:
            failure = failure or error
            warnings.warn(f"{error} Trying the one before.", stacklevel=2)
    if failure is not None:
        raise failure
    return None


def find_checkpoint(source: str | Path) -> Path:
    """The checkpoint meant by a run folder or by the path of a checkpoint itself.

    Raises:
        CheckpointError: there is none.
    """
    path = Path(source).expanduser()
    if path.is_file():
        return path
    for folder in (path / "checkpoints", path):
        found = list_checkpoints(folder)
        if found:
            return found[-1]
    raise CheckpointError(
        f"init_from: no checkpoint in {path}. Give a run folder (one that has checkpoints/step-*.pt) or such a file."
    )


def random_state() -> dict[str, Any]:
    """The state of every global random generator, in tensors and plain containers."""
    state: Any = numpy.random.get_state(legacy=True)  # noqa: NPY002 - the global generator is what has to be kept
    name, keys, position, has_gauss, cached = state
    return {
        "python": random.getstate(),
        "numpy": (str(name), torch.from_numpy(keys.astype("int64")), int(position), int(has_gauss), float(cached)),
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
    }


def restore_random_state(state: dict[str, Any]) -> None:
    """Puts every global random generator back to ``random_state``'s answer."""
    version, keys, gauss = state["python"]
    random.setstate((version, tuple(keys), gauss))
    name, keys, position, has_gauss, cached = state["numpy"]
    numpy.random.set_state((name, keys.numpy().astype("uint32"), position, has_gauss, cached))  # noqa: NPY002
    torch.set_rng_state(state["torch"])
    if state["cuda"] and len(state["cuda"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all(state["cuda"])


def _sync_folder(folder: Path) -> None:
    """The rename itself reaches the disk only with the folder's own entry (not to be had on Windows)."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
