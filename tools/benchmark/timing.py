"""Clocks of the benchmark: candidates in turn, on a CPU or a GPU, and the memory a process has had."""

from __future__ import annotations

import gc
import platform
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

import torch


def seconds(work: Callable[[], object], device: torch.device) -> float:
    """Wall time of a call, a GPU's work included."""
    _wait(device)
    start = time.perf_counter()
    work()
    _wait(device)
    return time.perf_counter() - start


def alternated(work: Mapping[str, Callable[[], object]], repeats: int, device: torch.device) -> dict[str, list[float]]:
    """Seconds of each repeat of each candidate: all of them once for nothing, then in turn, so that what else the
    machine does meets all alike.
    """
    for each in work.values():
        each()
    took: dict[str, list[float]] = {name: [] for name in work}
    enabled = gc.isenabled()
    gc.disable()
    try:
        for _ in range(repeats):
            for name, each in work.items():
                took[name].append(seconds(each, device))
    finally:
        if enabled:
            gc.enable()
    return took


def summary(took: list[float]) -> dict[str, Any]:
    return {"median_s": statistics.median(took), "min_s": min(took), "max_s": max(took), "repeats": len(took)}


def peak_memory_mb(device: torch.device) -> float:
    """The most that this process has held so far: of the GPU's memory, or resident; NaN where it cannot be told."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    try:
        import resource
    except ImportError:  # Windows
        return float("nan")
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def machine(device: torch.device) -> dict[str, Any]:
    """What the figures hold for, without names or paths."""
    told = getattr(torch.cpu, "get_capabilities", dict)()
    return {
        "processor": told.get("cpu_name") or platform.machine(),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
        "threads": torch.get_num_threads(),
        "system": platform.system(),
        "python": platform.python_version(),
        "torch": torch.__version__,
    }


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
