"""Trains the toy stages, in as many processes as it is started in: python two_processes.py RUN_DIR [SETTINGS] (JSON).

Beside the engine's settings there are: ``first`` and ``second``, the stages' steps; ``pause``, seconds a step;
``trace``, a folder for the indices that each process sees, its process id and its weights; ``last``,
"PROCESS:PLACE:SIGNAL" for one that comes to its end there (PLACE: preview, save, model, or a micro-batch of a stage,
from 1; SIGNAL: its number, or "disk" for a full one).
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from toy_stages import Photos, ToyStage, draw, stages

from calisketch.stage import Batch
from calisketch.training import Engine, Interrupted, ProcessLost, stage_run
from calisketch.training.state import RunState


def train(run_dir: str, **chosen: Any) -> RunState:
    """The same steps of eight samples, whatever the number of processes, if ``batch_size`` is chosen so."""
    first, second, pause, trace, last = (
        chosen.pop(name, default)
        for name, default in (("first", 6), ("second", 4), ("pause", 0.0), ("trace", None), ("last", ""))
    )
    settings = {"accelerator": "cpu", "batch_size": 8, "seed": 3, "log_every": 1, "validate_every": 2, "quiet": True}
    engine = Engine(run_dir, **settings | chosen)
    rank = engine.fabric.global_rank
    # The second process starts from other weights: the first one's have to be shared out.
    listed = stages(first, second, seed=rank)
    note: Callable[..., None] = lambda **what: None  # noqa: E731
    if trace is not None:
        note = _tracer(Path(trace) / f"{rank}.jsonl")
        note(pid=os.getpid())
    for stage in listed:
        _watched(stage, note, pause, engine, last)
    _come_to_an_end(engine, last)
    state = engine.fit(listed, Photos(10), Photos(5, seed=1), draw=draw, after_stage=_model(engine, last))
    engine.close()
    note(weights=[float(value.double().sum()) for value in listed[0].network.state_dict().values()])
    return state


def _tracer(path: Path) -> Callable[..., None]:
    path.parent.mkdir(parents=True, exist_ok=True)

    def note(**what: Any) -> None:
        with open(path, "a") as file:
            file.write(json.dumps(what) + "\n")

    return note


def _watched(stage: ToyStage, note: Callable[..., None], pause: float, engine: Engine, last: str) -> None:
    losses, calls = stage.discriminator_losses, [0]

    def watching(batch: Batch) -> Batch:
        calls[0] += 1
        note(stage=stage.name, index=batch["index"].tolist())
        time.sleep(pause)
        _end_if(last, engine, str(calls[0]))
        return losses(batch)

    stage.discriminator_losses = watching  # type: ignore[method-assign]


def _come_to_an_end(engine: Engine, last: str) -> None:
    for place, name in (("preview", "save_picture"), ("save", "save_checkpoint")):
        called = getattr(stage_run, name)

        def ending(*given: Any, place: str = place, called: Any = called, **more: Any) -> Any:
            _end_if(last, engine, place)
            return called(*given, **more)

        setattr(stage_run, name, ending)


def _model(engine: Engine, last: str) -> Callable[[Any], None]:
    return lambda stage: _end_if(last, engine, "model")


def _end_if(last: str, engine: Engine, place: str) -> None:
    process, at, how = last.split(":") if last else ("", "", "")
    if (process, at) == (str(engine.fabric.global_rank), place):
        if how == "disk":
            raise OSError(28, "No space left on device")
        os.kill(os.getpid(), int(how))


if __name__ == "__main__":
    torch.set_num_threads(1)
    try:
        train(sys.argv[1], **json.loads(sys.argv[2]) if len(sys.argv) > 2 else {})
    except Interrupted as error:
        print(error, file=sys.stderr)
        sys.exit(128 + error.number)
    except (ProcessLost, OSError) as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        sys.exit(1)
