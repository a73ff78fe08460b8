"""calisketch prepare, prepare-cuhk, prepare-pairs: their arguments, their report and their exit status."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from made_up_release import all_pairs, write_release
from PIL import Image

from calisketch.__main__ import main
from calisketch.datasets.drawn.drawn_face import draw_face
from calisketch.datasets.manifest import read_manifest

pytest.importorskip("hydra")
PLAIN = ["contour=none", "workers=0", "size=32"]


@pytest.fixture
def release(tmp_path: Path) -> Path:
    return write_release(tmp_path / "release", all_pairs())


def test_prepare_cuhk_takes_a_list_of_sources_and_reports(release: Path, tmp_path: Path) -> None:
    photos, sketches = release / "CUHK_training_cropped_photos.zip", release / "CUHK_training_cropped_sketches.zip"
    (release / "CUHK_testing_cropped_photo" / "holiday.jpg").write_bytes(b"x")
    sources = f"source=[{photos},{sketches},{release / 'CUHK_testing_cropped_photo'}]"
    done = subprocess.run(
        [sys.executable, "-m", "calisketch", "prepare-cuhk", sources, "out=out", "size=32", "contour=none"],
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
        cwd=tmp_path,
    )
    assert "4 made" in done.stdout, done.stdout + done.stderr
    assert "holiday.jpg belongs to no subject" in done.stdout
    assert done.returncode == 1
    assert {path.name for path in tmp_path.iterdir()} == {"release", "out"}, "hydra left something behind"


def test_prepare_reports_success_and_settings_that_differ(
    release: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = release / "CUHK_testing_cropped_photo"
    arguments = ["prepare", *PLAIN[:2], f"source={source}", f"out={tmp_path / 'out'}", "align=false"]
    assert main([*arguments, "size=32"]) == 0
    assert "1 made" in capsys.readouterr().out
    assert main([*arguments, "size=48"]) == 1
    assert "size: prepared with 32, now 48" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["prepare", "prepare-cuhk", "prepare-pairs"])
def test_a_forgotten_source_is_asked_for(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([command, *PLAIN]) == 1
    said = capsys.readouterr().err
    assert said.startswith("error: source must be given, for example ")
    assert "Traceback" not in said


def test_prepare_pairs_takes_photos_with_their_drawings(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for folder in ("photos", "sketches"):
        (tmp_path / "mine" / folder).mkdir(parents=True)
    for index in range(3):
        photo, contour = draw_face(64, 0, index)
        Image.fromarray(photo).save(tmp_path / "mine" / "photos" / f"{index}.png")
        drawing = Image.fromarray(255 - np.round(contour * 255).astype(np.uint8))
        drawing.save(tmp_path / "mine" / "sketches" / f"{index}.png")
    source = [f"source={tmp_path / 'mine'}", f"out={tmp_path / 'out'}"]
    assert main(["prepare-pairs", *PLAIN, "align=false", *source]) == 0
    assert "3 made" in capsys.readouterr().out
    manifest = read_manifest(tmp_path / "out")
    assert manifest is not None


@pytest.mark.parametrize("launcher", ["basic", "joblib"])
def test_shards_are_made_by_one_command(
    launcher: str, release: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In this process, or in two; then the folder is whole, and a shard that fails is told without a traceback."""
    if launcher == "joblib":
        pytest.importorskip("hydra_plugins.hydra_joblib_launcher", reason="needs the extra scale")
    monkeypatch.chdir(tmp_path)
    several = [
        "prepare",
        "--multirun",
        *PLAIN[:2],
        "align=false",
        "shard=0,1",
        "shards=2",
        f"hydra/launcher={launcher}",
    ]
    source = [f"source={release / 'CUHK_testing_cropped_photo'}", "out=out"]
    assert main([*several, *source, "size=32"]) == 0
    assert read_manifest(tmp_path / "out") is not None
    assert main([*several, *source, "size=48"]) == 1
    said = capfd.readouterr().err
    assert "error: " in said
    assert "size: prepared with 32, now 48" in said
