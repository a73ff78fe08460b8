"""The wheel, unpacked outside any checkout: configurations and the default model are inside, and it works."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from calisketch.studio.samples import SAMPLES

MODEL = "calisketch/models/cuhk-small-256"


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


def test_it_holds_configurations_types_and_the_default_model(unpacked: Path, root: Path) -> None:
    site = unpacked / "site"
    for name in (
        "conf/train.yaml",
        "conf/experiment/paper/cali_sketch.yaml",
        "data/cuhk_test_sketches.json",
        "data/general_test_drawings.json",
        "data/general_validation_drawings.json",
        "py.typed",
    ):
        assert (site / "calisketch" / name).is_file(), name
    for name in ("MODEL_CARD.md", "LICENSE-weights"):  # they travel with the weights
        assert (site / "calisketch" / "models" / name).read_bytes() == (root / name).read_bytes(), name
    assert {path.name for path in (site / MODEL).iterdir()} == {"config.json", "model.safetensors"}
    shipped = [path.stat().st_size for path in (site / "calisketch" / "models").rglob("*") if path.is_file()]
    assert max(shipped) <= 16e6, "what code hosts take"
    assert sum(shipped) <= 12e6, "what an installation may cost"
    for name in ("face_detection_yunet_2026may.onnx", "LICENSE"):
        detector = Path("calisketch") / "weights" / "detector" / name
        assert (site / detector).read_bytes() == (root / detector).read_bytes(), name
    assert not (site / "tests").exists()


def test_it_holds_the_studio_s_page_and_examples(unpacked: Path, root: Path) -> None:
    studio = Path("calisketch/studio")
    held = {path.name for path in (unpacked / "site" / studio).iterdir()}
    page = {path.name for path in (root / studio).iterdir() if path.suffix in (".html", ".js", ".css")}
    assert page
    assert page <= held
    samples = sorted((unpacked / "site" / studio / "samples").iterdir())
    assert {path.stem for path in samples} == set(SAMPLES)
    for path in samples:
        assert path.read_bytes() == (root / "examples" / path.name).read_bytes(), path.name


def test_it_paints_a_sketch(unpacked: Path, root: Path) -> None:
    sketch = sorted((root / "examples").rglob("*.png"))[0]
    done = run_outside(unpacked, "synthesize", str(sketch), "--out", "faces")
    assert done.returncode == 0, done.stderr
    assert len(list((unpacked / "faces").glob("*.png"))) == 1


def test_it_trains_the_smoke_experiment(unpacked: Path) -> None:
    few = [f"system.schedules.{stage}.iterations=2" for stage in ("scn", "isn", "joint")]
    done = run_outside(unpacked, "train", "experiment=smoke/cali_sketch", "run_dir=run", *few)
    assert done.returncode == 0, done.stderr
    assert (unpacked / "run" / "model" / "model.safetensors").is_file()
    assert "procedural" in done.stdout + done.stderr
