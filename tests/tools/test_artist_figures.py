"""tools/artist_figures.py: a Sketcher's drawings against the artists' own, in small."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

from calisketch import Sketcher
from calisketch.datasets import prepare_pairs
from calisketch.networks import UNet

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))

import artist_figures  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Heads before a blue wall, and their outlines on grey paper: 4 for training, 2 held out, 4 tests."""
    source, out = (tmp_path_factory.mktemp(name) for name in ("source", "out"))
    for number in range(10):
        part = "test" if number >= 6 else "train"
        for kind, ground in (("photos", (60, 120, 200)), ("sketches", (220, 220, 220))):
            folder = source / part / kind
            folder.mkdir(parents=True, exist_ok=True)
            page = Image.new("RGB", (64, 64), ground)
            head = (18 + number % 3, 14, 46 + number % 3, 54 + number % 4)
            fill = (200, 150, 120) if kind == "photos" else None
            ImageDraw.Draw(page).ellipse(head, fill=fill, outline=(30, 30, 30), width=2)
            page.save(folder / f"p{number}.png")
    prepare_pairs(
        source, out / "pairs", size=64, align=False, page=False, contour="none", validation_every=3, workers=0
    )
    return out / "pairs"


def test_the_truth_beats_the_mean_and_the_mean_beats_noise(pairs: Path, tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = Sketcher(UNet(3, 1, width=4, depth=5), 64, {"name": "noise"}).save_pretrained(tmp_path / "model")
    report = artist_figures.figures_of(str(model), [str(pairs)], metrics=["ssim"])
    (table,) = json.loads(json.dumps(report.to_json()))["tables"]
    rows = {row["name"]: row["figures"] for row in table["rows"]}
    assert list(rows) == ["drawn", "mean drawing", "xdog", "artist"]
    values = {name: {key: each["value"] for key, each in figures.items()} for name, figures in rows.items()}
    assert values["artist"]["ssim"] == pytest.approx(1.0)
    assert values["artist"]["strokes_f1"] == pytest.approx(1.0)
    assert values["drawn"]["ssim"] < values["mean drawing"]["ssim"] < 1.0
    assert values["artist"]["ink"] == pytest.approx(values["mean drawing"]["ink"], abs=0.02)
    assert 0.01 < values["artist"]["ink"] < 0.2, "grey paper is no ink"
    said = report.to_json()["protocol"]
    assert said["photos"] == {"pairs": 4}
    assert len(said["model"]["config.json"]) == 64


def test_training_pairs_and_test_pairs_are_kept_apart(pairs: Path) -> None:
    train, test = (artist_figures.OnWhitePaper([str(pairs)], split, 64) for split in ("train", "test"))
    assert (len(train), len(test)) == (4, 4)
    assert not set(train.names) & set(test.names)
    assert set(test[0]) == {"photo", "truth", "index"}
    assert np.isclose(float(test[0]["truth"][:, :4, :4].max()), 0.0, atol=0.02)
