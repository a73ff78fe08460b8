"""The whole evaluation, on drawn faces and with stand-ins for the networks of LPIPS, ArcFace and Inception."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from calisketch import CaliSketch
from calisketch.datasets.drawn.procedural import ProceduralFaces
from calisketch.evaluation import FaceIdentity, InceptionFeatures, Report, evaluate, precision_recall, psnr, ssim
from calisketch.evaluation.measures.every_measure import Row, paired_rows
from calisketch.evaluation.measures.intervals import paired_difference
from calisketch.evaluation.reports.grid import picture_grid, places_of_interest
from calisketch.evaluation.running.baselines import mean_face, nearest_drawings, nearest_when_drawn
from calisketch.evaluation.running.frozen import draw_frozen, freeze
from calisketch.evaluation.running.protocol import read_photos
from calisketch.networks import LPIPS, EncoderDecoder
from calisketch.sketching import STYLES, SketchMixture
from calisketch.weights import MissingWeights

SIZE, COUNT = 48, 6


class Painter:
    """Stands in for a model: paints from a table of faces, and refines to edge maps, if it has some."""

    def __init__(self, faces: Tensor, refined: Tensor | None = None, **info: Any) -> None:
        self.size, self.info, self.faces, self.refined = faces.shape[-1], {"name": "painter", **info}, faces, refined
        self.scn_generator = None if refined is None else nn.Identity()
        self.strengths: list[float] = []

    def synthesize(self, sketch: Tensor, strength: float, return_refined: bool, **options: Any) -> Any:
        assert return_refined
        assert options["align"] is False
        self.strengths.append(strength)
        return self.faces, sketch if self.refined is None else self.refined


def stack(faces: Any, kind: str = "photo") -> Tensor:
    return torch.stack([faces[k][kind] for k in range(len(faces))])


def colours(images: Any) -> np.ndarray:
    return np.asarray(images).reshape(len(images), 3, -1)[:, :, ::97].reshape(len(images), -1)


@pytest.fixture(scope="module")
def networks() -> dict[str, Any]:
    torch.manual_seed(0)
    inception = InceptionFeatures(nn.Sequential(nn.AdaptiveAvgPool2d(3), nn.Flatten(), nn.Linear(27, 5)))
    return {"inception": inception, "lpips": LPIPS.random(), "identity": FaceIdentity(colours, None)}


@pytest.fixture(scope="module")
def photos() -> ProceduralFaces:
    return ProceduralFaces(COUNT, SIZE)


@pytest.fixture(scope="module")
def training() -> ProceduralFaces:
    return ProceduralFaces(5, SIZE, seed=9)


@pytest.fixture(scope="module")
def report(photos: ProceduralFaces, training: ProceduralFaces, networks: dict[str, Any]) -> Report:
    perfect = Painter(stack(photos), stack(photos, "detail"), styles=["xdog", "fdog"])
    one_stage = Painter(stack(photos).flip(0))
    models = {"perfect": perfect, "one stage": one_stage}
    made = evaluate(models, photos, training=training, networks=networks, resamples=100)
    assert set(perfect.strengths) == {1.0}
    assert set(one_stage.strengths) == {0.0}
    return made


def value(report: Report, key: str, row: str, figure: str) -> float:
    return report.row(key, row).figures[figure].value


def test_the_true_photos_have_the_best_of_every_figure(report: Report) -> None:
    figures = report.row("faces", "perfect").figures
    assert list(figures) == ["psnr", "ssim", "lpips", "identity", "fid", "kid"]
    assert figures["psnr"].value == math.inf
    for name, best in (("ssim", 1), ("lpips", 0), ("identity", 1), ("fid", 0)):
        assert figures[name].value == pytest.approx(best, abs=1e-6)
        assert figures[name].low <= figures[name].value <= figures[name].high
    lines = report.row("lines", "perfect, against Canny").figures
    assert [lines[name].value for name in ("precision_exact", "recall_exact", "precision_2px")] == [1, 1, 1]


def test_rows_are_what_the_metrics_say_of_the_faces(
    report: Report, photos: ProceduralFaces, training: ProceduralFaces
) -> None:
    photo = stack(photos)
    assert report.row("faces", "one stage").per_image["psnr"] == psnr(photo, photo.flip(0)).tolist()
    mean = stack(training).mean(0).expand_as(photo)
    name = "the mean training face, for everyone"
    assert value(report, "faces", name, "ssim") == pytest.approx(ssim(photo, mean).mean())
    assert "fid" not in report.row("faces", name).figures
    assert set(report.row("faces", "real training photos").figures) == {"fid", "kid"}
    drawn = draw_frozen(SketchMixture(), photo, 2026)
    by_hand = precision_recall(drawn, stack(photos, "contour"), 0.5, 2).precision
    assert (
        report.row("lines", "the sketch as drawn, against HED").per_image["precision_2px"] == np.ravel(by_hand).tolist()
    )


def test_the_first_model_is_compared_with_each_other_row_image_by_image(report: Report) -> None:
    others = ["one stage", "the mean training face, for everyone", "the training photo with the nearest sketch"]
    (table,) = [table for table in report.tables if table.key == "paired"]
    assert [row.name for row in table.rows] == [f"perfect - {other}" for other in others]
    for other, row in zip(others, table.rows, strict=True):
        assert list(row.figures) == ["ssim", "lpips", "identity"]  # the perfect one's PSNR is infinite
        for metric, figure in row.figures.items():
            mine, its = (np.array(report.row("faces", name).per_image[metric]) for name in ("perfect", other))
            assert figure == paired_difference(mine, its, resamples=100)
            assert figure.value == pytest.approx((mine - its).mean())


def test_a_difference_is_over_the_images_where_there_is_one() -> None:
    one, other = [math.inf, 20.0, 21.0, 22.0, 30.0], [20.0, math.inf, 20.0, 20.0, math.nan]
    none = [math.inf] * 4 + [1.0]
    rows = [Row("a", {}, {"psnr": one, "ssim": one}), Row("b", {}, {"psnr": other, "ssim": none}), Row("c", {}, {})]
    (row,) = paired_rows(rows, 100)
    assert (row.name, list(row.figures)) == ("a - b", ["psnr"])
    assert (row.figures["psnr"].value, row.figures["psnr"].count) == (1.5, 2)


def test_a_model_without_calibration_has_no_lines_of_its_own(report: Report) -> None:
    rows = [row.name for table in report.tables if table.key == "lines" for row in table.rows]
    assert not [name for name in rows if name.startswith("one stage")]
    assert "Canny x HED itself, against Canny" in rows
    assert value(report, "lines", "Canny x HED itself, against Canny", "precision_exact") == 1
    assert report.protocol["strength"] == {"perfect": 1.0, "one stage": 0.0}


def test_styles_that_a_model_has_not_seen_are_marked(report: Report) -> None:
    rows = {row.name: row for table in report.tables if table.key == "styles" for row in table.rows}
    assert set(rows) == {f"{model}, {style}" for model in ("perfect", "one stage") for style in STYLES}
    left_out = {name for name, row in rows.items() if row.note == "a style left out of its training"}
    assert left_out == {"perfect, photocopy", "perfect, contour"}
    note = next(table.note for table in report.tables if table.key == "styles")
    assert "painter" not in note
    assert "one stage: which styles it was trained on, the model does not say" in note
    assert "fid" not in rows["perfect, xdog"].figures
    assert "strokes_kept" in rows["perfect, xdog"].figures


def test_copied_training_people_are_found(
    photos: ProceduralFaces, training: ProceduralFaces, networks: dict[str, Any]
) -> None:
    copied = Painter(stack(training)[[3, 3, 3, 1, 1, 1]])
    quick = {"per_style": False, "resamples": 100}
    report = evaluate(copied, photos, training=training, networks=networks, metrics=["identity"], **quick)
    row = report.row("copies", "painter")
    assert row.per_image["nearest_person"] == [training.names[k] for k in (3, 3, 3, 1, 1, 1)]
    assert (row.figures["nearest"].value, row.figures["people"].value) == (pytest.approx(1), 2)
    assert value(report, "copies", "the true photos of the test set", "nearest") < 1
    assert [table.key for table in report.tables] == ["faces", "paired", "lines", "copies"]


def test_the_report_says_n_split_protocol_and_whether_the_sketches_are_frozen(
    report: Report, photos: ProceduralFaces, networks: dict[str, Any]
) -> None:
    said = report.to_markdown()
    for words in ("FID ↓ (N = 6)", "N: 6", f"size: {SIZE}", "seed: 2026", "not frozen", "simplified 0.5", "58.43"):
        assert words in said, words
    manifest = freeze(photos.names, {SIZE: stack(photos)})
    painter = Painter(stack(photos))
    options = {"networks": networks, "metrics": ["psnr"], "per_style": False, "resamples": 100}
    again = evaluate(painter, photos, frozen=manifest, **options)
    assert again.protocol["sketches"]["test sketches"] == "frozen: all 6 SHA-256 are those of the manifest"
    other = evaluate(painter, photos, frozen=manifest, mixture=SketchMixture({"fdog": 1}), **options)
    assert "another mixture" in other.protocol["sketches"]["test sketches"]
    assert "seed 7" in evaluate(painter, photos, frozen=manifest, seed=7, **options).to_markdown()


def test_json_has_every_value_and_no_nan(report: Report, tmp_path: Path) -> None:
    written = report.save(tmp_path / "out", "test-synthetic")
    names = ["test-synthetic-one-stage.png", "test-synthetic-perfect.png", "test-synthetic.json", "test-synthetic.md"]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == names
    assert sorted(path.name for path in written) == names

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    plain = json.loads((tmp_path / "out" / "test-synthetic.json").read_text(), parse_constant=refuse)
    rows = {row["name"]: row for row in plain["tables"][0]["rows"]}
    assert rows["perfect"]["figures"]["psnr"] == {"value": None, "low": None, "high": None, "N": COUNT}
    assert rows["one stage"]["figures"]["ssim"]["value"] == pytest.approx(value(report, "faces", "one stage", "ssim"))
    assert len(rows["one stage"]["per_image"]["lpips"]) == len(plain["names"]) == COUNT
    assert plain["tables"][0]["paper"]["Cali-Sketch"]["fid"] == 58.43
    assert len(plain["protocol"]["models"]["perfect"]["weights sha256"]) == 64
    with Image.open(written[-1]) as picture:
        assert picture.width == 3 * SIZE  # of one stage: sketch, face, photo


def test_models_whose_names_look_alike_get_a_picture_each(report: Report, tmp_path: Path) -> None:
    pictures = dict.fromkeys(["run", "run'", "Run", "run-2"], next(iter(report.pictures.values())))
    written = Report(report.protocol, report.tables, report.names, {}, pictures).save(tmp_path, "test")
    assert len(set(written)) == len(list(tmp_path.iterdir())) == 2 + 4


def test_training_folders_of_other_kinds_of_maps_are_read_together(photos: ProceduralFaces) -> None:
    class WithoutContour:
        names = ("a", "b")

        def __len__(self) -> int:
            return 2

        def __getitem__(self, place: int) -> dict[str, Tensor]:
            item = dict(photos[place])
            if place:
                del item["contour"]
            return item

    _, kinds = read_photos(WithoutContour())
    assert set(kinds) == {"photo", "detail"}


def test_metrics_without_weights_are_left_out_with_a_reason_or_an_error_if_asked_for(
    photos: ProceduralFaces, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("CALISKETCH_WEIGHTS", "CALISKETCH_CACHE", "TORCH_HOME"):
        monkeypatch.setenv(name, str(tmp_path))
    painter = Painter(stack(photos))
    report = evaluate(painter, photos, per_style=False, resamples=100)
    assert set(report.row("faces", "painter").figures) == {"psnr", "ssim"}
    assert set(report.absent) == {"lpips", "identity", "fid", "kid"}
    assert "not measured: fid, since the weights 'inception' were not found" in report.to_markdown()
    with pytest.raises(MissingWeights, match="lpips-alexnet"):
        evaluate(painter, photos, metrics=["psnr", "lpips"], required=True)


def test_edgeconnects_figures_are_measured_by_name() -> None:
    photos = ProceduralFaces(3, 64)
    metrics = ["grey_psnr", "grey_ssim", "relative_l1"]
    report = evaluate(Painter(stack(photos)), photos, metrics=metrics, per_style=False, resamples=100)
    figures = {name: each.value for name, each in report.row("faces", "painter").figures.items()}
    assert figures == {"grey_psnr": math.inf, "grey_ssim": pytest.approx(1), "relative_l1": 0}


def test_settings_that_make_no_sense_are_named(photos: ProceduralFaces, training: ProceduralFaces) -> None:
    painter = Painter(stack(photos))
    for options, words in (
        ({"track": "drawn"}, "track must be one of"),
        ({"strength": 2}, "strength must be in"),
        ({"metrics": ["ssim", "psrn"]}, "metrics must be some of .* got psrn"),
        ({"baselines": ["median_face"]}, "baselines must be some of"),
        ({"track": "artist"}, 'needs items with "artist"'),
    ):
        with pytest.raises(ValueError, match=words):
            evaluate(painter, photos, **options)
    with pytest.raises(ValueError, match="must be of the model's size; painter has 64 px, the photos 48"):
        evaluate(Painter(torch.zeros(1, 3, 64, 64)), photos)
    with pytest.raises(ValueError, match="at least one"):
        evaluate({}, photos)


def test_calisketch_itself_is_measured_with_what_it_answers(photos: ProceduralFaces) -> None:
    torch.manual_seed(1)
    model = CaliSketch(EncoderDecoder(1, 1, 4, 1), EncoderDecoder(1, 3, 4, 1, head="tanh"), SIZE)
    report = evaluate({"toy": model}, photos, strength=0.5, metrics=["psnr"], per_style=False, resamples=100)
    sketch = draw_frozen(SketchMixture(), stack(photos), 2026)
    given = {"align": False, "page": False, "polarity": "light_on_dark"}
    face, refined = model.synthesize(sketch, 0.5, True, **given)
    assert report.row("faces", "toy").per_image["psnr"] == psnr(stack(photos), face).tolist()
    kept = report.row("lines", "toy, against Canny").per_image["recall_exact"]
    assert kept == np.ravel(precision_recall(refined, stack(photos, "detail")).recall).tolist()


def test_the_nearest_drawing_is_the_one_moved_least() -> None:
    known = torch.zeros(3, 1, 32, 32)
    for k in range(3):
        known[k, 0, :, 4 + 10 * k] = 1
    sketch = torch.zeros(3, 1, 32, 32)
    for k, column in enumerate((25, 3, 16)):
        sketch[k, 0, :, column] = 1
    assert nearest_drawings(sketch, known).tolist() == [2, 0, 1]
    with pytest.raises(ValueError, match="one size"):
        nearest_drawings(sketch, known[..., :16])


def test_a_photo_is_found_by_its_sketch_in_any_style_and_any_batch(
    training: ProceduralFaces, monkeypatch: pytest.MonkeyPatch
) -> None:
    photo = stack(training)
    plain = SketchMixture(simplify=0, deform=0)
    for style in STYLES:
        sketch = draw_frozen(SketchMixture({style: 1}, 0, 0), photo, 77)
        for at_once in (2, 100):
            assert nearest_when_drawn(sketch, photo, 2026, plain, at_once=at_once).tolist() == [0, 1, 2, 3, 4]
    contour = draw_frozen(SketchMixture({"contour": 1}, 0, 0), photo, 77)
    only = [SketchMixture({"contour": 1, **others}, 0, 0) for others in ({}, {"xdog": 0})]
    monkeypatch.setitem(STYLES, "xdog", replace(STYLES["xdog"], draw=None))  # a style without a share is not drawn
    one, other = (nearest_when_drawn(contour, photo, 2026, mixture) for mixture in only)
    assert torch.equal(one, other)
    assert mean_face(photo, 3).shape == (3, 3, SIZE, SIZE)


def test_best_median_and_worst_are_no_one_twice() -> None:
    values = [0.5, 0.1, math.nan, 0.9, 0.3, 0.7, 0.2]
    assert places_of_interest(values, lower_is_better=True, rows=1) == {"best": [1], "median": [4], "worst": [3]}
    assert places_of_interest(values, lower_is_better=False, rows=2) == {
        "best": [3, 5],
        "median": [0, 4],
        "worst": [6, 1],
    }
    assert places_of_interest([0.2, 0.1], lower_is_better=True) == {"best": [1], "median": [], "worst": [0]}
    columns = {"sketch": torch.ones(7, 1, 8, 8), "photo": torch.zeros(7, 3, 8, 8)}
    picture = picture_grid(columns, list("abcdefg"), values, "LPIPS", lower_is_better=True)
    assert picture.size == (16, 16 + 6 * (16 + 8))
    assert picture.getpixel((7, 39)) == (0, 0, 0)  # ink is dark
