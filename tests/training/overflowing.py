"""The toy stages with gradients that overflow half precision at chosen steps.

As a script, in two processes of which the second one's overflow: python overflowing.py RUN_DIR (started by a test).
"""

from __future__ import annotations

import json
import sys
from collections.abc import Container
from pathlib import Path

import torch
from toy_stages import Photos, ToyStage, draw, stages

from calisketch.stage import Batch
from calisketch.training import Engine

FIRST_SCALE = 256.0
"""Of the gradient scaler here: at torch's own, 65536, the first steps of the toy stages overflow by themselves."""


def overflow(stage: ToyStage, generator: Container[int] = (), discriminator: Container[int] = ()) -> ToyStage:
    """Makes the gradients, not the terms, overflow in the given calls, counted from 1."""
    generator_losses, discriminator_losses, calls = stage.generator_losses, stage.discriminator_losses, [0, 0]

    def of_generator(batch: Batch) -> Batch:
        calls[0] += 1
        terms = generator_losses(batch)
        return {**terms, "l1": _steep(terms["l1"])} if calls[0] in generator else terms

    def of_discriminator(batch: Batch) -> Batch:
        calls[1] += 1
        terms = discriminator_losses(batch)
        return {**terms, "real": _steep(terms["real"])} if calls[1] in discriminator else terms

    stage.generator_losses, stage.discriminator_losses = of_generator, of_discriminator  # type: ignore[method-assign]
    return stage


def engine(run_dir: str | Path, **settings: object) -> Engine:
    """For the toy stages, under 16-mixed on a CPU."""
    made = Engine(run_dir, **{"accelerator": "cpu", "precision": "16-mixed", "batch_size": 4, **EVERY, **settings})
    assert made.scaler is not None
    made.scaler = made.fabric._precision.scaler = torch.amp.GradScaler("cpu", init_scale=FIRST_SCALE)  # type: ignore
    return made


EVERY = {"seed": 3, "log_every": 1, "validate_every": 2, "preview_every": 100, "checkpoint_every": 1, "quiet": True}


def _steep(term: torch.Tensor) -> torch.Tensor:
    """The same value with a gradient 1e8 times as large."""
    return term.detach() + 1e8 * (term - term.detach())


def main(run_dir: str) -> None:
    """Each process leaves what it counted and its weights in RUN_DIR/PROCESS.json."""
    training = engine(run_dir, devices=2)
    rank = training.fabric.global_rank
    listed = stages(5, 1)
    overflow(listed[0], generator={3} if rank == 1 else (), discriminator={4} if rank == 1 else ())
    state = training.fit(listed, Photos(10), Photos(5, seed=1), draw=draw, only=["scn"])
    weights = [value.double().sum().item() for value in listed[0].network.state_dict().values()]
    weights += [value.double().sum().item() for value in listed[0].critic.state_dict().values()]
    said = {"skipped": state.watch.skipped, "weights": weights, "scale": training.scaler.get_scale()}  # type: ignore
    Path(run_dir, f"{rank}.json").write_text(json.dumps(said))
    training.close()


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(sys.argv[1])
