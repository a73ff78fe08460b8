"""X-GANs from its presets: each corruption trains, resumes exactly and leaves a model; and its comparisons run."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest
import torch
from composing import build, composed
from omegaconf import OmegaConf
from PIL import Image

from calisketch.commands import compare as compare_command
from calisketch.commands import train as train_command
from calisketch.commands.train_config import check_config, conf_dir
from calisketch.datasets import Scenes, prepare_photos
from calisketch.datasets.drawn.procedural import ProceduralFaces
from calisketch.evaluation.measures.pixel import to_uint8
from calisketch.networks import EncoderDecoder, MultiScaleDiscriminator
from calisketch.relatives.x_gans import XGan
from calisketch.sketching import Corruption
from calisketch.sketching.corruption import TASKS
from calisketch.stage import Batch, Schedule
from calisketch.systems import XGans
from calisketch.training.checkpoint import load_latest
from calisketch.training.logging import read_metrics

FACES = "_target_:calisketch.datasets.ProceduralFaces,size:32"
SMALL = [
    "threads=1",
    "data.size=32",
    f"data.stand_in={{train:{{{FACES},count:4,seed:0}},validation:{{{FACES},count:2,seed:1}}}}",
    "batch_size=2",
    "log_every=1",
    "preview_every=2",
    "validate_every=2",
    "checkpoint_every=1",
    "precision=32-true",
    "network@system.x_gan.vgg=vgg19_random",
    "system.x_gan.vgg.width=2",
    "system.x_gan.generator.width=4",
    "system.x_gan.generator.blocks=1",
    "system.x_gan.discriminator.width=4",
    "system.x_gan.discriminator.layers=1",
    "system.schedules.x_gan.iterations=3",
    "wandb.mode=disabled",
    "run_dir=run",
]
COMPARISONS = sorted(path.stem for path in (conf_dir() / "comparison").glob("x_gans*.yaml"))


def test_the_preset_is_the_paper() -> None:
    config = composed("train", "experiment=paper/x_gans", "data.root=somewhere")
    check_config(config)
    node = config.system.x_gan
    generator, discriminator = build(node.generator), build(node.discriminator)
    paper = XGans(vgg=build(composed("train", "experiment=smoke/x_gans").system.x_gan.vgg))
    assert generator.config == paper.generator.config
    assert isinstance(generator, EncoderDecoder)
    assert isinstance(discriminator, MultiScaleDiscriminator)
    shapes = [value.shape for value in discriminator.state_dict().values()]
    assert shapes == [value.shape for value in paper.discriminator.state_dict().values()]
    weights = ("matching_weight", "perceptual_weight", "point_weight")
    assert [node[name] for name in weights] == [getattr(paper, name) for name in weights]
    assert build(config.system.schedules.x_gan) == Schedule(100_000, 2e-4, 1.0, (0.5, 0.999))
    assert (config.batch_size, config.ema_decay, config.data.size, config.stages) == (1, 0.0, 256, ["x_gan"])
    assert vars(build(config.data.draw)) == vars(Corruption())


@pytest.mark.parametrize("task", TASKS)
def test_a_task_on_the_command_line_is_enough(task: str) -> None:
    config = composed("train", "experiment=smoke/x_gans", f"data.draw.task={task}")
    check_config(config)
    assert build(config.data.draw).task == task
    assert config.system.x_gan.task == task  # which settles the point loss
    options = ["data.draw.percent=5"] if TASKS[task][0] else ["data.draw.block=0.25", "data.draw.place=random"]
    one = build(
        composed("train", "experiment=paper/x_gans", "data.root=here", f"data.draw.task={task}", *options).data.draw
    )
    assert 5 in (one.percent or ()) or one.block == (0.25, 0.25)


def test_scenes_are_named_on_the_command_line(tmp_path: Path) -> None:
    scenes = f"data.draw.scenes={{_target_:calisketch.datasets.Scenes,root:'{tmp_path}'}}"
    config = composed("train", "experiment=paper/x_gans", "data.root=here", "data.draw.task=colour_block", scenes)
    check_config(config)
    corruption = build(config.data.draw)
    assert isinstance(corruption.scenes, Scenes)
    assert corruption.scenes.root == tmp_path


@pytest.mark.usefixtures("elsewhere")
@pytest.mark.parametrize(("experiment", "task"), [("small/x_gans", "colour_noise"), ("smoke/x_gans", "colour_block")])
def test_a_preset_trains_and_leaves_a_model_that_knows_its_task(experiment: str, task: str, tmp_path: Path) -> None:
    assert train_command.main([f"experiment={experiment}", *SMALL, f"data.draw.task={task}"]) == 0
    check_run(tmp_path / "run", task, {"x_gan/adversarial", "x_gan/feature_matching", "x_gan/perceptual"})


def check_run(run: Path, task: str, terms: set[str]) -> None:
    records = [record for record in read_metrics(run / "metrics.jsonl") if record["kind"] == "train"]
    assert [record["step"] for record in records] == [1, 2, 3]
    assert set(records[-1]["generator"]) == terms
    assert set(records[-1]["discriminator"]) == {f"x_gan/discriminator_{scale}" for scale in (1, 2, 3)}
    model = XGan.from_pretrained(run / "model")
    assert (model.size, model.info["system"], model.info["task"]) == (32, "x_gans", task)
    assert model.info["steps"] == {"x_gan": 3}
    photo = ProceduralFaces(1, 32)[0]["photo"]
    assert model.restore(photo * 0.9).shape == (3, 32, 32)


@pytest.mark.usefixtures("elsewhere")
def test_the_papers_preset_interrupted_and_resumed_equals_uninterrupted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bit for bit, with the paper's dropout on, and corruptions drawn anew."""
    command = ["experiment=paper/x_gans", *SMALL]
    assert train_command.main([*command, "run_dir=straight"]) == 0
    everything = {"x_gan/adversarial", "x_gan/feature_matching", "x_gan/perceptual", "x_gan/points"}
    check_run(tmp_path / "straight", "points", everything)
    terms, calls = XGans.generator_losses, [0]

    def signalling(network: XGans, batch: Batch) -> Batch:
        calls[0] += 1
        if calls[0] == 2:
            os.kill(os.getpid(), signal.SIGINT)
        return terms(network, batch)

    monkeypatch.setattr(XGans, "generator_losses", signalling)
    assert [train_command.main([*command, "run_dir=interrupted"]) for _ in range(2)] == [130, 0]
    straight, resumed = (load_latest(tmp_path / name / "checkpoints") for name in ("straight", "interrupted"))
    for kind in ("generators", "discriminators"):
        for key, value in straight[kind]["x_gan"].items():
            assert torch.equal(value, resumed[kind]["x_gan"][key]), (kind, key)
    assert straight["plateau"] == resumed["plateau"]


