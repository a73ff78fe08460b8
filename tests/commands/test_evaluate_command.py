"""Evaluation by configuration: from a prepared folder and model folders to files, and wrong settings by their names."""

from __future__ import annotations

import inspect
import json
import os
import shutil
import sys
from pathlib import Path

import pytest
import torch
from PIL import Image

pytest.importorskip("hydra", reason="needs the extra `train`")

from omegaconf import OmegaConf

from calisketch import CaliSketch
from calisketch.__main__ import main as command_line
from calisketch.commands import evaluate as evaluate_command
from calisketch.commands.evaluate import main
from calisketch.commands.train_config import conf_dir
from calisketch.datasets import prepare_photos
from calisketch.datasets.drawn.drawn_face import draw_face
from calisketch.evaluation import evaluate
from calisketch.networks import EncoderDecoder

SIZE = 32


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    source = tmp_path_factory.mktemp("source")
    for index, split in enumerate(["train"] * 4 + ["val"] + ["test"] * 3):
        (source / split).mkdir(exist_ok=True)
        Image.fromarray(draw_face(SIZE, 5, index)[0]).save(source / split / f"{index}.png")
    out = tmp_path_factory.mktemp("prepared") / "photos32"
    prepare_photos(source, out, size=SIZE, contour="none", align=False, workers=0)
    return out


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    torch.manual_seed(0)
    tiny = CaliSketch(EncoderDecoder(1, 1, 4, 1), EncoderDecoder(1, 3, 4, 1, head="tanh"), SIZE)
    return str(tiny.save_pretrained(tmp_path_factory.mktemp("runs") / "tiny" / "model"))


