"""A sketch on its way through a model: read, placed in the frame, painted from, and answered as it was handed in."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from . import images
from .answers import Ground, drawing_in_kind, face_in_kind, several_in_kind
from .colours import GivenColours, Unpainted
from .ink import Ink, Page, to_ink
from .placement import Align, Placement, place
from .tone import light_tone

_MOST_PIXELS = 16_000_000  # of the pictures in one batch, all of which are held in memory; or one larger picture
_LOG = logging.getLogger("calisketch")
_FOUND_BY = {
    "eyes": "face placed by its eyes",
    "ink": "face placed by the box its ink fills",
    "frame": "not moved, only scaled and padded to the square",
}

Read = TypeVar("Read")


@dataclass(frozen=True)
class Sheet:
    """One sketch on its way through.

    Attributes:
        sketch: as read.
        ink: of it.
        placement: where it lies in the frame.
        placed: (1, side, side), the ink as the networks see it.
        colours: (4, side, side), what is given of colours; None: nothing is.
    """

    sketch: images.Sketch
    ink: Ink
    placement: Placement
    placed: Tensor
    colours: Tensor | None

    def drawing(
        self, refined: Tensor | None, strength: float = 1.0, *, tone: bool = False, ground: Ground = None
    ) -> Any:
        """(1 - strength) S + strength R on the sheet, in the sketch's kind.

        refined: (1, side, side); None: S alone. tone, ground: as for `CaliSketch.calibrate`.
        """
        ink = self.ink.ink
        if refined is not None:
            own = self.placement.drawing_back(refined[0].cpu().numpy(), ink)
            if tone:
                own = np.maximum(own, light_tone(ink, self.placement.pixels_of_256))
            ink = (1 - strength) * ink + strength * own if strength < 1 else own
        return drawing_in_kind(self.sketch, ink, self.ink.polarity, ground)

    def face(self, face: Tensor) -> Any:
        """A face (3, side, side) on the sheet, in the sketch's kind."""
        rgb = self.placement.face_back(face.permute(1, 2, 0).cpu().numpy())
        return face_in_kind(self.sketch.kind, rgb)

    def faces(self, faces: Sequence[Tensor]) -> Any:
        """Several faces (3, side, side) on the sheet: a list of PIL images, or an array or tensor with an axis more."""
        return several_in_kind(self.sketch.kind, [self.face(face) for face in faces])


class Sheets:
    """The sketches of a call. Iterating gives them a batch at a time: a smaller batch where they are large.

    Args:
        given: sketches, as for `CaliSketch.calibrate`.
        side: of the frame.
        colours, unpainted: as for `CaliSketch.synthesize`.
        polarity, align, page, batch_size: as for `CaliSketch.calibrate`; errors as there.
    """

    def __init__(
        self,
        given: Any,
        side: int,
        *,
        colours: Any = None,
        unpainted: Unpainted = "auto",
        polarity: images.Polarity = "auto",
        align: Align = "auto",
        page: Page = "auto",
        batch_size: int = 8,
    ) -> None:
        self._items, self.rebuild = images.flatten(given)
        self._side, self._batch_size = side, batch_size
        self._colours = GivenColours(colours, len(self._items), unpainted)
        self._polarity, self._align, self._page = polarity, align, page

    def __iter__(self) -> Iterator[list[Sheet]]:
        sheets = (self._sheet(index) for index in range(len(self._items)))
        return in_batches(sheets, self._batch_size, lambda sheet: sheet.ink.ink.size)

    def _sheet(self, index: int) -> Sheet:
        sketch = images.read(*self._items[index], self._polarity)
        ink = to_ink(sketch, self._polarity, self._page)
        placement = place(ink.ink, self._side, self._align)
        placed = torch.from_numpy(np.ascontiguousarray(placement.bring_in(ink.ink)))[None]
        colours = self._colours.placed(index, placement)
        _LOG.info("%s: %s", sketch.kind.name, _account(ink, placement, colours))
        return Sheet(sketch, ink, placement, placed, colours)


def inks_of(sheets: Sequence[Sheet]) -> Tensor:
    """(B, 1, side, side)."""
    return torch.stack([sheet.placed for sheet in sheets])


def colours_of(sheets: Sequence[Sheet]) -> Tensor | None:
    """(B, 4, side, side), zeros where a sheet is given none; None where no sheet is given any."""
    known = [sheet.colours for sheet in sheets if sheet.colours is not None]
    if not known:
        return None
    return torch.stack([torch.zeros_like(known[0]) if sheet.colours is None else sheet.colours for sheet in sheets])


def in_batches(given: Iterable[Read], batch_size: int, pixels: Callable[[Read], int]) -> Iterator[list[Read]]:
    """What is read, `batch_size` at a time, and fewer where pictures are large; one larger than all may be is alone.

    pixels: of what is read, the pixels of the picture that it keeps in memory.
    """
    batch: list[Read] = []
    held = 0
    for each in given:
        size = pixels(each)
        if batch and (len(batch) == batch_size or held + size > _MOST_PIXELS):
            yield batch
            batch, held = [], 0
        batch.append(each)
        held += size
    if batch:
        yield batch


def _account(ink: Ink, placement: Placement, colours: Tensor | None) -> str:
    """What was done to a sketch before a network saw it, in words."""
    page = "; taken for a photographed page and cleaned" if ink.cleaned else ""
    given = "" if colours is None else f"; colours on {100 * float(colours[3].mean()):.0f} % of the frame"
    return f"{ink.polarity.replace('_', ' ')}{page}; {_FOUND_BY[placement.found_by]}{given}"
