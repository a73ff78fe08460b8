"""The manifest of a prepared folder: what it was made with, and where every file is, with its SHA-256.

    {"format": "calisketch-photos", "format_version": 1,
     "settings": {...}, "versions": {...}, "listing": SHA-256 of the names that were asked for,
    "entries": {
    ID: {"split": "train", "source_sha256": ..., "files": {"photo": {"path": ..., "sha256": ...}, ...}},
    ...}}

Version 2 is the same for tar files: a file has also its "offset" and "size" in the tar that "path" names. Entries lie
one in a line, in the order of their names, so that a manifest of 200,000 photos is read and written line by line; JSON
in any other layout is read too. A folder holds one set of settings: with other ones the preparation stops and says what
differs.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

__all__ = [
    "FORMAT",
    "FORMAT_VERSION",
    "MANIFEST",
    "Manifest",
    "SettingsDiffer",
    "check_settings",
    "entry_line",
    "parse_line",
    "read_manifest",
    "write_aside",
    "write_manifest",
]

FORMAT = "calisketch-photos"
FORMAT_VERSION = 2  # the newest that is read; folders of plain files are still written as version 1
MANIFEST = "manifest.json"
LARGEST_SIZE = 8192  # of a side, in pixels; a batch of such squares fills any memory
_ENTRIES = '"entries": {\n'  # at the start of its line, which marks the layout of one entry a line
_REMEDY = "Prepare the photos into another folder, or delete this one."
_decoder = json.JSONDecoder()


class SettingsDiffer(ValueError):
    """A prepared folder was made with other settings than those asked for; the message says which."""


def entry_line(name: str, entry: Mapping[str, Any]) -> str:
    """`"name": {...}`, as manifests and journals hold it."""
    return f"{json.dumps(name)}: {json.dumps(entry)}"


def parse_line(line: str) -> tuple[str, dict[str, Any]]:
    """(name, entry) of an `entry_line`, a comma behind it or not. Raises ValueError if it is none."""
    name, end = _decoder.raw_decode(line)
    if not isinstance(name, str) or line[end : end + 2] != ": ":
        raise ValueError(f"got {line[:60]!r}, expected an entry")
    entry, end = _decoder.raw_decode(line, end + 2)
    if not isinstance(entry, dict) or line[end:].rstrip("\n") not in ("", ","):
        raise ValueError(f"got {line[:60]!r}, expected an entry")
    return name, entry


@dataclass(frozen=True)
class Manifest:
    """A manifest's head, and a way to its entries.

    first_entry: where the first entry's line begins, in bytes; None: `whole` has the entries.
    """

    path: Path
    settings: dict[str, Any]
    versions: dict[str, str]
    listing: str | None
    first_entry: int | None
    whole: dict[str, Any]

    def entries(self) -> Iterator[tuple[str, dict[str, Any], tuple[int, int] | None]]:
        """(name, entry, (offset, length) of its line) in the order of the names.

        The place is None where the manifest is not laid out by lines. Raises ValueError for a damaged one.
        """
        if self.first_entry is None:
            for name in sorted(self.whole):
                yield name, self.whole[name], None
            return
        before = None
        with open(self.path, "rb") as stream:
            offset = self.first_entry
            stream.seek(offset)
            for line in stream:
                if line == b"}}\n":
                    return
                try:
                    name, entry = parse_line(line.decode())
                except ValueError as error:
                    raise ValueError(
                        f"{self.path} cannot be read as JSON at byte {offset}: {error}. {_REMEDY}"
                    ) from error
                if before is not None and name <= before:
                    raise ValueError(f"{self.path} is damaged: {name} stands behind {before}. {_REMEDY}")
                before = name
                yield name, entry, (offset, len(line))
                offset += len(line)
        raise ValueError(f"{self.path} cannot be read as JSON: it is cut short. {_REMEDY}")


def _head(stream: BinaryIO) -> tuple[Any, int | None]:
    """(the head as JSON, where the entries begin), or (everything, None) in another layout."""
    head = ""
    for line in stream:
        text = line.decode()
        if text == _ENTRIES:
            return json.loads(head + '"entries": {}}'), stream.tell()
        head += text
        if len(head) > 2**20:  # heads are short: this is another layout
            break
    return json.loads(head + stream.read().decode()), None


def read_manifest(folder: Path) -> Manifest | None:
    """The folder's manifest, or None where there is none.

    Raises ValueError if it is damaged, of another kind, or of a newer format version.
    """
    path = folder / MANIFEST
    if not path.exists():
        return None
    try:
        with open(path, "rb") as stream:
            manifest, first_entry = _head(stream)
    except (OSError, ValueError, RecursionError) as error:
        raise ValueError(f"{path} cannot be read as JSON: {error}. {_REMEDY}") from error
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise ValueError(f"{path} is no manifest of prepared photos: expected format {FORMAT!r}. {_REMEDY}")
    version = manifest.get("format_version")
    if isinstance(version, bool) or not isinstance(version, int) or not 1 <= version <= FORMAT_VERSION:
        raise ValueError(
            f"{path} has format version {version!r}, expected at most {FORMAT_VERSION}. Update calisketch, or prepare "
            "the photos again with overwrite=true."
        )
    entries, settings, versions = (manifest.get(key) for key in ("entries", "settings", "versions"))
    if not isinstance(entries, dict) or not isinstance(settings, dict):
        raise ValueError(f"{path} lacks its entries or settings. {_REMEDY}")
    size = settings.get("size")
    if isinstance(size, bool) or not isinstance(size, int) or not 1 <= size <= LARGEST_SIZE:
        raise ValueError(f"{path} has the size {size!r}, expected 1 to {LARGEST_SIZE} pixels. {_REMEDY}")
    listing = manifest.get("listing")
    return Manifest(path, settings, versions if isinstance(versions, dict) else {}, listing, first_entry, entries)


def write_aside(path: Path, data: bytes | Iterable[bytes], *, aside: Path | None = None, sync: bool = False) -> None:
    """Write a file under another name and rename it, so that it is never seen half-written.

    data: the bytes, or blocks of them. aside: the folder for the other name, on the same disk; None: the file's own.
    """
    descriptor, name = tempfile.mkstemp(dir=aside or path.parent, prefix=f".{path.name[:100]}.")
    try:
        with os.fdopen(descriptor, "wb") as stream:
            for block in [data] if isinstance(data, bytes) else data:
                stream.write(block)
            if sync:
                stream.flush()
                os.fsync(stream.fileno())
        os.chmod(name, 0o644)  # mkstemp's files are private; prepared folders are shared
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def write_manifest(
    folder: Path,
    settings: Mapping[str, Any],
    versions: Mapping[str, str],
    listing: str,
    entries: Iterable[tuple[str, Mapping[str, Any]]],
    aside: Path,
) -> None:
    """Write the manifest aside, line by line, flush it to the disk, and rename it.

    entries: (name, entry) in the order of the names. aside: the folder to write it in, on the same disk.
    """

    def lines() -> Iterator[bytes]:
        head = {
            "format": FORMAT,
            "format_version": 2 if settings.get("output") == "tar" else 1,
            "settings": dict(settings),
            "versions": dict(versions),
            "listing": listing,
        }
        yield (json.dumps(head, indent=1)[:-2] + ",\n" + _ENTRIES).encode()
        before = None
        for name, entry in entries:
            if before is not None:
                yield f"{before},\n".encode()
            before = entry_line(name, entry)
        yield f"{before}\n}}}}\n".encode() if before is not None else b"}}\n"

    write_aside(folder / MANIFEST, lines(), aside=aside, sync=True)


def check_settings(folder: Path, recorded: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    """Raises SettingsDiffer, naming every setting of `folder` that differs from the wanted one."""
    missing = object()
    differing = [
        f"{key}: prepared with {recorded.get(key)!r}, now {wanted.get(key)!r}"
        for key in sorted({*recorded, *wanted})
        if recorded.get(key, missing) != wanted.get(key, missing)
    ]
    if differing:
        raise SettingsDiffer(
            f"{folder} was prepared with other settings ({'; '.join(differing)}). Add overwrite=true to prepare it "
            "anew, or give another folder with out=..."
        )
