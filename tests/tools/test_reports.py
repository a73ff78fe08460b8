"""The committed reports are of the shipped models, the documents say what they say, and they can be had again."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from PIL import Image

from calisketch import CaliSketch
from calisketch.datasets.preparing.aligned import resize
from calisketch.evaluation import FrozenSketches, benchmark_sketches
from calisketch.evaluation.measures.every_measure import Measures
from calisketch.evaluation.running.evaluating import described
from calisketch.evaluation.running.frozen import draw_frozen
from calisketch.sketching import SketchMixture
from calisketch.weights import address as hub
from calisketch.weights import names as model_names

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))

import doc_tables  # noqa: E402
import keep_report  # noqa: E402

REPORTS = {path.stem: json.loads(path.read_text()) for path in sorted((ROOT / "docs" / "reports").glob("*.json"))}
EVALUATIONS = {name: report for name, report in REPORTS.items() if report.get("format") == "calisketch-evaluation"}
SHIPPED = {path.parent.name: path.parent for path in ROOT.glob("calisketch/models/*/config.json")}
SHIPPED |= {path.parent.name: path.parent for path in ROOT.glob("models/*/config.json")}
METRICS = ("psnr", "ssim", "lpips", "identity", "fid", "kid")


def rows_of(report: dict[str, Any], key: str) -> dict[str, dict[str, Any]]:
    (table,) = [table for table in report["tables"] if table["key"] == key]
    return {row["name"]: row for row in table["rows"]}


@pytest.mark.parametrize("name", EVALUATIONS)
def test_a_report_is_of_the_model_that_is_shipped(name: str) -> None:
    for model, told in EVALUATIONS[name]["protocol"]["models"].items():
        if model in SHIPPED:
            assert told == described(CaliSketch.from_pretrained(SHIPPED[model])), "measure it again"


def test_each_shipped_model_has_a_report_on_test_photos() -> None:
    assert SHIPPED
    for model in SHIPPED:
        reports = [EVALUATIONS[name] for name in EVALUATIONS if model in EVALUATIONS[name]["protocol"]["models"]]
        assert any(report["protocol"]["split"] == "test" and report["protocol"]["N"] >= 100 for report in reports)


def test_the_card_or_the_models_page_has_the_hash_of_each_shipped_model() -> None:
    texts = [(ROOT / name).read_text(encoding="utf-8") for name in ("MODEL_CARD.md", "docs/models.md")]
    for model, folder in SHIPPED.items():
        assert any(hub.published_hash(folder) in text for text in texts), model


def test_the_repository_keeps_short_reports_and_one_of_each_shipped_model_with_its_values() -> None:
    assert sum(path.stat().st_size for path in (ROOT / "docs" / "reports").rglob("*")) < 1_000_000
    for model in SHIPPED:
        row = rows_of(EVALUATIONS[f"{model}-synthetic"], "faces")[model]
        assert len(row["per_image"]["psnr"]) == EVALUATIONS[f"{model}-synthetic"]["protocol"]["N"], model


def test_a_short_report_has_the_figures_and_its_lines_are_the_rows() -> None:
    full = {
        "protocol": {"models": {"a": {}}},
        "tables": [
            {
                "key": key,
                "rows": [
                    {
                        "name": name,
                        "figures": {"psnr": {"value": 19.123456789, "N": 2}},
                        "per_image": {"psnr": [1 / 3, 2]},
                    }
                    for name in ("a", "b")
                ],
            }
            for key in ("faces", "lines")
        ],
    }
    for values in (False, True):
        short = keep_report.shortened(full, values)
        assert json.loads(keep_report.in_lines(short)) == short
        assert keep_report.in_lines(short).count('\n {"name"') == 4
        for table in short["tables"]:
            for row in table["rows"]:
                assert row["figures"]["psnr"] == {"value": 19.1235, "N": 2}
                kept = values and (table["key"], row["name"]) == ("faces", "a")
                assert row["per_image"] == ({"psnr": [0.333333, 2]} if kept else {})


def figure_tables() -> list[tuple[str, str, list[str]]]:
    """Rows of the documents' tables of figures: the file, the report named last above the table, the cells."""
    found = []
    for path in (ROOT / "README.md", ROOT / "MODEL_CARD.md", *sorted((ROOT / "docs").glob("*.md"))):
        report, inside = None, False
        for line in path.read_text(encoding="utf-8").splitlines():
            cells = [cell.strip(" *`") for cell in line.strip("|").split("|")]
            if named := re.search(r"docs/reports/([\w.-]+)\.json", line):
                report = named[1]
            if not line.startswith("|"):
                inside = False
            elif cells[1:7] == ["PSNR", "SSIM", "LPIPS", "identity", "FID", "KID"]:
                inside = True
            elif inside and not set(line) <= set("|- :"):
                assert report, (path.name, line)
                found.append((path.name, report, cells))
    return found


