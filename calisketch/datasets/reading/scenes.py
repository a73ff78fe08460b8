"""Pictures that colour blocks are cut from (X-GANs' polluted blocks): any second set of photos."""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from calisketch.boundary import images
from calisketch.datasets.manifest import MANIFEST
from calisketch.datasets.reading.prepared_photos import SPLITS, PreparedPhotos
from calisketch.sketching.corruption import drawn_scene

__all__ = ["Scenes"]

_KEPT = 256 * 2**20  # bytes of scaled pictures that are kept in memory


class Scenes:
    """``scenes(place, side)``: a picture of a folder, scaled so that its shorter side is ``side``; (3, h, w) in [0, 1].

    Nothing is opened before the first picture is asked for, and what was read does not travel to other processes.

    root: a prepared folder, or any folder of image files; None: `sketching.corruption.drawn_scene`, a stand-in.
    split: of a prepared folder; another folder is taken whole.

    Raises ValueError for another split; when pictures are asked for FileNotFoundError or ValueError: there is no such
    folder, it has no pictures, or one cannot be read.
    """

    _found: Any  # PreparedPhotos, or a list of files; None until the first picture is asked for

    def __init__(self, root: str | Path | None = None, split: str = "train") -> None:
        if split not in SPLITS:
            raise ValueError(f"split must be one of {', '.join(SPLITS)}; got {split!r}.")
        self.root = None if root is None else Path(root).expanduser()
        self.split = split
        self._forget()

    def __call__(self, place: float, side: int) -> Tensor:
        """place: which picture, in [0, 1): the same one for as long as the folder is the same. side: in pixels."""
        if self.root is None:
            return drawn_scene(place, side)
        found = self._opened()
        number = min(int(place * len(found)), len(found) - 1)
        scaled = self._scaled.get((number, side))
        if scaled is None:
            scaled = self._scaled[number, side] = _scaled(self._read(found, number), side)
            self._bytes += scaled.numel()
            while self._bytes > _KEPT:
                self._bytes -= self._scaled.popitem(last=False)[1].numel()
        return scaled.float() / 255

    def _opened(self) -> Any:
        if self._found is None:
            assert self.root is not None
            if not self.root.is_dir():
                raise FileNotFoundError(f"no scenes at {self.root}: there is no such folder. Give one with pictures.")
            if (self.root / MANIFEST).is_file():
                self._found = PreparedPhotos(self.root, self.split, cache=False)
            else:
                self._found = images.files_in(self.root)
                if not self._found:
                    raise ValueError(f"no scenes in {self.root}: looked for {', '.join(images.FILE_ENDINGS)}.")
        return self._found

    def _read(self, found: Any, number: int) -> Tensor:
        if isinstance(found, PreparedPhotos):
            return found[number]["photo"]
        picture = images.open_image(found[number], images.LARGEST_SKETCH).convert("RGB")
        return torch.from_numpy(np.array(picture)).permute(2, 0, 1).float() / 255

    def _forget(self) -> None:
        self._found = None
        self._scaled: OrderedDict[tuple[int, int], Tensor] = OrderedDict()
        self._bytes = 0

    def __getstate__(self) -> dict[str, Any]:
        return {"root": self.root, "split": self.split}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.root, self.split = state["root"], state["split"]
        self._forget()

    def __repr__(self) -> str:
        return f"Scenes({None if self.root is None else str(self.root)!r}, split={self.split!r})"


def _scaled(picture: Tensor, side: int) -> Tensor:
    """(3, H, W) float -> (3, h, w) uint8, averaged over areas where it shrinks."""
    height, width = picture.shape[-2:]
    factor = side / min(height, width)
    size = max(side, round(height * factor)), max(side, round(width * factor))
    resized = F.interpolate(picture[None], size=size, mode="bilinear", antialias=True, align_corners=False)[0]
    return (resized.clamp(0, 1) * 255).round().byte()
