"""What a type checker tells of the public calls: `typed_calls.py` says on each line what it is to say there."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest

import calisketch

CALLS = Path(__file__).with_name("typed_calls.py")
ARRAY = r"numpy\.ndarray\[tuple\[Any, \.\.\.\], numpy\.dtype\[(Any|[\w.]+\[[\w.]+\])\]\]"


@pytest.fixture(scope="module")
def said(root: Path) -> dict[int, list[str]]:
    """mypy's messages on each line."""
    api = pytest.importorskip("mypy.api", reason="mypy is not installed: pip install mypy")
    output, faults, _ = api.run(["--config-file", str(root / "pyproject.toml"), "--no-error-summary", str(CALLS)])
    assert not faults, faults
    found: dict[int, list[str]] = {}
    for line in output.splitlines():
        place = re.match(rf".*{CALLS.name}:(\d+): (.*)", line)
        assert place, line
        found.setdefault(int(place[1]), []).append(place[2])
    return found


@pytest.mark.slow
def test_mypy_tells_the_kind_of_each_answer_and_refuses_wrong_calls(said: dict[int, list[str]]) -> None:
    for number, line in enumerate(CALLS.read_text().splitlines(), 1):
        call, _, expected = line.partition("  # ")
        messages = said.pop(number, [])
        if expected == "refused":
            assert any(message.startswith("error: ") for message in messages), line
        elif call.startswith("reveal_type"):
            (revealed,) = messages
            plain = re.sub(
                r"numpy\.ndarray\[tuple\[Any, \.\.\.\], numpy\.dtype\[(Any|[\w.]+\[[\w.]+\])\]\]", "ndarray", revealed
            )
            assert re.sub(r"[\w.]+\.(\w+)", r"\1", plain) == f'note: Revealed type is "{expected}"', line
        else:
            assert not messages, line
    assert not said


def test_help_shows_every_option_of_the_module_functions_with_an_explanation() -> None:
    for function in (calisketch.calibrate, calisketch.synthesize):
        told = inspect.signature(function)
        assert all(each.kind is not inspect.Parameter.VAR_KEYWORD for each in told.parameters.values())
        explained = f"{calisketch.calibrate.__doc__}\n{function.__doc__}"
        for name in told.parameters:
            assert re.search(rf"^\s+({name}|[\w, ]+, {name}|{name}, [\w, ]+): \S", explained, re.MULTILINE), name
