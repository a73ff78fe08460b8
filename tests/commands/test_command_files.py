"""Files of a command: what lies beside an input is found by its place, and results have free names."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from calisketch.commands.files import Beside, answer_all


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def draw(*names: str) -> None:
    for name in names:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (16, 16), 128).save(name)


def beside(*inputs: str, given: str = "flat") -> Beside:
    return Beside(Path(given), [Path(each) for each in inputs], "colours", "Add one.")


@pytest.mark.usefixtures("here")
def test_what_lies_at_the_same_place_belongs_to_an_input() -> None:
    draw("lines/a/x.png", "lines/b/x.png", "flat/a/x.webp", "flat/b/x.png", "flat/b/y.z.png")
    both = beside("lines")
    assert both.of(Path("lines/a/x.png")) == Path("flat/a/x.webp")
    assert both.of(Path("lines/b/x.png")) == Path("flat/b/x.png")
    assert beside("lines/b").of(Path("lines/b/y.z.png")) == Path("flat/b/y.z.png")
    assert both.of(Path("lines/b/../a/x.png")) == Path("flat/a/x.webp")
    draw("flat/b/x.bmp")
    assert beside("lines").of(Path("lines/b/x.png")) == Path("flat/b/x.png"), "of its own kind, where there are two"


@pytest.mark.usefixtures("here")
def test_elsewhere_the_only_one_of_its_name_does() -> None:
    draw("lines/a/x.png", "flat/x.png", "flat/deep/y.png")
    assert beside("lines").of(Path("lines/a/x.png")) == Path("flat/x.png")
    assert beside("y.png").of(Path("y.png")) == Path("flat/deep/y.png")
    assert beside("lines", given="flat/x.png").of(Path("anything.png")) == Path("flat/x.png")


@pytest.mark.usefixtures("here")
def test_none_and_several_are_said() -> None:
    draw("lines/a/x.png", "lines/b/x.png", "flat/a/x.png", "flat/c/z.png", "flat/d/z.png", "flat/e.bmp", "flat/e.gif")
    with pytest.raises(FileNotFoundError, match=r"y\.png has no colours: there is no picture a/y in flat.* Add one\."):
        beside("lines").of(Path("lines/a/y.png"))
    with pytest.raises(FileNotFoundError, match="no picture b/x in flat, nor a spare one called x"):
        beside("lines").of(Path("lines/b/x.png"))  # the only x there is that of another drawing
    with pytest.raises(
        ValueError, match=r"lines/z\.png: which colours .*flat/c/z\.png, flat/d/z\.png\. Keep it as flat/z"
    ):
        beside("lines").of(Path("lines/z.png"))
    with pytest.raises(ValueError, match=r"flat/e\.bmp, flat/e\.gif"):
        beside("lines").of(Path("lines/e.png"))


def test_results_may_be_files_of_any_kind_and_layers_share_the_name(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    draw("in/a.png", "in/more/b.bmp", "in/more/b.png")
    assert answer_all([Path("in")], Path("out"), "-x", lambda path: {"": b"123", "top/": b"4"}, ending=".bin") == 0
    names = sorted(str(path.relative_to(here / "out")) for path in (here / "out").rglob("*.*"))
    plain = ["a.bin", "more/b-2.bin", "more/b.bin"]
    assert names == [*plain, *(f"top/{name}" for name in plain)]
    assert "in/a.png -> out/a.bin (3 bytes)" in capsys.readouterr().out
    assert (
        answer_all([Path("out/top")], Path("out"), "-x", lambda path: {"": b"5"}, endings=(".bin",), ending=".x") == 0
    )
    assert (here / "out" / "more" / "b-2.x").read_bytes() == b"5"
    assert answer_all([Path("in")], Path("o"), "-x", lambda path: {"": b""}, endings=(".bin",)) == 1
    assert "in: no such files in this folder; looked for .bin" in capsys.readouterr().err
