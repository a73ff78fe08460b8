from __future__ import annotations

import os
import random
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy
import pytest
import torch

from calisketch.training import CheckpointError
from calisketch.training.checkpoint import (
    FORMAT,
    find_checkpoint,
    list_checkpoints,
    load_checkpoint,
    load_latest,
    random_state,
    restore_random_state,
    save_checkpoint,
)


def state(total: int, stage: str = "scn") -> dict[str, object]:
    return {"stage": stage, "total": total, "weight": torch.full((3,), float(total))}


def test_only_the_newest_stay_in_the_order_of_steps(tmp_path: Path):
    for total, stage in [(9, "scn"), (10, "scn"), (100, "isn"), (101, "joint")]:
        save_checkpoint(state(total, stage), tmp_path, keep=2)
    assert [path.name for path in list_checkpoints(tmp_path)] == ["step-00000100-isn.pt", "step-00000101-joint.pt"]
    assert load_latest(tmp_path)["total"] == 101
    assert list(tmp_path.glob(".*")) == []


def test_a_process_killed_while_writing_leaves_the_previous_checkpoint(tmp_path: Path):
    save_checkpoint(state(1), tmp_path)
    program = textwrap.dedent(
        f"""
        import os, signal, torch
        from pathlib import Path
        from calisketch.training.checkpoint import save_checkpoint
        class Killer:
            def __reduce__(self):  # half of the file is on the disk when this one is reached
                os.kill(os.getpid(), signal.SIGKILL)
        state = {{"stage": "scn", "total": 2, "weight": torch.zeros(10000), "x": Killer()}}
        save_checkpoint(state, Path({str(tmp_path)!r}))
        """
    )
    root = str(Path(__file__).resolve().parents[2])
    environment = {**os.environ, "PYTHONPATH": root}
    done = subprocess.run([sys.executable, "-c", program], env=environment, cwd=tmp_path, capture_output=True)
    assert done.returncode == -9, done.stderr.decode()
    latest = load_latest(tmp_path)
    assert latest["total"] == 1
    assert torch.equal(latest["weight"], torch.ones(3))


def test_a_failing_disk_leaves_the_previous_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    save_checkpoint(state(1), tmp_path)

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        save_checkpoint(state(2), tmp_path)
    assert load_latest(tmp_path)["total"] == 1


def test_the_bytes_are_synced_before_the_name_appears(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    events = []
    sync, replace = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda descriptor: (events.append("sync"), sync(descriptor))[1])
    monkeypatch.setattr(os, "replace", lambda a, b: (events.append("rename"), replace(a, b))[1])
    save_checkpoint(state(1), tmp_path)
    assert events == ["sync", "rename", "sync"]


def test_a_torn_checkpoint_is_passed_over_with_a_warning(tmp_path: Path):
    save_checkpoint(state(1), tmp_path)
    (tmp_path / "step-00000002-scn.pt").write_bytes(b"PK\x03\x04 torn")
    with pytest.warns(UserWarning, match="Trying the one before"):
        assert load_latest(tmp_path)["total"] == 1
    (tmp_path / "step-00000001-scn.pt").unlink()
    with pytest.warns(UserWarning, match="one before"), pytest.raises(CheckpointError, match="cannot be read"):
        load_latest(tmp_path)
    assert load_latest(tmp_path / "none") is None


def test_foreign_newer_and_executing_files_are_refused(tmp_path: Path):
    path = tmp_path / "step-00000001-scn.pt"
    torch.save({"weight": torch.ones(1)}, path)
    with pytest.raises(CheckpointError, match="not a calisketch checkpoint"):
        load_checkpoint(path)
    torch.save({"format": FORMAT, "format_version": 99}, path)
    with pytest.raises(CheckpointError, match="Update calisketch"):
        load_checkpoint(path)
    torch.save({"format": FORMAT, "format_version": 1, "x": Path("a pickled object")}, path)
    with pytest.raises(CheckpointError, match="cannot be read"):
        load_checkpoint(path)
    with pytest.raises(CheckpointError, match="no checkpoint at"):
        load_checkpoint(tmp_path / "missing.pt")


def test_a_checkpoint_is_found_by_run_folder_and_by_file(tmp_path: Path):
    path = save_checkpoint(state(3), tmp_path / "run" / "checkpoints")
    assert find_checkpoint(tmp_path / "run") == path
    assert find_checkpoint(path.parent) == path
    assert find_checkpoint(path) == path
    with pytest.raises(CheckpointError, match="init_from"):
        find_checkpoint(tmp_path / "elsewhere")


def test_every_global_random_generator_is_restored(tmp_path: Path):
    def numbers() -> list[float]:
        return [random.gauss(0, 1), float(numpy.random.standard_normal()), torch.randn(1).item()]  # noqa: NPY002

    random.seed(1)
    numpy.random.seed(2)  # noqa: NPY002
    torch.manual_seed(3)
    numbers()  # leaves a half-used pair of Gaussians in two of them
    path = save_checkpoint({**state(1), "random": random_state()}, tmp_path)
    expected = numbers()
    numbers()
    restore_random_state(load_checkpoint(path)["random"])
    assert numbers() == expected
