"""A model of twice the side: made by tools/enlarge.py, trained on, exported."""

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
from calisketch.export import export_folder
from calisketch.networks import CoarseToFine, EncoderDecoder

TOOLS = Path(__file__).resolve().parents[2] / "tools"
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
COMMAND = ["experiment=smoke/cali_sketch", *SMALL, "run_dir=run", "init_from=start"]


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
    made = [f"cuhk_synthetic, before it, {number} of 3" for number in (1, 2, 3)]
    order = ["large, before it", "large", "fine", "lpips", "features, before it", "features", "pix2pix", *made]
    assert list(parts) == [*order, "cuhk_synthetic", "cuhk_artist"]
    start = parts["large, before it"][-1]
    runs = {name: composed("train", *parts[name][2:]) for name in ("large", "fine", "lpips", "features")}
    large, fine, lpips, features = runs.values()
    assert large.init_from == start
    assert fine.init_from == lpips.init_from == f"{large.run_dir}/model"
    heads = ["tanh", "tanh_chroma4", "tanh_chroma4", "tanh_chroma4"]
    assert [each.system.isn.generator.head for each in runs.values()] == heads
    discriminators = ["SNPatchGAN", "FeatureDiscriminator", "SNPatchGAN", "FeatureDiscriminator"]
    assert [each.system.isn.discriminator._target_.rpartition(".")[2] for each in runs.values()] == discriminators
    for each in (lpips, features):
        isn = each.system.isn
        assert (isn.perceptual_weight, isn.style_weight, isn.lpips_weight, isn.l1_weight) == (0, 0, 0.7, 10)
        assert each.validate_every == 50
    schedule = features.system.schedules.joint
    assert (schedule.iterations, schedule.learning_rate) == (150, 1e-4)
    best = f"{tmp_path}/lpips_best"
    assert parts["features, before it"][-2:] == [f"{lpips.run_dir}/checkpoints/best-joint.safetensors", best]
    assert features.init_from == best
    smoothed, (checkpoint, fine_best) = parts[made[0]][-1], parts[made[1]][-2:]
    assert parts[made[0]][2] == f"{large.run_dir}/model"
    assert checkpoint == f"{fine.run_dir}/checkpoints/best-joint.safetensors"
    averaged = parts[made[2]][2:]
    assert averaged[:3] == [f"{features.run_dir}/model", best, f"{lpips.run_dir}/model"]
    assert (averaged[3], averaged[-2]) == ("--shares", "--out")
    shipped = CaliSketch.from_pretrained("cuhk-small-256").info["mean of"]
    assert [float(share) for share in averaged[4:-2]] == list(shipped.values())
    models = [averaged[-1], averaged[0], best, fine_best, smoothed, f"{large.run_dir}/model", start]
    models.append(f"{tmp_path}/pix2pix/model")
    assert list(composed("evaluate", *parts["cuhk_synthetic"][4:]).model) == models
    assert list(composed("evaluate", *parts["cuhk_artist"][4:]).model) == [models[0], fine_best, models[-1]]


def test_what_is_made_before_is_made_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(TOOLS))
    import recipe

    def listed(*more: str) -> list[str]:
        cfg = composed("recipe", "recipe=fine", "data.cuhk=photos", f"out={tmp_path}", "only=[cuhk_artist]", *more)
        return [name for name, _ in recipe.parts(cfg)]

    (tmp_path / "fine_best").mkdir()
    (tmp_path / "fine_best" / "config.json").write_text("{}")
    assert listed() == [*(f"cuhk_artist, before it, {number} of 3" for number in (1, 3)), "cuhk_artist"]
    for wrong in ("[save_model.py]", "[[save_model.py]]", "[save_model.py,[a,b]]", "[[save_model.py,[a,b]]]"):
        with pytest.raises(recipe.RecipeError, match=r"before cuhk_artist expected \[TOOL, ARGUMENT, ..., FOLDER\]"):
            listed(f"tables.cuhk_artist.before={wrong}")


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
    assert train_command.main(["experiment=smoke/cali_sketch", *SMALL, "run_dir=back", "init_from=run/model"]) == 1
    assert "is not the one configured here (head: tanh_chroma4 -> tanh)" in capfd.readouterr().err


@pytest.mark.parametrize("head", ["tanh", "tanh_chroma4"])
def test_its_onnx_file_answers_as_the_model_does(head: str, tmp_path: Path) -> None:
    for package in ("onnx", "onnxscript", "onnxruntime"):
        pytest.importorskip(package)
    torch.manual_seed(0)
    isn = CoarseToFine(1, 3, 4, 1, head=head, fine_width=3)
    torch.nn.init.normal_(isn.fine_output.weight, 0, 0.1)
    scn = None if head == "tanh" else CoarseToFine(1, 1, 4, 1, fine_width=3)  # a graph takes seconds: each of them once
    model = CaliSketch(scn, isn, 64)
    made = export_folder(model.save_pretrained(tmp_path / "model"), tmp_path / "onnx")  # compares each with the model
    assert sorted(made) == (["isn"] if scn is None else ["cali_sketch", "isn", "scn"])
