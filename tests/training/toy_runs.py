"""Runs of the toy stages, and comparing what they leave."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import torch
from toy_stages import Photos, ToyStage, draw, stages

from calisketch.stage import Batch
from calisketch.training import Engine
from calisketch.training.state import RunState

SETTINGS: dict[str, Any] = {
    "batch_size": 4,
    "seed": 3,
    "accelerator": "cpu",
    "log_every": 1,
    "validate_every": 2,
    "preview_every": 5,
    "checkpoint_every": 1,
    "preview_samples": 2,
    "quiet": True,
}


def fit(run_dir: Path, listed: list[ToyStage] | None = None, **options: Any) -> RunState:
    fitting = {key: options.pop(key) for key in ("only", "init_from", "after_stage") if key in options}
    engine = Engine(run_dir, **SETTINGS | options)
    listed = stages(draws_noise=True) if listed is None else listed
    return engine.fit(listed, Photos(10), Photos(5, seed=1), draw=draw, **fitting)


def stop_at(stage: ToyStage, call: int) -> None:
    """Lets the stage signal its own process in the given call of generator_losses."""
    terms, calls = stage.generator_losses, [0]

    def signalling(batch: Batch) -> Batch:
        calls[0] += 1
        if calls[0] == call:
            os.kill(os.getpid(), signal.SIGTERM)
        return terms(batch)

    stage.generator_losses = signalling  # type: ignore[method-assign]


def assert_equal(left: Any, right: Any, path: str = "") -> None:
    """Equal to the last bit, through nested containers."""
    assert type(left) is type(right), path
    if isinstance(left, torch.Tensor):
        assert torch.equal(left, right), path
    elif isinstance(left, dict):
        assert left.keys() == right.keys(), path
        for key in left:
            assert_equal(left[key], right[key], f"{path}/{key}")
    elif isinstance(left, list | tuple):
        assert len(left) == len(right), path
        for place, (a, b) in enumerate(zip(left, right, strict=True)):
            assert_equal(a, b, f"{path}/{place}")
    else:
        assert left == right, path


def timeless(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        {key: value for key, value in record.items() if key not in ("images_per_second", "steps_per_second")}
        for record in records
    ]
