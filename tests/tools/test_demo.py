"""The examples are what their script draws, and the demo's picture shows them all."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from calisketch import CaliSketch
from calisketch.networks import EncoderDecoder


def test_the_examples_are_what_their_script_draws(root: Path, tmp_path: Path) -> None:
    subprocess.run([sys.executable, str(root / "examples" / "draw.py"), str(tmp_path)], check=True, timeout=400)
    drawn = sorted(path.name for path in tmp_path.iterdir())
    assert drawn == sorted(
        path.name for path in (root / "examples").iterdir() if path.suffix in (".svg", ".png", ".jpg")
    )
    assert len([name for name in drawn if name.endswith(".svg")]) >= 6
    for name in drawn:
        if name.endswith(".svg"):
            # Another NumPy may round a last digit differently, no more.
            assert abs(len((tmp_path / name).read_text()) - len((root / "examples" / name).read_text())) < 40
        else:
            new, old = (np.asarray(Image.open(folder / name), dtype=float) for folder in (tmp_path, root / "examples"))
            assert new.shape == old.shape
            assert np.abs(new - old).mean() < 0.5


def test_the_demo_paints_every_example(root: Path, tmp_path: Path) -> None:
    specification = importlib.util.spec_from_file_location("demo", root / "tools" / "demo.py")
    assert specification is not None
    assert specification.loader is not None
    demo = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(demo)
    torch.manual_seed(0)
    tiny = CaliSketch(EncoderDecoder(1, 1, 4, 1), EncoderDecoder(1, 3, 4, 1, head="tanh"), 32)
    demo.paint(str(tiny.save_pretrained(tmp_path / "model")), tmp_path / "demo.png")
    picture = np.asarray(Image.open(tmp_path / "demo.png"))
    count = len([path for path in (root / "examples").iterdir() if path.suffix in (".png", ".jpg")])
    step = demo.TILE + demo.GAP
    assert picture.shape[0] >= -(-count // demo.BLOCKS) * step
    assert picture.shape[1] >= demo.BLOCKS * 3 * step
    assert (picture[:, :step] < 100).any(), "the sketches are there"
