from __future__ import annotations

import io
import json
import os
import re
import sys
import warnings
from pathlib import Path

import pytest
from PIL import Image

from calisketch.training.logging import MetricsFile, Terminal, Tracker, flatten, read_metrics

RECORD = {"stage": "scn", "step": 3, "total": 3, "generator": {"scn/contour": 2.5}, "images_per_second": 4.0}


def test_metrics_are_on_the_disk_line_by_line_and_without_nan(tmp_path: Path):
    path = tmp_path / "metrics.jsonl"
    metrics = MetricsFile(path)
    metrics.write({**RECORD, "gradient_norm": {"scn": float("inf")}})
    line = json.loads(path.read_text())  # before it is closed
    assert line["gradient_norm"] == {"scn": None}
    assert line["generator"] == {"scn/contour": 2.5}
    metrics.close()


def test_resuming_removes_later_steps_and_a_torn_line(tmp_path: Path):
    path = tmp_path / "metrics.jsonl"
    metrics = MetricsFile(path)
    for total in range(1, 6):
        metrics.write({"total": total})
    metrics.close()
    with open(path, "a") as file:
        file.write('{"total": 6, "lo')
    assert [record["total"] for record in read_metrics(path)] == [1, 2, 3, 4, 5]
    metrics = MetricsFile(path, total=3)
    metrics.write({"total": 4})
    metrics.close()
    assert [json.loads(line)["total"] for line in path.read_text().splitlines()] == [1, 2, 3, 4]


def test_plain_lines_where_there_is_no_terminal_and_a_bar_where_there_is():
    plain = io.StringIO()
    terminal = Terminal(stream=plain)
    terminal.begin("scn", 10, 0)
    terminal.advance()
    terminal.show(3, RECORD)
    terminal.end()
    assert re.fullmatch(r"scn 3/10  scn/contour 2\.5  4 images/s  00:00 left\n", plain.getvalue())

    class Console(io.StringIO):
        def isatty(self) -> bool:
            return True

    console = Console()
    terminal = Terminal(stream=console)
    terminal.begin("scn", 10, 4)
    terminal.advance()
    terminal.show(5, RECORD)
    terminal.say("a message")
    terminal.end()
    shown = console.getvalue()
    assert "a message\n" in shown
    assert "5/10" in shown
    assert "scn/contour 2.5" in shown
    assert re.search(r"<\d\d:\d\d", shown), "the bar shows the time left"


def test_quiet_says_nothing():
    stream = io.StringIO()
    terminal = Terminal(quiet=True, stream=stream)
    terminal.begin("scn", 10, 0)
    terminal.show(1, RECORD)
    terminal.say("a message")
    assert stream.getvalue() == ""


def test_flatten_joins_names():
    assert flatten({"a": {"b": {"c": 1}}, "d": 2}) == {"a/b/c": 1, "d": 2}


def test_disabled_tracking_leaves_nothing(tmp_path: Path):
    tracker = Tracker("disabled", tmp_path)
    tracker.log(RECORD, 3)
    tracker.close()
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_mode_is_answered_with_those_there_are(tmp_path: Path):
    with pytest.raises(ValueError, match=r"wandb\.mode must be one of \['auto', 'online', 'offline', 'disabled'\]"):
        Tracker("sometimes", tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["auto", "online"])
def test_without_a_key_tracking_goes_offline_and_asks_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: str
):
    pytest.importorskip("wandb")
    for name in [name for name in os.environ if name.startswith("WANDB")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("NETRC", str(tmp_path / "no-netrc"))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(sys, "stdin", None)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        tracker = Tracker(mode, tmp_path, name="trial", config={"a": {"b": 1}})
        tracker.log(RECORD, 3)
        tracker.picture("preview/scn", Image.new("RGB", (8, 8)), 3)
        tracker.close()
    ours = [
        str(warning.message)
        for warning in caught
        if "W&B" in str(warning.message) or "wandb.mode" in str(warning.message)
    ]
    assert ours == ([] if mode == "auto" else ["wandb.mode=online, but no key is configured: logging offline."])
    assert list((tmp_path / "wandb").glob("offline-run-*/*.wandb"))
    assert (tmp_path / "wandb-id").read_text()


def test_a_failing_tracker_becomes_one_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    class Broken:
        def log(self, *arguments: object, **options: object) -> None:
            raise ConnectionError("no route")

    tracker = Tracker("disabled", tmp_path)
    tracker._run = Broken()
    with pytest.warns(UserWarning, match="W&B is left out of this run: ConnectionError: no route") as caught:
        tracker.log(RECORD, 1)
    assert len(caught) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tracker.log(RECORD, 2)
        tracker.close()
    monkeypatch.setitem(sys.modules, "wandb", None)  # not installed
    with pytest.warns(UserWarning, match="W&B is left out"):
        Tracker("offline", tmp_path).log(RECORD, 1)


def test_a_full_disk_leaves_the_figures_of_before_and_says_so(small_disk: Path):
    path = small_disk / "metrics.jsonl"
    path.write_text(json.dumps({"total": 1, "note": "x" * 5_000_000}) + "\n")
    with pytest.raises(OSError, match=r"metrics\.jsonl cannot be written: .*No space left.*same command again"):
        MetricsFile(path, total=1)
    assert [path.name for path in small_disk.iterdir()] == ["metrics.jsonl"]
    assert read_metrics(path)[0]["total"] == 1