WRONG = {
    "data.draw.task=holes": "data.draw: task must be one of points",
    "data.draw.percent=200": "data.draw: percent must be a number, or two",
    "data.size=30": "data.size must be at least 32 and divide by 4 for x_gan; got 30",
    "system.x_gan.discriminator.layers=3": "system.x_gan.discriminator does not take (2, 6, 32, 32)",
    "system.x_gan.generator.in_channels=1": "system.x_gan.generator does not take (2, 3, 32, 32)",
    "system.x_gan.point_loss=l3": "system.x_gan: point_loss must be by_task, l2, l1 or none",
    "system.x_gan=null": "system.x_gan must be a group of settings; got null",
}


@pytest.mark.usefixtures("elsewhere")
@pytest.mark.parametrize("override", WRONG)
def test_a_wrong_value_is_named_and_nothing_is_made(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], override: str
) -> None:
    assert train_command.main(["experiment=smoke/x_gans", *SMALL, override]) == 1
    captured = capfd.readouterr()
    assert WRONG[override] in captured.err
    assert "Traceback" not in captured.err
    assert list(tmp_path.iterdir()) == []


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Drawn faces as a prepared folder of 64 pixels, three for training and three for testing."""
    folder = tmp_path_factory.mktemp("photos")
    for split in ("train", "test"):
        (folder / "raw" / split).mkdir(parents=True)
        for place in range(3):
            photo = ProceduralFaces(3, 64, seed=len(split))[place]["photo"]
            Image.fromarray(to_uint8(photo[None])[0]).save(folder / "raw" / split / f"{place}.png")
    prepare_photos([folder / "raw"], folder / "prepared", size=64, contour="none", align=False, workers=0)
    return folder / "prepared"


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("name", COMPARISONS)
def test_every_comparison_measures_all_its_rows_and_judges_its_claims(
    name: str, prepared: Path, tmp_path: Path
) -> None:
    generator = EncoderDecoder(3, 3, width=4, blocks=1, dilation=1, skips=False, head="tanh")
    folder = XGan(generator, 64, {"task": "points"}).save_pretrained(tmp_path / "model")
    needed = OmegaConf.load(conf_dir() / "comparison" / f"{name}.yaml")["models"]
    overrides = [f"comparison={name}", *(f"models.{key}='{folder}'" for key in needed), "data.limit=2"]
    overrides += [f"data.root='{prepared}'", f"out='{tmp_path}'", "resamples=100", "threads=1"]
    overrides += [f"scenes='{prepared}'", "scenes_split=train"] if name == "x_gans_blocks" else []
    cfg = composed("compare", *overrides)
    compare_command.run(cfg)
    said = json.loads((tmp_path / f"{name}.json").read_text(encoding="utf-8"))
    table, claims = said["tables"]
    rows = {row["name"]: row["figures"] for row in table["rows"]}
    assert list(rows) == list(cfg.rows)
    assert all({"psnr", "ssim"} <= set(figures) for figures in rows.values())
    assert [row["name"] for row in claims["rows"]] == [claim.says for claim in cfg.claims]
    assert all(row["note"] for row in claims["rows"])
    if name == "x_gans_compression":
        sizes = {row: figures["bpp"]["value"] for row, figures in rows.items()}
        for percent in (1, 5, 10, 20):
            for kind in ("random", "feature"):
                row = f"{kind}, {percent} %"
                assert sizes[row] == sizes[f"{row}, interpolated"] >= sizes[f"{row}, JPEG"]
    if name == "x_gans_blocks":
        assert all("region_psnr" in figures for figures in rows.values())
        assert rows["white block, inpainted"]["psnr"]["value"] > rows["white block, as it is"]["psnr"]["value"] + 3
