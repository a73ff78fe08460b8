"""The benchmark measures what it says it measures, in miniature; its figures are the machine's."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

pytest.importorskip("hydra")

from composing import composed
from omegaconf import OmegaConf

TOOLS = Path(__file__).resolve().parents[1] / "tools"


@pytest.fixture
def tools(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Its modules, importable as beside the script."""
    monkeypatch.syspath_prepend(str(TOOLS))
    import benchmark

    yield benchmark
    for name in [name for name in sys.modules if name.startswith("benchmark")]:
        del sys.modules[name]


@pytest.fixture
def settings() -> dict[str, Any]:
    small = ["size=64", "width=4", "repeats=2", "ways=['the default']", "styles.batch=2"]
    return OmegaConf.to_container(composed("benchmark", *small))  # type: ignore[return-value]


def test_every_measurement_is_planned_and_can_be_told_to_a_process(tools: Any, settings: dict[str, Any]) -> None:
    planned = [(part, name, json.dumps(asked)) for part, name, asked in tools.jobs(settings, "cpu")]
    assert [each[:2] for each in planned] == [
        ("inference", "the default"),
        ("training", "scn"),
        ("training", "isn"),
        ("training", "joint"),
        ("styles", "all"),
        ("preparation", "all"),
        ("evaluation", "all"),
    ]
    with pytest.raises(SystemExit, match="ways must be some of eager fp32"):
        list(tools.jobs({**settings, "ways": ["magic"]}, "cpu"))


def test_a_way_of_inference_is_compared_with_eager_float32(tools: Any, settings: dict[str, Any]) -> None:
    import benchmark_parts

    (asked,) = [asked for part, _, asked in tools.jobs(settings, "cpu") if part == "inference"]
    row = benchmark_parts.measure("inference", asked)
    machine = row.pop("machine")
    assert row["repeats"] == row["baseline"]["repeats"] == 2
    assert row["times_faster"] == pytest.approx(row["baseline"]["median_s"] / row["median_s"])
    assert row["grey_levels_from_fp32"]["max"] < 0.1, "the default is float32 at 64 px"
    assert row["gmac"] == pytest.approx(0.0161, rel=0.2)
    assert 0 < row["share_of_bf16_peak"] < 1.5
    told = tools.table({"machine": machine, "settings": settings, "parts": {"inference": {"the default": row}}})
    assert "| the default | fp32 | " in told
    assert str(Path.home()) not in told


def test_the_wait_for_data_is_a_share_of_each_stages_step(tools: Any, settings: dict[str, Any]) -> None:
    import benchmark_training

    torch.manual_seed(0)
    row = benchmark_training.measure(
        "isn", size=32, width=2, batch=1, repeats=1, device=torch.device("cpu"), vgg_width=2
    )
    wait = row["data_wait"]["median_s"]
    assert row["data_share"]["bf16"] == pytest.approx(wait / (wait + row["bf16"]["median_s"]))
    told = tools.table({"machine": {}, "settings": settings, "parts": {"training": {"isn": row}}})
    assert f"{row['data_share']['fp32']:.1%} / {row['data_share']['bf16']:.1%}" in told


def test_what_could_not_be_measured_is_said(tools: Any, settings: dict[str, Any]) -> None:
    failed = tools.measured("inference", {"device": "cpu"}, timeout=0.01)
    told = tools.table({"machine": {}, "settings": settings, "parts": {"inference": {"the default": failed}}})
    assert "inference, the default: not measured: not done after 0 s" in told
