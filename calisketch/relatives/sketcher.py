"""Sketcher: a photo of a face in, a sketch of it out, drawn in a hand that was learned from examples."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, overload

import numpy as np
import torch
from numpy.typing import NDArray
from PIL.Image import Image
from torch import Tensor, nn

from ..boundary import alignment, images
from ..boundary.answers import drawing_in_kind
from ..boundary.kinds import Computed, File, Given, Pixels, Several
from ..boundary.pictures import Picture, read_picture, to_tensor
from ..boundary.placement import Align, Placement, fit_to_square
from ..boundary.sheet import in_batches
from ..checks import check_image
from ..inference.computing import Precision
from ..options import check_batch_size
from ..sketching.learned import NETWORK, check_draws
from .one_network import OneNetwork

if TYPE_CHECKING:
    from typing_extensions import Unpack

# How far, as a share of the side, the frame's corners may lie off for a photo to count as aligned already: the
# detector's eyes are a few pixels off on 256, which at the corners is up to a twentieth.
_ALIGNED = 0.06
_LOG = logging.getLogger("calisketch")


class Drawn(Computed, total=False):
    """Of `Sketcher.draw`."""

    align: Align


class Sketcher(OneNetwork):
    """Draws photos of faces in one hand, such as an artist's; `systems.photo_to_sketch` trains it on pairs.

    Calling it changes nothing in it: a photo has one drawing, alone or in any batch (to one grey level).
    `sketching.LearnedStyle` is the same folder as a style for training.

    Args:
        network: (B, 3, H, W) photo -> (B, 1, H, W) sketch, both [0, 1], ink = 1. It is copied.
        size: side of the images it was trained on.
        info: anything worth keeping with the model, as JSON has it.
        precision: "fp32", "bf16", or the fastest that is safe ("auto").

    Raises:
        ValueError: a size below 1, or a network of other channels than 3 -> 1.
    """

    name, method, system = NETWORK, "photo-to-sketch", "photo_to_sketch"

    def __init__(
        self, network: nn.Module, size: int, info: Mapping[str, Any] | None = None, *, precision: Precision = "auto"
    ):
        check_draws(network)
        super().__init__(network, size, info, precision=precision)

    @overload
    def draw(self, photo: File, **options: Unpack[Drawn]) -> Image: ...
    @overload
    def draw(self, photo: Pixels, **options: Unpack[Drawn]) -> Pixels: ...
    @overload
    def draw(self, photo: Several, **options: Unpack[Drawn]) -> list[Any]: ...
    def draw(
        self,
        photo: Given,
        *,
        align: Align = "auto",
        batch_size: int = 8,
        device: str | torch.device | None = None,
    ) -> Any:
        """A sketch of a photo, dark on white.

        Args:
            photo: a path, a PIL image, an array (H, W) or (H, W, 1 | 3 | 4), a tensor (H, W), (C, H, W) or
                (B, C, H, W), or a list of these. uint8, uint16 or float in [0, 1]; transparent parts count as white.
            align: "auto" brings the face to where the model was trained to see it, by its eyes, where the detector's
                file is there and finds them, unless it is there already; True always does; False only scales and pads
                the photo to the square.
            batch_size: how many photos go through the network at a time.
            device: where to compute, for this call; None: where the model is.

        Returns:
            A sketch of the photo's size and kind: PIL "L" for paths and PIL, an (H, W) array, a (1, H, W) or
            (B, 1, H, W) tensor, of the same dtype and range; a list for a list. What lies outside the model's square
            field of view is left white.

        Raises:
            SketchError: an unreadable or too small photo, NaN, values out of range, an empty list; with align=True no
                face that the detector finds.
            FileNotFoundError: a path that is not there.
            calisketch.weights.MissingWeights: align=True and the package's detector is not there.
            ValueError: an option that is none of its choices.
        """
        if align not in ("auto", True, False):
            raise ValueError(f"align must be 'auto', True or False; got {align!r}.")
        batch_size = check_batch_size(batch_size)
        items, rebuild = images.flatten(photo, "photo")
        prepared = (self._prepared(given, name, align) for given, name in items)
        batches = in_batches(prepared, batch_size, lambda each: each.pixels)
        return rebuild([sketch for batch in batches for sketch in self._drawn(batch, device)])

    def from_batch(self, batch: Mapping[str, Tensor]) -> Tensor:
        """The sketches of a training batch's photos, as pictures.

        batch: "photo" (N, 3, size, size) in [0, 1]. Returns (N, 3, size, size), dark on white.
        Raises ValueError for photos of another size.
        """
        photo = batch["photo"]
        check_image(photo, 3, "photo")
        if photo.shape[-2:] != (self.size, self.size):
            raise ValueError(f"photo must be (N, 3, {self.size}, {self.size}); got {tuple(photo.shape)}.")
        drawn = self._computing.run(self.generator, photo.float())
        return (1 - drawn).expand(-1, 3, -1, -1)

    def _prepared(self, given: Any, name: str, align: Align) -> _Prepared:
        picture = read_picture(given, name)
        rgb = picture.over_white()
        placement = place_photo(rgb, self.size, align, picture.kind.name)
        found = "face placed by its eyes" if placement.found_by == "eyes" else "not moved, only scaled and padded"
        _LOG.info("%s: %s", picture.kind.name, found)
        square = rgb if placement.exact else alignment.warp(rgb, placement.matrix, self.size, border="edge")
        return _Prepared(picture, placement, to_tensor(square))

    def _drawn(self, prepared: list[_Prepared], device: str | torch.device | None) -> list[Any]:
        seen = torch.stack([each.square for each in prepared])
        drawn = self._computing.run(self.generator, seen, device).cpu().numpy()
        return [each.answer(ink) for each, ink in zip(prepared, drawn[:, 0], strict=True)]


def place_photo(rgb: NDArray[np.float32], side: int, align: Align, name: str = "photo") -> Placement:
    """Find a photo's place in the frame.

    Args:
        rgb: (H, W, 3) in [0, 1]. side: of the frame. align: as for `Sketcher.draw`. name: for messages.

    Raises:
        SketchError: align is True and the detector finds no face.
        calisketch.weights.MissingWeights: align is True and the package's detector is not there.
    """
    height, width = rgb.shape[:2]
    as_it_is = Placement(fit_to_square(height, width, side), side, height, width, "frame")
    if align is False or (align == "auto" and not alignment.detector_available()):
        return as_it_is
    eyes = alignment.find_eyes(np.rint(rgb * 255).astype(np.uint8))
    if eyes is None or eyes[0] == eyes[1]:
        if align is True:
            raise images.SketchError(
                f"{name} shows no face that the detector finds. Crop it to the face, or give align=False."
            )
        return as_it_is
    matrix = alignment.similarity_from_eyes(*eyes, side)
    corners = np.array([[0, 0, 1], [width, 0, 1], [0, height, 1], [width, height, 1]], dtype=np.float64)
    off = np.abs(corners @ (matrix - as_it_is.matrix).T).max()
    if align == "auto" and height == width and off <= _ALIGNED * side:
        return as_it_is
    return Placement(matrix, side, height, width, "eyes")


@dataclass(frozen=True)
class _Prepared:
    """One photo on its way through: as read, where it lies, and (3, size, size) as the network sees it."""

    picture: Picture
    placement: Placement
    square: Tensor

    @property
    def pixels(self) -> int:
        return self.placement.height * self.placement.width

    def answer(self, ink: NDArray[np.float32]) -> Any:
        """(size, size) ink -> the sketch in the photo's place, size and kind."""
        paper = np.zeros((self.placement.height, self.placement.width), dtype=np.float32)
        own = self.placement.drawing_back(ink, around=paper)
        kind = replace(self.picture.kind, channels=1 if self.picture.kind.holder == "tensor" else None)
        return drawing_in_kind(images.Sketch(kind, paper), own, "dark_on_light")
