"""What a preparation is to make, and which process makes which part of it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from calisketch.datasets.entries import Entries
from calisketch.datasets.manifest import check_settings, read_manifest
from calisketch.datasets.preparing.item_images import Item
from calisketch.datasets.shard_journal import Shard, journals, read_journal
from calisketch.datasets.tars import tar_of

__all__ = ["Plan", "check_recorded", "rank"]


def rank(name: str) -> float:
    """A number in [0, 1) that belongs to a name: what is chosen by it stays chosen when photos are added."""
    return int(hashlib.sha256(name.encode()).hexdigest()[:8], 16) / 2**32


@dataclass(frozen=True)
class Plan:
    """All items of a preparation, the same for every process that takes part.

    items: in the order of their names. settings: the manifest's. tars: how many, 0 for plain files. shards: how many
    processes share the work. overwrite: take nothing that is there. needs_validation: if none of the photos that could
    be taken is for validation, one of those for training becomes it.
    """

    out: Path
    items: Sequence[Item]
    settings: Mapping[str, Any]
    versions: Mapping[str, str]
    tars: int
    shards: int
    overwrite: bool
    needs_validation: bool

    @cached_property
    def listing(self) -> str:
        """A hash of what is asked for, and of the number of tars: while it is the same, so is everybody's share."""
        asked = [item.name if item.artist is None else f"{item.name}\t+ drawing" for item in self.items]
        return hashlib.sha256("\n".join([*asked, f"\t{self.tars} tars"]).encode()).hexdigest()

    @cached_property
    def splits(self) -> dict[str, str]:
        """{name: split} of all items."""
        return {item.name: item.split for item in self.items}

    def share(self, shard: Shard) -> list[Item]:
        """The items that a shard makes.

        As plain files, every `shards`-th item in the order of the names: shares of one size, whatever lies in which
        folder. As tars, the items of every `shards`-th tar, so that no tar waits for two processes.
        """
        if not self.tars:
            return [item for position, item in enumerate(self.items) if shard.has(position)]
        numbered = [(tar_of(item.name, self.tars), item) for item in self.items]
        return [item for tar, item in sorted(numbered, key=lambda pair: pair[0]) if shard.has(tar)]

    def known(self, shard: Shard) -> tuple[Entries, set[str], set[str]]:
        """What was made before: (entries, names that only other journals tell of, names that this shard's tells of).

        The manifest's entries, then those of journals with the same settings, this shard's last.
        """
        entries = Entries()
        others: set[str] = set()
        own: set[str] = set()
        if self.overwrite:
            return entries, others, own
        if (manifest := read_manifest(self.out)) is not None:
            entries.put_manifest(manifest)
        found = journals(self.out)
        for name in sorted(found, key=lambda name: name == shard.name):
            state, lines = read_journal(found[name])
            if state is None or state.head["settings"] != self.settings:
                continue
            file = entries.file(found[name])
            for item, _, offset, length in lines:
                entries.put(item, file, offset, length)
                (own if name == shard.name else others).add(item)
        return entries, others - own, own


def check_recorded(out: Path, settings: Mapping[str, Any]) -> None:
    """Raises SettingsDiffer if the folder's manifest, or a preparation in progress there, has other settings."""
    manifest = read_manifest(out)
    if manifest is not None:
        check_settings(out, manifest.settings, settings)
    for path in journals(out).values():
        state, _ = read_journal(path)
        if state is not None:
            check_settings(out, state.head["settings"], settings)
