"""A prepared folder as a torch Dataset."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from calisketch.boundary.decoding import Unreadable, decode
from calisketch.datasets.border import Corners, inside_mask
from calisketch.datasets.manifest import MANIFEST, Manifest, read_manifest
from calisketch.datasets.reading.stored_images import StoredImages
from calisketch.datasets.shard_journal import unfinished
from calisketch.remedies import override

__all__ = ["SPLITS", "PreparedPhotos"]

SPLITS = ("train", "validation", "test")
LARGEST_CACHE = 2 * 2**30  # bytes of decoded images that are kept in memory


class PreparedPhotos(Dataset[dict[str, Tensor]]):
    """The items of one split of a folder made by `prepare_cuhk` or `prepare_photos`, in the order of their names.

    The images may lie in files or in tars, which are read where they are: the items are the same. It can be sent to
    other processes, and read by them.

    root: the prepared folder. split: "train", "validation" or "test"; the three are disjoint.
    size: the side it must have been prepared at; None takes it as it is.
    track: "artist" to have the artists' drawings too, and only the items that have one.
    cache: keep decoded images in memory, while they fit.
    verify: compare every file's SHA-256 with the manifest's first.
    inside: give each item the mask of the pixels that lie inside its source photo, so that losses can leave out what
        the preparation made up beyond the photo's edge.

    An item is {"photo": (3, H, W), "contour": (1, H, W), "detail": (1, H, W), "index": int64 scalar} and with
    `track="artist"` {"artist": (1, H, W)}, with `inside=True` {"inside": (1, H, W) of 0 and 1}; float32 in [0, 1], line
    maps with ink = 1. A folder prepared with contour=none gives no contour. Of a photo whose corners the manifest does
    not tell (an older one, or one that fills its frame) every pixel counts as inside. `names[index]` is the item's
    name, `size` the side of its images.
    Raises FileNotFoundError or ValueError that say how to prepare the folder.
    """

    def __init__(
        self,
        root: str | Path,
        split: str = "train",
        size: int | None = None,
        track: str | None = None,
        *,
        cache: bool = True,
        verify: bool = False,
        inside: bool = False,
    ) -> None:
        if split not in SPLITS:
            raise ValueError(f"split must be one of {', '.join(SPLITS)}; got {split!r}.")
        if track not in (None, "artist"):
            raise ValueError(f'track must be None or "artist"; got {track!r}.')
        self.root = Path(root).expanduser()
        self.split = split
        manifest = self._manifest()
        self.settings: dict[str, Any] = manifest.settings
        self.size = int(self.settings["size"])
        if size is not None and size != self.size:
            how = self._how(f"out=ANOTHER_FOLDER size={size}")
            raise ValueError(f"{self.root} was prepared at size {self.size}, expected {size}. {how}")
        wanted = ["photo", "contour", "detail"] if self.settings.get("contour") != "none" else ["photo", "detail"]
        if track is not None:
            wanted.append(track)
        self._images = StoredImages(self.root, wanted, remedy=self._how(), keep_hashes=verify)
        self._inside: list[Corners | None] | None = [] if inside else None
        counts: Counter[str] = Counter()
        for name, entry, _ in manifest.entries():
            if (
                not isinstance(entry, dict)
                or not isinstance(entry.get("files"), dict)
                or entry.get("split") not in SPLITS
            ):
                raise ValueError(f"{self.root / MANIFEST} is damaged at {name}. {self._how()}")
            counts[entry["split"]] += 1
            if entry["split"] == split and (track is None or track in entry["files"]):
                self._images.add(name, entry["files"])
                if self._inside is not None:
                    self._inside.append(entry.get("source_corners"))
        self.names: list[str] = self._images.names
        if not self.names:
            wish = f"split {split!r}" + (f" with an {track} drawing" if track else "")
            there = json.dumps(counts) if counts else "none at all"
            raise ValueError(
                f"{self.root} has no photos in {wish}; it has {there}. Choose another split, or prepare more photos "
                "into it."
            )
        self._images.check()
        if verify:
            self._images.verify()
        bytes_each = self.size**2 * (2 + len(wanted))
        self._cache: dict[int, dict[str, Tensor]] | None = (
            {} if cache and bytes_each * len(self.names) <= LARGEST_CACHE else None
        )

    def _manifest(self) -> Manifest:
        if not self.root.is_dir():
            raise FileNotFoundError(f"no prepared photos at {self.root}: there is no such folder. {self._how()}")
        manifest = read_manifest(self.root)
        if manifest is None:
            missing = unfinished(self.root)
            why = f"it has no {MANIFEST}" + (f", since {missing}" if missing else "")
            raise FileNotFoundError(f"no prepared photos at {self.root}: {why}. {self._how()}")
        return manifest

    def _how(self, more: str = "") -> str:
        more = more or override("out", self.root)
        kind = getattr(self, "settings", {}).get("kind")
        commands = {
            "cuhk": f'calisketch prepare-cuhk "source=[ARCHIVES OR FOLDERS]" {more}',
            "photos": f"calisketch prepare source=FOLDER {more}",
            "pairs": f"calisketch prepare-pairs source=FOLDER {more}",
        }
        chosen = [commands[kind]] if kind in commands else list(commands.values())
        return f"Prepare with: {' or '.join(chosen)}"

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        if not -len(self) <= index < len(self):
            raise IndexError(f"item {index} of {len(self)}")
        index %= len(self)
        item = self._cache.get(index) if self._cache is not None else None
        if item is None:
            item = {kind: self._read(index, kind, "RGB" if kind == "photo" else "L") for kind in self._images.kinds}
            if self._cache is not None:
                self._cache[index] = item
        result = {kind: image.float() / 255 for kind, image in item.items()}
        if self._inside is not None:
            result["inside"] = self._mask(index, self._inside[index])
        return {**result, "index": torch.tensor(index)}

    def _mask(self, index: int, corners: Corners | None) -> Tensor:
        """(1, H, W) of 0 and 1."""
        if corners is None:
            return torch.ones(1, self.size, self.size)
        try:
            return torch.from_numpy(inside_mask(corners, self.size))[None].float()
        except (ValueError, TypeError) as error:
            raise ValueError(
                f"{self.root / MANIFEST} is damaged at {self.names[index]}: {error} {self._how()}"
            ) from error

    def _read(self, index: int, kind: str, mode: str) -> Tensor:
        """(C, H, W) uint8."""
        remedy = f"Run the same preparation again, it makes it anew. {self._how()}"
        data = self._images.read(index, kind)
        try:
            pixels = np.array(decode(data, largest=max(self.size**2, 2**24)).convert(mode))
        except Unreadable as error:
            raise ValueError(f"{self._images.shown(index, kind)} cannot be read: {error} {remedy}") from error
        if pixels.shape[:2] != (self.size, self.size):
            raise ValueError(
                f"{self._images.shown(index, kind)} must be {self.size}x{self.size}, as its manifest says; got "
                f"{pixels.shape[1]}x{pixels.shape[0]}. {remedy}"
            )
        return torch.from_numpy(pixels.reshape(self.size, self.size, -1)).permute(2, 0, 1).contiguous()

    def __repr__(self) -> str:
        return f"PreparedPhotos({str(self.root)!r}, split={self.split!r}, size={self.size}, {len(self)} photos)"
