"""The two commands: their arguments, their report and their exit status."""

from __future__ import annotations

import runpy
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("hydra")


@pytest.fixture
def run(root: Path, monkeypatch: pytest.MonkeyPatch):
    """Runs a tool in this process, since a new one spends seconds on imports; returns what it exits with."""

    def run_tool(tool: str, *arguments: str) -> int | str | None:
        script = str(root / "tools" / tool)
        monkeypatch.setattr(sys, "argv", [script, "contour=none", "workers=0", *arguments])
        with pytest.raises(SystemExit) as caught:
            runpy.run_path(script, run_name="__main__")
        return caught.value.code

    return run_tool


def test_prepare_cuhk_takes_a_list_of_sources_and_reports(root: Path, release: Path, tmp_path: Path) -> None:
    photos, sketches = release / "CUHK_training_cropped_photos.zip", release / "CUHK_training_cropped_sketches.zip"
    (release / "CUHK_testing_cropped_photo" / "holiday.jpg").write_bytes(b"x")
    sources = f"source=[{photos},{sketches},{release / 'CUHK_testing_cropped_photo'}]"
    done = subprocess.run(
        [sys.executable, str(root / "tools" / "prepare_cuhk.py"), sources, "out=out", "size=32", "contour=none"],
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


def test_prepare_reports_success_and_settings_that_differ(run, release: Path, tmp_path: Path, capsys) -> None:
    source = release / "CUHK_testing_cropped_photo"
    arguments = [f"source={source}", f"out={tmp_path / 'out'}", "align=false"]
    assert run("prepare.py", *arguments, "size=32") == 0
    assert "1 made" in capsys.readouterr().out
    assert "size: prepared with 32, now 48" in run("prepare.py", *arguments, "size=48")


def test_a_forgotten_source_is_asked_for(run) -> None:
    assert "source must be given" in run("prepare.py")
