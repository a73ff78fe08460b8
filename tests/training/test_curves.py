from __future__ import annotations

import json
import runpy
import sys
from pathlib import Path

import pytest
from PIL import Image

pytest.importorskip("matplotlib")
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def tool() -> dict[str, object]:
    return runpy.run_path(str(ROOT / "tools" / "curves.py"))


RECORDS = [
    {"kind": "train", "stage": "scn", "step": 1, "total": 1, "generator": {"l1": 2.0}, "images_per_second": 3.0},
    {"kind": "train", "stage": "scn", "step": 2, "total": 2, "generator": {"l1": 1.0}, "images_per_second": 3.0},
    {"kind": "validation", "stage": "scn", "step": 2, "total": 2, "figure": 0.5, "best": 0.5, "since": 0},
    {"kind": "train", "stage": "isn", "step": 1, "total": 3, "generator": {"l1": None}, "images_per_second": 3.0},
]


def test_figures_are_collected_by_panel_and_name(tool: dict):
    curves = tool["collect"](RECORDS)
    assert curves["generator"] == {"l1": ([1, 2], [2.0, 1.0])}
    assert curves["validation"] == {"scn": ([2], [0.5])}
    assert tool["smoothed"]([1.0, 2.0, 3.0, 7.0], 3) == [1.0, 1.5, 2.0, 4.0]


def test_a_run_is_plotted_and_a_missing_one_is_an_error(
    tool: dict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(record) + "\n" for record in RECORDS))
    monkeypatch.setattr(sys, "argv", ["curves", str(tmp_path)])
    assert tool["main"]() == 0
    assert Image.open(tmp_path / "curves.png").size[0] > 800
    monkeypatch.setattr(sys, "argv", ["curves", str(tmp_path / "none")])
    assert tool["main"]() == 1
    assert "none" in capsys.readouterr().err
