"""Preparation by several processes: byte for byte what one gives, a killed one redone alone, nothing half-written."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import warm_start
from PIL import Image
from preparing import TAR, dates, prepare, tree

from calisketch.datasets import PreparedPhotos, prepare_cuhk
from calisketch.datasets.drawn.drawn_face import draw_face
from calisketch.datasets.shard_journal import PREPARING, Journal, journal_state


def command(root: Path, source: Path, out: Path, *more: str) -> list[str]:
    options = ["size=32", "contour=none", "align=false", f"source={source}", f"out={out}"]
    return ["-m", "calisketch", "prepare", *more, *options]


@pytest.mark.parametrize("form", [{}, TAR], ids=["folder", "tar"])
def test_shards_in_any_order_give_byte_for_byte_what_one_process_gives(
    source: Path, tmp_path: Path, form: dict[str, Any]
) -> None:
    whole = prepare(source, tmp_path / "one", **form)
    reports = [prepare(source, tmp_path / "many", shard=shard, shards=4, **form) for shard in (2, 0, 3, 1)]
    assert tree(tmp_path / "one") == tree(tmp_path / "many")
    assert sum(report.made for report in reports) == whole.made == 10
    assert [report.finished for report in reports] == [False, False, False, True]
    assert reports[-1].splits == whole.splits
    problems = [problem for report in reports for problem in report.problems]
    assert [Path(problem.file).name for problem in problems] == ["03.png"]


def test_cuhk_in_shards_is_cuhk(release: Path, tmp_path: Path, splits: dict[str, str]) -> None:
    options: dict[str, Any] = {"size": 32, "contour": "none", "workers": 0, **TAR, "tar_photos": 1}
    prepare_cuhk(release, tmp_path / "one", splits, **options)
    for shard in range(2):
        prepare_cuhk(release, tmp_path / "two", splits, shard=shard, shards=2, **options)
    assert tree(tmp_path / "one") == tree(tmp_path / "two")
    assert len(PreparedPhotos(tmp_path / "two", "train", track="artist")) == 2


def test_missing_shards_are_said_by_the_report_and_by_the_dataset(source: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    report = prepare(source, out, shard=1, shards=4)
    expected = "shards 0, 2, 3 of 4 are not done: run the same command with --multirun shard=0,2,3"
    assert expected in str(report)
    with pytest.raises(FileNotFoundError, match="shards 0, 2, 3 of 4 are not done"):
        PreparedPhotos(out)
    prepare(source, out, shard=0, shards=4)
    prepare(source, out, shard=2, shards=4)
    with pytest.raises(FileNotFoundError, match="shard 3 of 4 is not done: run the same command with shard=3"):
        PreparedPhotos(out)


def copies(source: Path, count: int) -> Path:
    """A folder with a few photos, many times."""
    source.mkdir()
    for index in range(4):
        Image.fromarray(draw_face(40, 3, index)[0]).save(source / f"{index:03d}.png")
    for index in range(4, count):
        shutil.copy(source / f"{index % 4:03d}.png", source / f"{index:03d}.png")
    return source


def interrupt(
    arguments: list[str], journal: Path, number: signal.Signals, made: int = 20
) -> tuple[int, str, list[int]]:
    """Start a command, send it a signal when so many photos are made; (status, what it said, its processes)."""
    process = warm_start.start(arguments, stderr=subprocess.STDOUT, start_new_session=True)
    for _ in range(12000):
        if journal.exists() and journal.read_bytes().count(b'"files"') >= made:
            break
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.005)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    pids = [int(pid) for pid in children.read_text().split()] if children.exists() else []
    if number == signal.SIGINT:
        os.killpg(process.pid, number)  # as a terminal does
    else:
        process.send_signal(number)
    said = process.communicate(timeout=60)[0]
    return process.wait(), said, pids


def all_end(pids: list[int]) -> bool:
    """Whether these processes end within some seconds."""
    for _ in range(2000):
        if not any(alive(pid) for pid in pids):
            return True
        time.sleep(0.01)
    return False


def alive(pid: int) -> bool:
    try:
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.mark.parametrize("form", [["workers=2"], ["output=tar", "tar_photos=40"]], ids=["folder", "tar"])
def test_a_killed_shard_is_redone_alone(tmp_path: Path, root: Path, form: list[str]) -> None:
    """kill -9 in the middle of its share; the other shard's files are not touched again, its own are kept."""
    source, out = copies(tmp_path / "source", 400), tmp_path / "out"
    options: dict[str, Any] = {"output": "tar", "tar_photos": 40} if len(form) == 2 else {}
    prepare(source, out, shard=0, shards=2, **options)
    before = dates(out)
    journal = out / PREPARING / "shard-00001-of-00002" / "journal"
    arguments = command(root, source, out, "shard=1", "shards=2", *form)
    status, _, children = interrupt(arguments, journal, signal.SIGKILL)
    assert status == -signal.SIGKILL
    assert all_end(children), "workers outlive the process that started them"
    state = journal_state(journal)
    assert state is not None
    assert state.done is None
    for path in out.rglob("*.png"):
        if not path.name.startswith("."):
            Image.open(path).load()  # nothing half-written has a photo's name
    assert not [path for path in out.glob("*/.*") if PREPARING not in str(path)], "nor lies beside the photos"
    with pytest.raises(FileNotFoundError, match="shard 1 of 2 is not done"):
        PreparedPhotos(out)

    report = prepare(source, out, shard=1, shards=2, **options)
    assert report.finished
    assert report.kept >= 19  # all but the one that may have been in the making
    untouched = {name: date for name, date in before.items() if not name.startswith(PREPARING)}
    assert untouched.items() <= dates(out).items()
    prepare(source, tmp_path / "one", **options)
    assert tree(out) == tree(tmp_path / "one")


