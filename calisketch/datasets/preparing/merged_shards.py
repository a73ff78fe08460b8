"""The end of a preparation: when every shard is done, one process puts their journals together into the manifest.

Whichever process finishes last does it, under a lock. A kill at any moment leaves the earlier manifest or the new one,
and the journals until the new one is there.
"""

from __future__ import annotations

import os
import re
import shutil
from collections import Counter
from collections.abc import Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from calisketch.datasets.entries import Entries
from calisketch.datasets.manifest import read_manifest, write_manifest
from calisketch.datasets.preparing.shard_run import images_of
from calisketch.datasets.preparing.work_plan import Plan, rank
from calisketch.datasets.shard_journal import (
    PREPARING,
    JournalState,
    Shard,
    held,
    journal_state,
    read_journal,
    remove_aside,
    say_missing,
)
from calisketch.datasets.tars import tar_name, tar_of, write_tar

__all__ = ["Merged", "merge"]


@dataclass
class Merged:
    """What the whole folder holds now; `finished` is False while shards are missing, and `warnings` says which."""

    finished: bool = False
    splits: dict[str, int] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)


def merge(plan: Plan) -> Merged:
    """Write the manifest if every shard is done, and remove the bookkeeping.

    Of processes that finish at the same time the last one does it. Call it without the shard's lock.
    """
    shards = [Shard(number, plan.shards) for number in range(plan.shards)]
    folder = plan.out / PREPARING
    with ExitStack() as locks:
        locks.enter_context(held(folder / "merge.lock"))
        busy = []
        for path in sorted({*folder.glob("shard-*.lock"), *(shard.lock(plan.out) for shard in shards)}):
            if not locks.enter_context(held(path, wait=False)):
                busy.append(path.stem)
        states = {shard.number: journal_state(shard.folder(plan.out) / "journal") for shard in shards}
        missing = _missing(plan, states)
        if missing or busy:
            absent = [number for number in missing if Shard(number, plan.shards).name not in busy]
            running = [f"{', '.join(busy)}: being made by another process, which goes on from here"] if busy else []
            return Merged(warnings=[*([say_missing(absent, plan.shards)] if absent else []), *running])
        merged = _Merging(plan, shards, states).write()
        for shard_folder in folder.glob("shard-*"):
            if shard_folder.is_dir():
                shutil.rmtree(shard_folder)
        # The lock files too. Whoever waits for one may make it anew meanwhile, and then removes the folder in its turn.
        shutil.rmtree(folder, ignore_errors=True)
    return merged


def _missing(plan: Plan, states: Mapping[int, JournalState | None]) -> list[int]:
    """Shards that are not done: a manifest that was written for this listing answers for those without a journal."""
    manifest = read_manifest(plan.out)
    vouched = manifest is not None and manifest.settings == plan.settings and manifest.listing == plan.listing
    return [
        number
        for number, state in states.items()
        if not (state.done == plan.listing and state.head["settings"] == plan.settings if state else vouched)
    ]


