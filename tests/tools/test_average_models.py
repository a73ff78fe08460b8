"""tools/average_models.py: one model of several models' mean weights."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from calisketch import CaliSketch
from calisketch.networks import EncoderDecoder
from calisketch.weights import address as hub

TOOL = Path(__file__).resolve().parents[2] / "tools" / "average_models.py"


def saved(folder: Path, seed: int, size: int = 32, scn: bool = True) -> Path:
    torch.manual_seed(seed)
    made = EncoderDecoder(1, 1, 4, 1) if scn else None
    info = {"name": folder.name, "photos": 76, "precision": "32-true", "steps": {"joint": 5}, "trained": "up to joint"}
    info |= {"steps before": {"joint": 3}, "validation": {"joint": [[1, 2.0]]}} | ({"mirrored": True} if seed else {})
    return CaliSketch(made, EncoderDecoder(1, 3, 4, 1), size, info).save_pretrained(folder)


def average(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> None:
    monkeypatch.setattr(sys, "argv", [TOOL.name, *map(str, arguments)])
    runpy.run_path(str(TOOL), run_name="__main__")


def flat(network: nn.Module | None) -> torch.Tensor:
    assert network is not None
    return nn.utils.parameters_to_vector(network.parameters()).detach()


def test_both_networks_are_averaged_and_the_model_says_of_what(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folders = saved(tmp_path / "one", 0), saved(tmp_path / "two", 1)
    average(monkeypatch, *folders, "--shares", ".4", ".6", "--out", tmp_path / "mean")
    one, two, mean = (CaliSketch.from_pretrained(folder) for folder in (*folders, tmp_path / "mean"))
    for name in ("scn_generator", "isn_generator"):
        expected = 0.4 * flat(getattr(one, name)) + 0.6 * flat(getattr(two, name))
        torch.testing.assert_close(flat(getattr(mean, name)), expected, rtol=1e-3, atol=1e-6)  # saved in fp16
    parts = [
        {"name": folder.name, "sha256": hub.published_hash(folder), "share": share}
        for folder, share in zip(folders, (0.4, 0.6), strict=True)
    ]
    assert mean.info == {"name": "mean", "photos": 76, "precision": "32-true", "mean of": parts}


def test_models_without_scn_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folders = [saved(tmp_path / str(seed), seed, scn=False) for seed in range(2)]
    average(monkeypatch, *folders, "--out", tmp_path / "mean")
    mean = CaliSketch.from_pretrained(tmp_path / "mean")
    assert mean.scn_generator is None
    assert [(part["name"], part["share"]) for part in mean.info["mean of"]] == [("0", 0.5), ("1", 0.5)]


@pytest.mark.parametrize(
    ("other", "shares", "said"),
    [
        ({"size": 64}, (), "got 32 px, 64 px. Leave one out"),
        ({"scn": False}, (), "got 32 px, 32 px without SCN"),
        ({}, ("--shares", ".5", ".6"), "make 1 together"),
        ({}, ("--shares", ".5"), "one per network"),
    ],
)
def test_what_has_no_mean_is_refused_and_nothing_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, other: dict[str, int], shares: tuple[str, ...], said: str
) -> None:
    folders = saved(tmp_path / "one", 0), saved(tmp_path / "two", 1, **other)
    with pytest.raises(SystemExit, match=said):
        average(monkeypatch, *folders, *shares, "--out", tmp_path / "mean")
    assert not (tmp_path / "mean").exists()
