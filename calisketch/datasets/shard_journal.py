"""The bookkeeping of a preparation in progress, for one process or many: who makes what, and what is made already.

    OUT/.preparing/shard-00003-of-00008/journal    what this shard has made: one line an item, only ever appended to
    OUT/.preparing/shard-00003-of-00008/aside/     files being written; renamed into their places when whole
    OUT/.preparing/shard-00003-of-00008.lock       held by the process that makes this shard
    OUT/.preparing/merge.lock                      held by the process that puts the manifest together

A killed process leaves its journal, which the next one goes on with, and the system takes back its lock. Once the
manifest is written the whole folder is removed.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from calisketch.datasets.manifest import entry_line, parse_line

__all__ = [
    "PREPARING",
    "Journal",
    "JournalState",
    "Shard",
    "held",
    "journal_state",
    "journals",
    "read_journal",
    "remove_aside",
    "say_missing",
    "unfinished",
]

PREPARING = ".preparing"
JOURNAL_VERSION = 1
SYNC_EVERY = 5.0  # seconds between two flushes of the journal to the disk


@dataclass(frozen=True)
class Shard:
    """One of `count` parts of the work, counted from 0."""

    number: int
    count: int

    def __post_init__(self) -> None:
        if not isinstance(self.count, int) or self.count < 1:
            raise ValueError(f"shards must be a whole number, at least 1; got {self.count!r}.")
        if not isinstance(self.number, int) or not 0 <= self.number < self.count:
            raise ValueError(
                f"shard must be one of 0 to {self.count - 1} (shards={self.count}); got {self.number!r}. To make "
                f"everything in one process leave shard out; for all shards: --multirun 'shard=range(0,{self.count})'."
            )

    @property
    def name(self) -> str:
        """shard-00003-of-00008."""
        return f"shard-{self.number:05d}-of-{self.count:05d}"

    def folder(self, out: Path) -> Path:
        """Where this shard's journal and unfinished files lie."""
        return out / PREPARING / self.name

    def lock(self, out: Path) -> Path:
        """The lock file of this shard."""
        return out / PREPARING / f"{self.name}.lock"

    def has(self, number: int) -> bool:
        """Whether the thing with this number (an item, a tar) is this shard's: every `count`-th from its own on."""
        return number % self.count == self.number


@contextmanager
def held(path: Path, *, wait: bool = True) -> Iterator[bool]:
    """Hold a lock file while the block runs; the block gets whether it is held, always True with `wait`.

    It is the system's lock on the open file, so it ends with the process, however that ends.
    """
    lock = FileLock(path)
    while True:
        # Time and again: the process that finishes the preparation removes the folder, lock files and all.
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire(timeout=1 if wait else 0)
            break
        except Timeout:
            if not wait:
                yield False
                return
        except FileNotFoundError:
            continue
    try:
        yield True
    finally:
        lock.release()


@dataclass
class JournalState:
    """What a journal's control lines say.

    done: the listing that it was finished for; None while it is open. versions: those it was made with, one for each
    run that had others.
    """

    head: dict[str, Any]
    done: str | None = None
    versions: list[dict[str, str]] = field(default_factory=list)
    length: int = 0  # bytes up to the last whole line

    def control(self, line: bytes) -> None:
        """Take a control line."""
        said = json.loads(line)
        self.done = said.get("done")
        if (versions := said.get("versions")) is not None and versions not in self.versions:
            self.versions.append(versions)


def read_journal(path: Path) -> tuple[JournalState | None, Iterator[tuple[str, dict[str, Any], int, int]]]:
    """(state, iterator over (name, entry, offset, length)); the state is None where there is no usable journal.

    The state is complete when the iterator has come to its end. A last line that was cut off is passed over.
    """
    try:
        with open(path, "rb") as stream:
            first = stream.readline()
        head = json.loads(first) if first.endswith(b"\n") else None
    except (FileNotFoundError, ValueError):
        head = None
    if not isinstance(head, dict) or head.get("journal_version") != JOURNAL_VERSION:
        return None, iter(())
    state = JournalState(head)
    return state, _journal_lines(path, state)


