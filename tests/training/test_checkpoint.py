from __future__ import annotations

import datetime
import os
import random
import signal
import time
from pathlib import Path

import numpy
import pytest
import torch
from safetensors.torch import save_file

from calisketch.training import CheckpointError
from calisketch.training.checkpoint import (
    FORMAT,
    NotOpened,
    OtherVersion,
    check_room,
    find_checkpoint,
    list_checkpoints,
    load_checkpoint,
    load_latest,
    random_state,
    restore_random_state,
    save_checkpoint,
    tidy,
)
from calisketch.training.packing import _parts, from_bytes, to_bytes, write_packed


def state(total: int, stage: str = "scn") -> dict[str, object]:
    return {"stage": stage, "total": total, "weight": torch.full((3,), float(total))}


def test_only_the_newest_stay_in_the_order_of_steps(tmp_path: Path):
    for total, stage in [(9, "scn"), (10, "scn"), (100, "isn"), (101, "joint")]:
        save_checkpoint(state(total, stage), tmp_path, keep=2)
    assert [path.name for path in list_checkpoints(tmp_path)] == [
        "step-00000100-isn.safetensors",
        "step-00000101-joint.safetensors",
    ]
    assert load_latest(tmp_path)["total"] == 101
    assert list(tmp_path.glob(".*")) == []


def test_the_order_is_of_steps_beyond_eight_digits(tmp_path: Path):
    for total in (99_999_999, 100_000_000):
        save_checkpoint(state(total), tmp_path)
    assert load_latest(tmp_path)["total"] == 100_000_000


def test_a_flipped_bit_of_any_byte_and_every_cut_is_noticed(tmp_path: Path):
    tree = {**state(1), "numbers": [1, 2.5, float("inf"), None, True], "pair": (1, {2: torch.zeros(0)})}
    whole = save_checkpoint(tree, tmp_path / "whole").read_bytes()
    path = tmp_path / "step-00000001-scn.safetensors"
    damaged = [whole[:length] for length in range(len(whole))]
    for place in range(len(whole)):
        flipped = bytearray(whole)
        flipped[place] ^= 1 << place % 8
        damaged.append(bytes(flipped))
    for content in damaged:
        path.write_bytes(content)
        with pytest.raises(CheckpointError):
            load_checkpoint(path)
    path.write_bytes(whole)
    read = load_checkpoint(path)
    assert read["numbers"] == [1, 2.5, float("inf"), None, True]
    assert isinstance(read["pair"], tuple)
    assert read["pair"][1][2].shape == (0,)


def test_a_full_disk_leaves_the_previous_checkpoint_and_nothing_else(small_disk: Path):
    save_checkpoint(state(1), small_disk)
    big = {**state(2), "weight": torch.zeros(2**22)}
    with pytest.raises(CheckpointError, match=r"step-00000002-scn\.safetensors cannot be written: .*No space left"):
        save_checkpoint(big, small_disk)
    assert [path.name for path in small_disk.iterdir()] == ["step-00000001-scn.safetensors"]
    assert load_latest(small_disk)["total"] == 1
    with pytest.raises(CheckpointError, match=r"has \d\.\d MB left, and one checkpoint takes about 99\.0 MB"):
        check_room(small_disk, 99_000_000)


def test_the_bytes_are_synced_before_the_name_appears(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    events = []
    sync, replace = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda descriptor: (events.append("sync"), sync(descriptor))[1])
    monkeypatch.setattr(os, "replace", lambda a, b: (events.append("rename"), replace(a, b))[1])
    save_checkpoint(state(1), tmp_path)
    assert events == ["sync", "rename", "sync"]


def test_a_damaged_checkpoint_is_passed_over_with_a_warning_and_set_aside(tmp_path: Path):
    for total in (1, 2):
        path = save_checkpoint(state(total), tmp_path)
    content = bytearray(path.read_bytes())
    content[-1] ^= 4
    path.write_bytes(content)
    for set_aside in (False, True):
        with pytest.warns(UserWarning, match=r"does not fit its SHA-256\. Trying the one before"):
            assert load_latest(tmp_path, set_aside=set_aside)["total"] == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "step-00000001-scn.safetensors",
        "step-00000002-scn.safetensors.damaged",
    ]
    (tmp_path / "step-00000001-scn.safetensors").write_bytes(b"")
    with pytest.raises(CheckpointError, match="None of the 1 checkpoints"):
        load_latest(tmp_path, set_aside=True)
    assert list_checkpoints(tmp_path)  # what cannot be replaced is left as it is
    assert load_latest(tmp_path / "none") is None