def test_the_documents_give_the_figures_of_the_reports() -> None:
    """Every row of a table of figures, but the paper's own, stands in the report with these figures and intervals."""
    rows = [each for each in figure_tables() if not each[2][0].startswith("the paper")]
    assert len(rows) >= 55
    assert {file for file, _, _ in rows} == {"MODEL_CARD.md", "ablation.md", "models.md", "reproduce.md"}
    for file, name, cells in rows:
        figures = rows_of(EVALUATIONS[name], "faces")[cells[0]]["figures"]
        for metric, cell in zip(METRICS, cells[1:7], strict=True):
            where = (file, name, cells[0], metric)
            if not cell:
                assert metric not in figures, where
                continue
            values = [figures[metric][part] for part in ("value", "low", "high")]
            written = re.findall(r"-?\d*\.\d+|-?\d+", cell)
            assert len(written) in (1, 3), where
            for text, value in zip(written, values, strict=False):
                digits = len(text.partition(".")[2])
                assert abs(float(text) - value) <= 0.5000001 * 10**-digits, (*where, text, value)


def test_the_card_tells_series_of_photos_apart_as_the_report_does() -> None:
    """Training people are of the series f and m only: the first number of a pair is of test people of these."""
    report = EVALUATIONS[f"{model_names.DEFAULT_MODEL}-synthetic"]
    split = json.loads((ROOT / "data" / "cuhk_split.json").read_text())
    series = np.array([name.split("-")[0] for name in report["names"]])
    seen = np.isin(series, [name.split("-")[0] for name in split["train"]])
    assert (seen.sum(), (~seen).sum()) == (44, 56)
    assert set(series[~seen]) == {"f1", "m1"}
    card = " ".join((ROOT / "MODEL_CARD.md").read_text(encoding="utf-8").split())
    told = re.search(
        r"PSNR is (\S+) dB on the 44 other people and (\S+) dB on the 56; "
        r"SSIM is (\S+) and (\S+), identity (\S+) and (\S+)\. ",
        card,
    )
    assert told
    values = rows_of(report, "faces")[model_names.DEFAULT_MODEL]["per_image"]
    means = [np.array(values[metric])[of].mean() for metric in ("psnr", "ssim", "identity") for of in (seen, ~seen)]
    for text, mean in zip(told.groups(), means, strict=True):
        digits = len(text.rstrip(",").partition(".")[2])
        assert abs(float(text.rstrip(",")) - mean) <= 0.5000001 * 10**-digits
    page = " ".join((ROOT / "docs" / "reproduce.md").read_text(encoding="utf-8").split())
    assert f"has {told[1]} dB on the 44 people and {told[2]} dB on the 56 people " in page


