"""The manifest of a prepared folder: what it was made with, and the SHA-256 of every file in it.

    {"format": "calisketch-photos", "format_version": 1,
     "settings": {...}, "versions": {...},
     "entries": {ID: {"split": "train", "source_sha256": ..., "files": {"photo": {"path": ..., "sha256": ...}, ...}}}}

A folder holds one set of settings: with other ones the preparation stops and says what differs.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from calisketch.weights import sha256_of

__all__ = [
    "FORMAT",
    "FORMAT_VERSION",
    "MANIFEST",
    "SettingsDiffer",
    "check_settings",
    "intact",
    "read_manifest",
    "write_aside",
    "write_manifest",
]

FORMAT = "calisketch-photos"
FORMAT_VERSION = 1
MANIFEST = "manifest.json"


class SettingsDiffer(ValueError):
    """A prepared folder was made with other settings than those asked for; the message says which."""


def read_manifest(folder: Path) -> dict[str, Any] | None:
    """The folder's manifest, or None where there is none.

    Raises ValueError if it is damaged, of another kind, or of a newer format version.
    """
    path = folder / MANIFEST
    if not path.exists():
        return None
    remedy = "Prepare the photos into another folder, or delete this one."
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(f"{path} cannot be read as JSON: {error}. {remedy}") from error
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise ValueError(f"{path} is no manifest of prepared photos: expected format {FORMAT!r}. {remedy}")
    version = manifest.get("format_version")
    if not isinstance(version, int) or version > FORMAT_VERSION:
        raise ValueError(
            f"{path} has format version {version!r}, expected at most {FORMAT_VERSION}. Update calisketch, or prepare "
            "the photos again with overwrite=true."
        )
    if not isinstance(manifest.get("entries"), dict) or not isinstance(manifest.get("settings"), dict):
        raise ValueError(f"{path} lacks its entries or settings. {remedy}")
    return manifest


def write_aside(path: Path, data: bytes, *, sync: bool = False) -> None:
    """Write a file under another name and rename it, so that it is never seen half-written."""
    descriptor, aside = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(data)
            if sync:
                stream.flush()
                os.fsync(stream.fileno())
        os.chmod(aside, 0o644)  # mkstemp's files are private; prepared folders are shared
        os.replace(aside, path)
    except BaseException:
        Path(aside).unlink(missing_ok=True)
        raise


def write_manifest(
    folder: Path, settings: Mapping[str, Any], versions: Mapping[str, str], entries: Mapping[str, Any]
) -> None:
    """Write the manifest aside, flush it to the disk, and rename it."""
    manifest = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "settings": dict(settings),
        "versions": dict(versions),
        "entries": {name: entries[name] for name in sorted(entries)},
    }
    write_aside(folder / MANIFEST, (json.dumps(manifest, indent=1) + "\n").encode(), sync=True)


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


def intact(folder: Path, entry: Mapping[str, Any]) -> bool:
    """Whether every file of an entry is there with the SHA-256 that the manifest records."""
    for file in entry.get("files", {}).values():
        path = folder / file["path"]
        if not path.is_file() or sha256_of(path) != file["sha256"]:
            return False
    return bool(entry.get("files"))
