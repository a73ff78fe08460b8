from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from two_processes import train

from calisketch.training.checkpoint import load_latest
from calisketch.training.logging import read_metrics

HERE = Path(__file__).parent


@pytest.mark.slow
def test_two_processes_with_half_the_batch_each_equal_one(tmp_path: Path):
    environment = {**os.environ, "PYTHONPATH": str(HERE.parents[1]), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(HERE / "two_processes.py"), str(tmp_path / "2")]
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=400)
    assert done.returncode == 0, done.stderr
    train(str(tmp_path / "1"), 1)
    one, two = (load_latest(tmp_path / name / "checkpoints") for name in ("1", "2"))
    assert two["total"] == 10
    for kind in ("generators", "discriminators"):
        for name, value in one[kind]["scn"].items():
            torch.testing.assert_close(value, two[kind]["scn"][name], rtol=1e-3, atol=1e-5)
    lines = [
        [
            record["generator"]["l1"]
            for record in read_metrics(tmp_path / name / "metrics.jsonl")
            if "generator" in record
        ]
        for name in ("1", "2")
    ]
    assert lines[1] == pytest.approx(lines[0], rel=1e-3)
