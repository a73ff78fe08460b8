"""PI-REC from its presets: all three phases, resumed exactly, continued from run to run, to a model that paints."""

from __future__ import annotations

import os
import signal
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from composing import build, composed
from torch import Tensor

from calisketch.commands import train as train_command
from calisketch.datasets import PhotosWith, ProceduralFaces
from calisketch.evaluation.measures.every_measure import METRICS
from calisketch.networks import EncoderDecoder, FromColours, UNet
from calisketch.relatives.pi_rec import PIRec
from calisketch.sketching import ColorDomain, IrregularMask, SparseEdges
from calisketch.stage import Batch
from calisketch.systems import PIRecGAN
from calisketch.systems.pi_rec import PAPER_SCHEDULES, PAPER_WEIGHTS
from calisketch.training.checkpoint import load_latest
from calisketch.training.logging import read_metrics

PHASES = ("imitation", "generating", "refinement")
SMALL = [
    "experiment=smoke/pi_rec",
    "threads=1",
    "data.size=32",
    "batch_size=2",
    "log_every=1",
    "preview_every=2",
    "validate_every=2",
    "checkpoint_every=1",
    "system.pi_rec.generator.width=4",
    "system.pi_rec.generator.blocks=1",
    "system.pi_rec.discriminator.width=4",
    "system.pi_rec.vgg.width=2",
    *(f"system.schedules.{phase}.iterations=2" for phase in PHASES),
]


def test_the_preset_is_the_paper() -> None:
    config = composed("train", "experiment=paper/pi_rec", "data.root=somewhere")
    assert (config.data.size, list(config.stages)) == (256, list(PHASES))
    assert {name: build(node) for name, node in config.system.schedules.items()} == PAPER_SCHEDULES
    assert {name: build(node) for name, node in config.system.weights.items()} == PAPER_WEIGHTS
    node = config.system.pi_rec
    assert (node.sigmoid, node.masked_target) == (False, False)
    generator = build(node.generator)
    assert generator.config == EncoderDecoder(4, 3, skips=False, head="tanh", upsampling="bilinear").config
    assert (generator.config["width"], generator.config["blocks"], generator.config["dilation"]) == (64, 8, 2)
    discriminator = build(node.discriminator)
    assert all(hasattr(convolution, "parametrizations") for convolution in discriminator.convolutions)
    edges, makers = build(config.data.draw), build(config.data.train.makers)
    assert vars(edges) == vars(SparseEdges())
    assert vars(makers["colours"]) == vars(ColorDomain())
    assert vars(makers["mask"]) == vars(IrregularMask())
    assert config.data.validation.makers == config.data.train.makers
    assert (config.data.train.variants, config.data.validation.variants) == (64, 1)


def test_without_confusion_it_is_the_fixed_setting_and_nothing_else_differs() -> None:
    fixed, confused = (
        composed("train", f"experiment={name}", "data.root=here") for name in ("trials/pi_rec_fixed", "small/pi_rec")
    )
    assert vars(build(fixed.data.draw)) == vars(SparseEdges.fixed())
    for part in ("train", "validation"):
        assert vars(build(fixed.data[part].makers.colours)) == vars(ColorDomain.fixed())
    assert fixed.system == confused.system
    assert fixed.data.train.makers.mask == confused.data.train.makers.mask


def test_the_stand_in_has_all_that_the_phases_read() -> None:
    config = composed("train", "experiment=smoke/pi_rec").data
    photos, others = (build(config.stand_in[part]) for part in ("train", "validation"))
    assert isinstance(photos, PhotosWith)
    assert (len(photos), len(others)) == (64, 4)
    item = photos[17]
    assert [item[name].shape[0] for name in ("photo", "colours", "mask")] == [3, 3, 1]
    assert torch.equal(item["photo"], photos[1]["photo"])  # another variant of the same photo
    assert not torch.equal(item["mask"], photos[1]["mask"])