@pytest.fixture(autouse=True)
def _no_weights(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("CALISKETCH_WEIGHTS", "CALISKETCH_CACHE", "TORCH_HOME"):
        monkeypatch.setenv(name, str(tmp_path / "none"))


def test_from_folders_to_files(
    prepared: Path, model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HYDRA_FULL_ERROR", raising=False)
    before = list(sys.argv)
    alone = CaliSketch(None, CaliSketch.from_pretrained(model).isn_generator, SIZE)
    alone.save_pretrained(tmp_path / "alone")
    arguments = [f"model=[{model},{tmp_path / 'alone'}]", f"data.root={prepared}", f"out={tmp_path / 'out'}"]
    assert main([*arguments, "resamples=100", "training=[train,validation]"]) == 0
    assert sys.argv == before
    assert "HYDRA_FULL_ERROR" not in os.environ
    said = capsys.readouterr().out
    assert "| tiny |" in said
    assert "| alone |" in said
    assert "not measured: lpips, since the weights 'lpips-alexnet' were not found" in said
    names = {path.name for path in (tmp_path / "out").iterdir()}
    pictures = {"test-synthetic-tiny.png", "test-synthetic-alone.png"}
    assert names == {"test-synthetic.json", "test-synthetic.md"} | pictures
    assert (tmp_path / "out" / "test-synthetic.md").read_text(encoding="utf-8") in said
    plain = json.loads((tmp_path / "out" / "test-synthetic.json").read_text(encoding="utf-8"))
    assert plain["protocol"]["training photos"] == "5, split photos32/train + photos32/validation"
    assert plain["protocol"]["sketches"]["test sketches"].startswith("not frozen: the photos are not those")
    assert (plain["protocol"]["split"], plain["protocol"]["N"], plain["protocol"]["size"]) == ("test", 3, SIZE)
    assert plain["protocol"]["precision"] == {"tiny": "fp32", "alone": "fp32"}


def test_models_and_metrics_are_where_the_configuration_says(
    prepared: Path, model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[object] = []

    def loading(model: str, device: object, **options: object) -> CaliSketch:
        asked.append(device)
        return load(model, **options)  # type: ignore[arg-type]

    def measuring(*given: object, device: object, **options: object) -> None:
        asked.append(device)
        raise ValueError("enough")

    load, there = CaliSketch.from_pretrained, torch.device("cuda", 1)
    monkeypatch.setattr(evaluate_command, "chosen_device", lambda name: asked.append(name) or there)
    monkeypatch.setattr(CaliSketch, "from_pretrained", loading)
    monkeypatch.setattr(evaluate_command, "evaluate", measuring)
    given = [f"model={model}", f"data.root={prepared}", f"out={tmp_path}"]
    assert main([*given, "device=cuda:1"]) == 1
    assert main(given) == 1
    assert asked == ["cuda:1", there, there, None, there, there]


def test_a_gpu_that_fails_says_what_else_there_is(capsys: pytest.CaptureFixture[str]) -> None:
    with (
        pytest.raises(
            evaluate_command.DeviceFailed, match=r"(?s)out of memory.*on cuda:1: give device=cpu, or a smaller"
        ),
        evaluate_command._told_of(torch.device("cuda", 1)),
    ):
        raise torch.OutOfMemoryError("CUDA out of memory")
    with pytest.raises(RuntimeError, match=r"^a bug$"), evaluate_command._told_of(torch.device("cpu")):
        raise RuntimeError("a bug")


def test_an_earlier_report_holds_or_its_differences_are_told(
    prepared: Path, model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    quick = [
        "metrics=[psnr,ssim]",
        "baselines=[]",
        "per_style=false",
        "resamples=100",
        f"training_root=[{prepared},{prepared}]",
    ]
    arguments = [f"model={model}", f"data.root={prepared}", f"out={tmp_path}", *quick]
    assert main(arguments) == 0
    earlier = tmp_path / "earlier.json"
    (tmp_path / "test-synthetic.json").rename(earlier)
    assert json.loads(earlier.read_text())["protocol"]["training photos"].startswith("8, ")
    assert main([*arguments, f"against={earlier}"]) == 0
    assert "all figures hold" in capsys.readouterr().out
    changed = json.loads(earlier.read_text())
    changed["tables"][0]["rows"][0]["figures"]["psnr"]["value"] += 0.1
    changed["tables"][0]["rows"][0]["figures"]["ssim"]["value"] += 0.001  # within what another processor may do
    changed["protocol"]["N"] = 4
    earlier.write_text(json.dumps(changed))
    assert main([*arguments, f"against={earlier}"]) == 1
    told = capsys.readouterr().out.rsplit("2 figures differ", 1)[1].strip().splitlines()
    assert [line.split(": ")[0] for line in told] == ["N", "faces, tiny, psnr"]
    beside = {**changed["tables"][0]["rows"][0], "name": "another, contour"}
    changed["tables"][0]["rows"].append(beside)
    changed["protocol"]["models"]["another"] = {}
    changed["protocol"]["strength"]["another"] = 0.0
    earlier.write_text(json.dumps(changed))
    assert main([*arguments, f"against={earlier}"]) == 1, "rows of a model that is not measured now are passed over"
    assert "2 figures differ" in capsys.readouterr().out
    del changed["protocol"]["models"]["tiny"]
    earlier.write_text(json.dumps(changed))
    assert main([*arguments, f"against={earlier}"]) == 1
    assert "the earlier report is of another; this one of tiny" in capsys.readouterr().err
    for other in ({}, {**changed, "format": "another"}, {**changed, "tables": [{"key": "faces"}]}):
        earlier.write_text(json.dumps(other))
        assert main([*arguments, f"against={earlier}"]) == 1
        assert "against must be a JSON file that an evaluation wrote" in capsys.readouterr().err
    written = tmp_path / "test-synthetic.json"
    before = written.read_bytes()
    assert main([*arguments, f"against={written}"]) == 1
    assert "is the file that this report goes to; give another out" in capsys.readouterr().err
    assert written.read_bytes() == before


def test_training_people_without_drawings_do_for_all_but_the_nearest_drawing(
    prepared: Path, model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "drawn"
    shutil.copytree(prepared, folder)
    manifest = json.loads((folder / "manifest.json").read_text())
    for name, entry in manifest["entries"].items():
        if entry["split"] == "test":
            Image.fromarray(draw_face(SIZE, 5, 0)[0]).convert("L").save(folder / "artist" / "page.png")
            manifest["entries"][name]["files"]["artist"] = {"path": "artist/page.png", "sha256": "not checked"}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    given = [f"model={model}", f"data.root={folder}", f"out={tmp_path / 'out'}", "track=artist", "resamples=100"]
    assert main([*given, "baselines=[mean_face]"]) == 0
    plain = json.loads((tmp_path / "out" / "test-artist.json").read_text())
    assert plain["protocol"]["training photos"] == "4, split drawn/train"
    assert main(given) == 1
    assert "no photos in split 'train' with an artist drawing" in capsys.readouterr().err


def test_a_metric_asked_for_by_name_says_how_to_get_its_weights(
    prepared: Path, model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([f"model={model}", f"data.root={prepared}", "metrics=[psnr,fid]", f"out={tmp_path / 'out'}"]) == 1
    assert "weights.fetch('inception')" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("track=drawn", "track must be one of synthetic, artist; got 'drawn'"),
        ("split=all", "split must be one of train, validation, test; got 'all'"),
        ("mode=grey", "mode must be one of paper, edgeconnect; got 'grey'"),
        ("metrics=[ssim,psrn]", "metrics must be some of"),
        ("baselines=[median]", "baselines must be some of"),
        ("seed=soon", "seed must be a whole number"),
        ("batch_size=0", "batch_size must be a whole number, at least 1; got 0"),
        ("strength=2", "strength must be in [0, 1]; got 2"),
        ("per_style=2", "per_style must be true or false; got 2"),
        ("model=[]", "model must be a model's name or folder"),
        ("model=nowhere", "no model 'nowhere'"),
        ("mixture={wieghts: {}}", "mixture takes weights, simplify, deform and ranges"),
        ("mixture={weights: {pastel: 1}}", "unknown styles"),
        ("precision=fp8", "precision must be one of"),
        ("device=gpu", "cannot compute on the device 'gpu'"),
        ("device=cuda:99", "cannot compute on the device 'cuda:99'"),
        ("device=7", "device must be a device's name, such as cpu, cuda or mps, or null; got 7"),
        ("track=artist", "with an artist drawing"),
        ("split=train", "training holds split train of"),
        ("training=[train,test]", "training holds split test of"),
        ("training_root=7", "training_root must be a prepared folder"),
        ("against=7", "against must be a report's JSON file; got 7"),
        ("+size=64", "unknown or missing: ['size']"),
        ("sise=64", "sise"),
        ("data=null", "evaluate.yaml"),
    ],
)
def test_wrong_settings_are_named(
    override: str, words: str, prepared: Path, model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = [f"data.root={prepared}", f"model={model}", f"out={tmp_path / 'out'}"]
    kept = [each for each in given if override.split("=")[0] not in (each.split("=")[0], "data")]
    assert main([*kept, override]) == 1
    said = capsys.readouterr().err
    assert words in said
    assert "Traceback" not in said
    assert not (tmp_path / "out").exists()


def test_a_folder_that_is_not_given_is_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 1
    assert "data.root must be given" in capsys.readouterr().err


def test_photos_of_another_size_than_the_models_are_refused(
    prepared: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert main([f"data.root={prepared}", f"out={tmp_path / 'out'}"]) == 1
    assert "prepared at size 32, expected 256" in capsys.readouterr().err


def test_the_shipped_file_has_the_defaults_of_the_library() -> None:
    shipped = OmegaConf.to_container(OmegaConf.load(conf_dir() / "evaluate.yaml"))
    assert isinstance(shipped, dict)
    parameters = inspect.signature(evaluate).parameters
    same = ("track", "strength", "seed", "mixture", "metrics", "baselines", "per_style", "batch_size", "resamples")
    for name in same:
        default = parameters[name].default
        assert shipped[name] == (list(default) if isinstance(default, tuple) else default), name


def test_the_command_line_hands_its_arguments_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluate_command, "main", lambda argv: 7 if argv == ["track=artist", "seed=1"] else 0)
    assert command_line(["evaluate", "track=artist", "seed=1"]) == 7
