"""Trains the toy stages and is killed, again and again: python killed_runs.py RUN_DIR (started by a test).

Every attempt is a process of its own that kills itself (SIGKILL) in the middle of the n-th file operation that saving
consists of, n = 1, 2, 3 ...: half-way through writing, before and after the fsync, the rename, the second name of the
best checkpoint, the removal of old ones. The attempts go on until one reaches the end. Prints where each one died.
"""

from __future__ import annotations

import os
import random
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy
import torch
from toy_stages import Photos, draw, stages

from calisketch.training import Engine, packing
from calisketch.training.checkpoint import list_checkpoints


def train(run_dir: str, seed: int = 0) -> None:
    """One attempt; with another seed, from other weights and another random state, which a checkpoint has to undo."""
    random.seed(seed)
    numpy.random.seed(seed)  # noqa: NPY002 - what checkpoints keep
    engine = Engine(
        run_dir,
        accelerator="cpu",
        batch_size=4,
        seed=3,
        log_every=1,
        validate_every=2,
        preview_every=5,
        checkpoint_every=1,
        preview_samples=2,
        quiet=True,
    )
    engine.fit(stages(seed=seed, draws_noise=True), Photos(10), Photos(5, seed=1), draw=draw)


def die_at(event: int) -> None:
    """From now on the given file operation is this process's last."""
    seen = [0]

    def deadly(name: str, operation: Callable[..., Any], half: Callable[..., None] | None = None) -> Callable[..., Any]:
        def wrapped(*args: Any, **options: Any) -> Any:
            seen[0] += 1
            if seen[0] == event:
                if half is not None:
                    half(*args)
                print(name, flush=True)
                os.kill(os.getpid(), signal.SIGKILL)
            return operation(*args, **options)

        return wrapped

    def half_a_file(tensors: Any, path: Path, metadata: Any) -> None:
        write_whole(tensors, path, metadata)
        os.truncate(path, path.stat().st_size // 2)

    write_whole = packing.save_file
    packing.save_file = deadly("write", write_whole, half_a_file)  # type: ignore[assignment]
    for name in ("fsync", "replace", "link", "unlink"):
        setattr(os, name, deadly(name, getattr(os, name)))


def main(run_dir: str) -> None:
    torch.set_num_threads(1)
    for attempt in range(1, 100):
        child = os.fork()
        if child == 0:
            begun = bool(list_checkpoints(Path(run_dir) / "checkpoints"))
            die_at(attempt)
            train(run_dir, seed=attempt if begun else 0)
            print("end", flush=True)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if os.WIFEXITED(status):
            sys.exit(os.WEXITSTATUS(status))


if __name__ == "__main__":
    main(sys.argv[1])