def journal_state(path: Path) -> JournalState | None:
    """The complete state of a journal, or None where there is no usable one."""
    state, lines = read_journal(path)
    for _ in lines:
        pass
    return state


def _journal_lines(path: Path, state: JournalState) -> Iterator[tuple[str, dict[str, Any], int, int]]:
    with open(path, "rb") as stream:
        for line in stream:
            try:
                if not line.endswith(b"\n"):
                    return
                if line.startswith(b"{"):
                    state.control(line)
                else:
                    name, entry = parse_line(line.decode())
                    yield name, entry, state.length, len(line)
            except ValueError:  # blocks that never reached the disk before the power went: what follows is made again
                state.done = None
                return
            state.length += len(line)


class Journal:
    """The journal of one shard, open for appending.

    A journal with the same settings is gone on with; any other is replaced.
    Raises OSError if the disk is full; what was written before stays whole.
    """

    def __init__(self, path: Path, settings: Mapping[str, Any], versions: Mapping[str, str]) -> None:
        self.path = path
        head = {"journal_version": JOURNAL_VERSION, "settings": dict(settings)}
        state = journal_state(path)
        fits = state is not None and state.head == json.loads(json.dumps(head))
        self._stream = open(path, "r+b" if fits else "w+b", buffering=0)  # noqa: SIM115
        self._offset = state.length if state is not None and fits else 0
        self._stream.truncate(self._offset)
        self._stream.seek(self._offset)
        self._synced = time.monotonic()
        if not fits:
            self._write((json.dumps(head) + "\n").encode())
        self._write((json.dumps({"versions": dict(versions)}) + "\n").encode())  # open again: no longer done

    def _write(self, line: bytes) -> tuple[int, int]:
        place = (self._offset, len(line))
        written = self._stream.write(line)  # at once to the system, which keeps it if this process is killed
        if written != len(line):
            self._stream.truncate(self._offset)
            raise OSError(errno.ENOSPC, "no space left on the disk", str(self.path))
        self._offset += len(line)
        if time.monotonic() - self._synced > SYNC_EVERY:
            self.sync()
        return place

    def add(self, name: str, entry: Mapping[str, Any]) -> tuple[int, int]:
        """Append an entry; returns (offset, length) of its line."""
        return self._write((entry_line(name, entry) + "\n").encode())

    def done(self, listing: str) -> None:
        """Append that the shard is whole for this listing, and flush everything to the disk."""
        self._write((json.dumps({"done": listing}) + "\n").encode())
        self.sync()

    def sync(self) -> None:
        """Flush to the disk."""
        os.fsync(self._stream.fileno())
        self._synced = time.monotonic()

    def close(self) -> None:
        """Close the file; more than once does no harm."""
        self._stream.close()


def journals(out: Path) -> dict[str, Path]:
    """{shard's name: path} of the journals in a folder."""
    return {path.parent.name: path for path in sorted((out / PREPARING).glob("shard-*/journal"))}


def unfinished(out: Path) -> str:
    """What a preparation in progress or cut off still lacks, for a message; empty if there is none."""
    found = journals(out)
    if not found:
        return ""
    count = int(next(reversed(found)).rsplit("-", 1)[1])
    missing = []
    for number in range(count):
        path = found.get(Shard(number, count).name)
        state = journal_state(path) if path is not None else None
        if state is None or state.done is None:
            missing.append(number)
    if count == 1 or not missing:
        return "its preparation was not finished: run the same command again"
    return say_missing(missing, count)


def say_missing(numbers: list[int], count: int) -> str:
    """Which shards are not done, and how to make them."""
    listed = ", ".join(map(str, numbers))
    if len(numbers) == 1:
        return f"shard {listed} of {count} is not done: run the same command with shard={listed}"
    how = f"--multirun shard={listed.replace(' ', '')}"
    return f"shards {listed} of {count} are not done: run the same command with {how}, or shard by shard"


def remove_aside(folder: Path) -> None:
    """Make `folder`, empty: what a killed process was writing goes."""
    if folder.exists():
        shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
