"""Prepared photos in WebDataset's tar files: written byte for byte the same each time, read without unpacking.

    photos-00003-of-00008.tar    KEY.photo.png, KEY.contour.png, KEY.detail.png, KEY.artist.png, KEY.json, and so on

KEY is the item's name with "%" as "%25" and "." as "%2E", since WebDataset takes what follows the first dot for the
kind of the file; KEY.json has the name itself, the split and the source's SHA-256.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import tarfile
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

__all__ = ["TarFiles", "member_name", "tar_name", "tar_of", "write_tar"]

MOST_OPEN = 128  # tars that a process keeps open


def tar_name(number: int, count: int) -> str:
    """photos-00003-of-00008.tar."""
    return f"photos-{number:05d}-of-{count:05d}.tar"


def tar_of(name: str, count: int) -> int:
    """The number of the tar that an item belongs to.

    By a hash of its name: it stays there when photos are added or removed, and every tar is a random sample of all.
    """
    return int(hashlib.sha256(f"tar {name}".encode()).hexdigest()[:12], 16) % count


def member_name(name: str, kind: str) -> str:
    """The name in the tar of an item's file, such as f-005-01.photo.png."""
    return f"{name.replace('%', '%25').replace('.', '%2E')}.{kind}.png"


def write_tar(
    path: Path, items: Iterable[tuple[str, Mapping[str, Any], Mapping[str, bytes]]], aside: Path
) -> list[tuple[str, dict[str, Any]]]:
    """Write a tar aside, flush it to the disk and rename it; returns (name, entry) with each file's new place.

    items: (name, entry, {kind: PNG}) in the order in which they shall lie. The bytes depend on these alone: no dates,
    no owners.
    """
    places = []
    unfinished = aside / f".{path.name}"
    with open(unfinished, "wb") as stream:
        with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT, encoding="utf-8") as archive:
            for name, entry, images in items:
                files = {}
                for kind in sorted(images):
                    offset = _add(archive, stream, member_name(name, kind), images[kind])
                    files[kind] = {
                        "path": path.name,
                        "offset": offset,
                        "size": len(images[kind]),
                        "sha256": entry["files"][kind]["sha256"],
                    }
                said = {"name": name, "source_sha256": entry["source_sha256"], "split": entry["split"]}
                _add(archive, stream, member_name(name, "")[: -len(".png")] + "json", json.dumps(said).encode())
                places.append((name, {**entry, "files": files}))
        stream.flush()
        os.fsync(stream.fileno())
    path.parent.mkdir(parents=True, exist_ok=True)
    os.replace(unfinished, path)
    return places


def _add(archive: tarfile.TarFile, stream: BinaryIO, name: str, data: bytes) -> int:
    """Add a member; returns where its bytes begin."""
    info = tarfile.TarInfo(name)  # mtime, uid and gid are 0, owner and group empty, mode 0o644
    info.size = len(data)
    archive.addfile(info, io.BytesIO(data))
    return stream.tell() - -(-len(data) // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE


def _read_at(descriptor: int, size: int, offset: int) -> bytes:
    if hasattr(os, "pread"):
        return os.pread(descriptor, size, offset)
    os.lseek(descriptor, offset, os.SEEK_SET)  # Windows, where processes do not share an open file
    return os.read(descriptor, size)


class TarFiles:
    """Reads members by their place: one `pread` each, which processes that share an open file do not disturb.

    It can be pickled and survives a fork; open files are not sent along but opened again.
    """

    def __init__(self) -> None:
        self._open: OrderedDict[Path, int] = OrderedDict()

    def read(self, path: Path, offset: int, size: int, name: str) -> bytes:
        """The bytes of the member `name`. Raises ValueError naming tar and member if it does not lie there."""
        begin = offset - tarfile.BLOCKSIZE
        data = _read_at(self._descriptor(path), size + tarfile.BLOCKSIZE, max(begin, 0))
        if begin < 0 or len(data) != size + tarfile.BLOCKSIZE:
            raise ValueError(f"{path} ends before its member {name} does")
        try:
            header = tarfile.TarInfo.frombuf(data[: tarfile.BLOCKSIZE], "utf-8", "surrogateescape")
        except tarfile.HeaderError as error:
            raise ValueError(f"{path} is damaged at its member {name}: {error}") from error
        # A long name or one beyond ASCII stands in a header of its own before this one, which has it cut or in part.
        plain = name.isascii() and len(name) <= tarfile.LENGTH_NAME
        if header.size != size or (plain and header.name != name):
            raise ValueError(
                f"{path} has {header.name} of {header.size} bytes where {name} of {size} bytes was expected"
            )
        return data[tarfile.BLOCKSIZE :]

    def _descriptor(self, path: Path) -> int:
        descriptor = self._open.get(path)
        if descriptor is None:
            descriptor = self._open[path] = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
            if len(self._open) > MOST_OPEN:
                os.close(self._open.popitem(last=False)[1])
        else:
            self._open.move_to_end(path)
        return descriptor

    def close(self) -> None:
        """Close all files; they are opened again when needed."""
        while self._open:
            os.close(self._open.popitem()[1])

    def __getstate__(self) -> dict[str, Any]:
        return {}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._open = OrderedDict()

    def __del__(self) -> None:
        self.close()
