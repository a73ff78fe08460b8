"""Checkpoints: one safetensors file each, with a digest of all it holds; written aside, fsynced, renamed."""

from __future__ import annotations

import os
import random
import re
import shutil
import tempfile
import warnings
from pathlib import Path
from typing import Any

import numpy
import torch

from .packing import PackingError, read_packed, write_packed

FORMAT = "calisketch-checkpoint"
FORMAT_VERSION = 2
ENDING = ".safetensors"
DAMAGED = ".damaged"
_NAME = re.compile(r"^step-(\d{8,})-[a-z0-9_]+\.safetensors$")
_OLD_NAME = re.compile(r"^step-\d{8}-[a-z0-9_]+\.pt$")


class CheckpointError(RuntimeError):
    """A checkpoint that is missing, unreadable, of another format or of another system; or that cannot be written."""


class NotOpened(CheckpointError):
    """A checkpoint that is there and may not be opened, and may well be sound."""


class OtherVersion(CheckpointError):
    """A checkpoint that another version of calisketch wrote, in a format that this one does not read."""


def save_checkpoint(state: dict[str, Any], folder: Path, *, keep: int = 2, best: bool = False) -> Path:
    """Writes ``state`` to ``folder/step-TOTAL-STAGE.safetensors`` and removes all but the newest ``keep``.

    The file appears under its name only when every byte is on the disk: a process killed at any moment leaves the
    previous checkpoint as it was.

    Args:
        state: tensors and plain containers, with ``total`` (steps of the whole run) and ``stage``.
        folder: the run's checkpoint folder, made when missing.
        keep: how many checkpoints stay, at least 1.
        best: also keep it as ``folder/best-STAGE.safetensors``, in place of the one before.

    Raises:
        CheckpointError: it cannot be written (a full disk, a folder without permission); nothing is left half-written
            and the checkpoints before it are intact.
    """
    path = folder / f"step-{state['total']:08d}-{state['stage']}{ENDING}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # The best one's name first: from then on a kill costs a step to be run again, but no best is ever missing.
        also = folder / f"best-{state['stage']}{ENDING}" if best else None
        write_packed(path, state, FORMAT, FORMAT_VERSION, also=also)
    except (OSError, PackingError) as error:
        raise CheckpointError(
            f"the checkpoint {path} cannot be written: {error}. Those before it are intact: make room there (or give "
            "yourself the right to write), and run the same command again."
        ) from error
    for old in list_checkpoints(folder)[:-keep]:
        old.unlink(missing_ok=True)
    return path


def list_checkpoints(folder: Path) -> list[Path]:
    """The checkpoints in a folder, oldest first, without the best ones' copies."""
    return sorted(
        (path for path in folder.glob(f"step-*{ENDING}") if _NAME.match(path.name)),
        key=lambda path: (int(path.name.split("-")[1]), path.name),
    )


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Reads one checkpoint onto the CPU and compares it with its digest; nothing in the file is executed.

    Raises CheckpointError: the file is missing, cannot be read, is damaged, or is not a checkpoint of this format.
    """
    if path.suffix == ".pt":
        raise OtherVersion(_of_old_format(path))
    try:
        version, state = read_packed(path, FORMAT, FORMAT_VERSION)
    except FileNotFoundError as error:
        raise CheckpointError(f"no checkpoint at {path}.") from error
    except OSError as error:
        raise NotOpened(f"the checkpoint {path} cannot be opened: {error}. Mend that, and try again.") from error
    except PackingError as error:
        raise CheckpointError(f"{path} cannot be read as a checkpoint: {error}.") from error
    if version > FORMAT_VERSION:
        raise OtherVersion(
            f"{path} has format version {version}; this calisketch reads up to {FORMAT_VERSION}. Update calisketch."
        )
    if not isinstance(state, dict):
        raise CheckpointError(f"{path} holds a {type(state).__name__}, no run's state.")
    return state


def load_latest(folder: Path, *, set_aside: bool = False) -> dict[str, Any] | None:
    """The newest checkpoint in ``folder`` that can be read, None if there is none at all.

    Args:
        folder: the run's checkpoint folder.
        set_aside: give damaged ones that are passed over the ending ``.damaged``, so that they are neither counted
            among those that stay nor tried again; for the one process that writes.

    Raises:
        CheckpointError: there are checkpoints, and none of them can be read.
        NotOpened, OtherVersion: the newest may not be opened, or is of another version; none older is taken for it.
    """
    paths = list_checkpoints(folder)
    damaged: list[tuple[Path, CheckpointError]] = []
    for path in reversed(paths):
        try:
            state = load_checkpoint(path)
        except (NotOpened, OtherVersion):
            raise
        except CheckpointError as error:
            damaged.append((path, error))
            if path != paths[0]:
                warnings.warn(f"{error} Trying the one before.", stacklevel=2)
            continue
        for bad, _ in damaged if set_aside else ():
            os.replace(bad, bad.with_name(bad.name + DAMAGED))
        return state
    if damaged:
        raise CheckpointError(
            f"{damaged[0][1]} None of the {len(paths)} checkpoints in {folder} can be read: restore one from a copy, "
            "or start in another run_dir."
        )
    old = sorted(path for path in folder.glob("step-*.pt") if _OLD_NAME.match(path.name))
    if old:
        raise OtherVersion(_of_old_format(old[-1]))
    return None


def find_checkpoint(source: str | Path) -> Path:
    """The checkpoint meant by a run folder (its newest) or by its own path. Raises CheckpointError if there is none."""
    path = Path(source).expanduser()
    if path.is_file():
        return path
    for folder in (path / "checkpoints", path):
        found = list_checkpoints(folder)
        if found:
            return found[-1]
    raise CheckpointError(
        f"init_from: no checkpoint in {path}. Give a run folder (one that has checkpoints/step-*{ENDING}) or such a "
        "file."
    )


def tidy(folder: Path) -> None:
    """Removes what killed processes left half-written in a folder; only for the one process that writes there."""
    for pattern in (".*.writing", ".tmp*"):  # the second are safetensors' own, which it renames when they are whole
        for path in folder.glob(pattern):
            path.unlink(missing_ok=True)


def check_room(folder: Path, needed: int) -> None:
    """Finds out before the training, not after its first thousand steps, whether checkpoints can be written.

    The folder is made when missing; ``needed`` is about how many bytes one takes. Raises CheckpointError: the folder
    cannot be written to, or its disk is too full for a single checkpoint.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as probe:
            probe.write(b"x")
        free = shutil.disk_usage(folder).free
    except OSError as error:
        raise CheckpointError(
            f"{folder} cannot be written to: {error}. Make room, or get the right to write there; or give another "
            "run_dir."
        ) from error
    if free < needed:
        raise CheckpointError(
            f"the disk of {folder} has {free / 1e6:.1f} MB left, and one checkpoint takes about {needed / 1e6:.1f} MB. "
            "Make room, or give another run_dir."
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


def _of_old_format(path: Path) -> str:
    return (
        f"{path} has format version 1, of calisketch 0.1; this calisketch reads version {FORMAT_VERSION}. Finish that "
        "run with the calisketch that began it, or start in another run_dir."
    )
