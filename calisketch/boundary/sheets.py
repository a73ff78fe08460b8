"""Sheets on their way through a model: each sketch as it was read, its ink, its place in the frame, and its colours."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from . import images
from .colours import GivenColours
from .ink import Ink, Page, to_ink
from .placement import Align, Placement, place

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
    colours: Tensor | None = None


def read_sheets(
    items: Sequence[tuple[Any, str]],
    side: int,
    *,
    polarity: images.Polarity,
    align: Align,
    page: Page,
    batch_size: int,
    colours: GivenColours | None = None,
) -> Iterator[list[Sheet]]:
    """Sketches in a model's frame, a batch at a time: a smaller one where they are large.

    Args:
        items: sketches and what messages call them, as `images.flatten` gives them.
        side: of the frame.
        colours: what is given beside them.
        polarity, align, page, batch_size: as for `CaliSketch.calibrate`; errors as there.
    """

    def sheet(index: int, sketch: images.Sketch) -> Sheet:
        ink = to_ink(sketch, polarity, page)
        placement = place(ink.ink, side, align)
        painted = None if colours is None else colours.placed(index, placement)
        _LOG.info("%s: %s", sketch.name, _account(ink, placement, painted))
        placed = torch.from_numpy(np.ascontiguousarray(placement.bring_in(ink.ink)))[None]
        return Sheet(sketch, ink, placement, placed, painted)

    sketches = ((index, images.read(given, name, polarity)) for index, (given, name) in enumerate(items))
    for batch in in_batches(sketches, batch_size, lambda each: each[1].luma.size):
        yield [sheet(index, sketch) for index, sketch in batch]


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


def inks_of(sheets: Sequence[Sheet]) -> Tensor:
    """(B, 1, side, side)."""
    return torch.stack([sheet.placed for sheet in sheets])


def colours_of(sheets: Sequence[Sheet]) -> Tensor | None:
    """(B, 4, side, side), zeros where a sheet is given none; None where no sheet is given any."""
    known = [sheet.colours for sheet in sheets if sheet.colours is not None]
    if not known:
        return None
    return torch.stack([torch.zeros_like(known[0]) if sheet.colours is None else sheet.colours for sheet in sheets])


def _account(ink: Ink, placement: Placement, colours: Tensor | None) -> str:
    """What was done to a sketch before a network saw it, in words."""
    page = "; taken for a photographed page and cleaned" if ink.cleaned else ""
    given = "" if colours is None else f"; colours on {100 * float(colours[3].mean()):.0f} % of the frame"
    return f"{ink.polarity.replace('_', ' ')}{page}; {_FOUND_BY[placement.found_by]}{given}"
