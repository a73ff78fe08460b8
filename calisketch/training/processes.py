"""A run in several processes: who started them, what they share and agree on, and how none outlives the others."""

from __future__ import annotations

import atexit
import os
import random
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import numpy
import torch
from lightning_fabric import Fabric
from torch import Tensor

from .interruption import Interrupted
from .packing import from_bytes, to_bytes

PATIENCE = timedelta(minutes=10)
"""How long a process waits for the others in one exchange: a machine that vanishes closes no connection."""

GRACE = 20.0
"""Seconds in which a process has to end by itself after the one that it depends on."""

STARTER = "CALISKETCH_STARTER"
LOST = ("gloo", "nccl", "connection closed by peer", "connection reset by peer", "broken pipe")


class ProcessLost(RuntimeError):
    """Another process of the run has ended, or cannot be reached any more."""


def loader_lost(error: Exception) -> ProcessLost:
    """What to say when a data-loading process was killed."""
    return ProcessLost(
        f"a data-loading process was lost: {str(error) or type(error).__name__}. If memory ran out, lower workers. The "
        "last checkpoint is intact; the same command goes on from there."
    )


@dataclass(frozen=True)
class Started:
    """What torchrun says of the processes that it started.

    Attributes:
        local: processes on this machine.
        machines: how many there are, each with as many processes.
    """

    local: int
    machines: int


