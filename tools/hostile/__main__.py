"""Pushes hostile files through everything that reads files, and reports what became of them.

    python -m tools.hostile                        # all of them, more than 1,000, in some minutes
    python -m tools.hostile share=0.1 seed=3       # a tenth of the kinds that have many, other ones
    python -m tools.hostile keep=FOLDER            # leaves the files there

Everything is tried in a process of its own that may take so much memory more than it has when idle, and so long for
one file; what it dies of, or hangs in, is counted, and the next one goes on behind it. BAD is a hang, a death, too much
memory, an error of an undocumented kind, a file written or changed outside the target, and a wrong answer in silence.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import resource
import select
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tools.hostile import pictures as hostile_pictures

ROOT = Path(__file__).resolve().parents[2]
MEMORY_BOUND = 2 * 2**30  # bytes above the idle process
TIME_BOUND = 60.0  # seconds for one attempt, on a machine that may be busy
OUTCOMES = ("refused", "right", "decoded", "BAD")


def write_pictures(folder: Path, seed: int, share: float) -> None:
    """The picture files, with what is expected of each in index.json and expected/NAME.npz."""
    (folder / "files").mkdir(parents=True)
    (folder / "expected").mkdir()
    index = []
    for case in hostile_pictures.pictures(seed, share):
        named = case.kind == "wrong extension"
        name = case.name if named else f"{case.name}.png"
        (folder / "files" / name).write_bytes(case.data)
        if case.expect == "right":
            assert case.picture is not None
            flat = not np.ptp(case.picture[::7]) and not np.ptp(case.picture)
            kept = case.picture[:1, :1] if flat else case.picture
            save = np.savez if kept.nbytes < 2**24 else np.savez_compressed
            save(folder / "expected" / f"{name}.npz", picture=kept, shape=case.picture.shape)
        index.append([case.kind, name, case.expect, case.api or case.expect, case.tolerance])
    (folder / "index.json").write_text(json.dumps(index))


def peak_and_idle() -> tuple[int, int]:
    """The peak of this process's resident memory since the last reset, and its memory now, in bytes."""
    lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(lines["VmHWM"].split()[0]) * 1024, int(lines["VmRSS"].split()[0]) * 1024


