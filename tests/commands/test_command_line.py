"""python -m calisketch: files and folders, bad ones among them."""

from __future__ import annotations

import argparse
import builtins
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import warm_start
from PIL import Image

import calisketch
from calisketch import CaliSketch, commands
from calisketch.__main__ import main
from calisketch.networks import EncoderDecoder

pytestmark = pytest.mark.usefixtures("one_thread")

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    torch.manual_seed(0)
    tiny = CaliSketch(EncoderDecoder(1, 1, 4, 1), EncoderDecoder(1, 3, 4, 1, head="tanh"), 32)
    return str(tiny.save_pretrained(tmp_path_factory.mktemp("model")))


@pytest.fixture
def sketches(tmp_path: Path) -> Path:
    folder = tmp_path / "sketches"
    (folder / "more").mkdir(parents=True)
    for name, source in (("a.png", "woman-bob"), ("b.png", "man-fringe"), ("more/a.png", "man-glasses")):
        Image.open(EXAMPLES / f"{source}.png").resize((64, 64)).save(folder / name)
    return folder


def test_a_folder_is_calibrated_with_its_subfolders(model: str, sketches: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert main(["calibrate", str(sketches), "--out", str(out), "--model", model]) == 0
    assert sorted(str(path.relative_to(out)) for path in out.rglob("*.png")) == ["a.png", "b.png", "more/a.png"]
    with Image.open(out / "a.png") as image:
        assert (image.mode, image.size) == ("L", (64, 64))


def test_what_is_written_is_what_the_library_answers(model: str, sketches: Path, tmp_path: Path) -> None:
    options = ["--strength", "0.5", "--no-align", "--polarity", "dark_on_light", "--page", "no", "--refined"]
    assert main(["synthesize", str(sketches / "a.png"), "--out", str(tmp_path), "--model", model, *options]) == 0
    face, refined = CaliSketch.from_pretrained(model).synthesize(
        sketches / "a.png", 0.5, True, align=False, polarity="dark_on_light", page=False
    )
    assert np.array_equal(np.asarray(Image.open(tmp_path / "a.png")), np.asarray(face))
    assert np.array_equal(np.asarray(Image.open(tmp_path / "a-refined.png")), np.asarray(refined))


def test_bad_files_are_listed_and_the_rest_goes_on(
    model: str, sketches: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (sketches / "bad.png").write_text("no image")
    Image.new("L", (64, 64), 255).save(sketches / "blank.png")
    (tmp_path / "empty").mkdir()
    inputs = [str(sketches), str(tmp_path / "missing.png"), str(tmp_path / "empty")]
    assert main(["synthesize", *inputs, "--out", str(tmp_path / "out"), "--model", model]) == 1
    said = capsys.readouterr()
    assert "3 of 7 done, 4 failed" in said.out
    for words in ("bad.png is not an image", "blank.png is a blank page", "missing.png", "no image files"):
        assert words in said.err
    assert len(list((tmp_path / "out").rglob("*.png"))) == 3


def test_no_input_and_no_other_result_is_overwritten(model: str, sketches: Path) -> None:
    shutil.copy(sketches / "a.png", sketches / "b.bmp")
    before = {path: path.read_bytes() for path in sketches.rglob("*") if path.is_file()}
    inputs = [str(sketches / name) for name in ("a.png", "more/a.png", "b.png")]
    for command, suffix in (("calibrate", "-calibrated"), ("synthesize", "-face")):
        assert main([command, *inputs, "--out", str(sketches), "--model", model]) == 0
        assert all(path.read_bytes() == content for path, content in before.items())
        new = sorted(path.name for path in sketches.glob(f"*{suffix}*"))
        assert new == [f"a{suffix}-2.png", f"a{suffix}.png", f"b{suffix}.png"]


def test_two_inputs_of_one_name_get_two_results(model: str, sketches: Path, tmp_path: Path) -> None:
    inputs = [str(sketches / "a.png"), str(sketches / "more" / "a.png")]
    assert main(["calibrate", *inputs, "--out", str(tmp_path / "out"), "--model", model]) == 0
    names = sorted((tmp_path / "out").iterdir())
    assert [path.name for path in names] == ["a-2.png", "a.png"]
    assert names[0].read_bytes() != names[1].read_bytes()


def test_verbose_says_how_each_sketch_was_read(model: str, sketches: Path, tmp_path: Path) -> None:
    command = ["-m", "calisketch", "calibrate", str(sketches / "a.png"), "--model", model]
    for extra, said in (["--verbose"], True), ([], False):
        run = warm_start.run([*command, "--out", str(tmp_path), *extra], timeout=300)
        assert run.returncode == 0, run.stderr
        assert ("a.png: dark on light" in run.stderr) is said


def test_a_file_named_twice_is_done_once(model: str, sketches: Path, tmp_path: Path) -> None:
    inputs = [str(sketches / "a.png"), str(sketches), str(sketches / "more" / ".." / "b.png")]
    assert main(["calibrate", *inputs, "--out", str(tmp_path / "out"), "--model", model]) == 0
    assert len(list((tmp_path / "out").rglob("*.png"))) == 3


def test_an_out_that_is_a_file_is_refused(
    model: str, sketches: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("kept")
    assert main(["calibrate", str(sketches), "--out", str(tmp_path / "file"), "--model", model]) == 2
    assert "Give another one" in capsys.readouterr().err
    assert (tmp_path / "file").read_text() == "kept"


def test_results_inside_the_input_folder_are_no_inputs_of_the_next_run(model: str, sketches: Path) -> None:
    arguments = ["calibrate", str(sketches), "--out", str(sketches / "out"), "--model", model]
    assert main(arguments) == main(arguments) == 0
    assert len(list((sketches / "out").rglob("*.png"))) == 3


def test_arguments_that_make_no_sense_are_refused(
    model: str, sketches: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["calibrate", str(sketches), "--out", str(tmp_path), "--model", "nobody"]) == 2
    assert "no model 'nobody'" in capsys.readouterr().err
    for wrong in (["--strength", "2"], ["--strength", "much"], ["--polarity", "grey"], ["--device"]):
        with pytest.raises(SystemExit) as stopped:
            main(["calibrate", str(sketches), "--out", str(tmp_path), "--model", model, *wrong])
        assert stopped.value.code == 2
    assert main([]) == 2
    assert "calibrate" in capsys.readouterr().out


def test_train_hands_its_arguments_over(monkeypatch: pytest.MonkeyPatch) -> None:
    train_command = pytest.importorskip("calisketch.commands.train", reason="needs the extra `train`")
    monkeypatch.setattr(
        train_command, "main", lambda argv: 7 if argv == ["experiment=smoke/cali_sketch", "seed=1"] else 0
    )
    assert main(["train", "experiment=smoke/cali_sketch", "seed=1"]) == 7


def test_train_without_the_extra_names_it(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    real_import = builtins.__import__

    def refuse(name: str, *rest: Any) -> Any:
        if name.split(".")[0] in ("hydra", "omegaconf"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return real_import(name, *rest)

    for name in [name for name in sys.modules if name.startswith(("calisketch.commands.train", "hydra"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delattr(commands, "train", raising=False)
    monkeypatch.setattr(builtins, "__import__", refuse)
    assert main(["train", "experiment=smoke/cali_sketch"]) == 2
    assert "[train]" in capsys.readouterr().err


def test_the_module_runs_and_knows_its_version() -> None:
    run = subprocess.run(
        [sys.executable, "-m", "calisketch", "--version"], capture_output=True, text=True, check=True, timeout=300
    )
    assert run.stdout.strip() == f"calisketch {calisketch.__version__}"


def test_hydra_s_arguments_pass_the_checks_of_python_3_14(monkeypatch: pytest.MonkeyPatch) -> None:
    """It looks for "%" in every help text, and one of Hydra's is an object."""
    entry = pytest.importorskip("calisketch.commands.hydra_entry", reason="needs the extra `train`")

    def strict(parser: Any, action: argparse.Action) -> None:
        assert not action.help or "%(nonsense)s" not in action.help

    monkeypatch.setattr(argparse._ActionsContainer, "_check_help", strict, raising=False)
    assert entry.exit_status("train", lambda cfg: cfg.batch_size, ["experiment=smoke/cali_sketch", "batch_size=3"]) == 3
    assert argparse._ActionsContainer._check_help is strict, "as it was"
