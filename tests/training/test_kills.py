"""Runs that are killed for real: what is left, and what the same command makes of it."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
import torch
import warm_start
from killed_runs import train
from toy_runs import assert_equal, timeless

from calisketch.training import CheckpointError
from calisketch.training.checkpoint import list_checkpoints, load_checkpoint, load_latest
from calisketch.training.logging import read_metrics
from calisketch.training.ownership import only_writer

HERE = Path(__file__).parent


def assert_same_run(left: Path, right: Path) -> None:
    """Figures, pictures, and every number of the last and the best checkpoints."""
    lines = [timeless(read_metrics(folder / "metrics.jsonl")) for folder in (left, right)]
    assert lines[0] == lines[1]
    for name in ("checkpoints", "previews"):
        listed = [sorted(path.name for path in (folder / name).iterdir()) for folder in (left, right)]
        assert listed[0] == listed[1]
        for file in listed[0]:
            if name == "previews":
                assert (left / name / file).read_bytes() == (right / name / file).read_bytes()
            else:
                assert_equal(load_checkpoint(left / name / file), load_checkpoint(right / name / file), file)


@pytest.mark.slow
def test_a_run_killed_inside_every_part_of_a_save_equals_an_undisturbed_one_bit_for_bit(tmp_path: Path):
    train(str(tmp_path / "straight"))
    done = warm_start.run([str(HERE / "killed_runs.py"), str(tmp_path / "killed")], timeout=200)
    assert done.returncode == 0, done.stderr
    deaths = done.stdout.split()
    assert deaths.pop() == "end"
    assert set(deaths) == {"write", "fsync", "replace", "link", "unlink"}
    assert len(deaths) >= 10
    assert_same_run(tmp_path / "straight", tmp_path / "killed")


def test_a_bit_flipped_in_the_newest_checkpoint_costs_only_the_steps_since_the_one_before(tmp_path: Path):
    train(str(tmp_path / "straight"))
    damaged = tmp_path / "damaged"
    train(str(damaged))
    newest = list_checkpoints(damaged / "checkpoints")[-1]
    content = bytearray(newest.read_bytes())
    content[-100] ^= 16
    newest.write_bytes(content)
    with pytest.warns(UserWarning, match=r"its content does not fit its SHA-256\. Trying the one before"):
        train(str(damaged), seed=1)
    (damaged / "checkpoints" / f"{newest.name}.damaged").unlink()
    assert_same_run(tmp_path / "straight", damaged)


def test_two_runs_cannot_write_to_one_folder_at_once_and_a_dead_one_blocks_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("calisketch.training.ownership.WAIT", 0.0)
    (tmp_path / "checkpoints").mkdir()
    holder = f"""
import os, signal
from pathlib import Path
from calisketch.training.ownership import only_writer
with only_writer(Path({str(tmp_path / "checkpoints")!r})):
    print("held", flush=True)
    signal.pause()
"""
    process = warm_start.start(["-c", holder])
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        said: list[str] = []
        with (
            pytest.raises(CheckpointError, match="another process is training in"),
            only_writer(tmp_path / "checkpoints", wait=0.3, say=said.append),
        ):
            pass
        assert [line for line in said if "waiting for its end" in line] == said
        assert len(said) == 1
    finally:
        process.kill()
        process.wait()
    with only_writer(tmp_path / "checkpoints", wait=0.0):
        pass


def test_a_full_disk_ends_the_run_with_a_word_and_room_lets_it_go_on(tmp_path: Path, small_disk: Path):
    train(str(tmp_path / "straight"))
    ballast = small_disk / "ballast"
    with open(ballast, "wb", buffering=0) as file:
        for chunk in (2**16, 2**10, 1):  # all but about 40 kB
            while os.statvfs(small_disk).f_bavail * os.statvfs(small_disk).f_frsize > max(chunk, 40_000):
                file.write(bytes(chunk))
    with pytest.raises((CheckpointError, OSError), match="No space left"):
        train(str(small_disk / "run"))
    names = [path.name for path in (small_disk / "run" / "checkpoints").iterdir()]
    assert not [name for name in names if name.startswith(".")]
    kept = load_latest(small_disk / "run" / "checkpoints")
    assert kept is None or torch.isfinite(kept["generators"]["scn"]["0.weight"]).all()
    ballast.unlink()
    train(str(small_disk / "run"), seed=1)
    assert_same_run(tmp_path / "straight", small_disk / "run")


def test_a_folder_that_cannot_be_written_to_is_refused_before_the_first_step(small_disk: Path):
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    with pytest.raises(CheckpointError, match=r"checkpoints cannot be written to: .*Read-only file system.*run_dir"):
        train(str(small_disk / "run"))
