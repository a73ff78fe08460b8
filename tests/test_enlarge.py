"""A model of twice the side: made by tools/enlarge.py, trained on, exported."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from composing import composed

from calisketch import CaliSketch, train_command
from calisketch.export import export_folder
from calisketch.networks import CoarseToFine, EncoderDecoder

TOOLS = Path(__file__).resolve().parents[1] / "tools"
SMALL = [
    "threads=1",
    "data.size=64",
    "data.stand_in.train.count=4",
    "data.stand_in.validation.count=2",
    "batch_size=2",
    "log_every=1",
    "preview_every=2",
    "validate_every=2",
    "checkpoint_every=2",
    *(f"system.{name}.{role}.width=4" for name in ("scn", "isn") for role in ("generator", "discriminator")),
    *(f"system.{name}.generator.blocks=1" for name in ("scn", "isn")),
    *(f"system.{name}.generator._target_=calisketch.networks.CoarseToFine" for name in ("scn", "isn")),
    *(f"+system.{name}.generator.fine_width=3" for name in ("scn", "isn")),
    "system.schedules.joint.iterations=2",
    "system.isn.vgg.width=2",
    "stages=[joint]",
]
COMMAND = ["experiment=smoke", *SMALL, "run_dir=run", "init_from=start"]


@pytest.fixture
def small(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    networks = EncoderDecoder(1, 1, 4, 1), EncoderDecoder(1, 3, 4, 1, head="tanh")
    return CaliSketch(*networks, 32, {"name": "small"}).save_pretrained(tmp_path / "small")


def enlarge(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> None:
    monkeypatch.setattr(sys, "argv", ["enlarge.py", *map(str, arguments)])
    runpy.run_path(str(TOOLS / "enlarge.py"), run_name="__main__")


def test_the_tool_makes_a_model_folder_of_twice_the_side(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    enlarge(monkeypatch, small, tmp_path / "large", "--fine-width", 3)
    assert "init_from=" in capsys.readouterr().out
    old, new = (CaliSketch.from_pretrained(folder, precision="fp32") for folder in (small, tmp_path / "large"))
    assert new.size == 64
    assert new.info == {"name": "large", "enlarged": "small of 32 px, not trained yet"}
    assert isinstance(new.scn_generator, CoarseToFine)
    kept = new.isn_generator.state_dict()
    for name, weight in old.isn_generator.state_dict().items():
        assert torch.equal(kept[name], weight), name
    drawing = np.full((100, 80), 255, np.uint8)
    drawing[16:48, 24:28] = 0
    assert new.synthesize(drawing).shape == (100, 80, 3)
    with pytest.raises(SystemExit, match="is enlarged; got CoarseToFine"):
        enlarge(monkeypatch, tmp_path / "large", tmp_path / "larger")
    assert not (tmp_path / "larger").exists()


@pytest.mark.usefixtures("elsewhere")
def test_a_model_is_trained_on_at_twice_the_side(
    small: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    enlarge(monkeypatch, small, "start", "--fine-width", 2)
    assert train_command.main(COMMAND) == 1
    assert "is not the one configured here (fine_width: 2 -> 3)" in capfd.readouterr().err
    enlarge(monkeypatch, small, "start", "--fine-width", 3)
    assert CaliSketch.from_pretrained("start").isn_generator.config["head"] == "tanh"
    assert train_command.main(COMMAND) == 0
    assert "isn: weights from start" in capfd.readouterr().err
    made = CaliSketch.from_pretrained("run/model").isn_generator
    assert isinstance(made, CoarseToFine)
    assert made.fine_output.weight.abs().max() > 0


def test_the_recipe_starts_where_its_table_compares(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(TOOLS))
    import recipe

    parts = dict(recipe.parts(composed("recipe", "recipe=fine", "data.cuhk=photos", f"out={tmp_path}")))
    tables = [part for name in ("cuhk_synthetic", "cuhk_artist") for part in (f"{name}, before it", name)]
    assert list(parts) == ["large, before it", "large", "fine", "pix2pix", *tables]
    start = parts["large, before it"][-1]
    large, fine = (composed("train", *parts[name][2:]) for name in ("large", "fine"))
    assert large.init_from == start
    assert fine.init_from == f"{large.run_dir}/model"
    assert [each.system.isn.generator.head for each in (large, fine)] == ["tanh", "tanh_chroma4"]
    assert fine.system.isn.discriminator._target_.endswith(".FeatureDiscriminator")
    checkpoint, best = parts["cuhk_synthetic, before it"][-2:]
    assert checkpoint == f"{fine.run_dir}/checkpoints/best-joint.safetensors"
    models = [best, f"{large.run_dir}/model", start, f"{tmp_path}/pix2pix/model"]
    assert list(composed("evaluate", *parts["cuhk_synthetic"][2:]).model) == models


@pytest.mark.usefixtures("elsewhere")
def test_training_goes_on_with_smooth_colours_from_a_model_without(
    small: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    enlarge(monkeypatch, small, "start", "--fine-width", 3)
    assert train_command.main([*COMMAND, "system.isn.generator.head=sigmoid"]) == 1
    assert "is not the one configured here (head: tanh -> sigmoid)" in capfd.readouterr().err
    features = ["network@system.isn.discriminator=features", "system.isn.discriminator.vgg_width=2"]
    features += ["accumulate=2", "precision=bf16-mixed", "system.isn.generator.head=tanh_chroma4"]
    assert train_command.main([*COMMAND, *features]) == 0
    assert CaliSketch.from_pretrained("run/model").isn_generator.config["head"] == "tanh_chroma4"
    assert train_command.main(["experiment=smoke", *SMALL, "run_dir=back", "init_from=run/model"]) == 1
    assert "is not the one configured here (head: tanh_chroma4 -> tanh)" in capfd.readouterr().err


@pytest.mark.parametrize("head", ["tanh", "tanh_chroma4"])
def test_its_onnx_file_answers_as_the_model_does(head: str, tmp_path: Path) -> None:
    for package in ("onnx", "onnxscript", "onnxruntime"):
        pytest.importorskip(package)
    torch.manual_seed(0)
    isn = CoarseToFine(1, 3, 4, 1, head=head, fine_width=3)
    torch.nn.init.normal_(isn.fine_output.weight, 0, 0.1)
    model = CaliSketch(CoarseToFine(1, 1, 4, 1, fine_width=3), isn, 64)
    made = export_folder(model.save_pretrained(tmp_path / "model"), tmp_path / "onnx")  # compares each with the model
    assert sorted(made) == ["cali_sketch", "isn", "scn"]
