"""Where the images of a prepared folder are, and their bytes: in files of their own or in tars, one interface.

The index is arrays and names: about 100 bytes an item, so that 200,000 items are opened in seconds.
"""

from __future__ import annotations

import hashlib
import os
import struct
import zlib
from array import array
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from calisketch.datasets.manifest import MANIFEST
from calisketch.datasets.tars import TarFiles, member_name

__all__ = ["StoredImages"]


class StoredImages:
    """The images of some items of a folder, by (number of the item, kind).

    Items are added in turn, then `check` sees whether every file is there. Errors are ValueError, or FileNotFoundError
    for what is missing; they name the file, or tar and member, and end with `remedy`.
    """

    def __init__(self, root: Path, kinds: Sequence[str], *, remedy: str, keep_hashes: bool = False) -> None:
        self.root, self.kinds, self.remedy = root, tuple(kinds), remedy
        self.names: list[str] = []
        self._inside = root.resolve()
        self._elsewhere: dict[tuple[int, str], Path] = {}  # files that are not where their name says
        self._hashes = bytearray() if keep_hashes else None
        self._tars: list[Path] = []
        self._numbers: dict[str, int] = {}
        self._tar, self._offset, self._size = array("l"), array("q"), array("q")
        self._files = TarFiles()

    def add(self, name: str, files: Mapping[str, Mapping[str, Any]]) -> None:
        """Add an item of the manifest."""
        item = len(self.names)
        self.names.append(name)
        for kind in self.kinds:
            file = files.get(kind)
            if file is None:
                raise ValueError(f"{self.root / MANIFEST} lists no {kind} for {name}. {self.remedy} overwrite=true")
            try:
                self._add_file(item, name, kind, file)
            except (KeyError, TypeError, OverflowError, AttributeError, OSError) as error:
                raise ValueError(
                    f"{self.root / MANIFEST} is damaged at the {kind} of {name}: {error!r}. {self.remedy}"
                ) from error

    def _add_file(self, item: int, name: str, kind: str, file: Mapping[str, Any]) -> None:
        if "offset" in file:
            self._add_member(name, file["path"], int(file["offset"]), int(file["size"]))
        else:
            self._add_member(name, None, 0, 0)
            if file["path"] != f"{kind}/{name}.png" or "/" in name or "\\" in name:
                self._elsewhere[item, kind] = self._within(name, file["path"])
        if self._hashes is not None:
            recorded = file["sha256"]
            known = len(recorded) == 64 and not set(recorded) - set("0123456789abcdef")
            self._hashes += bytes.fromhex(recorded) if known else bytes(32)  # which no file has

    def _add_member(self, name: str, tar: str | None, offset: int, size: int) -> None:
        number = -1
        if tar is not None:
            if tar not in self._numbers:
                self._tars.append(self._within(name, tar))
                self._numbers[tar] = len(self._tars) - 1
            number = self._numbers[tar]
        self._tar.append(number)
        self._offset.append(offset)
        self._size.append(size)

    def _within(self, name: str, relative: str) -> Path:
        path = (self.root / relative).resolve()
        if not path.is_relative_to(self._inside):
            raise ValueError(f"{self.root / MANIFEST} points outside its folder for {name}: {relative}. {self.remedy}")
        path.is_file()  # an OSError where it cannot be a file's name at all
        return path

    def path(self, item: int, kind: str) -> Path:
        """The file, or the tar, that an image is in."""
        number = self._tar[item * len(self.kinds) + self.kinds.index(kind)]
        if number >= 0:
            return self._tars[number]
        return self._elsewhere.get((item, kind)) or self.root / kind / f"{self.names[item]}.png"

    def shown(self, item: int, kind: str) -> str:
        """The image's address for a message: the file, or tar and member."""
        path = self.path(item, kind)
        return f"{path}:{member_name(self.names[item], kind)}" if path.suffix == ".tar" else str(path)

    def check(self) -> None:
        """Whether every file is there, and every tar long enough. Raises FileNotFoundError or ValueError."""
        missing = self._missing()
        if missing:
            raise FileNotFoundError(
                f"{len(missing)} files of {self.root} are missing, the first is {missing[0]}. Run the same preparation "
                f"again, it makes what is missing. {self.remedy}"
            )
        lengths = [path.stat().st_size for path in self._tars]
        for place, number in enumerate(self._tar):
            if number >= 0 and not 0 <= self._offset[place] <= lengths[number] - self._size[place]:
                item, kind = divmod(place, len(self.kinds))
                raise ValueError(
                    f"{self._tars[number]} ends before its member {member_name(self.names[item], self.kinds[kind])} "
                    f"does. Run the same preparation again, it makes it anew. {self.remedy}"
                )

    def _missing(self) -> list[Path]:
        missing = [path for path in self._tars if not path.is_file()]
        if -1 not in self._tar:
            return missing
        there = {kind: self._listed(kind) for kind in self.kinds}  # far quicker than asking file by file
        for item, name in enumerate(self.names):
            for place, kind in enumerate(self.kinds):
                if self._tar[item * len(self.kinds) + place] >= 0:
                    continue
                path = self._elsewhere.get((item, kind))
                if not (path.is_file() if path is not None else f"{name}.png" in there[kind]):
                    missing.append(path or self.root / kind / f"{name}.png")
        return missing

    def _listed(self, kind: str) -> set[str]:
        folder = self.root / kind
        if not folder.is_dir():
            return set()
        if not folder.resolve().is_relative_to(self._inside):
            raise ValueError(f"{folder} is a link that leads outside of {self.root}. {self.remedy}")
        with os.scandir(folder) as entries:
            return {
                entry.name
                for entry in entries
                if entry.is_file(follow_symlinks=False) or (entry.is_symlink() and self._leads_inside(Path(entry.path)))
            }

    def _leads_inside(self, link: Path) -> bool:
        if not link.resolve().is_relative_to(self._inside):
            raise ValueError(f"{link} is a link that leads outside of {self.root}. {self.remedy}")
        return link.is_file()

    def read(self, item: int, kind: str) -> bytes:
        """The PNG of an image, whole by its own checksums. Raises ValueError."""
        return self._bytes(item, kind, _check_png)

    def _bytes(self, item: int, kind: str, check: Callable[[bytes], None]) -> bytes:
        place = item * len(self.kinds) + self.kinds.index(kind)
        path = self.path(item, kind)
        try:
            if self._tar[place] >= 0:
                member = member_name(self.names[item], kind)
                data = self._files.read(path, self._offset[place], self._size[place], member)
            else:
                data = path.read_bytes()
            check(data)
        except (OSError, ValueError) as error:
            raise ValueError(
                f"{self.shown(item, kind)} cannot be read: {error}. Run the same preparation again, it makes it anew. "
                f"{self.remedy}"
            ) from error
        return data

    def verify(self) -> None:
        """Compare every image's SHA-256 with the manifest's. Raises ValueError for the first that differs."""
        assert self._hashes is not None, "keep_hashes is needed"
        for place in range(len(self._tar)):
            item, number = divmod(place, len(self.kinds))
            digest = hashlib.sha256(self._bytes(item, self.kinds[number], lambda data: None)).digest()
            if digest != self._hashes[32 * place : 32 * place + 32]:
                raise ValueError(
                    f"{self.shown(item, self.kinds[number])} ({self.names[item]}) is not the file that was prepared: "
                    f"its SHA-256 differs. Run the same preparation again, it makes it anew. {self.remedy}"
                )
        self._hashes = None


def _check_png(data: bytes) -> None:
    """Compare the checksums of a PNG's chunks: a decoder lets some flipped bits pass. Raises ValueError."""
    if data[:8] != b"\x89PNG\r\n\x1a\n":
        raise ValueError("it is no PNG")
    place, kind = 8, b""
    while kind != b"IEND":
        if len(data) < place + 12:
            raise ValueError("it is cut short")
        length, kind = struct.unpack(">I4s", data[place : place + 8])
        end = place + 8 + length
        if len(data) < end + 4:
            raise ValueError("it is cut short")
        if zlib.crc32(data[place + 4 : end]) != int.from_bytes(data[end : end + 4], "big"):
            raise ValueError("its checksum is wrong")
        place = end + 4
