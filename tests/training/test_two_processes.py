"""Runs in several real processes: what they compute, what becomes of the others when one ends, how they go on."""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy
import pytest
import torch
import warm_start
from torch import Tensor
from two_processes import train

from calisketch.commands import train as train_command
from calisketch.training import Interrupted
from calisketch.training.batches import SampleOrder
from calisketch.training.checkpoint import load_latest
from calisketch.training.logging import read_metrics
from calisketch.training.processes import seed_step
from calisketch.training.settings import Settings

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
TOY = str(HERE / "two_processes.py")
LIMIT = 120  # seconds for what takes ten
ROUNDING = {"figures": 1e-5, "generators": 1e-5, "discriminators": 1e-5, "ema": 1e-5, "optimizers": 1e-4}


def start(command: list[str], cwd: Path) -> warm_start.Process:
    known = {name: value for name, value in os.environ.items() if "RANK" not in name and name != "MASTER_PORT"}
    environment = {**known, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
    return warm_start.start(command, env=environment, cwd=cwd, stdout=subprocess.DEVNULL, start_new_session=True)


def finish(running: warm_start.Process) -> tuple[int, str]:
    """Its exit status and what it said; nothing of it is left."""
    try:
        said = running.communicate(timeout=LIMIT)[1]
    except subprocess.TimeoutExpired:
        os.killpg(running.pid, signal.SIGKILL)
        raise
    return running.wait(), said


def torchrun(*options: str) -> list[str]:
    return ["-m", "torch.distributed.run", *(options or ("--standalone", "--nproc-per-node=2"))]


def traced(folder: Path, rank: int) -> list[dict[str, Any]]:
    path = folder / f"{rank}.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def seen(folder: Path, rank: int, stage: str) -> list[list[int]]:
    return [line["index"] for line in traced(folder, rank) if line.get("stage") == stage]


def wait_for_steps(running: warm_start.Process, folder: Path, steps: int) -> list[int]:
    """Waits until both processes have begun so many steps; their process ids."""
    end = time.monotonic() + LIMIT
    while any(len(traced(folder, rank)) <= steps for rank in (0, 1)):
        assert running.poll() is None, finish(running)
        assert time.monotonic() < end
        time.sleep(0.05)
    return [traced(folder, rank)[0]["pid"] for rank in (0, 1)]


def tensors(tree: Any, path: str = "") -> Iterator[tuple[str, Tensor]]:
    if isinstance(tree, Tensor):
        yield path, tree
    for key, value in tree.items() if isinstance(tree, dict) else []:
        yield from tensors(value, f"{path}/{key}")


def assert_close(one: Path, other: Path, *, figures: float, free: tuple[str, ...] = (), **tolerances: float) -> None:
    """Weights, averages, spectral norms' vectors, moments (each by its norm) and every figure, but for ``free``."""
    left, right = (load_latest(folder / "checkpoints") for folder in (one, other))
    assert left["completed"] == right["completed"]
    assert left["images"] == right["images"]
    for kind, tolerance in tolerances.items():
        found = dict(tensors(right[kind], kind))
        for name, value in tensors(left[kind], kind):
            if not any(word in name for word in free):
                apart = float(torch.linalg.vector_norm((found[name] - value).double()))
                assert apart <= tolerance * max(float(torch.linalg.vector_norm(value.double())), 1e-6), name
    for ours, theirs in zip(read_metrics(one / "metrics.jsonl"), read_metrics(other / "metrics.jsonl"), strict=True):
        for record in (ours, theirs):
            record.pop("images_per_second", None)
            record.pop("steps_per_second", None)
            if free:
                record.pop("gradient_norm", None)
        assert flat(theirs) == pytest.approx(flat(ours), rel=figures, abs=figures * 1e-2)


def flat(record: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    result: dict[str, Any] = {}
    for key, value in record.items():
        if isinstance(value, dict):
            result |= flat(value, f"{prefix}{key}/")
        elif isinstance(value, float | int):
            result[prefix + key] = value
    return result


@pytest.mark.slow
def test_two_machines_with_half_the_batch_each_equal_one_and_only_the_first_one_writes(tmp_path: Path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        endpoint = f"127.0.0.1:{free.getsockname()[1]}"
    rendezvous = [
        "--nnodes=2",
        "--nproc-per-node=1",
        "--rdzv-backend=c10d",
        "--rdzv-id=x",
        f"--rdzv-endpoint={endpoint}",
    ]
    settings = {"batch_size": 2, "accumulate": 2, "trace": str(tmp_path / "trace")}
    machines = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        command = [*torchrun(*rendezvous), TOY, "run", json.dumps(settings)]  # each in a folder that is not shared
        machines.append(start(command, tmp_path / name))
    for machine in machines:
        assert finish(machine)[0] == 0
    train(str(tmp_path / "one"), batch_size=4, accumulate=2)
    (written,) = tmp_path.glob("?/run")
    assert_close(tmp_path / "one", written, **ROUNDING)
    weights = [traced(tmp_path / "trace", rank)[-1]["weights"] for rank in (0, 1)]
    assert weights[0] == weights[1]
    assert {path.name for path in written.iterdir()} == {"checkpoints", "metrics.jsonl", "previews"}


REAL = [
    "experiment=smoke/cali_sketch",
    "debug=few_steps",
    "threads=1",
    "data.size=32",
    "data.stand_in.train.count=6",
    "data.stand_in.validation.count=3",
    *(f"system.{name}.generator.{key}" for name in ("scn", "isn") for key in ("width=4", "blocks=1")),
    *(f"system.{name}.discriminator.width=4" for name in ("scn", "isn")),
    "system.isn.vgg.width=2",
]


@pytest.mark.slow
def test_torchrun_of_the_train_script_takes_the_steps_of_one_process_through_all_stages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    running = start([*torchrun(), str(ROOT / "tools" / "train.py"), *REAL, "batch_size=2", "run_dir=two"], tmp_path)
    monkeypatch.chdir(tmp_path)
    assert train_command.main([*REAL, "batch_size=4", "run_dir=one"]) == 0
    status, said = finish(running)
    assert status == 0, said
    assert said.count("model saved in two/model") == 3  # by one of the two
    assert {path.name for path in tmp_path.iterdir()} == {"one", "two"}
    assert {path.name for path in (tmp_path / "two").iterdir()} == {"checkpoints", "metrics.jsonl", "model", "previews"}
    # A bias before an instance norm has no effect; its gradient is rounding alone, which Adam scales to full steps.
    assert_close(
        tmp_path / "one", tmp_path / "two", figures=1e-3, discriminators=1e-4, generators=1e-2, ema=1e-2, free=("bias",)
    )


@pytest.mark.slow
def test_a_run_whose_second_process_is_killed_ends_at_once_and_goes_on_in_one_process_and_then_in_two(tmp_path: Path):
    train(str(tmp_path / "straight"))
    settings = {"batch_size": 4, "devices": 2, "trace": str(tmp_path / "trace")}
    killed = start([TOY, "run", json.dumps(settings | {"last": "1:4:9"})], tmp_path)
    status, said = finish(killed)
    assert status == 1
    assert "process 0 of 2 has lost another one: process 1 was ended by SIGKILL" in said
    assert "Traceback" not in said
    with pytest.raises(Interrupted):
        train(str(tmp_path / "run"), last="0:4:15")
    status, said = finish(start([TOY, "run", json.dumps(settings)], tmp_path))
    assert status == 0, said
    assert_close(tmp_path / "straight", tmp_path / "run", **ROUNDING)


@pytest.mark.slow
def test_a_signal_to_everyone_and_again_from_torchrun_stops_all_processes_after_the_same_step(tmp_path: Path):
    """As a batch system or systemd sends it, to torchrun, to its processes and to their data-loading ones."""
    trace = tmp_path / "trace"
    settings = {"batch_size": 4, "first": 100_000, "workers": 1, "pause": 0.05, "trace": str(trace)}
    running = start([*torchrun(), TOY, "run", json.dumps(settings)], tmp_path)
    pids = wait_for_steps(running, trace, 2)
    for pid in (*pids, running.pid):
        os.killpg(pid, signal.SIGTERM)
    said = finish(running)[1]
    assert said.count("stopped by SIGTERM after step") == 2
    assert "DataLoader" not in said
    kept = load_latest(tmp_path / "run" / "checkpoints")["step"]
    assert [len(seen(trace, rank, "scn")) for rank in (0, 1)] == [kept, kept]
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)


@pytest.mark.slow
def test_a_failure_of_the_writing_process_ends_all_with_its_message(tmp_path: Path):
    settings = {"batch_size": 4, "last": "0:save:disk", "trace": str(tmp_path / "trace")}
    status, said = finish(start([*torchrun(), TOY, "run", json.dumps(settings)], tmp_path))
    assert status == 1
    assert "OSError: [Errno 28] No space left on device" in said
    assert "ProcessLost: process 1 of 2 has lost another one" in said


def test_with_another_number_of_images_per_step_no_sample_of_an_epoch_is_left_out_or_repeated(tmp_path: Path):
    run, trace = str(tmp_path / "run"), tmp_path / "trace"
    for batch_size, accumulate, last in ((4, 1, "0:3:15"), (3, 2, "0:2:15"), (5, 1, "")):
        try:
            train(run, batch_size=batch_size, accumulate=accumulate, last=last, first=6, trace=str(trace))
        except Interrupted:
            assert last
    stream = [sample for index in seen(trace, 0, "scn") for sample in index]
    assert len(stream) == 3 * 4 + 1 * 6 + 2 * 5
    assert stream == [sample for _, sample in SampleOrder(10, 3).slice(0, len(stream))]


def test_every_process_and_every_step_draws_noise_of_its_own_and_a_resumed_run_the_same_again():
    def noise(rank: int, total: int) -> tuple[float, ...]:
        seed_step(SimpleNamespace(world_size=2, global_rank=rank), seed=3, total=total)  # type: ignore[arg-type]
        return random.random(), float(numpy.random.random()), torch.rand(1).item()  # noqa: NPY002

    drawn = [noise(rank, total) for rank in (0, 1) for total in (0, 1, 7)]
    assert all(len(set(kind)) == len(drawn) for kind in zip(*drawn, strict=True))
    assert noise(1, 7) == drawn[-1]


def test_what_torchrun_has_started_is_recognised_and_a_contradiction_named(monkeypatch: pytest.MonkeyPatch):
    assert Settings().devices == 1
    for name, value in {"TORCHELASTIC_RUN_ID": "x", "LOCAL_WORLD_SIZE": "2", "WORLD_SIZE": "6"}.items():
        monkeypatch.setenv(name, value)
    assert Settings(accelerator="cpu").devices == 2
    with pytest.raises(ValueError, match=r"devices must be 2, the number of processes that torchrun started.*got 1"):
        Settings(accelerator="cpu", devices=1)
    monkeypatch.setattr("os.cpu_count", lambda: 4)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "6")
    with pytest.raises(ValueError, match="devices must be at most 4, the number of processor cores here; got 6"):
        Settings(accelerator="cpu")
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "4")
    with pytest.raises(ValueError, match="Give each the same --nproc-per-node"):
        Settings(accelerator="cpu")
