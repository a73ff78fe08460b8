"""The benchmark measures what it says it measures, in miniature; its figures are the machine's."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

pytest.importorskip("hydra")

from composing import composed
from omegaconf import OmegaConf

from calisketch import CaliSketch
from calisketch.networks import CoarseToFine, ColourLed, EncoderDecoder, FeatureDiscriminator
from calisketch.weights import address as hub

pytestmark = pytest.mark.usefixtures("one_thread")

TOOLS = Path(__file__).resolve().parents[2] / "tools"


@pytest.fixture
def tools() -> Any:
    """The benchmark's program."""
    from tools.benchmark import __main__ as benchmark

    return benchmark


@pytest.fixture
def settings() -> dict[str, Any]:
    small = ["size=64", "width=4", "repeats=2", "ways=['the default']", "styles.batch=2"]
    return OmegaConf.to_container(composed("benchmark", *small))  # type: ignore[return-value]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that takes colours, with smooth ones and a CoarseToFine before it."""
    torch.manual_seed(0)
    scn, isn = CoarseToFine(width=2, blocks=1, fine_width=2), ColourLed(width=2, blocks=1, head="tanh_chroma4")
    return CaliSketch(scn, isn, 64).save_pretrained(tmp_path_factory.mktemp("model"))


def test_every_measurement_is_planned_and_can_be_told_to_a_process(tools: Any, settings: dict[str, Any]) -> None:
    planned = [(part, name, json.dumps(asked)) for part, name, asked in tools.jobs(settings, "cpu")]
    assert [each[:2] for each in planned] == [
        ("inference", "the default"),
        ("models", "cuhk-small-256, the default"),
        ("training", "scn"),
        ("training", "isn"),
        ("training", "joint"),
        ("training", "joint, 256 px, width 32, batch 4, experiment=own/fine_smooth"),
        ("styles", "all"),
        ("preparation", "all"),
        ("evaluation", "all"),
    ]
    with pytest.raises(SystemExit, match="ways must be some of eager fp32"):
        list(tools.jobs({**settings, "ways": ["magic"]}, "cpu"))


def test_a_way_of_inference_is_compared_with_eager_float32(tools: Any, settings: dict[str, Any]) -> None:
    from tools.benchmark import parts as benchmark_parts

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


def test_a_model_is_measured_from_sketch_to_face_on_the_example_drawings(
    tools: Any, settings: dict[str, Any], folder: Path
) -> None:
    from tools.benchmark import parts as benchmark_parts

    settings |= {"parts": ["models"], "models": [str(folder)], "batch": 2}
    ((part, name, asked),) = tools.jobs(settings, "cpu")
    row = benchmark_parts.measure(part, asked)
    assert row["model"]["sha256"] == hub.published_hash(folder)
    assert (row["model"]["size"], row["model"]["networks"]) == (64, ["SCN", "ISN"])
    assert row["images_per_second"] == pytest.approx(2 / row["median_s"])
    told = tools.table({"machine": row.pop("machine"), "settings": settings, "parts": {part: {name: row}}})
    drawings = [path for path in (TOOLS.parent / "examples").iterdir() if path.suffix in (".png", ".jpg")]
    assert f"{folder}, SCN and ISN, 64 px, batch 2; SHA-256 `{hub.published_hash(folder)}`" in told
    assert f"the {len(drawings)} drawings" in told
    assert "| the default | fp32 | " in told


def test_ways_of_a_model_paint_what_the_model_paints(tools: Any, folder: Path) -> None:
    from tools.benchmark import inference as benchmark_inference
    from tools.benchmark import models as benchmark_models

    ink = benchmark_models.sketches(64)[:2]
    assert 0 < ink.mean() < 0.5, "ink is 1 on paper 0"
    model = CaliSketch.from_pretrained(folder)
    networks = [network for network in (model.scn_generator, model.isn_generator) if network is not None]
    ways = benchmark_inference.ways(networks, 64, torch.device("cpu"))
    with torch.inference_mode():
        assert torch.equal(ways["the default"]()(ink), model.from_batch({"sketch": ink}))
        for way in ("eager fp32", "rewritten fp32"):
            off = ways[way]()(ink) - model.to(precision="fp32").from_batch({"sketch": ink})
            assert off.abs().max() < 1e-4, way


