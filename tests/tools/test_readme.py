"""The README's commands, run one after the other as a person types them: trainings in miniature."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
import warm_start
from PIL import Image, ImageOps

from calisketch.__main__ import main

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib  # pytest brings it

ROOT = Path(__file__).resolve().parents[2]
BLOCKS = re.findall(r"^```(sh|python)\n(.*?)^```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL | re.M)
LINES = [line for language, block in BLOCKS if language == "sh" for line in block.splitlines()]
PEOPLE = {"train": ["f-005-01", "f-006-01", "f-007-01"], "validation": ["f-007-01"], "test": ["m1-007-01", "m1-008-01"]}
NARROW = [f"system.{network}.{part}.width=8" for network in ("scn", "isn") for part in ("generator", "discriminator")]
STEPS = [f"system.schedules.{stage}.iterations=1" for stage in ("scn", "isn", "joint")]
#: What makes a command quick, by its first words; nothing else of it is changed.
MINIATURE = {
    "train experiment=small/cali_sketch": ["batch_size=1", STEPS[2], "preview_samples=1", "precision=32-true"],
    "prepare-cuhk": ["size=64", "split=few.json"],
    "train experiment=paper/cali_sketch": ["batch_size=2", "data.size=64", *STEPS, *NARROW, "wandb.mode=disabled"],
    "evaluate": ["metrics=[psnr]", "baselines=[mean_face]", "per_style=false", "frozen=false", "resamples=100"],
}


def test_the_readme_has_no_command_that_is_not_tried_here() -> None:
    known = ("pip install ", "python -c ", "make ", "calisketch ")
    assert all(line.startswith(known) for line in LINES)
    assert {line.split()[1] for line in LINES if line.startswith("calisketch ")} == {
        *("studio", "synthesize", "calibrate", "prepare", "train", "prepare-cuhk", "evaluate"),
    }
    assert len([language for language, _ in BLOCKS if language == "python"]) == 1


def test_what_the_readme_installs_and_makes_is_there() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    for line in LINES:
        words = shlex.split(line, comments=True)
        if words[0] == "make":
            assert re.search(rf"^{words[1]}:", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE), line
        elif words[0] == "pip" and "torch" not in words:
            assert set(re.findall(r"\w+", words[2])) <= set(extras), line


@pytest.mark.slow
def test_the_commands_of_the_readme_do_what_it_says(
    tmp_path: Path,
    elsewhere: None,
    shared_weights: Path,
    cuhk_root: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    served: list[Any] = []
    monkeypatch.setattr("calisketch.studio.serve.serve", lambda models, *_, **options: served.append((models, options)))
    (tmp_path / "examples").mkdir()
    shutil.copy(ROOT / "examples" / "woman-bob.png", tmp_path / "examples")
    (tmp_path / "models").symlink_to(ROOT / "models")
    _few_people_of_cuhk(tmp_path, cuhk_root)
    for language, block in BLOCKS:
        if language == "python":
            _python("-c", block)
            assert Image.open("face.png").size == Image.open("examples/woman-bob.png").size
            continue
        for line in block.splitlines():
            words = shlex.split(line, comments=True)
            if words[:2] == ["python", "-c"]:
                _python(*words[1:])
            elif words[0] == "calisketch":
                if words[1] == "prepare":
                    _photos_of_faces(tmp_path / "faces", tmp_path / "my-photos")
                more = [more for start, more in MINIATURE.items() if line.startswith(f"calisketch {start}")]
                assert main([*words[1:], *(more[0] if more else [])]) == 0, (line, capsys.readouterr().err[-2000:])
    ((models, options),) = served
    assert [*models] == ["cuhk-small-256"]
    assert options["in_browser"]
    assert [path.name for path in (tmp_path / "faces").iterdir()] == ["woman-bob.png"]
    assert [path.name for path in (tmp_path / "calibrated").iterdir()] == ["woman-bob.png"]
    for run in ("small", "paper"):
        assert (tmp_path / "runs" / run / "cali_sketch" / "model" / "config.json").is_file()
    report = json.loads((tmp_path / "outputs" / "evaluation" / "test-synthetic.json").read_text(encoding="utf-8"))
    assert report["protocol"]["N"] == 2


def _python(*arguments: str) -> None:
    done = warm_start.run(arguments, cwd=Path.cwd(), env=os.environ, timeout=300)
    assert done.returncode == 0, done.stderr


def _photos_of_faces(faces: Path, folder: Path) -> None:
    """Painted faces stand for photos: in these, too, the eyes can be found."""
    folder.mkdir()
    (path,) = faces.iterdir()
    with Image.open(path) as face:
        face.convert("RGB").save(folder / "one.jpg", quality=95)
        ImageOps.mirror(face.convert("RGB")).save(folder / "two.jpg", quality=95)


def _few_people_of_cuhk(folder: Path, cuhk: Path) -> None:
    """A release of a few people, and the split that names them."""
    split = json.loads((ROOT / "data" / "cuhk_split.json").read_text(encoding="utf-8"))
    (folder / "few.json").write_text(json.dumps({**split, **PEOPLE}))
    for kind in ("photos", "sketches"):
        (folder / "CUHK" / kind).mkdir(parents=True)
        for name in (name for names in PEOPLE.values() for name in names):
            (path,) = (cuhk / kind).glob(f"{name}*")
            shutil.copy(path, folder / "CUHK" / kind)
