"""make installs what a target needs, and no more; without CUDA where there is no card and PyTorch's index answers."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib  # pytest brings it

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
INDEX = "https://download.pytorch.org/whl/cpu"
STAND_IN = """#!/bin/bash
# Stands in for python: says what it was asked, makes "virtual environments" of itself, and has or has not what the
# test says.
case "$*" in
  *"import sys; v ="*) exit 0 ;;
  "-m venv "*) mkdir -p "$3/bin" && cp "$0" "$3/bin/python" && cp "$0" "$3/bin/calisketch" ;;
  *"import torch"*) [ -n "$HAS_TORCH" ] ;;
  *"import urllib"*) [ -n "$REACHES" ] ;;
  *) echo "$(basename "$0") $*" >> "$LOG" ;;
esac
"""

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="needs make")


@pytest.fixture
def make(tmp_path: Path):
    """Runs a target with the stand-in in a checkout's copy of the Makefile; returns what was called, and all output."""
    python = tmp_path / "python3"
    python.write_text(STAND_IN)
    python.chmod(0o755)
    for name in ("Makefile", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path / name)
    (tmp_path / "conf" / "recipe").mkdir(parents=True)
    tools = [shutil.which(name) for name in ("bash", "sh", "mkdir", "cp", "touch", "uname", "basename", "test", "sed")]
    (tmp_path / "path").mkdir()
    for tool in tools:
        if tool is not None:
            (tmp_path / "path" / Path(tool).name).symlink_to(tool)

    def run(*targets: str, card: bool = False, **settings: str) -> tuple[list[str], str]:
        log = tmp_path / "log"
        log.write_text("")
        if card:
            (tmp_path / "path" / "nvidia-smi").symlink_to("/bin/true")
        environment = {"PATH": str(tmp_path / "path"), "LOG": str(log), "HOME": os.environ.get("HOME", "/"), **settings}
        command = [str(shutil.which("make")), *targets, f"PYTHON={python}"]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stdout + done.stderr
        return log.read_text().splitlines(), done.stdout + done.stderr

    return run


def installed(calls: list[str]) -> list[str]:
    """The extras that pip was asked for."""
    return [extra for call in calls for extra in re.findall(r"pip install .*\.\[(\w+)\]", call)]


@pytest.mark.parametrize(
    ("target", "extra"),
    [("studio", "app"), ("demo", "train"), ("smoke", "train"), ("install", "dev"), ("wheel", "dev"), ("docs", "docs")],
)
def test_a_target_installs_its_extra_once(make, target: str, extra: str) -> None:
    assert extra in PROJECT["optional-dependencies"]
    calls, _ = make(target)
    assert installed(calls) == [extra]
    again, _ = make(target)
    assert installed(again) == []


def test_the_tools_of_development_are_enough_for_the_other_targets(make) -> None:
    make("install")
    calls, _ = make("studio", "demo", "smoke")
    assert installed(calls) == []
    assert any(call.startswith("calisketch studio --model") for call in calls)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere PyPI's builds are without CUDA")
def test_without_a_card_pytorch_comes_without_cuda_where_its_index_answers(make) -> None:
    if Path("/proc/driver/nvidia/version").exists():
        pytest.skip("there is a card here")
    calls, said = make("studio", REACHES="1")
    assert f"--extra-index-url {INDEX}" in calls[0]
    assert f"--extra-index-url {INDEX}" in said, "what is done is shown"


def test_where_the_index_does_not_answer_that_is_told_and_pip_takes_what_there_is(make) -> None:
    calls, said = make("studio")
    assert installed(calls) == ["app"]
    assert "--extra-index-url" not in calls[0]
    if sys.platform == "linux" and not Path("/proc/driver/nvidia/version").exists():
        assert f"{INDEX} does not answer" in said


@pytest.mark.parametrize("settings", [{"card": True}, {"HAS_TORCH": "1"}])
def test_with_a_card_or_with_pytorch_there_nothing_is_added(make, settings: dict) -> None:
    calls, said = make("studio", REACHES="1", **settings)
    assert "--extra-index-url" not in calls[0]
    assert "does not answer" not in said


def test_the_versions_of_python_are_the_same_everywhere() -> None:
    first, last = re.fullmatch(r">=3\.(\d+),<3\.(\d+)", PROJECT["requires-python"]).groups()
    named = [line.rpartition("3.")[2] for line in PROJECT["classifiers"] if "Python :: 3." in line]
    assert named == [str(minor) for minor in range(int(first), int(last))]
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert f"(3, {first}) <= v <= (3, {int(last) - 1})" in makefile
    assert makefile.count(f"3.{first} to 3.{int(last) - 1}") == 2
    head = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()[0]
    assert f"for Python 3.{first} to 3.{int(last) - 1}" in head
