"""The wheel, unpacked outside any checkout: configurations and the default model are inside, and it works."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

MODEL = "calisketch/models/cuhk-small-128"


@pytest.fixture(scope="module")
def unpacked(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=400)
    assert done.returncode == 0, done.stderr
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site")
    return folder


def run_outside(unpacked: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """``python -m calisketch`` from the unpacked wheel, in an empty folder, with nothing of the checkout in reach."""
    environment = {**os.environ, "PYTHONPATH": str(unpacked / "site"), "CALISKETCH_WEIGHTS": str(unpacked / "none")}
    command = [sys.executable, "-m", "calisketch", *arguments]
    return subprocess.run(command, cwd=unpacked, env=environment, capture_output=True, text=True, timeout=400)


def test_it_holds_configurations_types_and_the_default_model(unpacked: Path) -> None:
    site = unpacked / "site"
    for name in ("calisketch/conf/train.yaml", "calisketch/conf/experiment/cali_sketch.yaml", "calisketch/py.typed"):
        assert (site / name).is_file(), name
    for name in ("MODEL_CARD.md", "LICENSE-weights"):  # they travel with the weights
        assert (site / "calisketch" / "models" / name).is_file(), name
    assert (site / MODEL / "model.safetensors").stat().st_size <= 12e6
    assert not (site / "tests").exists()


def test_it_paints_a_sketch(unpacked: Path, root: Path) -> None:
    sketch = sorted((root / "examples").rglob("*.png"))[0]
    done = run_outside(unpacked, "synthesize", str(sketch), "--out", "faces")
    assert done.returncode == 0, done.stderr
    assert len(list((unpacked / "faces").glob("*.png"))) == 1


def test_it_trains_the_smoke_experiment(unpacked: Path) -> None:
    few = [f"system.schedules.{stage}.iterations=2" for stage in ("scn", "isn", "joint")]
    done = run_outside(unpacked, "train", "experiment=smoke", "run_dir=run", *few)
    assert done.returncode == 0, done.stderr
    assert (unpacked / "run" / "model" / "model.safetensors").is_file()
    assert "procedural" in done.stdout + done.stderr