def test_the_first_test_photos_have_the_figures_of_the_report(cuhk_root: Path, shared_weights: Path) -> None:
    """The report again, as far as a test has time for: eight sketches, every figure of each face."""
    model = CaliSketch.from_pretrained(model_names.DEFAULT_MODEL, precision="fp32")
    report = EVALUATIONS[f"{model_names.DEFAULT_MODEL}-synthetic"]
    manifest = FrozenSketches.read(benchmark_sketches())
    names = list(manifest.sketches)[:8]
    assert report["names"][:8] == names
    pixels = [np.asarray(Image.open(cuhk_root / "photos" / f"{name}.jpg").convert("RGB")) for name in names]
    size = model.size
    photo = torch.stack([torch.from_numpy(resize(each[25:225], size).copy()).permute(2, 0, 1) / 255 for each in pixels])
    few = FrozenSketches(2026, 0, {name: manifest.sketches[name] for name in names}, sizes=(size,))
    sketch = draw_frozen(SketchMixture(), photo, 2026)
    few.check(photo, sketch, SketchMixture())
    face, _ = model.synthesize(sketch, 1.0, True, align=False, page=False, polarity="light_on_dark")
    measured = Measures(photo, ["psnr", "ssim", "lpips", "identity"], required=True).of("again", face)
    kept = rows_of(report, "faces")[model_names.DEFAULT_MODEL]["per_image"]
    for metric, tolerance in (("psnr", 0.01), ("ssim", 5e-4), ("lpips", 5e-4), ("identity", 2e-3)):
        got = torch.tensor(measured.per_image[metric])
        assert (got - torch.tensor(kept[metric][:8])).abs().max() <= tolerance, metric


def test_the_comparisons_in_the_documents_are_those_of_their_reports() -> None:
    blocks = 0
    for document in doc_tables.DOCUMENTS:
        text = document.read_text(encoding="utf-8")
        assert doc_tables.filled(text) == text, f"{document.name}: run tools/doc_tables.py"
        blocks += len(doc_tables.BLOCK.findall(text))
        assert text.count("<!-- report ") == len(doc_tables.BLOCK.findall(text)), document.name
        assert text.count("<!-- tables ") == len(doc_tables.TABLES.findall(text)), document.name
        assert text.count("<!-- paired ") == len(doc_tables.PAIRED.findall(text)), document.name
    assert blocks >= 15
    assert len(doc_tables.TABLES.findall((ROOT / "MODEL_CARD.md").read_text(encoding="utf-8"))) >= 2


def test_every_comparison_of_a_report_is_one_that_is_shipped() -> None:
    for path in sorted(doc_tables.REPORTS.glob("*.json")):
        report = json.loads(path.read_text(encoding="utf-8"))
        shipped = ROOT / "conf" / "comparison" / f"{report['protocol']['comparison']}.yaml"
        assert shipped.is_file(), path.name
        assert report["protocol"]["split"] == "test"
        assert {row["name"] for row in report["tables"][0]["rows"]} == set(OmegaConf.load(shipped).rows), path.name


def test_the_models_pages_speeds_are_those_of_the_benchmark() -> None:
    benchmark = REPORTS["benchmark"]["parts"]
    columns = [f"{model}, " for model in ("cuhk-small-256", "models/cuhk-small-128")]
    page = (ROOT / "docs" / "models.md").read_text(encoding="utf-8")
    ways = {"the default (": "the default", '`engine="compiled"`': "compiled", '`engine="openvino"`': "OpenVINO"}
    for head, way in ways.items():
        (line,) = (line for line in page.splitlines() if line.startswith(f"| {head}"))
        measured = [*(benchmark["models"][column + way] for column in columns), benchmark["inference"][way]]
        written = [float(cell) for cell in line.strip("|").split("|")[1:]]
        assert written == [round(each["times_faster"], 1) for each in measured], way
    for column in columns:
        model = benchmark["models"][f"{column}the default"]["model"]
        assert model["sha256"] == hub.published_hash(SHIPPED[Path(model["name"]).name]), "measure it again"
    (line,) = (line for line in page.splitlines() if line.startswith("| the default, ms"))
    assert [int(cell) for cell in line.strip("|").split("|")[1:]] == [
        round(1000 * each["the default"]["median_s"])
        for each in ({"the default": benchmark["models"][f"{column}the default"]} for column in columns)
    ] + [round(1000 * benchmark["inference"]["the default"]["median_s"])]


