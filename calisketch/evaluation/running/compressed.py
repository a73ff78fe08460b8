"""What photos that are kept as a few points have to be compared with: JPEG of the same size, and plain interpolation.

Both are rows of a comparison: a batch with ``photo`` -> pictures, and the bits per pixel of each one's file.
"""

from __future__ import annotations

import io
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from ...checks import check_image
from ...compression import point_file
from ...compression.point_file import Points
from ...compression.point_sampling import Where, photo_to_points, points_to_picture
from ..measures.pixel import to_uint8
from .filling import Interpolated

__all__ = ["InterpolatedPoints", "JPEGOfTheSize", "SmallJPEG", "jpeg_within"]

_SUBSAMPLINGS = ("4:4:4", "4:2:0")
_SMALLEST = 4  # pixels of a side


class SmallJPEG(NamedTuple):
    """A photo as a JPEG of limited size.

    Attributes:
        data: the file. picture: (H, W, 3) uint8, decoded, and scaled up again where it was scaled down.
        quality: 1 to 95. share: of the side that it was scaled to, 1 where it was not.
    """

    data: bytes
    picture: NDArray[np.uint8]
    quality: int
    share: float


def jpeg_within(photo: NDArray[np.uint8], most: int) -> SmallJPEG | None:
    """The best JPEG of a photo that takes no more than so many bytes; None where even the smallest takes more.

    Tried are sides of 1, .75, .5, .375, .25, .1875 and .125 of the photo's, with full and with halved colour, each at
    the highest quality that fits, with Huffman tables made for the file; that of the smallest squared error is taken.

    Args:
        photo: (H, W, 3) uint8.
        most: bytes of the whole file, its header counted in, as it is in ours.
    """
    best: tuple[float, SmallJPEG] | None = None
    height, width = photo.shape[:2]
    for share in (1.0, 0.75, 0.5, 0.375, 0.25, 0.1875, 0.125):
        size = max(_SMALLEST, round(width * share)), max(_SMALLEST, round(height * share))
        given = Image.fromarray(photo)
        small = given if share == 1.0 else given.resize(size, Image.Resampling.LANCZOS)
        for subsampling in _SUBSAMPLINGS:
            found = _best_quality(small, subsampling, most)
            if found is None:
                continue
            data, quality = found
            decoded = Image.open(io.BytesIO(data)).convert("RGB")
            whole = decoded if share == 1.0 else decoded.resize((width, height), Image.Resampling.BICUBIC)
            picture = np.asarray(whole)
            error = float(np.square(picture.astype(np.float64) - photo).mean())
            if best is None or error < best[0]:
                best = error, SmallJPEG(data, picture, quality, share)
    return None if best is None else best[1]


def _best_quality(image: Image.Image, subsampling: str, most: int) -> tuple[bytes, int] | None:
    """By halving: the size grows with the quality, but for a few bytes here and there."""
    low, high = 0, 95  # the highest quality that is known to fit; the lowest that may not
    kept: tuple[bytes, int] | None = None
    while low < high:
        quality = (low + high + 1) // 2
        stream = io.BytesIO()
        image.save(stream, "JPEG", quality=quality, optimize=True, subsampling=subsampling)
        if stream.tell() <= most:
            kept, low = (stream.getvalue(), quality), quality
        else:
            high = quality - 1
    return kept


class _OfPoints:
    """What both rows share: the photos' points.

    Args:
        percent, points, bits, seed: as `XGan.compress` takes them.
    """

    def __init__(self, percent: float, points: Where = "feature", bits: int = 5, seed: int = 0) -> None:
        self.percent, self.points, self.bits, self.seed = percent, points, bits, seed

    def _points(self, photo: NDArray[np.uint8]) -> Points:
        rgb = photo.astype(np.float32) / np.float32(255)
        side = max(photo.shape[:2])
        return photo_to_points(rgb, side, self.percent, self.points, bits=self.bits, seed=self.seed)


class JPEGOfTheSize(_OfPoints):
    """Each photo as the best JPEG that is no larger than the file of its points.

    A photo whose smallest JPEG is larger than its points is shown as its mean colour, counted with the points' size.
    """

    def __call__(self, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, list[float]]]:
        """The photos after JPEG, (B, 3, H, W), and one value each: "bpp"; "jpegs", 1 where there is such a JPEG."""
        pictures, sizes, found = [], [], []
        for photo in _photos(batch):
            most = len(point_file.write(self._points(photo)))
            small = jpeg_within(photo, most)
            found.append(float(small is not None))
            flat = np.broadcast_to(np.rint(photo.mean((0, 1))).astype(np.uint8), photo.shape)
            pictures.append(np.ascontiguousarray(flat if small is None else small.picture))
            sizes.append(8 * (most if small is None else len(small.data)) / (photo.shape[0] * photo.shape[1]))
        made = torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).float() / 255
        return made.to(batch["photo"].device), {"bpp": sizes, "jpegs": found}


class InterpolatedPoints(_OfPoints):
    """The same files as `XGan.compress` makes of the photos, linearly interpolated without any network."""

    def __call__(self, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, list[float]]]:
        """The pictures, (B, 3, H, W), and {"bpp": one value each}."""
        given, sizes = [], []
        for photo in _photos(batch):
            data = point_file.write(self._points(photo))
            sizes.append(8 * len(data) / (photo.shape[0] * photo.shape[1]))
            picture, kept = points_to_picture(point_file.read(data), max(photo.shape[:2]))
            given.append(torch.from_numpy(np.concatenate([picture, kept[..., None]], 2)).permute(2, 0, 1))
        return Interpolated()({"sketch": torch.stack(given)}).to(batch["photo"].device), {"bpp": sizes}


def _photos(batch: dict[str, Tensor]) -> NDArray[np.uint8]:
    check_image(batch["photo"], 3, 'batch["photo"]')
    if batch["photo"].shape[-1] != batch["photo"].shape[-2]:
        raise ValueError(f"photos must be square, as models have them; got {tuple(batch['photo'].shape)}.")
    return to_uint8(batch["photo"])