class _Merging:
    """The work of `merge`, with all locks held."""

    def __init__(self, plan: Plan, shards: list[Shard], states: Mapping[int, JournalState | None]) -> None:
        self.plan, self.shards, self.states = plan, shards, states
        self.merged = Merged(finished=True)
        self.tars: dict[str, Path] = {}
        self.repacked: dict[str, dict[str, Any]] = {}

    def write(self) -> Merged:
        plan = self.plan
        aside = plan.out / PREPARING / "merge"
        remove_aside(aside)
        with closing(Entries()) as entries:
            versions = self._read(entries)
            splits, recorded = self._splits(entries)
            names = sorted(splits)
            if plan.tars:
                self._tars(entries, splits, {tar_of(name, plan.tars) for name in recorded}, aside)
            for name, path in self.tars.items():
                os.replace(path, plan.out / name)
            lines = ((name, self._entry(name, entries, splits[name])) for name in names)
            write_manifest(plan.out, plan.settings, versions, plan.listing, lines, aside)
        if plan.tars:
            for path in plan.out.glob("photos-*-of-*.tar"):  # of an earlier number of tars
                if re.fullmatch(r"photos-\d{5}-of-\d{5}\.tar", path.name) and not path.name.endswith(
                    f"-of-{plan.tars:05d}.tar"
                ):
                    path.unlink()
        others = sum(name not in plan.splits for name in names)
        if others:
            self.merged.warnings.append(
                f"{others} photos of earlier runs are not in this source and were kept; to drop them, "
                "prepare again with overwrite=true."
            )
        counts = Counter(splits.values())
        self.merged.splits = {split: counts[split] for split in sorted(counts)}
        return self.merged

    def _read(self, entries: Entries) -> Mapping[str, str]:
        """Collect what is known of every item; returns the versions it was made with."""
        plan, manifest = self.plan, read_manifest(self.plan.out)
        versions: list[Mapping[str, str]] = []
        if manifest is not None and manifest.settings == plan.settings:
            entries.put_manifest(manifest)
        changed = not len(entries)
        for shard in self.shards:
            path, state = shard.folder(plan.out) / "journal", self.states[shard.number]
            if state is None:
                continue
            file = entries.file(path)
            for name, _, offset, length in read_journal(path)[1]:
                entries.put(name, file, offset, length)
                changed = True
            versions += [made for made in state.versions if made not in versions]
        if len(versions) > 1:
            self.merged.warnings.append(
                "not all of it was made with the same versions, which may differ in single pixels: "
                + "; ".join(", ".join(f"{name} {made[name]}" for name in sorted(made)) for made in versions)
            )
        return plan.versions if changed or manifest is None else manifest.versions

    def _splits(self, entries: Entries) -> tuple[dict[str, str], list[str]]:
        """({name: split} of all that was taken, the names whose entry says another split)."""
        plan = self.plan
        splits, recorded = {}, {}
        for name in entries:
            entry = entries[name]
            if "files" in entry and (name in plan.splits or not plan.overwrite):
                splits[name] = plan.splits.get(name, entry["split"])
                recorded[name] = entry["split"]
        if plan.needs_validation and "validation" not in splits.values():
            training = [name for name, split in splits.items() if split == "train" and name in plan.splits]
            if len(training) > 1:
                splits[min(training, key=lambda name: (rank(name), name))] = "validation"
        return splits, [name for name, split in splits.items() if split != recorded[name]]

    def _tars(self, entries: Entries, splits: Mapping[str, str], changed: set[int], aside: Path) -> None:
        """Find the tars that wait to be moved; those with a changed split are packed again, since they tell it."""
        plan = self.plan
        for shard in self.shards:
            for number in range(plan.tars):
                path = shard.folder(plan.out) / "tars" / tar_name(number, plan.tars)
                if path.is_file():
                    self.tars[path.name] = path
        members: dict[int, list[str]] = {number: [] for number in changed}
        for name in sorted(splits) if changed else []:
            if tar_of(name, plan.tars) in changed:
                members[tar_of(name, plan.tars)].append(name)
        for number, names in members.items():
            path = aside / "tars" / tar_name(number, plan.tars)
            new = ((name, {**entries[name], "split": splits[name]}) for name in names)
            items = ((name, entry, images_of(plan.out, name, entry)) for name, entry in new)
            self.repacked.update(write_tar(path, items, aside))
            self.tars[path.name] = path

    def _entry(self, name: str, entries: Entries, split: str) -> dict[str, Any]:
        entry = self.repacked.get(name) or entries[name]
        files = entry["files"]
        if self.plan.tars:  # moved out of the folder of work in progress by now
            files = {kind: {**file, "path": Path(file["path"]).name} for kind, file in files.items()}
        return {**entry, "split": split, "files": files}
