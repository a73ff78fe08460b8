"""The face report's recipes through the training command: pairs for every system, repair, a style learned and used."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from composing import build, composed

from calisketch import CaliSketch
from calisketch.commands import train as train_command
from calisketch.datasets import ProceduralFaces
from calisketch.networks import EncoderDecoder, UNet
from calisketch.relatives.sketcher import Sketcher
from calisketch.sketching import FEATURES, LearnedStyle, MissingFeatures, SketchMixture
from calisketch.systems.photo_to_sketch import PAPER_SCHEDULES
from calisketch.training.checkpoint import load_latest
from calisketch.weights.folder import read_config

pytestmark = pytest.mark.usefixtures("elsewhere")

FACES = "_target_:calisketch.datasets.ProceduralFaces,size:32"
PAIRS = "_target_:calisketch.datasets.PairedPhotos,drawing:contour"
PHOTOS = f"++data.stand_in={{train:{{{FACES},count:4,seed:0}},validation:{{{FACES},count:2,seed:1}}}}"
PAIRED = (
    f"++data.stand_in={{train:{{{PAIRS},photos:{{{FACES},count:4,seed:0}}}},"
    f"validation:{{{PAIRS},photos:{{{FACES},count:2,seed:1}}}}}}"
)
COMMON = [
    "threads=1",
    "data.size=32",
    "data.mirrored=false",
    "batch_size=2",
    "log_every=1",
    "preview_every=2",
    "validate_every=2",
    "checkpoint_every=2",
    "precision=32-true",
    "wandb.mode=disabled",
]
ISN = [
    "network@system.isn.vgg=vgg19_random",
    "system.isn.vgg.width=2",
    "system.isn.generator.width=4",
    "system.isn.generator.blocks=1",
    "system.isn.discriminator.width=4",
    "system.isn.lpips_weight=0",
]
SYSTEMS = {
    "pix2pix": [
        "system.schedules.pix2pix.iterations=2",
        "system.pix2pix.generator.width=4",
        "system.pix2pix.generator.depth=5",
        "system.pix2pix.discriminator.width=4",
    ],
    "isn": [*ISN, "system.schedules.isn.iterations=2"],
    "joint": [
        *ISN,
        "system.schedules.joint.iterations=2",
        "system.scn.generator.width=4",
        "system.scn.generator.blocks=1",
        "system.scn.discriminator.width=4",
    ],
    "sketcher": [
        "system.schedules.sketcher.iterations=2",
        "system.sketcher.generator.width=4",
        "system.sketcher.generator.depth=5",
        "system.sketcher.discriminator.width=4",
    ],
}

REPORT = ("paper/pix2pix", "own/few_shot", "paper/missing_features", "paper/photo_to_sketch")


def train(experiment: str, kind: str, *more: str, data: str = PAIRED, run: str = "run") -> Path:
    command = [f"experiment={experiment}", *COMMON, *SYSTEMS[kind], data, f"run_dir={run}", *more]
    assert train_command.main(command) == 0
    return Path(run)


FEW_SHOT = {
    "own/few_shot": ("pix2pix", []),
    "smoke/few_shot": ("pix2pix", []),
    "small/few_shot": ("joint", []),
    "paper/isn_only": ("isn", ["data=pairs"]),
    "paper/cali_sketch": ("joint", ["data=pairs", "stages=[joint]"]),
}


def trained_model(kind: str, folder: Path) -> CaliSketch:
    """A model of the kind that a recipe goes on from, in a folder."""
    torch.manual_seed(3)
    isn = UNet(1, 3, width=4, depth=5) if kind == "pix2pix" else EncoderDecoder(1, 3, 4, 1, head="tanh")
    model = CaliSketch(EncoderDecoder(1, 1, 4, 1) if kind == "joint" else None, isn, 32)
    model.save_pretrained(folder, half=False)
    return model


@pytest.mark.parametrize("experiment", FEW_SHOT)
def test_pairs_train_every_system_further_from_a_model(
    experiment: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind, more = FEW_SHOT[experiment]
    before = trained_model(kind, tmp_path / "trained")
    network = UNet if kind == "pix2pix" else EncoderDecoder
    forward, seen = network.forward, []

    def watched(module: Any, image: torch.Tensor) -> torch.Tensor:
        if torch.is_grad_enabled():  # neither validation nor a picture
            seen.append(image.detach())
        return forward(module, image)

    monkeypatch.setattr(network, "forward", watched)
    small_steps = [f"system.schedules.{kind}.learning_rate=1e-6", "ema_decay=0"]
    run = train(experiment, kind, *more, f"init_from={tmp_path / 'trained'}", *small_steps)
    outlines = [item["contour"] for item in ProceduralFaces(4, 32)]
    assert all(any(torch.equal(sketch, outline) for outline in outlines) for sketch in seen[0]), "the pairs' drawings"
    after = CaliSketch.from_pretrained(run / "model", precision="fp32")
    for key, value in before.isn_generator.state_dict().items():  # it went on from there
        torch.testing.assert_close(after.isn_generator.state_dict()[key], value, atol=2e-3, rtol=2e-3)
    assert after.info["styles"] == []


@pytest.mark.parametrize("experiment", ["paper/missing_features", "small/missing_features", "smoke/missing_features"])
def test_networks_are_trained_on_sketches_that_lack_features(experiment: str, monkeypatch: pytest.MonkeyPatch) -> None:
    missing: list[tuple[str, ...]] = []
    draw = MissingFeatures.__call__

    def watched(self: MissingFeatures, photo: torch.Tensor, **seeds: Any) -> torch.Tensor:
        missing.extend(self.missing(**seeds))
        return draw(self, photo, **seeds)

    monkeypatch.setattr(MissingFeatures, "__call__", watched)
    run = train(experiment, "pix2pix", data=PHOTOS)
    assert CaliSketch.from_pretrained(run / "model").info["steps"] == {"pix2pix": 2}
    assert {name for each in missing for name in each} <= set(FEATURES)
    assert any(missing)


def test_jitter_and_flip_are_off_and_can_be_had(tmp_path: Path) -> None:
    config = "data.train.photos={" + FACES + ",count:4,seed:0}"
    for experiment in ("paper/pix2pix", "paper/missing_features"):
        plain = composed("train", f"experiment={experiment}", "data.root=x", f"+{config}").data.train
        assert isinstance(build(plain), ProceduralFaces)
        more = ["data.train.jitter=1.117", "data.train.flip=0.5", "data.train.variants=3"]
        varied = composed("train", f"experiment={experiment}", "data.root=x", f"+{config}", *more).data.train
        photos = build(varied)
        assert (photos.jitter, photos.flip, len(photos)) == (1.117, 0.5, 12)


def test_the_reports_settings_are_those_of_its_presets() -> None:
    config = {name: composed("train", f"experiment={name}", "data.root=x") for name in REPORT}
    for name, each in config.items():
        assert (each.batch_size, each.ema_decay, each.data.size) == (1, 0.0, 256), name
    hand = config["paper/photo_to_sketch"]
    schedules = {name: build(each) for name, each in hand.system.schedules.items()}
    assert schedules == PAPER_SCHEDULES
    assert hand.data.train.count == 48
    assert (hand.system.sketcher.l1_weight, hand.system.sketcher.objective) == (100.0, "vanilla")
    forward = config["paper/pix2pix"].system.pix2pix
    assert {**hand.system.sketcher.generator, "in_channels": 1, "out_channels": 3} == forward.generator
    assert hand.system.sketcher.discriminator == forward.discriminator
    assert config["own/few_shot"].system.schedules.pix2pix.iterations == 68 * 1000
    assert [config[name].data.draw for name in ("own/few_shot", "paper/photo_to_sketch")] == [None, None]


@pytest.mark.parametrize("experiment", ["paper/photo_to_sketch", "small/photo_to_sketch"])
def test_every_preset_leaves_a_model_that_draws(experiment: str) -> None:
    run = train(experiment, "sketcher", "data.train.count=2")
    sketcher = Sketcher.from_pretrained(run / "model")
    assert sketcher.info["system"] == "photo_to_sketch"
    assert sketcher.info["steps"] == {"sketcher": 2}
    assert (run / "previews").is_dir()


def test_a_hand_is_learned_and_training_sketches_are_drawn_in_it(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """smoke/photo_to_sketch -> a model -> a style of the mixture -> smoke/pix2pix, twice the same."""
    run = train("smoke/photo_to_sketch", "sketcher", run="hand")
    folder = run / "model"
    assert list(read_config(folder)["networks"]) == ["sketcher"]
    learned = [f"data.draw.learned={{hand:{folder}}}", "+data.draw.weights.hand=1.0"]
    only = ["data.draw.weights={xdog:0,photocopy:0,fdog:0,contour:0}", *learned]
    first, second = (train("smoke/pix2pix", "pix2pix", *only, data=PHOTOS, run=name) for name in ("a", "b"))
    states = [load_latest(each / "checkpoints") for each in (first, second)]
    for key, value in states[0]["generators"]["pix2pix"].items():
        assert torch.equal(value, states[1]["generators"]["pix2pix"][key])
    photo = ProceduralFaces(1, 32)[0]["photo"][None]
    mixture = SketchMixture({"hand": 1.0}, 0, 0, learned={"hand": folder})
    assert torch.equal(mixture(photo, seed=0, epoch=0, index=[0]), LearnedStyle(folder).draw(photo))

    capfd.readouterr()
    wrong = ["experiment=smoke/pix2pix", *COMMON, *SYSTEMS["pix2pix"], PHOTOS, "run_dir=c"]
    assert train_command.main([*wrong, "data.draw.learned={hand:nowhere}", "+data.draw.weights.hand=1.0"]) == 1
    assert "no such model folder" in capfd.readouterr().err
    assert train_command.main([*wrong, f"data.draw.learned={{hand:{first / 'model'}}}", learned[1]]) == 1
    assert "It is no photo-to-sketch model" in capfd.readouterr().err
    assert not (tmp_path / "c").exists()
