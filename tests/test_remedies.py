"""Lines that mend what is missing: they are typed as they are, in a checkout and where the library is installed."""

from __future__ import annotations

import importlib.metadata
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from calisketch import remedies

ROOT = Path(__file__).resolve().parents[1]


def test_in_a_checkout_the_extra_is_installed_by_its_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(ROOT)
    assert remedies.install("app").endswith(" -m pip install -e '.[app]'")
    monkeypatch.chdir(tmp_path)
    assert remedies.install("app").endswith(f" -m pip install -e '{ROOT}[app]'")


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The library's metadata as a wheel has it, and no checkout around the package."""
    info = tmp_path / "site" / "calisketch-9.9.dist-info"
    info.mkdir(parents=True)
    lines = ["Metadata-Version: 2.4", "Name: calisketch", "Version: 9.9", "Requires-Dist: torch<3"]
    lines += [f"Provides-Extra: {extra}" for extra in ("app", "dev", "train")]
    lines += ["Requires-Dist: gradio<7,>=6.31; extra == 'app'", "Requires-Dist: tqdm>=4; extra == 'train'"]
    lines += ["Requires-Dist: old; python_version < '3' and extra == 'train'"]
    lines += ["Requires-Dist: calisketch[app,train]; extra == 'dev'", "Requires-Dist: ruff; extra == 'dev'"]
    (info / "METADATA").write_text("\n".join(lines) + "\n")
    monkeypatch.setattr(sys, "path", [str(tmp_path / "site")])
    monkeypatch.setattr(remedies, "_PACKAGE", tmp_path / "site" / "calisketch")
    return tmp_path


def test_where_it_is_installed_the_extra_s_packages_are_named(installed: Path) -> None:
    """Nothing of our name is published, so the line must not ask an index for it."""
    assert remedies.requirements("app") == ["gradio<7,>=6.31"]
    assert remedies.requirements("train") == ["tqdm>=4"], "a requirement of another Python is left out"
    assert set(remedies.requirements("dev")) == {"gradio<7,>=6.31", "tqdm>=4", "ruff"}
    line = remedies.install("app")
    assert shlex.split(line)[-2:] == ["install", "gradio<7,>=6.31"]
    assert "calisketch" not in line.replace(sys.executable, "")


def test_without_metadata_a_checkout_is_asked_for(installed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [])
    assert "checkout of calisketch" in remedies.install("train")
    with pytest.raises(importlib.metadata.PackageNotFoundError):
        remedies.requirements("train")


def test_an_extra_that_there_is_not_is_no_line(installed: Path) -> None:
    with pytest.raises(ValueError, match="has no extra 'everything'"):
        remedies.install("everything")


def test_every_line_asks_for_an_extra_that_there_is() -> None:
    extras = set(re.findall(r'^(\w+) = \["', (ROOT / "pyproject.toml").read_text(encoding="utf-8"), re.MULTILINE))
    asked = set()
    for path in (ROOT / "calisketch").rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        asked |= set(re.findall(r"remedies\.install\([\"'](\w+)[\"']\)", text))
        if path.name != "remedies.py":
            assert "pip install" not in text, f"{path.name} has a line of its own; use calisketch.remedies"
    assert {"app", "export", "train"} <= asked <= extras | {"train"}


def test_the_python_of_the_line_is_the_one_that_runs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    python = shlex.split(remedies.install("app"))[0]
    said = subprocess.run([python, "-c", "import sys; print(sys.prefix)"], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == sys.prefix
    other = tmp_path / "python"
    other.write_text("#!/bin/sh\n")
    other.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert shlex.split(remedies.install("app"))[0] == os.path.abspath(sys.executable)


@pytest.mark.parametrize(
    "value",
    [
        "data/photos256",
        "a b/c d",
        "it's",
        'a "b"',
        "x=(1,2)",
        "a,b",
        "[x]",
        "C:\\faces\\new",
        "ends\\",
        "é",
        "a$HOME`x`",
    ],
)
def test_an_override_comes_through_a_shell_and_hydra_as_it_is(value: str) -> None:
    parser = pytest.importorskip("hydra.core.override_parser.overrides_parser")
    (argument,) = shlex.split(remedies.override("out", value))
    override = parser.OverridesParser.create().parse_override(argument)
    assert override.key_or_group == "out"
    assert override.value() == value
