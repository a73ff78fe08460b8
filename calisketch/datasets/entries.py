"""What is known of each item, by name, without holding it: 200,000 entries as dicts would take half a gigabyte."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from calisketch.datasets.manifest import Manifest, entry_line, parse_line

__all__ = ["Entries", "file_bytes", "intact"]


class Entries:
    """Entries by name; the index has the place of each one's line, and the entry is parsed when asked for.

    What is put later takes the place of what was put before.
    """

    def __init__(self) -> None:
        self._lines: dict[str, tuple[int, int, int] | str] = {}
        self._descriptors: list[int] = []
        self._numbers: dict[Path, int] = {}

    def file(self, path: Path) -> int:
        """A number for a file with lines, which is opened once; its content stays readable when it is replaced."""
        if path not in self._numbers:
            self._descriptors.append(os.open(path, os.O_RDONLY))
            self._numbers[path] = len(self._descriptors) - 1
        return self._numbers[path]

    def put(self, name: str, file: int, offset: int, length: int) -> None:
        """The entry called `name` is the line at `offset` of the file with this number."""
        self._lines[name] = (file, offset, length)

    def put_manifest(self, manifest: Manifest) -> None:
        """All entries of a manifest."""
        file = self.file(manifest.path)
        for name, entry, place in manifest.entries():
            self._lines[name] = entry_line(name, entry) if place is None else (file, *place)

    def __contains__(self, name: str) -> bool:
        return name in self._lines

    def __len__(self) -> int:
        return len(self._lines)

    def __iter__(self) -> Iterator[str]:
        return iter(self._lines)

    def __getitem__(self, name: str) -> dict[str, Any]:
        line = self._lines[name]
        if isinstance(line, tuple):
            file, offset, length = line
            line = os.pread(self._descriptors[file], length, offset).decode()
        return parse_line(line)[1]

    def get(self, name: str) -> dict[str, Any] | None:
        """The entry, or None if there is none."""
        return self[name] if name in self._lines else None

    def close(self) -> None:
        """Close the files; the entries cannot be read any more."""
        for descriptor in self._descriptors:
            os.close(descriptor)
        self._descriptors = []


def file_bytes(folder: Path, file: Mapping[str, Any]) -> bytes | None:
    """The bytes of one file of an entry, from its own file or from a tar; None if they are not the recorded ones.

    A tar that is still recorded in the folder of work in progress may have been moved to its place already.
    """
    path = folder / file["path"]
    if not path.is_file():
        path = folder / path.name
    try:
        if "offset" in file:
            with open(path, "rb") as stream:
                data = os.pread(stream.fileno(), file["size"], file["offset"])
        else:
            data = path.read_bytes()
    except FileNotFoundError:
        return None
    return data if hashlib.sha256(data).hexdigest() == file["sha256"] else None


def intact(folder: Path, entry: Mapping[str, Any]) -> bool:
    """Whether every file of an entry is there with the recorded SHA-256."""
    files = entry.get("files", {}).values()
    return bool(files) and all(file_bytes(folder, file) is not None for file in files)
