"""--help of the commands that conf/ configures: in our words, from the files' comments, with examples that work."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from calisketch.__main__ import COMMANDS, GROUPS, main, overview
from calisketch.commands import conf_files, help_pages
from calisketch.commands.conf_files import choices, conf_dir, settings, summary

FILES = [path for group in ("experiment", "comparison") for path in sorted((conf_dir() / group).rglob("*.yaml"))]


@pytest.mark.parametrize("arguments", [[], ["--help"], ["-h"]])
def test_without_a_command_each_is_told_in_its_group(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == (0 if arguments else 2)
    said = capsys.readouterr().out
    assert said == overview() + "\n"
    assert len(said.splitlines()) <= 40, "an overview"
    for group, commands in GROUPS.items():
        assert f"{group}:" in said
        for name, command in commands.items():
            assert f"  {name} " in said
            assert command.does in said


def test_the_commands_are_those_of_the_grammar() -> None:
    named = "synthesize calibrate studio prepare prepare-cuhk prepare-pairs train evaluate compare export publish"
    assert list(COMMANDS) == [*named.split(), "pi-rec", "x-gans", "sketcher"]


@pytest.mark.parametrize("wrong", ["paint", "reconstruct", "decompress", "draw", "--out", "evalaute"])
def test_what_is_no_command_is_refused(wrong: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([wrong]) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"calisketch: there is no command {wrong!r}.")
    assert "calisketch --help" in said
    assert ("Did you mean evaluate?" in said) is (wrong == "evalaute")


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_explains_itself_with_an_example(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    try:
        status = main([name, "--help"])
    except SystemExit as stopped:  # argparse's
        status = int(stopped.code or 0)
    said = capsys.readouterr().out
    assert status == 0
    assert said.startswith(f"usage: calisketch {name} ")
    assert re.search(rf"Examples?:\s+calisketch {name} \S", said)
    assert "Hydra" not in " ".join(said.split()).replace("--hydra-help what else Hydra takes", "")


def test_help_needs_neither_hydra_nor_a_second(tmp_path: Path) -> None:
    """A person looks a command up before the extra is installed."""
    code = (
        "import sys; sys.modules.update(dict.fromkeys(['hydra', 'omegaconf', 'yaml']))\n"
        "from calisketch.__main__ import main\n"
        "for name in ('train', 'prepare', 'evaluate', 'compare'): main([name, '--help'])\n"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, timeout=300)
    assert run.returncode == 0, run.stderr
    assert run.stdout.count("usage: calisketch ") == 4


def test_the_keys_stand_with_their_defaults_and_comments() -> None:
    said = help_pages.text("train")
    for line in (
        r"run_dir=runs/\$\{name\} +the run's folder",
        r"init_from +start from the weights",
        r"batch_size=8 +\w",
    ):
        assert re.search(rf"^  {line}", said, re.MULTILINE), line
    said = help_pages.text("prepare")
    for key in settings(conf_dir() / "prepare.yaml"):
        assert re.search(rf"^  {key}=", said, re.MULTILINE), key


def test_every_experiment_stands_by_its_group_with_a_sentence() -> None:
    said = help_pages.text("train")
    places = [said.index(f"\n  {name}") for name in choices("experiment")]
    assert len(places) > 40
    assert places == sorted(places)
    assert {name.partition("/")[0] for name in choices("experiment")} == {"own", "paper", "small", "smoke", "trials"}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(conf_dir()).as_posix())
def test_every_file_begins_with_what_it_is_for(path: Path) -> None:
    said = summary(path)
    assert 15 < len(said) <= 260, said
    assert said[-1] in ".?:", said
    assert "calisketch " not in said, "a command is no sentence"


def test_settings_are_what_yaml_reads() -> None:
    yaml = pytest.importorskip("yaml")
    pytest.importorskip("omegaconf")
    from omegaconf import OmegaConf

    for name in ("train", "evaluate", "compare", "prepare", "prepare_cuhk", "prepare_pairs", "data/photos"):
        path = conf_dir() / f"{name}.yaml"
        plain = OmegaConf.load(path)
        for key, setting in settings(path).items():
            value = OmegaConf.to_container(plain, resolve=False)
            for part in key.split("."):
                value = value[part]
            if setting.value:
                assert yaml.safe_load(setting.value) == value, key


def test_a_group_s_comment_and_a_value_with_a_hash_are_told_apart(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text(
        "# One. Two.\na:  # of a\n  b: 'c#d'   # of b\n  # of\n  # e\n  e: [1, 2]\nhydra:\n  run: x\n# no\n\nf:\n"
    )
    found = settings(tmp_path / "x.yaml", "p.")
    assert [(each.name, each.value, each.comment) for each in found.values()] == [
        ("p.a", "", "of a"),
        ("p.a.b", "'c#d'", "of b"),
        ("p.a.e", "[1, 2]", "of e"),
        ("p.f", "", ""),
    ]
    assert summary(tmp_path / "x.yaml") == "One."


@pytest.mark.parametrize("command", sorted(help_pages.PAGES))
def test_the_examples_compose(command: str) -> None:
    """They are given to Hydra as a shell hands them on; what is left to fail is a folder that is not there."""
    pytest.importorskip("hydra")
    from hydra import compose, initialize_config_dir

    page = help_pages.PAGES[command]
    for arguments in page.examples:
        overrides = [each for each in shlex.split(arguments) if each != "--multirun"]
        overrides = [each.replace("range(0,4)", "0") for each in overrides if not each.startswith("hydra/")]
        with initialize_config_dir(str(conf_files.conf_dir()), version_base="1.3"):
            cfg = compose(page.file, overrides=[each.replace("models.", "+models.") for each in overrides])
        assert cfg
