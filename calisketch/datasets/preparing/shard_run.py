"""One process's share of a preparation: what is there is checked, what is missing is made, tars are packed."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from calisketch.datasets.entries import file_bytes, intact
from calisketch.datasets.manifest import read_manifest
from calisketch.datasets.preparing.item_images import Item, Job, Result, make_tracks, source_sha256
from calisketch.datasets.preparing.sources import Problem
from calisketch.datasets.preparing.work_plan import Plan
from calisketch.datasets.shard_journal import PREPARING, Journal, Shard, held, remove_aside
from calisketch.datasets.tars import tar_name, tar_of, write_tar

__all__ = ["Progress", "ShardRun", "images_of"]

logger = logging.getLogger(__name__)

Progress = Callable[[Iterable[Any], int], Iterable[Any]]
"""Shows the progress of an iterable of known length and passes its elements on, as `tqdm(iterable, total=total)`."""

FAILED: Mapping[str, Any] = {"failed": True}
"""The journal's word for an item that could not be taken."""


@dataclass
class ShardRun:
    """Makes the items of one shard; `made`, `kept` and `problems` say what it did.

    before_work: called once before the first item is made, for what would otherwise be found missing late.
    """

    plan: Plan
    shard: Shard
    workers: int | None
    progress: Progress | None = None
    before_work: Callable[[], object] = lambda: None
    made: int = 0
    kept: int = 0
    problems: list[Problem] = field(default_factory=list)

    def run(self) -> None:
        """Make what is missing. A second process at the same shard waits for the first, and finds it done."""
        plan, lock = self.plan, self.shard.lock(self.plan.out)
        with held(lock, wait=False) as free:
            if free:
                self._run()
                return
        logger.warning("another process is making %s of %s; waiting for it", self.shard.name, plan.out)
        with held(lock):
            self._run()

    def _run(self) -> None:
        plan, folder = self.plan, self.shard.folder(self.plan.out)
        remove_aside(folder / "aside")
        if plan.overwrite:
            (folder / "journal").unlink(missing_ok=True)
            manifest = read_manifest(plan.out)
            if manifest is not None and manifest.settings != plan.settings:
                manifest.path.unlink()  # it tells of files that will not be the same any more
        self.entries, others, own = plan.known(self.shard)
        with closing(self.entries), closing(Journal(folder / "journal", plan.settings, plan.versions)) as journal:
            self.journal, self.file = journal, self.entries.file(journal.path)
            share = plan.share(self.shard)
            waiting = self._check(share, others)
            if waiting:
                self.before_work()
            below = f"{PREPARING}/{self.shard.name}/" if plan.tars else ""
            results = make_tracks(Job(plan.out, below, folder / "aside", plan.settings), waiting, self.workers)
            packing = _Packing(self, share, waiting, own) if plan.tars else None
            for result in self.progress(results, len(waiting)) if self.progress else results:
                changed = self._take(result)
                if packing is not None:
                    packing.finished(result.name, changed)
            journal.done(plan.listing)

    def _check(self, share: list[Item], others: set[str]) -> list[Item]:
        """The items that have to be made; of the others source and files have the recorded SHA-256."""
        self._notes = {item.name: item.note for item in share if item.note is not None}
        if not any(item.name in self.entries for item in share):
            return share
        waiting = []
        for item in self.progress(share, len(share)) if self.progress else share:
            entry = self.entries.get(item.name)
            source = entry.get("source_sha256") if entry is not None else None
            if entry is not None and source and source == source_sha256(item) and intact(self.plan.out, entry):
                self.kept += 1
                self._note(item.name)
                if item.name in others:
                    self.record(item.name, entry)
            else:
                waiting.append(item)
        return waiting

    def _take(self, result: Result) -> bool:
        """Record what became of an item; returns whether there are other files than before."""
        self.problems += result.problems
        if result.entry is not None:
            self.made += 1
            self._note(result.name)
            self.record(result.name, result.entry)
            return True
        before = self.entries.get(result.name)
        if before is not None and intact(self.plan.out, before):
            self.record(result.name, before)  # its photo cannot be read now; what was made of an earlier one stays
            return False
        self.record(result.name, FAILED)
        return before is not None and "files" in before

    def _note(self, name: str) -> None:
        note = self._notes.get(name)
        if note is not None:
            self.problems.append(note)

    def record(self, name: str, entry: Mapping[str, Any]) -> None:
        """Write an entry into the journal, and know it from now on."""
        self.entries.put(name, self.file, *self.journal.add(name, entry))