@pytest.mark.usefixtures("elsewhere")
def test_three_phases_resumed_exactly_leave_a_model_that_paints(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Interrupted in the second phase, on a batch that is then drawn anew: the same weights, bit for bit."""
    assert train_command.main([*SMALL, "run_dir=straight"]) == 0
    terms, calls = PIRecGAN.generator_losses, [0]

    def signalling(gan: PIRecGAN, batch: Batch, *options: Any) -> Batch:
        calls[0] += 1
        if calls[0] == 3:
            os.kill(os.getpid(), signal.SIGINT)
        return terms(gan, batch, *options)

    monkeypatch.setattr(PIRecGAN, "generator_losses", signalling)
    assert [train_command.main([*SMALL, "run_dir=interrupted"]) for _ in range(2)] == [130, 0]
    straight, resumed = (load_latest(tmp_path / name / "checkpoints") for name in ("straight", "interrupted"))
    assert straight["completed"] == resumed["completed"] == list(PHASES)
    for kind in ("generators", "discriminators"):
        for key, value in straight[kind]["pi_rec"].items():
            assert torch.equal(value, resumed[kind]["pi_rec"][key]), (kind, key)
    records = [record for record in read_metrics(tmp_path / "straight" / "metrics.jsonl") if record["kind"] == "train"]
    found = {record["stage"]: set(record["generator"]) for record in records}
    common = {"pi_rec/pixel", "pi_rec/adversarial", "pi_rec/feature"}
    assert found == {"imitation": common | {"pi_rec/style"}, "generating": common, "refinement": common}

    model = PIRec.from_pretrained(tmp_path / "straight" / "model")
    assert (model.size, model.info["system"], model.refines) == (32, "pi_rec", True)
    average = straight["ema"]["pi_rec"]["average"]["output.weight"]
    torch.testing.assert_close(model.generator.state_dict()["output.weight"], average, rtol=1e-3, atol=1e-3)
    photo = build(composed("train", *SMALL).data.stand_in.validation)[0]["photo"]
    assert model.reconstruct(photo).shape == (3, 32, 32)
    for phase in PHASES:
        assert (tmp_path / "straight" / "previews" / f"{phase}-0000002.png").is_file()


@pytest.mark.usefixtures("elsewhere")
def test_a_phase_in_a_run_of_its_own_starts_from_the_one_before(tmp_path: Path) -> None:
    """As the recipe does it: so that the model without refinement is kept beside the one with it."""
    first = ["stages=[imitation,generating]", "run_dir=first"]
    assert train_command.main([*SMALL, *first]) == 0
    second = [
        "stages=[refinement]",
        "run_dir=second",
        "init_from=first",
        "system.schedules.refinement.learning_rate=1e-9",
    ]
    assert train_command.main([*SMALL, *second]) == 0
    before, after = (PIRec.from_pretrained(tmp_path / name / "model") for name in ("first", "second"))
    assert (before.refines, after.refines) == (False, True)
    for key, value in before.generator.state_dict().items():
        torch.testing.assert_close(value, after.generator.state_dict()[key], atol=1e-3, rtol=1e-2)
    states = [load_latest(tmp_path / name / "checkpoints")["discriminators"]["pi_rec"] for name in ("first", "second")]
    kept = [key for key in states[0] if key.endswith("original")]
    assert kept
    for key in kept:  # the discriminator comes along
        torch.testing.assert_close(states[0][key], states[1][key], atol=1e-6, rtol=1e-6)


MODELS = {
    "pi_rec_refinement": ("generating", "longer", "refined"),
    "pi_rec_phases": ("unet", "alone", "generating", "longer", "refined"),
    "pi_rec_confusion": ("confused", "fixed"),
    "pi_rec_plus": ("paper", "plus"),
}


@pytest.mark.parametrize("name", MODELS)
def test_every_row_of_a_comparison_paints(name: str) -> None:
    """Each with what it draws and makes of a photo; `confused` and `fixed` rows are given the very same."""
    chosen = [f"models.{key}=FOLDER" for key in MODELS[name]]
    config = composed("compare", f"comparison={name}", "data.root=somewhere", *chosen)
    photo = ProceduralFaces(1, 32)[0]["photo"]
    model = PIRec(EncoderDecoder(4, 3, 4, 1, skips=False, head="tanh"), 32)
    given: dict[str, list[Tensor]] = {}
    for row, node in config.rows.items():
        batch = {key: maker(photo, 7)[None] for key, maker in build(node.makers).items()}
        if "draw" in node:
            batch["sketch"] = build(node.draw)(photo[None], seed=2026, epoch=0, index=[0])
        paint = build(node.paint) if "paint" in node else partial(model.from_batch, **node.get("options", {}))
        assert paint(batch).shape == (1, 3, 32, 32)
        given[row] = [batch[key] for key in sorted(batch)]
        assert node.get("model") in (*MODELS[name], None)
    for claim in config.claims:
        assert {claim.better, claim.worse} <= set(given)
        assert claim.metric in METRICS
        if claim.worse == claim.better.replace(", HC", ", no HC"):
            same = zip(given[claim.better], given[claim.worse], strict=True)
            assert all(torch.equal(one, other) for one, other in same)


def test_sparser_settings_of_the_confusion_table_are_sparser() -> None:
    rows = composed("compare", "comparison=pi_rec_confusion").rows
    faces = ProceduralFaces(4, 96)
    photos = torch.stack([faces[index]["photo"] for index in range(4)])
    ink, colours = {}, {}
    for name in ("detailed", "as fixed", "sparse both", "extremely sparse"):
        node = rows[f"{name}, HC"]
        ink[name] = float(build(node.draw)(photos, seed=0, epoch=0, index=range(4)).sum())
        flat = [build(node.makers.colours)(photo, 3) for photo in photos]
        colours[name] = sum(len(torch.unique(each.flatten(1), dim=1).T) for each in flat)
    assert ink["detailed"] > ink["as fixed"] > ink["sparse both"] > ink["extremely sparse"]
    assert colours["detailed"] > colours["as fixed"] > colours["sparse both"]


def test_the_recipes_runs_differ_in_what_their_names_say() -> None:
    runs = composed("recipe", "recipe=pi_rec", "data.cuhk=x").runs
    shared = ["experiment=small/pi_rec", "data.root=x", "system.pi_rec.generator.width=4"]
    made = {name: composed("train", *shared, *map(str, run.set)) for name, run in runs.items()}
    generators = {name: type(build(config.system.pi_rec.generator)) for name, config in made.items()}
    assert generators.pop("shoes_unet") is UNet
    assert [generators.pop(name) for name in ("shoes_plus", "faces_plus")] == [FromColours] * 2
    assert set(generators.values()) == {EncoderDecoder}

    def steps(*names: str) -> int:
        return sum(made[name].system.schedules[stage].iterations for name in names for stage in made[name].stages)

    assert steps("faces", "faces_refined") == steps("faces_fixed") == steps("faces_plus") == steps("shoes_plus")
    assert steps("shoes") == steps("shoes_alone") == steps("shoes_unet")
    assert vars(build(made["faces_fixed"].data.draw)) == vars(SparseEdges.fixed())
    assert vars(build(made["faces"].data.draw)) == vars(SparseEdges())