def test_ctrl_c_stops_at_a_whole_photo_and_the_command_goes_on(tmp_path: Path, root: Path) -> None:
    source, out = copies(tmp_path / "source", 400), tmp_path / "out"
    journal = out / PREPARING / "shard-00000-of-00001" / "journal"
    status, said, children = interrupt(command(root, source, out, "workers=2"), journal, signal.SIGINT)
    assert status == 130
    assert "the same command goes on" in said
    assert "Traceback" not in said
    assert all_end(children)
    assert prepare(source, out).kept >= 20
    prepare(source, tmp_path / "one")
    assert tree(out) == tree(tmp_path / "one")


def test_two_processes_at_the_same_shard_do_no_harm(tmp_path: Path, root: Path) -> None:
    source, out = copies(tmp_path / "source", 120), tmp_path / "out"
    prepare(source, tmp_path / "one", **TAR)
    same = command(root, source, out, "output=tar", "tar_photos=3", "shard=0", "shards=2")
    other = warm_start.start(same, stderr=subprocess.STDOUT)
    while not (out / PREPARING / "shard-00000-of-00002").exists() and other.poll() is None:
        time.sleep(0.005)
    report = prepare(source, out, shard=0, shards=2, **TAR)
    said = other.communicate(timeout=120)[0]
    assert "Traceback" not in said
    assert "shard 1 of 2 is not done" in said + str(report)
    prepare(source, out, shard=1, shards=2, **TAR)
    assert tree(out) == tree(tmp_path / "one")


def launch(root: Path, source: Path, folder: Path, *more: str) -> subprocess.CompletedProcess[str]:
    asked = ["--multirun", "shard=range(0,2)", "shards=2", *more]
    return warm_start.run(command(root, source, folder / "many", *asked), cwd=folder, timeout=300)


def test_hydras_joblib_launcher_gives_what_one_process_gives(source: Path, tmp_path: Path, root: Path) -> None:
    pytest.importorskip("hydra_plugins.hydra_joblib_launcher")
    prepare(source, tmp_path / "one")
    done = launch(root, source, tmp_path, "hydra/launcher=joblib")
    assert tree(tmp_path / "one") == tree(tmp_path / "many"), done.stdout + done.stderr
    assert done.returncode == 1, "a photo was damaged"
    assert "03.png" in done.stdout
    assert "Traceback" not in done.stderr


