"""The training command with systems of one stage: from the preset to a model folder that paints."""

from __future__ import annotations

import os
import runpy
import signal
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from calisketch import CaliSketch
from calisketch.commands import train as train_command
from calisketch.networks import EncoderDecoder, UNet
from calisketch.stage import Batch
from calisketch.systems import Pix2Pix
from calisketch.training.checkpoint import load_checkpoint, load_latest
from calisketch.training.logging import read_metrics

pytestmark = pytest.mark.usefixtures("elsewhere")

FACES = "_target_:calisketch.datasets.ProceduralFaces,size:32"
COMMON = [
    "threads=1",
    "data.size=32",
    f"data.stand_in={{train:{{{FACES},count:4,seed:0}},validation:{{{FACES},count:2,seed:1}}}}",
    "batch_size=2",
    "log_every=1",
    "preview_every=3",
    "validate_every=2",
    "checkpoint_every=1",
    "precision=32-true",
    "wandb.mode=disabled",
    "run_dir=run",
]
PIX2PIX = [
    "system.schedules.pix2pix.iterations=3",
    "system.pix2pix.generator.width=4",
    "system.pix2pix.generator.depth=5",
    "system.pix2pix.discriminator.width=4",
]
ISN = [
    "system.schedules.isn.iterations=3",
    "network@system.isn.vgg=vgg19_random",
    "system.isn.vgg.width=2",
    "system.isn.generator.width=4",
    "system.isn.generator.blocks=1",
    "system.isn.discriminator.width=4",
]
SMALL = {
    "paper/pix2pix": PIX2PIX,
    "small/pix2pix": PIX2PIX,
    "smoke/pix2pix": PIX2PIX,
    "paper/isn_only": ISN,
    "small/isn_only": ISN,
}


def small(experiment: str, *more: str) -> list[str]:
    return [f"experiment={experiment}", *COMMON, *SMALL[experiment], *more]


@pytest.mark.parametrize("experiment", [name for name in SMALL if name != "smoke/pix2pix"])
def test_every_preset_trains_and_leaves_a_model_that_paints(experiment: str, tmp_path: Path) -> None:
    assert train_command.main(small(experiment, "data.draw.weights.contour=0")) == 0
    stage = "pix2pix" if SMALL[experiment] is PIX2PIX else "isn"
    state = load_latest(tmp_path / "run" / "checkpoints")
    assert (state["completed"], state["trained"]) == ([stage], [stage])
    records = [record for record in read_metrics(tmp_path / "run" / "metrics.jsonl") if record["kind"] == "train"]
    assert [record["step"] for record in records] == [1, 2, 3]
    terms = {f"{stage}/adversarial", f"{stage}/l1"}
    assert terms <= set(records[-1]["generator"])
    model = CaliSketch.from_pretrained(tmp_path / "run" / "model")
    assert isinstance(model.isn_generator, UNet if stage == "pix2pix" else EncoderDecoder)
    assert model.info["system"] == ("pix2pix" if stage == "pix2pix" else "isn_only")
    assert model.info["steps"] == {stage: 3}
    assert model.info["styles"] == ["xdog", "photocopy", "fdog"]
    key = "output.weight"
    average = state["ema"][stage]["average"][key]
    torch.testing.assert_close(model.isn_generator.state_dict()[key], average, rtol=1e-3, atol=1e-3)
    drawing = np.full((32, 32), 255, np.uint8)
    drawing[8:24, 12:14] = 0
    assert model.synthesize(drawing, align=False).shape == (32, 32, 3)


def test_pix2pix_interrupted_and_resumed_equals_uninterrupted_and_its_best_state_becomes_a_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bit for bit: dropout is drawn anew in every step, so the random generator has to stand where it stood."""
    command = small("smoke/pix2pix")
    assert train_command.main([*command, "run_dir=straight"]) == 0
    terms, calls = Pix2Pix.generator_losses, [0]

    def signalling(network: Pix2Pix, batch: Batch) -> Batch:
        calls[0] += 1
        if calls[0] == 2:
            os.kill(os.getpid(), signal.SIGINT)
        return terms(network, batch)

    monkeypatch.setattr(Pix2Pix, "generator_losses", signalling)
    assert [train_command.main([*command, "run_dir=interrupted"]) for _ in range(2)] == [130, 0]
    straight, resumed = (load_latest(tmp_path / name / "checkpoints") for name in ("straight", "interrupted"))
    for kind in ("generators", "discriminators"):
        for key, value in straight[kind]["pix2pix"].items():
            assert torch.equal(value, resumed[kind]["pix2pix"][key]), (kind, key)
    assert straight["plateau"] == resumed["plateau"]

    script = Path(train_command.__file__).resolve().parents[2] / "tools" / "save_model.py"
    best = tmp_path / "interrupted" / "checkpoints" / "best-pix2pix.safetensors"
    monkeypatch.setattr(sys, "argv", [str(script), str(best), "out"])
    runpy.run_path(str(script), run_name="__main__")
    model, state = CaliSketch.from_pretrained(tmp_path / "out"), load_checkpoint(best)
    average = state["ema"]["pix2pix"]["average"]["output.weight"]
    torch.testing.assert_close(model.isn_generator.state_dict()["output.weight"], average, rtol=1e-3, atol=1e-3)
    info = [model.info[key] for key in ("system", "steps", "styles")]
    assert info == ["pix2pix", {"pix2pix": state["step"]}, ["xdog", "photocopy", "fdog", "contour"]]


WRONG = {
    "data.size=48": "data.size must be at least 32 and divide by 32 for pix2pix; got 48. A smaller system.pix2pix.",
    "system.pix2pix.discriminator.in_channels=3": "system.pix2pix.discriminator does not take (2, 4, 32, 32)",
    "system.pix2pix.generator.out_channels=1": "system.pix2pix.generator must make 3 channels; got 1",
    "system.pix2pix=null": "system.pix2pix must be a group of settings; got null",
    "stages=[joint]": "stages must be a list of some of ['pix2pix']; got ['joint']",
}


@pytest.mark.parametrize("override", WRONG)
def test_a_wrong_value_is_named_and_nothing_is_made(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], override: str
) -> None:
    assert train_command.main(small("smoke/pix2pix", override)) == 1
    captured = capfd.readouterr()
    assert WRONG[override] in captured.err
    assert "Traceback" not in captured.err
    assert list(tmp_path.iterdir()) == []
