"""tools/smooth_colours.py: a trained model with smooth colours and the weights it had."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

import pytest
import torch

from calisketch import CaliSketch
from calisketch.networks import EncoderDecoder
from calisketch.networks.heads import SmoothChroma

TOOL = Path(__file__).resolve().parents[1] / "tools" / "smooth_colours.py"


def saved(folder: Path, head: str) -> Path:
    torch.manual_seed(0)
    networks = EncoderDecoder(1, 1, 4, 1), EncoderDecoder(1, 3, 4, 1, head=head)
    return CaliSketch(*networks, 32, {"name": "small"}).save_pretrained(folder)


def smooth(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> None:
    monkeypatch.setattr(sys, "argv", [TOOL.name, *map(str, arguments)])
    runpy.run_path(str(TOOL), run_name="__main__")


def test_the_colours_are_averaged_and_no_weight_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, generator: torch.Generator
) -> None:
    smooth(monkeypatch, saved(tmp_path / "small", "tanh"), tmp_path / "made", "--head", "tanh_chroma2")
    old, new = (CaliSketch.from_pretrained(tmp_path / name, precision="fp32") for name in ("small", "made"))
    assert new.info == {"name": "small", "colours": "smoothed by tanh_chroma2 after training"}
    sketch = {"sketch": torch.rand(2, 1, 32, 32, generator=generator)}
    torch.testing.assert_close(new.from_batch(sketch), SmoothChroma(2)(old.from_batch(sketch)))


def test_a_model_for_which_it_cannot_be_is_refused_and_nothing_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = saved(tmp_path / "small", "sigmoid")
    with pytest.raises(SystemExit, match="for the head 'sigmoid'; got 'tanh_chroma4'"):
        smooth(monkeypatch, model, tmp_path / "made")
    assert not (tmp_path / "made").exists()
