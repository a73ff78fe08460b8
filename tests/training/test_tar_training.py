"""Training reads tars as it reads plain files: the same losses, with workers, and through an interruption."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from torch.utils.data import Dataset
from toy_stages import ToyStage, draw, stages

from calisketch.datasets import PreparedPhotos, prepare_photos
from calisketch.datasets.drawn.drawn_face import draw_face
from calisketch.stage import Batch
from calisketch.training import Engine, Interrupted
from calisketch.training.logging import read_metrics


class WithContour(Dataset[Batch]):
    """Prepared photos whose detail stands in for the contour too, since that needs HED's weights."""

    def __init__(self, folder: Path) -> None:
        self.photos = PreparedPhotos(folder, cache=False)

    def __len__(self) -> int:
        return len(self.photos)

    def __getitem__(self, index: int) -> Batch:
        item = self.photos[index]
        return {**item, "contour": item["detail"]}


def fit(run_dir: Path, data: Path, listed: list[ToyStage], workers: int = 0) -> list[dict[str, Any]]:
    engine = Engine(run_dir, batch_size=4, seed=3, accelerator="cpu", log_every=1, checkpoint_every=1, workers=workers,
                    quiet=True)  # fmt: skip
    engine.fit(listed, WithContour(data), draw=draw)
    return [
        {key: value for key, value in record.items() if key not in ("images_per_second", "steps_per_second")}
        for record in read_metrics(run_dir / "metrics.jsonl")
    ]


def test_tars_give_the_losses_of_plain_files_with_workers_and_after_an_interruption(tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    for index in range(10):
        Image.fromarray(draw_face(32, 9, index)[0]).save(tmp_path / "source" / f"{index}.png")
    options: dict[str, Any] = {"size": 16, "contour": "none", "align": False, "workers": 0, "validation_share": 0.0}
    prepare_photos(tmp_path / "source", tmp_path / "plain", **options)
    prepare_photos(tmp_path / "source", tmp_path / "tar", output="tar", tar_photos=4, **options)

    expected = fit(tmp_path / "run-plain", tmp_path / "plain", stages())
    assert len(expected) == 10
    assert fit(tmp_path / "run-tar", tmp_path / "tar", stages(), workers=2) == expected

    listed = stages()
    terms = listed[0].generator_losses
    calls = [0]

    def signalling(batch: Batch) -> Batch:
        calls[0] += 1
        if calls[0] == 4:
            os.kill(os.getpid(), signal.SIGTERM)
        return terms(batch)

    listed[0].generator_losses = signalling  # type: ignore[method-assign]
    with pytest.raises(Interrupted):
        fit(tmp_path / "run-cut", tmp_path / "tar", listed, workers=2)
    torch.manual_seed(77)
    assert fit(tmp_path / "run-cut", tmp_path / "tar", stages(seed=8), workers=2) == expected
