"""Base drawings, kept on disk: made once for each photo, because they take longer than all that is drawn from them.

    FOLDER/ab/abcdef....npz           what `sketching.base_drawings` makes of one photo, by a digest of its pixels
    FOLDER/ab/abcdef....HAND.npz      the photo as a learned hand draws it, by a digest of the hand's model

A file belongs to a photo and not to a name: a folder may serve several data sets, and a photo that was prepared anew
gets new drawings. Files are written aside and renamed, so several processes may fill one folder.
"""

from __future__ import annotations

import hashlib
import os
import zipfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from calisketch.sketching.by_hand.base_drawings import VERSION, BaseDrawings, artist_drawing, base_drawings
from calisketch.sketching.learned import LearnedStyle
from calisketch.whole_files import written_whole

__all__ = ["BaseStore"]

_DAMAGED = (zipfile.BadZipFile, ValueError, KeyError, EOFError, OSError)


class BaseStore:
    """The base drawings of photos: from disk where they are kept, else made, and kept.

    A damaged file is made anew. It can be sent to other processes.

    folder: where they are kept; it is made where there is none. artist: a learned hand that draws each photo, too.
    """

    def __init__(self, folder: str | os.PathLike[str], artist: LearnedStyle | None = None) -> None:
        self.folder = Path(folder).expanduser()
        self.artist = artist
        self._hand = "" if artist is None else artist.digest()[:12]

    def base(self, photo: Tensor, *, artist: bool = True) -> BaseDrawings:
        """Of one photo, (3, H, W) in [0, 1], in steps of 1 / 255.

        artist: with the learned hand's drawing, where there is a hand.

        Raises TypeError, ValueError for another image, OSError where nothing can be written.
        """
        pixels = (photo * 255).round().to(torch.uint8)
        digest = self._digest(pixels)
        kept = _read(self._path(digest))
        base = None if kept is None else _or_none(kept)
        single = pixels.float()[None] / 255
        if base is None:
            base = base_drawings(single)
            _write(self._path(digest), base.arrays())
        if self.artist is None or not artist:
            return base
        path = self._path(digest, self._hand)
        drawn = _read(path) or {}
        by_hand = drawn.get("artist")
        if by_hand is None or by_hand.shape != base.xdog.shape or by_hand.dtype != np.uint8:
            by_hand = artist_drawing(single, self.artist)
            _write(path, {"artist": by_hand})
        return replace(base, artist=by_hand)

    def _path(self, digest: str, hand: str = "") -> Path:
        return self.folder / digest[:2] / (f"{digest}.{hand}.npz" if hand else f"{digest}.npz")

    def _digest(self, pixels: Tensor) -> str:
        key = f"{VERSION} {tuple(pixels.shape)}".encode()
        return hashlib.blake2b(pixels.numpy().tobytes(), digest_size=16, key=key).hexdigest()

    def __repr__(self) -> str:
        return f"BaseStore({str(self.folder)!r}, artist={self.artist!r})"


def _read(path: Path) -> dict[str, NDArray[Any]] | None:
    """The arrays of a file, whole by its checksums; None where there is none, or a damaged one."""
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except _DAMAGED:
        return None


def _or_none(kept: Mapping[str, NDArray[Any]]) -> BaseDrawings | None:
    try:
        return BaseDrawings.from_arrays(kept)
    except ValueError:
        return None


def _write(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Aside and renamed: whoever reads finds a whole file or none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with written_whole(path) as aside, open(aside, "wb") as file:
        np.savez_compressed(file, **arrays)  # type: ignore[arg-type]
