"""Comparisons: the figures are Measures' own, verdicts follow from the intervals, and pictures are painted blind."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from calisketch.datasets import ProceduralFaces
from calisketch.evaluation.measures.intervals import Interval
from calisketch.evaluation.running.comparing import Claim, Entry, compare, verdict
from calisketch.evaluation.running.frozen import ChangedSketches, freeze
from calisketch.sketching.styles import SketchMixture

Batch = dict[str, Tensor]


@pytest.fixture(scope="module")
def faces() -> ProceduralFaces:
    return ProceduralFaces(count=6, size=32, seed=0)


def blurred(amount: int):
    def paint(batch: Batch) -> Tensor:
        kernel = 2 * amount + 1
        return torch.nn.functional.avg_pool2d(batch["photo"], kernel, 1, amount, count_include_pad=False)

    return paint


def left_half(photo: Tensor, seed: int) -> Tensor:
    mask = torch.zeros(1, *photo.shape[1:])
    mask[..., : photo.shape[-1] // 2] = 1
    return mask


def test_a_claim_holds_or_not_by_the_paired_interval(faces: ProceduralFaces) -> None:
    entries = {"sharp": Entry(blurred(1)), "soft": Entry(blurred(3)), "same": Entry(blurred(3), note="again")}
    claims = [
        Claim("sharper is nearer", "sharp", "soft", "psnr"),
        Claim("softer is nearer", "soft", "sharp", "ssim"),
        Claim("equal is better", "same", "soft", "psnr"),
        Claim("equal is at most a little worse", "same", "soft", "psnr", margin=0.1),
    ]
    report = compare(faces, entries, claims, metrics=("psnr", "ssim"), resamples=200)
    verdicts = [row.note for row in report.tables[1].rows]
    assert verdicts == ["psnr: held", "ssim: did not hold", "psnr: undecided", "psnr: held"]
    sharp, soft = (report.row("comparison", name) for name in ("sharp", "soft"))
    difference = report.row("claims", "sharper is nearer").figures["difference"]
    assert difference.value == pytest.approx(sharp.figures["psnr"].value - soft.figures["psnr"].value)
    assert "| same (again) |" in report.to_markdown()
    assert "sharper is nearer (psnr: held)" in report.to_markdown()


def test_a_figure_to_beat_is_beaten_by_the_rows_own_interval(faces: ProceduralFaces) -> None:
    entries = {"a": Entry(blurred(1))}
    found = compare(faces, entries, metrics=("psnr",), resamples=200).row("comparison", "a").figures["psnr"]
    marks = {found.low - 0.01: "held", found.value: "undecided", found.high + 0.01: "did not hold"}
    claims = [Claim(f"{mark} dB", "a", mark, "psnr") for mark in marks]
    report = compare(faces, entries, claims, metrics=("psnr",), resamples=200)
    assert [row.note for row in report.tables[1].rows] == [f"psnr: {said}" for said in marks.values()]
    assert report.tables[1].rows[1].figures["difference"].value == pytest.approx(0, abs=1e-9)


def test_frozen_sketches_are_compared_where_the_benchmarks_mixture_draws(faces: ProceduralFaces) -> None:
    photos = torch.stack([faces[place]["photo"] for place in range(len(faces))])
    frozen = freeze(faces.names, {32: photos})
    entries = {"all": Entry(blurred(1), SketchMixture()), "one": Entry(blurred(1), SketchMixture({"xdog": 1.0}))}
    report = compare(faces, entries, metrics=("psnr",), resamples=100, frozen=frozen)
    assert "as frozen in 1 rows" in report.protocol["sketches"]
    changed = {name: {**entry, "sha256": {"32": "0" * 64}} for name, entry in frozen.sketches.items()}
    with pytest.raises(ChangedSketches):
        compare(faces, entries, metrics=("psnr",), resamples=100, frozen=replace(frozen, sketches=changed))


def test_conditions_are_the_same_for_every_row_and_figures_of_a_row_its_own(faces: ProceduralFaces) -> None:
    seen: list[Tensor] = []

    def paint(batch: Batch) -> tuple[Tensor, dict[str, list[float]]]:
        seen.append(batch["sketch"])
        answer = batch["photo"].clone()
        answer[..., : answer.shape[-1] // 2] = 0.5
        return answer, {"bpp": [0.25] * len(answer)}

    class Within:
        higher_is_better = False
        says = "mean difference within the mask"

        def __call__(self, batch: Batch, made: Tensor) -> Tensor:
            return ((batch["photo"] - made).abs() * batch["mask"]).sum((1, 2, 3)) / batch["mask"].sum((1, 2, 3))

    entry = Entry(paint, SketchMixture(), {"mask": left_half}, {"within": Within()})
    report = compare(faces, {"a": entry, "b": entry}, metrics=("psnr",), batch_size=4, resamples=100)
    assert torch.equal(torch.cat(seen[:2]), torch.cat(seen[2:]))
    row = report.row("comparison", "a")
    assert row.figures["bpp"].value == 0.25
    photo = torch.stack([item["photo"] for item in (faces[place] for place in range(6))])
    error = (photo - 0.5)[..., :16].abs().sum(1).mean((1, 2))
    np.testing.assert_allclose(row.per_image["within"], error, rtol=1e-5)
    assert "| within ↓ |" in report.to_markdown()
    assert report.protocol["metrics"]["within"] == Within.says
    claim = Claim("?", "a", "b", "within")
    judged = compare(faces, {"a": entry, "b": entry}, [claim], metrics=("psnr",), resamples=100)
    assert judged.tables[1].rows[0].note == "within: undecided"
    assert report.pictures["grid"].size[0] >= 3 * 32


def test_lower_is_better_where_the_arrow_says_so() -> None:
    assert verdict(Interval(-2, -3, -1, 9), "fid") == "fid: held"
    assert verdict(Interval(2, 1, 3, 9), "lpips") == "lpips: did not hold"
    assert verdict(Interval(0.5, 0.2, 0.8, 9), "lpips", margin=1.0) == "lpips: held"
    assert verdict(Interval(0.5, -0.2, 0.8, 9), "psnr") == "psnr: undecided"


def test_what_does_not_fit_is_refused(faces: ProceduralFaces) -> None:
    entry = Entry(lambda batch: batch["photo"][..., :16, :16])
    with pytest.raises(ValueError, match="one picture of that size each"):
        compare(faces, {"small": entry}, metrics=("psnr",))
    with pytest.raises(ValueError, match=r"is about \['b'\]; the rows are \['a'\]"):
        compare(faces, {"a": entry}, [Claim("?", "a", "b", "psnr")])
    with pytest.raises(ValueError, match="at least one way to paint"):
        compare(faces, {})
    fine = {"a": Entry(blurred(1)), "b": Entry(blurred(2))}
    with pytest.raises(ValueError, match="is about 'sharpness'; its rows have"):
        compare(faces, fine, [Claim("?", "a", "b", "sharpness")], metrics=("psnr",), resamples=100)