def test_the_cards_commands_compare_models_with_their_own_reports() -> None:
    card = (ROOT / "MODEL_CARD.md").read_text(encoding="utf-8").replace("\\\n", " ")
    commands = re.findall(r"calisketch evaluate (.*against=\S+)", card)
    assert len(commands) >= 3
    for command in commands:
        given = dict(each.split("=", 1) for each in command.replace('"', "").split())
        report = EVALUATIONS[Path(given["against"]).stem]["protocol"]
        assert Path(given.get("model", model_names.DEFAULT_MODEL)).name in report["models"], command
        assert given.get("track", "synthetic") == report["track"], command
        assert Path(given["data.root"]).name.rstrip("0123456789") in ("cuhk", "faces")
        assert str(report["size"]) in given["data.root"], command
        assert ("training_root" in given) == (" + " in report["training photos"]), command


def test_a_block_ends_before_the_next_one_begins() -> None:
    text = "<!-- report none -->\nlost end\n<!-- tables none lines -->\nkept\n<!-- end -->\n"
    assert not doc_tables.BLOCK.findall(text)
    assert [found["text"] for found in doc_tables.TABLES.finditer(text)] == ["kept\n"]


def test_models_of_two_reports_are_compared_image_by_image_on_the_same_sketches_only() -> None:
    table = doc_tables.between("cuhk-smooth-128-synthetic", "cuhk-128-synthetic")
    one = rows_of(EVALUATIONS["cuhk-smooth-128-synthetic"], "faces")["cuhk-smooth-128"]["per_image"]["psnr"]
    other = rows_of(EVALUATIONS["cuhk-128-synthetic"], "faces")["pix2pix"]["per_image"]["psnr"]
    assert f"| cuhk-smooth-128 - pix2pix | {np.mean(np.subtract(one, other)):.2f} [" in table
    assert "mean training face" not in table, "models only"
    with pytest.raises(ValueError, match=r"not of the same sketches: size is 128 and 256"):
        doc_tables.between("cuhk-smooth-128-synthetic", "cuhk-256-synthetic")
    with pytest.raises(ValueError, match=r"not of the same sketches: track is synthetic and artist"):
        doc_tables.between("cuhk-small-256-synthetic", "cuhk-small-256-artist")


def test_steps_and_curves_are_told_under_a_table() -> None:
    told = {"steps": {"a": 300}, "steps before": {"b": 900}, "validation": {"a": [[100, 0.5], [200, 0.4], [300, 0.3]]}}
    assert doc_tables.total(told) == "900 + 300"
    assert doc_tables.total({"steps": "see MODEL_CARD.md"}) == "see MODEL_CARD.md"
    assert doc_tables.curve(("m", told)) == "- m: a 100 0.5, 200 0.4, 300 0.3, still falling"
    assert not doc_tables.falling([0.5, 0.3, 0.299])
    assert doc_tables.curve(("m", {})) is None
    assert doc_tables.interval({"value": None}, 3) == ""
    assert doc_tables.interval({"value": 1.0, "low": None, "high": None}, 2) == "1.00"
    assert doc_tables.interval({"value": 1.0, "low": 0.5, "high": 2.0}, 1) == "1.0 [0.5, 2.0]"


def test_a_report_that_no_document_has_a_place_for_is_not_taken_over(tmp_path: Path) -> None:
    (tmp_path / "nonsense").mkdir()
    (tmp_path / "nonsense" / "nonsense.json").write_text("{}")
    with pytest.raises(ValueError, match=r"no document has a block .* for nonsense"):
        doc_tables.take_over(tmp_path)


@pytest.mark.parametrize("recipe", ["pi_rec", "x_gans", "colour", "cgan_faces"])
def test_every_table_of_the_relatives_recipes_has_its_place(recipe: str) -> None:
    places = {found["name"] for path in doc_tables.DOCUMENTS for found in doc_tables.BLOCK.finditer(path.read_text())}
    assert set(OmegaConf.load(ROOT / "conf" / "recipe" / f"{recipe}.yaml").tables) <= places