def test_hydras_submitit_launcher_gives_what_one_process_gives(source: Path, tmp_path: Path, root: Path) -> None:
    pytest.importorskip("hydra_plugins.hydra_submitit_launcher")
    (source / "03.png").unlink()
    prepare(source, tmp_path / "one", **TAR)
    form = ["output=tar", "tar_photos=3", "hydra.launcher.timeout_min=5"]
    done = launch(root, source, tmp_path, "hydra/launcher=submitit_local", *form)
    assert tree(tmp_path / "one") == tree(tmp_path / "many"), done.stdout + done.stderr
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_worker_that_is_killed_is_told_with_the_photos_it_may_have_died_of(source: Path, tmp_path: Path) -> None:
    for index in range(100, 500):  # so many that some are left when the worker is killed
        shutil.copy(source / "00.png", source / f"{index}.png")

    def kill_one(results: Any, total: int) -> Iterator[Any]:
        for count, result in enumerate(results):
            if count == 3:
                worker = next(child for child in multiprocessing.active_children() if child not in others)
                os.kill(worker.pid or 0, signal.SIGKILL)
            yield result

    others = multiprocessing.active_children()  # of tests before this one

    with pytest.raises(RuntimeError, match=r"for lack of memory, at one of these photos: .*\.png.*workers=1"):
        prepare(source, tmp_path / "out", workers=2, progress=kill_one)
    report = prepare(source, tmp_path / "out")
    assert (report.kept >= 3, report.made + report.kept) == (True, 410)  # four, of which one may be the broken photo


@pytest.mark.parametrize("small_disk", ["100k"], indirect=True)
@pytest.mark.parametrize("form", [{}, TAR], ids=["folder", "tar"])
def test_a_full_disk_ends_the_preparation_cleanly_and_it_goes_on_with_more_room(
    source: Path, small_disk: Path, tmp_path: Path, form: dict[str, Any]
) -> None:
    out = small_disk / "out"
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(32 * 1024))
    with pytest.raises(OSError, match=r"the disk of .* is full.*same command again") as caught:
        prepare(source, out, **form)
    assert caught.value.errno == 28
    for path in out.rglob("*.png"):
        Image.open(path).load()
    ballast.unlink()
    subprocess.run(["mount", "-o", "remount,size=1m", str(small_disk)], check=True)
    report = prepare(source, out, **form)
    assert report.kept > 0
    prepare(source, tmp_path / "one", **form)
    assert tree(out) == tree(tmp_path / "one")


@pytest.mark.parametrize("small_disk", ["100k"], indirect=True)
def test_a_folder_that_may_not_be_written_is_named(source: Path, small_disk: Path) -> None:
    (small_disk / "out").mkdir()
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    with pytest.raises(OSError, match=r"may not be written.*out=") as caught:
        prepare(source, small_disk / "out")
    assert str(small_disk / "out") in str(caught.value)
    subprocess.run(["mount", "-o", "remount,rw", str(small_disk)], check=True)
    assert list((small_disk / "out").iterdir()) == []


def test_impossible_shards_are_refused(source: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"shard must be one of 0 to 3 \(shards=4\); got 4.*range\(0,4\)"):
        prepare(source, tmp_path / "out", shard=4, shards=4)
    with pytest.raises(ValueError, match="shards must be a whole number"):
        prepare(source, tmp_path / "out", shards=0)
    with pytest.raises(ValueError, match='"folder" or "tar"'):
        prepare(source, tmp_path / "out", output="zip")
    assert not (tmp_path / "out").exists()


def test_a_journal_keeps_its_whole_lines_wherever_it_is_cut(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    journal = Journal(path, {"size": 1}, {})
    places = [journal.add(f'odd "name": {{{index}', {"files": {}, "n": index}) for index in range(3)]
    journal.done("listing")
    journal.close()
    data = path.read_bytes()
    assert getattr(journal_state(path), "done", None) == "listing"
    for cut in range(places[1][0], len(data)):
        path.write_bytes(data[:cut])
        state = journal_state(path)
        assert state is not None
        whole = sum(offset + length <= cut for offset, length in places)
        again = Journal(path, {"size": 1}, {})
        again.add("after", {})
        again.close()
        lines = path.read_text().splitlines()
        assert sum('"n"' in line for line in lines) == whole
        assert json.loads(lines[-1].removeprefix('"after": ')) == {}


def test_the_only_validation_photo_is_one_that_can_be_read(tmp_path: Path) -> None:
    """Of few photos the one with the least hash is for validation; if it is damaged, the next."""
    source = tmp_path / "source"
    source.mkdir()
    names = [f"{index}" for index in range(5)]
    for name in names:
        Image.new("RGB", (32, 32), "grey").save(source / f"{name}.png")
    first = min(names, key=lambda name: hashlib.sha256(name.encode()).hexdigest())
    (source / f"{first}.png").write_bytes(b"damaged")
    for form in ({}, TAR):
        out = tmp_path / f"out{len(form)}"
        report = prepare(source, out, validation_share=0.001, **form)
        assert report.splits == {"train": 3, "validation": 1}
        assert PreparedPhotos(out, "validation").names != [first]
