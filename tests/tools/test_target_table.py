"""The table of the calibration loss: what it compares, and that its figures are Eq. 2's."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
from torch.utils.data import Dataset

from calisketch.losses import feature_matching
from calisketch.networks import QuarterUNet, SNPatchGAN

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))

import target_table  # noqa: E402


class Lines(Dataset):
    """Photos with a contour and a detail map that agree in part."""

    def __len__(self) -> int:
        return 3

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        detail, contour = torch.zeros(1, 64, 64), torch.zeros(1, 64, 64)
        detail[:, 10 + index] = detail[:, 40] = 1
        contour[:, 38:43] = 0.8
        return {"photo": torch.full((3, 64, 64), 0.5), "contour": contour, "detail": detail}


@pytest.fixture(scope="module")
def rows() -> dict[str, dict[str, float]]:
    torch.manual_seed(0)
    return target_table.table(SNPatchGAN(1, width=4).eval(), Lines())


def test_a_target_costs_nothing_against_itself_and_the_sums_are_sums(rows: dict[str, dict[str, float]]) -> None:
    assert list(rows) == ["HED", "Canny", "product", "union"]
    assert rows["HED"]["HED"] == rows["Canny"]["Canny"] == rows["HED"]["L1 HED"] == 0
    for row in rows.values():
        assert row["sum"] == pytest.approx(row["HED"] + row["Canny"])
    assert rows["product"]["ink"] < rows["Canny"]["ink"] < rows["union"]["ink"]


def test_under_plain_l1_product_and_union_tie_with_both_targets(rows: dict[str, dict[str, float]]) -> None:
    """|h - r| + |c - r| is the same for every r between h and c."""
    assert rows["HED"]["L1 sum"] == pytest.approx(rows["Canny"]["L1 sum"])
    assert rows["union"]["L1 sum"] == pytest.approx(rows["HED"]["L1 sum"])
    assert rows["product"]["L1 sum"] >= rows["HED"]["L1 sum"]


def test_the_figures_are_eq_2s() -> None:
    torch.manual_seed(0)
    discriminator = SNPatchGAN(1, width=4).eval()
    item = {name: value[None] for name, value in Lines()[0].items()}
    with torch.no_grad():
        real = discriminator(item["contour"]).features
        fake = discriminator(item["contour"] * item["detail"]).features
        got = target_table.table(discriminator, torch.utils.data.Subset(Lines(), [0]))
    assert got["product"]["HED"] == pytest.approx(float(feature_matching(real, fake)))


def test_d1_learns_to_tell_the_maps_from_the_networks_answer() -> None:
    torch.manual_seed(0)
    network = QuarterUNet(width=4, blocks=1).eval().requires_grad_(False)
    discriminator = target_table.trained_discriminator(network, Lines(), 30, 8, 0)
    item = {name: value[None] for name, value in Lines()[0].items()}
    with torch.no_grad():
        real = discriminator(item["detail"]).logits[0].mean()
        fake = discriminator(network(item["detail"])).logits[0].mean()
    assert real > fake


def test_the_table_has_a_line_a_candidate(rows: dict[str, dict[str, float]]) -> None:
    lines = target_table.in_markdown(rows).splitlines()
    assert len(lines) == 6
    assert all(line.count("|") == 9 for line in lines)
