"""Memory that really runs out, within a step, in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import warm_start

from calisketch.training.checkpoint import list_checkpoints, load_latest, save_checkpoint

HERE = Path(__file__).parent
LEFT = "600"
"""MiB beyond what is held already: a batch of 2048 takes twice as many, and one of 2 up to 250, on some processors."""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="needs Linux's limit on the address space")
def test_memory_that_runs_out_ends_the_run_with_advice_and_less_need_goes_on(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(HERE.parents[1]), "OMP_NUM_THREADS": "1"}
    environment["MALLOC_ARENA_MAX"] = "1"  # each more would reserve up to 128 MiB of the address space
    command = [sys.executable, str(HERE / "short_of_memory.py"), str(tmp_path / "run"), LEFT]
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.stdout.split() == ["0", "1", "unchanged", "0"], done.stderr
    message = done.stderr[done.stderr.index("OutOfMemory") :]
    for setting in ("batch_size", "accumulate", "precision", "width"):
        assert setting in message
    assert "Traceback" not in done.stderr
    assert "changed since: accumulate: 1 -> 2" in message
    assert "resumed" in message, "the checkpoint of before is gone on from"
    folder = tmp_path / "run" / "checkpoints"
    assert load_latest(folder)["completed"] == ["scn", "isn"]
    assert load_latest(folder)["config"]["batch_size"] == 2, "nothing was halved in silence"
    assert list_checkpoints(folder)


@pytest.mark.skipif(sys.platform != "linux", reason="needs Linux's limit on the address space")
def test_a_checkpoint_that_memory_does_not_suffice_for_is_not_called_damaged(tmp_path: Path) -> None:
    state = {"stage": "scn", "total": 1, "weights": torch.zeros(4_000_000)}
    path = save_checkpoint(state, tmp_path)
    save_checkpoint({**state, "total": 2}, tmp_path)
    child = (
        "import resource, sys; from pathlib import Path; from calisketch.training.checkpoint import load_latest;"
        "sys.path.insert(0, sys.argv[2]); from short_of_memory import memory_in_use;"
        "resource.setrlimit(resource.RLIMIT_AS, (memory_in_use() + 5_000_000,) * 2);"
        "load_latest(Path(sys.argv[1]), set_aside=True)"
    )
    done = warm_start.run(["-c", child, str(tmp_path), str(HERE)], timeout=120)
    assert "MemoryError" in done.stderr.splitlines()[-1], done.stderr
    assert "damaged" not in done.stderr
    assert len(list_checkpoints(tmp_path)) == 2
    assert path.exists()