class _Packing:
    """Packs each tar of a shard as soon as the last of its items is made.

    own: the names that the journal of this shard told of before this run.
    """

    def __init__(self, run: ShardRun, share: list[Item], waiting: list[Item], own: set[str]) -> None:
        self.run, self.plan = run, run.plan
        self.folder = run.shard.folder(run.plan.out)
        self.tars = {number: self._tar(number) for number in range(run.plan.tars) if run.shard.has(number)}
        self.names: dict[int, list[str]] = {number: [] for number in self.tars}
        for item in share:
            self.names[self.number(item.name)].append(item.name)
        for name in run.entries:  # of earlier runs, not in this source
            if name not in self.plan.splits and self.number(name) in self.tars:
                self.names[self.number(name)].append(name)
        self.waiting = Counter(self.number(item.name) for item in waiting)
        # What was made or given up since a tar was packed is told by the journal alone.
        self.touched = {self.number(name) for name in own if not _packed(run.entries[name])}
        if self.plan.overwrite:
            self.touched.update(self.tars)
        for number in self.tars:
            if not self.waiting[number]:
                self.pack(number)

    def number(self, name: str) -> int:
        return tar_of(name, self.plan.tars)

    def _tar(self, number: int) -> str:
        return tar_name(number, self.plan.tars)

    def finished(self, name: str, changed: bool) -> None:
        """An item has been made or given up."""
        number = self.number(name)
        self.waiting[number] -= 1
        if changed:
            self.touched.add(number)
        if not self.waiting[number]:
            self.pack(number)

    def pack(self, number: int) -> None:
        """Write a tar into the shard's own folder, from where it is moved with the manifest; not if it is right.

        A split that is no longer what the tar tells is left to the merge, where the splits are settled.
        """
        members = {name: self._entry(name) for name in sorted(self.names[number])}
        taken = {name: entry for name, entry in members.items() if "files" in entry}
        right = all(
            Path(file["path"]).name == self._tar(number) for entry in taken.values() for file in entry["files"].values()
        )
        there = any((folder / self._tar(number)).is_file() for folder in (self.folder / "tars", self.plan.out))
        if right and there and number not in self.touched:
            return
        items = [(name, {**entry, "split": self._split(name, entry)}) for name, entry in taken.items()]
        path = self.folder / "tars" / self._tar(number)
        images = ((name, entry, images_of(self.plan.out, name, entry)) for name, entry in items)
        for name, entry in write_tar(path, images, self.folder / "aside"):
            for file in entry["files"].values():
                file["path"] = f"{PREPARING}/{self.run.shard.name}/tars/{path.name}"
            self.run.record(name, entry)
        self.run.journal.sync()
        for name in taken:
            for track in ("photo", "contour", "detail", "artist"):
                (self.folder / track / f"{name}.png").unlink(missing_ok=True)

    def _split(self, name: str, entry: Mapping[str, Any]) -> str:
        return self.plan.splits.get(name, entry["split"])

    def _entry(self, name: str) -> Mapping[str, Any]:
        entry: Mapping[str, Any] = self.run.entries.get(name) or FAILED
        if name not in self.plan.splits and "files" in entry and not intact(self.plan.out, entry):
            remedy = "Give its source too, to have it made again."
            self.run.problems.append(
                Problem(name, "is damaged, and its photo is not in this source; it was dropped", remedy)
            )
            self.run.record(name, FAILED)
            return FAILED
        return entry


def _packed(entry: Mapping[str, Any]) -> bool:
    return "files" in entry and all("offset" in file for file in entry["files"].values())


def images_of(out: Path, name: str, entry: Mapping[str, Any]) -> dict[str, bytes]:
    """{kind: PNG} of an entry. Raises RuntimeError if they are not the recorded ones any more."""
    images = {}
    for kind, file in entry["files"].items():
        data = file_bytes(out, file)
        if data is None:
            raise RuntimeError(
                f"{kind} of {name} was changed or removed in {out} while tars were packed. Run the same command again."
            )
        images[kind] = data
    return images
