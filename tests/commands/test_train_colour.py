"""The training command with colours: from the preset, or from a model without colour, to a model that takes them."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from composing import composed

from calisketch import CaliSketch
from calisketch.commands import train as train_command
from calisketch.training.checkpoint import load_latest

pytestmark = pytest.mark.usefixtures("elsewhere")

FACES = "_target_:calisketch.datasets.ProceduralFaces,size:32"
SMALL = [
    "threads=1",
    "data.size=32",
    f"data.stand_in.train.photos={{{FACES},count:4,seed:0}}",
    f"data.stand_in.validation.photos={{{FACES},count:2,seed:1}}",
    "data.train.makers.colours.domain.blur=[9,15]",
    "batch_size=2",
    "log_every=1",
    "preview_every=2",
    "validate_every=2",
    "checkpoint_every=2",
    *(f"system.{name}.{role}.width=4" for name in ("scn", "isn") for role in ("generator", "discriminator")),
    *(f"system.{name}.generator.blocks=1" for name in ("scn", "isn")),
    *(f"system.schedules.{stage}.iterations=2" for stage in ("scn", "isn", "joint")),
    "system.isn.vgg.width=2",
]
PLAIN = [each for each in SMALL if not each.startswith("data.")]
PLAIN += ["data.size=32", "data.stand_in.train.count=4", "data.stand_in.validation.count=2"]


def test_a_model_without_colour_is_trained_on_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    assert train_command.main(["experiment=smoke/cali_sketch", *PLAIN, "run_dir=plain"]) == 0
    colour = ["experiment=smoke/colour", *SMALL, "stages=[joint]"]
    assert train_command.main([*colour, "run_dir=refused", "init_from=plain/model"]) == 1
    assert "init_from: network 'isn' of plain/model is not the one configured here" in capfd.readouterr().err

    tool = Path(train_command.__file__).resolve().parents[2] / "tools" / "add_colour.py"
    monkeypatch.setattr(sys, "argv", ["add_colour.py", "plain/model", "start"])
    runpy.run_path(str(tool), run_name="__main__")
    still = "system.schedules.joint.learning_rate=1e-12"  # so small that the weights stay those they started from
    assert train_command.main([*colour, still, "run_dir=colour", "init_from=start"]) == 0
    said = capfd.readouterr().err
    assert "isn: weights from start" in said
    assert "scn: weights from start" in said
    started, made = (CaliSketch.from_pretrained(folder).isn_generator for folder in ("start", "colour/model"))
    for one, other in zip(started.parameters(), made.parameters(), strict=True):
        torch.testing.assert_close(one, other, atol=1e-6, rtol=0)


def test_all_stages_run_from_nothing_and_the_model_takes_colours(tmp_path: Path) -> None:
    assert train_command.main(["experiment=smoke/colour", *SMALL, "run_dir=run"]) == 0
    state = load_latest(tmp_path / "run" / "checkpoints")
    assert state is not None
    assert state["completed"] == ["scn", "isn", "joint"]
    assert state["data"]["train"] == 16, "four colourings of four photos"
    assert any((tmp_path / "run" / "previews").iterdir())
    model = CaliSketch.from_pretrained(tmp_path / "run" / "model")
    assert model.takes_colours
    drawing = np.full((32, 32), 255, np.uint8)
    drawing[8:24, 12:14] = 0
    colours = np.zeros((32, 32, 4), np.uint8)
    colours[:16] = (200, 30, 30, 255)
    assert model.synthesize(drawing, colours=colours, align=False).shape == (32, 32, 3)


WRONG = {
    "system.isn.generator.in_channels=1": "ColourLed maps 5 channels to 3 by a tanh head; got 1 to 3",
    "data.train.makers.colours.absent=2": "absent must be a share in [0, 1]; got 2",
}


@pytest.mark.parametrize("override", WRONG)
def test_a_wrong_value_is_named_and_nothing_is_made(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], override: str
) -> None:
    assert train_command.main(["experiment=smoke/colour", *SMALL, override, "run_dir=run"]) == 1
    said = capfd.readouterr().err
    assert WRONG[override] in said
    assert "Traceback" not in said
    assert list(tmp_path.iterdir()) == []


def test_photos_without_colours_are_refused_with_the_remedy(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert (
        train_command.main(
            ["experiment=smoke/cali_sketch", *PLAIN, "system.isn.generator.in_channels=5", "stages=[isn]"]
        )
        == 1
    )
    assert "takes colours (generator.in_channels is 5), and the batch has none" in capfd.readouterr().err


def test_the_recipe_widens_its_start_once_and_trains_from_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(Path(train_command.__file__).resolve().parents[2] / "tools"))
    import recipe

    cfg = composed("recipe", "recipe=colour", "data.cuhk=photos", f"out='{tmp_path}/it is here'")
    parts = dict(recipe.parts(cfg))
    assert list(parts) == ["colour, before it", "colour", "colour_table"]
    start = parts["colour, before it"]
    assert [Path(start[1]).name, *start[2:]] == [
        "add_colour.py",
        "models/cuhk-small-128",
        f"{tmp_path}/it is here/start",
    ]
    training = composed("train", *parts["colour"][2:])
    assert training.init_from == start[-1]
    assert (training.system.isn.generator.in_channels, training.stages) == (5, ["joint"])
    Path(start[-1]).mkdir(parents=True)
    assert next(iter(dict(recipe.parts(cfg)))) == "colour, before it", "an empty folder is no model"
    (Path(start[-1]) / "config.json").write_text("{}")
    assert list(dict(recipe.parts(cfg))) == ["colour", "colour_table"], "widened once"
