"""Trains the toy stages in two processes: python two_processes.py RUN_DIR (started by a test)."""

from __future__ import annotations

import sys

import torch
from toy_stages import Photos, draw, stages

from calisketch.training import Engine


def train(run_dir: str, processes: int) -> None:
    """The same steps of eight samples, whatever the number of processes."""
    engine = Engine(
        run_dir, accelerator="cpu", devices=processes, batch_size=8 // processes, seed=3, log_every=1, quiet=True
    )
    # The second process starts from other weights: the first one's have to be shared out.
    listed = stages(seed=engine.fabric.global_rank)
    engine.fit(listed, Photos(10), Photos(5, seed=1), draw=draw)
    engine.close()


if __name__ == "__main__":
    torch.set_num_threads(1)
    train(sys.argv[1], 2)