def test_a_networks_precision_is_told_where_two_differ(tools: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from tools.benchmark import inference as benchmark_inference

    class Other(torch.nn.Module):
        pass

    monkeypatch.setattr("calisketch.inference.computing.has_bf16", lambda device: True)
    networks, device = [EncoderDecoder(width=2, blocks=1), Other()], torch.device("cpu")
    assert benchmark_inference.precision_of("the default", networks, 128, device) == "bf16, fp32"
    assert benchmark_inference.precision_of("the default", networks[:1], 128, device) == "bf16"
    assert benchmark_inference.precision_of("OpenVINO fp32", networks, 128, device) == "fp32"


def test_the_last_batch_of_drawings_is_as_large_as_the_others(tools: Any) -> None:
    from tools.benchmark import models as benchmark_models

    batches = benchmark_models.in_batches(torch.arange(3.0).view(3, 1, 1, 1), 2)
    assert [each.flatten().tolist() for each in batches] == [[0, 1], [2, 0]]
    assert [len(each) for each in benchmark_models.in_batches(torch.zeros(3, 1, 1, 1), 8)] == [8]


def test_the_wait_for_data_is_a_share_of_each_stages_step(tools: Any, settings: dict[str, Any]) -> None:
    from tools.benchmark import training as benchmark_training

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


def test_a_step_of_an_experiment_is_of_its_networks_and_terms(tools: Any) -> None:
    from tools.benchmark import training as benchmark_training

    found = benchmark_training.composed("own/fine_smooth", width=2, vgg_width=2)
    stage = benchmark_training.stage_of_experiment(found, "joint", torch.device("cpu"))
    assert {name: type(network) for name, network in stage.generators.items()} == {
        "scn": CoarseToFine,
        "isn": CoarseToFine,
    }
    assert stage.generators["isn"].config["width"] == 2
    assert stage.generators["isn"].config["head"] == "tanh_chroma4"
    assert isinstance(stage.discriminators["isn"], FeatureDiscriminator)
    assert set(stage.frozen) == {"vgg", "lpips"}
    last = stage.generators["isn"].fine_output.weight
    assert last.is_contiguous(memory_format=torch.channels_last), "as fine_small is trained"
    smoke = benchmark_training.composed("smoke/cali_sketch", width=2, vgg_width=2)
    assert set(benchmark_training.stage_of_experiment(smoke, "joint", torch.device("cpu")).frozen) == {"vgg"}
    assert not smoke.channels_last


def test_each_setting_of_the_training_has_a_table(tools: Any, settings: dict[str, Any]) -> None:
    from tools.benchmark import training as benchmark_training

    small = {"size": 64, "width": 2, "batch": 1, "repeats": 1, "vgg_width": 2}
    listed = [{**small, "stages": ["scn"]}, {**small, "stages": ["scn"], "experiment": "smoke/cali_sketch"}]
    settings |= {"parts": ["training"], "training": listed}
    rows = {}
    for _, name, asked in tools.jobs(settings, "cpu"):
        rows[name] = benchmark_training.measure(asked["name"], device=torch.device("cpu"), **asked["setting"])
    assert list(rows) == ["scn", "scn, 64 px, width 2, batch 1, experiment=smoke/cali_sketch"]
    told = tools.table({"machine": {}, "settings": settings, "parts": {"training": rows}})
    tables = told.split("A training step of ")[1:]
    assert "64 px, width 2. " in tables[0]
    assert "64 px, width 2, `experiment=smoke/cali_sketch`. " in tables[1]
    for row, table in zip(rows.values(), tables, strict=True):
        assert f"{row['data_share']['fp32']:.1%} / {row['data_share']['bf16']:.1%}" in table
    with pytest.raises(SystemExit, match="stages must be some of scn, isn, joint; got gan"):
        list(tools.jobs({**settings, "training": [{**small, "stages": ["gan"]}]}, "cpu"))
    with pytest.raises(SystemExit, match="each step once"):
        list(tools.jobs({**settings, "training": [small, small, small]}, "cpu"))


def test_memory_and_images_a_second_are_told_of_metrics_and_preparation(tools: Any, settings: dict[str, Any]) -> None:
    from tools.benchmark import parts as benchmark_parts

    settings |= {"parts": ["preparation"], "preparation": {"photos": 2}}
    ((_, _, asked),) = tools.jobs(settings, "cpu")
    row = benchmark_parts.preparation({**asked, "size": 32}, torch.device("cpu"))
    assert row["images_per_second"] == pytest.approx(1 / row["seconds_per_photo"])
    took = {"median_s": 0.02, "min_s": 0.01, "max_s": 0.03, "repeats": 3}
    metrics = {"ssim": {**took, "images_per_second": 50.0}, "frechet, 100 and 100 images": took}
    parts = {"preparation": {"all": row}, "evaluation": {"all": {"metrics": metrics, "peak_memory_mb": 812.4}}}
    told = tools.table({"machine": {}, "settings": settings, "parts": parts})
    assert f"{row['images_per_second']:.2f} images/s in one process; peak memory {row['peak_memory_mb']:.0f} MB" in told
    assert "peak memory 812 MB" in told
    assert "| ssim | 20.0 | 10.0 | 30.0 | 50.0 |" in told
    assert "| frechet, 100 and 100 images | 20.0 | 10.0 | 30.0 |  |" in told


def test_the_committed_report_is_read_whole(tools: Any) -> None:
    """Every figure that was measured is in a table, whichever form the report is of."""
    report = json.loads((TOOLS.parent / "docs" / "reports" / "benchmark.json").read_text())
    lines = tools.table(report).splitlines()
    for part in ("inference", "models"):
        for row in report["parts"].get(part, {}).values():
            assert any(f" {row['median_s'] * 1e3:.1f} | {row['min_s'] * 1e3:.1f} |" in line for line in lines)
    for row in report["parts"]["training"].values():
        assert any(f" {row['fp32']['median_s'] * 1e3:.0f} | {row['bf16']['median_s'] * 1e3:.0f} |" in x for x in lines)
    for part in ("styles", "preparation", "evaluation"):
        assert any(f"peak memory {report['parts'][part]['all']['peak_memory_mb']:.0f} MB" in line for line in lines)