def test_the_best_stays_whatever_comes_after_it(tmp_path: Path):
    for total, best in ((1, True), (2, False), (3, True), (4, False), (5, False)):
        save_checkpoint(state(total), tmp_path, keep=2, best=best)
    save_checkpoint(state(6, "isn"), tmp_path, keep=2, best=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "best-isn.safetensors",
        "best-scn.safetensors",
        "step-00000005-scn.safetensors",
        "step-00000006-isn.safetensors",
    ]
    assert load_checkpoint(tmp_path / "best-scn.safetensors")["total"] == 3
    assert load_checkpoint(find_checkpoint(tmp_path / "best-scn.safetensors"))["total"] == 3


def test_foreign_files_are_refused(tmp_path: Path):
    path = tmp_path / "step-00000001-scn.safetensors"
    save_file({"weight": torch.ones(1)}, path)
    with pytest.raises(CheckpointError, match="its format is None, expected 'calisketch-checkpoint'"):
        load_checkpoint(path)
    path.write_bytes(b"PK\x03\x04 torn")
    with pytest.raises(CheckpointError, match="damaged or no safetensors file"):
        load_checkpoint(path)
    with pytest.raises(CheckpointError, match="no checkpoint at"):
        load_checkpoint(tmp_path / "missing.safetensors")
    with pytest.raises(CheckpointError, match="config/when is a datetime, which a checkpoint cannot hold"):
        save_checkpoint({**state(1), "config": {"when": datetime.datetime(2020, 1, 1)}}, tmp_path)


def test_another_version_is_never_replaced_by_an_older_checkpoint(tmp_path: Path):
    save_checkpoint(state(1), tmp_path)
    write_packed(tmp_path / "step-00000002-scn.safetensors", {"new": "layout"}, FORMAT, 99)
    with pytest.raises(OtherVersion, match=r"step-00000002.* version 99; this calisketch reads up to 2\. Update"):
        load_latest(tmp_path)
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "step-00000100-isn.pt").write_bytes(b"PK")
    with pytest.raises(OtherVersion, match=r"has format version 1, of calisketch 0\.1"):
        load_latest(tmp_path / "old")


def test_what_a_killed_process_left_is_tidied_up(tmp_path: Path):
    path = save_checkpoint(state(1), tmp_path)
    (tmp_path / ".step-00000002-scn.safetensors.writing").write_bytes(b"half")
    big = {**state(3), "weight": torch.zeros(2**24)}
    child = os.fork()
    if child == 0:
        save_checkpoint(big, tmp_path)
        os._exit(0)
    end = time.monotonic() + 20
    while len(list(tmp_path.iterdir())) < 4 and time.monotonic() < end:  # safetensors writes to a file of its own
        pass
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    assert len(list(tmp_path.iterdir())) > 1
    tidy(tmp_path)
    assert list(tmp_path.iterdir()) == [path]


def test_a_checkpoint_that_may_not_be_opened_is_neither_called_damaged_nor_passed_over(tmp_path: Path):
    save_checkpoint(state(1), tmp_path)
    closed = tmp_path / "step-00000002-scn.safetensors"
    closed.symlink_to(closed)  # for root there are no other files that cannot be opened
    with pytest.raises(NotOpened, match=r"step-00000002-scn\.safetensors cannot be opened: .*symbolic links"):
        load_latest(tmp_path, set_aside=True)
    assert [path.name for path in list_checkpoints(tmp_path)] == [
        "step-00000001-scn.safetensors",
        "step-00000002-scn.safetensors",
    ]


def test_a_checkpoint_may_be_read_by_whom_the_umask_says(tmp_path: Path):
    before = os.umask(0o027)
    try:
        assert save_checkpoint(state(1), tmp_path).stat().st_mode & 0o777 == 0o640
    finally:
        os.umask(before)


def test_tensors_that_share_memory_are_kept_each_and_no_other_is_copied():
    whole = torch.arange(4.0)
    tree = {"a": whole, "b": whole, "c": whole[1:3], "d": torch.zeros(3)}
    _, tensors = _parts(tree)
    assert tensors["a"].data_ptr() == whole.data_ptr()
    assert tensors["d"].data_ptr() == tree["d"].data_ptr()
    read = from_bytes(to_bytes(tree))
    assert {name: value.tolist() for name, value in read.items()} == {
        name: value.tolist() for name, value in tree.items()
    }


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
