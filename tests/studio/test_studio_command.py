"""python -m calisketch studio: what it offers, and what it says where it cannot start."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from calisketch import CaliSketch, remedies
from calisketch.__main__ import main
from calisketch.commands import studio as studio_command
from calisketch.networks import EncoderDecoder
from calisketch.studio import serve as serving

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    torch.manual_seed(0)
    tiny = CaliSketch(EncoderDecoder(1, 1, 4, 1), EncoderDecoder(1, 3, 4, 1, head="tanh"), 32)
    return str(tiny.save_pretrained(tmp_path_factory.mktemp("models") / "tiny"))


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """What the server would have been started with."""
    calls: list[tuple[Any, ...]] = []
    monkeypatch.setattr(serving, "serve", lambda *given, **named: calls.append((*given, named)))
    return calls


def one_line(capsys: pytest.CaptureFixture[str]) -> str:
    said = capsys.readouterr().err
    assert said.startswith("calisketch: ")
    assert said.count("\n") == 1, said
    return said


def test_it_serves_the_models_by_their_names_on_this_machine_alone(model: str, served: list[tuple[Any, ...]]) -> None:
    assert main(["studio", "--model", model, "--model", "cuhk-small-256", "--port", "7999", "--open"]) == 0
    ((models, host, port, named),) = served
    assert list(models) == ["tiny", "cuhk-small-256"]
    assert all(isinstance(each, CaliSketch) for each in models.values())
    assert (host, port, named) == ("127.0.0.1", 7999, {"in_browser": True})


def test_without_a_model_it_offers_the_one_in_the_package(served: list[tuple[Any, ...]]) -> None:
    assert main(["studio"]) == 0
    assert list(served[0][0]) == ["cuhk-small-256"]
    assert served[0][2] is None


def test_models_of_one_name_are_told_apart() -> None:
    given = ["a/face", "b/face", "a/face", "runs/plus/model", "https://host/models/face#sha256=00"]
    assert studio_command.named(given) == {
        "face": "a/face",
        "face 2": "b/face",
        "plus": "runs/plus/model",
        "face 3": "https://host/models/face#sha256=00",
    }


@pytest.mark.parametrize("made", [False, True], ids=["missing", "no model"])
def test_a_folder_that_is_no_model_is_told_in_one_line(
    made: bool, tmp_path: Path, served: list[tuple[Any, ...]], capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "nothing"
    if made:
        folder.mkdir()
    assert main(["studio", "--model", str(folder)]) == 1
    assert str(folder) in one_line(capsys)
    assert not served


def test_a_port_that_is_taken_is_told_in_one_line(model: str, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        assert main(["studio", "--model", model, "--port", str(port)]) == 1
    said = one_line(capsys)
    assert str(port) in said
    assert "--port" in said


def test_without_gradio_it_names_the_extra(
    model: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "gradio", None)
    assert main(["studio", "--model", model]) == 1
    assert remedies.install("app") in one_line(capsys)


@pytest.mark.parametrize("port", ["0", "65536", "x"])
def test_a_port_out_of_range_is_refused(port: str) -> None:
    with pytest.raises(SystemExit) as refused:
        main(["studio", "--port", port])
    assert refused.value.code == 2


def test_ctrl_c_ends_it_quietly(
    model: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*given: Any, **named: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(serving, "serve", interrupted)
    assert main(["studio", "--model", model]) == 0
    assert capsys.readouterr().err == "\n"


def test_the_command_line_s_help_does_not_import_gradio() -> None:
    code = "import sys, calisketch.__main__; sys.exit('gradio' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], timeout=120).returncode == 0