def child(folder: Path, start: int, each: int) -> None:
    """Tries one after the other, and writes a line before and after each."""
    import torch

    torch.set_num_threads(1)
    say = os.fdopen(os.dup(1), "w", buffering=1)  # what the library prints goes elsewhere
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    os.dup2(os.open(folder / "stderr.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND), 2)
    from tools.hostile import ways as hostile_ways

    attempts = spread(hostile_ways.all_attempts(folder), each)
    taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (taken + MEMORY_BOUND, resource.RLIM_INFINITY))
    for number in range(start, len(attempts)):
        attempt = attempts[number]
        print(json.dumps({"number": number, "kind": attempt.kind, "name": attempt.name}), file=say)
        Path("/proc/self/clear_refs").write_text("5")
        idle = peak_and_idle()[1]
        began = time.monotonic()
        why = ""
        try:
            outcome = attempt.act()
        except BaseException as error:
            outcome, why = "BAD", f"{type(error).__name__}: {str(error)[:300]}"
        record = {
            "outcome": outcome,
            "why": why,
            "seconds": time.monotonic() - began,
            "peak": peak_and_idle()[0] - idle,
        }
        print(json.dumps(record), file=say)
    print(json.dumps({"end": True}), file=say)


def spread(attempts: Sequence[Any], each: int) -> list[Any]:
    """At most `each` attempts of every kind, evenly spread over it."""
    kinds: dict[str, list[Any]] = {}
    for attempt in attempts:
        kinds.setdefault(attempt.kind, []).append(attempt)
    chosen = []
    for alike in kinds.values():
        count = min(each, len(alike))
        chosen += [alike[(2 * place + 1) * len(alike) // (2 * count)] for place in range(count)]
    return chosen


def run(folder: Path, limit: float = TIME_BOUND, each: int = 10**6) -> list[dict[str, Any]]:
    """Runs every attempt, or `each` of a kind, in child processes, and watches over them."""
    records: list[dict[str, Any]] = []
    start, ended = 0, False
    environment = {
        **os.environ,
        "HOME": str(folder / "home"),
        "TMPDIR": str(folder / "tmp"),
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": str(ROOT),
    }
    while not ended:
        command = [sys.executable, "-m", "tools.hostile", f"folder={folder}", f"child={start}", f"each={each}"]
        running = subprocess.Popen(command, stdout=subprocess.PIPE, env=environment, cwd=folder / "here")
        assert running.stdout is not None
        current: dict[str, Any] | None = None
        wait = 120.0  # for the imports
        buffer = b""
        why = ""
        while True:
            if not select.select([running.stdout], [], [], wait)[0]:
                why = f"hangs: nothing after {wait:.0f} s"
                running.kill()
                break
            block = os.read(running.stdout.fileno(), 65536)
            if not block:
                why = f"the process died with status {running.wait()}"
                break
            buffer += block
            *lines, buffer = buffer.split(b"\n")
            for line in map(json.loads, lines):
                if "number" in line:
                    current, wait = line, limit
                elif "outcome" in line and current is not None:
                    records.append({**current, **line})
                    current = None
                ended = ended or "end" in line
            if ended:
                break
        running.wait()
        if ended:
            break
        if current is None:
            raise RuntimeError(f"{why} between two attempts; see {folder / 'stderr.txt'}")
        records.append({**current, "outcome": "BAD", "why": why, "seconds": limit, "peak": 0})
        start = current["number"] + 1
    return records


def surroundings(folder: Path) -> dict[str, str]:
    """Every file around the targets (in "out") and what it holds; links as links."""
    seen = {}
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not (place == str(folder) and name in ("out", "tmp"))]
        for name in [*names, *folders]:
            path = Path(place) / name
            if path == folder / "stderr.txt":
                continue
            if path.is_symlink():
                seen[str(path)] = os.readlink(path)
            elif path.is_file():
                large = path.stat().st_size > 2**28  # the sparse ones
                held = f"{path.stat().st_mtime_ns}" if large else hashlib.sha256(path.read_bytes()).hexdigest()
                seen[str(path)] = f"{path.stat().st_size} {held}"
            else:
                seen[str(path)] = "-"
    return seen


def write(folder: Path, seed: int, share: float) -> None:
    """All hostile files, and the places that must stay as they are."""
    from tools.hostile import configs as hostile_configs
    from tools.hostile import folders as hostile_folders
    from tools.hostile import points as hostile_points

    for name in ("home", "tmp", "here", "out"):
        (folder / name).mkdir(parents=True)
    write_pictures(folder, seed, share)
    hostile_folders.write(folder, seed, share)
    hostile_configs.write(folder / "configs", seed, share)
    hostile_points.write(folder / "points", seed, share)


def run_watched(folder: Path, each: int = 10**6) -> list[dict[str, Any]]:
    """`run`, and a BAD record of every file around the targets that is not what it was before."""
    before = surroundings(folder)
    records = run(folder, each=each)
    after = surroundings(folder)
    strays = sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))
    touched = {"kind": "surroundings", "outcome": "BAD", "why": "written, changed or removed", "seconds": 0.0}
    return records + [{**touched, "name": name, "peak": 0} for name in strays]


def report(records: Sequence[dict[str, Any]]) -> str:
    """A table: kinds by outcomes, with the most memory and time of each, and every BAD one."""
    lines = [f"{'kind':34}" + "".join(f"{name:>9}" for name in OUTCOMES) + f"{'peak MiB':>10}{'slowest s':>11}"]
    for kind in [*dict.fromkeys(record["kind"] for record in records), "all"]:
        chosen = [record for record in records if kind in (record["kind"], "all")]
        counts = Counter(record["outcome"] for record in chosen)
        peak, slowest = max(record["peak"] for record in chosen), max(record["seconds"] for record in chosen)
        figures = "".join(f"{counts[name]:9}" for name in OUTCOMES)
        lines.append(f"{kind:34}{figures}{peak / 2**20:10.0f}{slowest:11.2f}")
    lines += [f"BAD {r['kind']}: {r['name']}: {r['why']}" for r in records if r["outcome"] == "BAD"]
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("settings", nargs="*", metavar="NAME=VALUE", help="seed=0 share=1.0 keep=FOLDER out=FILE.json")
    given = dict(setting.split("=", 1) for setting in parser.parse_args().settings)
    if "child" in given:
        child(Path(given["folder"]), int(given["child"]), int(given.get("each", 10**6)))
        return 0
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="hostile-") as aside:
        folder = Path(given.get("keep", aside)).resolve() / "work"
        write(folder, int(given.get("seed", 0)), float(given.get("share", 1.0)))
        records = run_watched(folder, int(given.get("each", 10**6)))
    print(report(records))
    took = time.monotonic() - began
    print(f"{len(records)} attempts in {took:.0f} s; bounds: {MEMORY_BOUND >> 20} MiB, {TIME_BOUND:g} s")
    if "out" in given:
        Path(given["out"]).write_text(json.dumps(records, indent=1))
    return 1 if any(record["outcome"] == "BAD" for record in records) else 0


if __name__ == "__main__":
    sys.exit(main())