def started_by_torchrun() -> Started | None:
    """What torchrun started, None without it. Raises ValueError for machines with different numbers of processes."""
    if "TORCHELASTIC_RUN_ID" not in os.environ:
        return None
    local, world = int(os.environ["LOCAL_WORLD_SIZE"]), int(os.environ["WORLD_SIZE"])
    if world % local or world != local * int(os.environ.get("GROUP_WORLD_SIZE", world // local)):
        raise ValueError(
            f"torchrun started {local} processes here, of {world} in all; every machine has to run as many as the "
            "others. Give each the same --nproc-per-node."
        )
    return Started(local, world // local)


def rank_by_environment() -> int:
    """The number of this process as its starter set it, before any group of them exists; 0 if it is alone."""
    return int(os.environ.get("RANK") or os.environ.get("LOCAL_RANK") or 0)


def share(fabric: Fabric, tree: Any) -> Any:
    """The first process's ``tree`` (see ``packing.write_packed``) on every process, tensors on the CPU."""
    if fabric.world_size == 1:
        return tree
    packed = to_bytes(tree) if fabric.is_global_zero else b""
    size = torch.tensor(len(packed), device=fabric.device)
    torch.distributed.broadcast(size, 0)
    content = torch.empty(int(size), dtype=torch.uint8)
    if fabric.is_global_zero:
        content = torch.frombuffer(bytearray(packed), dtype=torch.uint8)
    content = content.to(fabric.device)
    torch.distributed.broadcast(content, 0)
    return tree if fabric.is_global_zero else from_bytes(content.cpu().numpy().tobytes())


def share_tensors(fabric: Fabric, tensors: Sequence[Tensor]) -> None:
    """Gives every process the first one's values, in place."""
    if fabric.world_size == 1:
        return
    for tensor in tensors:
        whole = tensor.detach().contiguous()
        torch.distributed.broadcast(whole, 0)
        tensor.detach().copy_(whole)


def agree(fabric: Fabric, number: int) -> int:
    """The largest of the processes' numbers, on all of them."""
    if fabric.world_size == 1:
        return number
    return int(fabric.all_reduce(torch.tensor(number, device=fabric.device), reduce_op="max"))


def average(fabric: Fabric, figures: Mapping[str, Tensor]) -> dict[str, float]:
    """Each figure's mean over the processes."""
    values = torch.stack([value.detach().float() for value in figures.values()]) if figures else torch.zeros(0)
    if fabric.world_size > 1 and figures:
        values = fabric.all_reduce(values, reduce_op="mean")
    return dict(zip(figures, values.tolist(), strict=True))


def seed_step(fabric: Fabric, seed: int, total: int) -> None:
    """Seeds the global random generators by run, step and process, where there are several processes.

    Otherwise all would draw the same noise after a restored state, and a run resumed in another number of processes
    would have no state for each. A single process draws from its one uninterrupted stream.
    """
    if fabric.world_size == 1:
        return
    own = (seed * 1_000_003 + total) * 65_537 + fabric.global_rank + 1
    random.seed(own)
    numpy.random.seed(own % 2**32)  # noqa: NPY002 - others' code may draw from the global generator
    torch.manual_seed(own % 2**63)


@contextmanager
def leaving_no_one_waiting(fabric: Fabric, lifeline: Lifeline | None) -> Iterator[None]:
    """Whatever ends this context ends it for every process of the run.

    An error closes this process's connections, so that the others, which wait for it, get an error at once.

    Raises:
        ProcessLost: another process was lost, in place of the transport's own error.
    """
    try:
        yield
    except Interrupted:  # which all have agreed on, and the first one may still be saving
        raise
    except Exception as error:
        leave(fabric, lifeline)
        if fabric.world_size > 1 and _is_loss(error):
            raise ProcessLost(_loss(fabric, lifeline, error)) from error
        raise
    except BaseException:
        leave(fabric, lifeline)
        raise


def leave(fabric: Fabric, lifeline: Lifeline | None) -> None:
    """Ends this process's part in the group without waiting for the others.

    NCCL would wait for what is in flight there; its connections end with the process.
    """
    distributed = torch.distributed
    if distributed.is_available() and distributed.is_initialized() and fabric.device.type == "cpu":
        distributed.destroy_process_group()
        if lifeline is not None:
            lifeline.release()


class Lifeline(threading.Thread):
    """Sees to it that no process of a run outlives the one that started it, or those that it started, for long.

    A process whose starter is gone asks itself to stop, as SIGTERM does: it saves if it still can. One that hangs in an
    exchange with a process that is gone ends after ``GRACE`` seconds.
    """

    def __init__(self) -> None:
        super().__init__(daemon=True, name="calisketch-lifeline")
        self.children: list[subprocess.Popen[Any]] = []
        self._over = threading.Event()
        self.starter: int | None = None  # of the first of our own processes: a shell, which it may well outlive
        if started_by_torchrun():
            self.starter = os.getppid()
        elif rank_by_environment():
            self.starter = int(os.environ.get(STARTER, os.getppid()))
        else:
            os.environ[STARTER] = str(os.getpid())

    def follow(self, children: list[subprocess.Popen[Any]]) -> None:
        """Watches over these too, and lets none of them be left at this process's end."""
        self.children = list(children)
        children.clear()  # Fabric's own watch would end this process by SIGKILL, without a word
        if self.children:
            atexit.register(self._end_children)

    def run(self) -> None:
        """Looks once a second."""
        while not self.fate():
            if self._over.wait(1):
                return
        if self._orphaned():
            os.kill(os.getpid(), signal.SIGTERM)
        if self._over.wait(GRACE):
            return
        print(f"{self.fate()} {GRACE:.0f} s ago, and so this process is.", file=sys.stderr)
        for child in self.children:
            child.kill()
        os._exit(1)

    def release(self) -> None:
        """The group is no more: no exchange in it can hang, and what the processes do now is their own affair."""
        self._over.set()

    def _orphaned(self) -> bool:
        return self.starter is not None and os.getppid() != self.starter

    def fate(self) -> str:
        """What is known of a process that has failed."""
        if self._orphaned():
            return "torchrun was ended" if started_by_torchrun() else "process 0 was ended"
        ended = [(rank, child.poll()) for rank, child in enumerate(self.children, 1)]
        return "; ".join(f"process {rank} {_how(status)}" for rank, status in ended if status)

    def _end_children(self) -> None:
        end = time.monotonic() + GRACE
        for child in self.children:
            try:
                child.wait(max(0.0, end - time.monotonic()))
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()


def _how(status: int) -> str:
    return f"was ended by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"


def _is_loss(error: BaseException) -> bool:
    found = isinstance(error, RuntimeError) and any(words in str(error).lower() for words in LOST)
    return found or (torch.distributed.is_available() and isinstance(error, torch.distributed.DistError))


def _loss(fabric: Fabric, lifeline: Lifeline | None, error: BaseException) -> str:
    fate = ""
    if lifeline is not None and (lifeline.children or not started_by_torchrun()):
        end = time.monotonic() + 1.0  # the kernel closes a process's connections a little before its end can be seen
        while not (fate := lifeline.fate()) and time.monotonic() < end:
            time.sleep(0.05)
    reason = fate or re.sub(r"^\[\S+:\d+\] ", "", str(error).splitlines()[0]).partition(". ")[0].rstrip(".")
    return (
        f"process {fabric.global_rank} of {fabric.world_size} has lost another one: {reason}. What that one says of it "
        "stands nearby. The last checkpoint is intact; the same command goes on from there."
    )
