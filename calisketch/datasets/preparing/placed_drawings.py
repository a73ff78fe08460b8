"""A person's drawing of a photo, brought to the photo's square: as ink, with its face where the photo's face is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calisketch.boundary.alignment import find_eyes, similarity_from_eyes, warp
from calisketch.boundary.images import SketchError, read
from calisketch.boundary.ink import to_ink
from calisketch.boundary.placement import place
from calisketch.datasets.preparing.aligned import centre_square, cut_rows, resize
from calisketch.datasets.preparing.sources import Unreadable

__all__ = ["DRAWINGS", "PAGES", "place_drawing"]

DRAWINGS = ("traced", "own")
PAGES = ("auto", True, False)
_SAME_SHAPE = 0.02  # by which a traced drawing's shape may differ from its photo's: a scan is never cut exactly


def place_drawing(
    drawing: NDArray[np.uint8], photo: NDArray[np.uint8], settings: Mapping[str, Any]
) -> NDArray[np.uint8]:
    """The drawing in the square that the photo is prepared to.

    drawing: (h, w) grey, dark on light or the reverse. photo: (H, W, 3), as read.
    settings: "size"; "align" ("eyes", "centre" or "rows"), how the photo is placed; "rows", where "align" says so, as
    `align.cut_rows` takes them; "page", as `ink.to_ink` takes it; and "drawings": "traced" ones lie over their photo,
    line by line, and go where the photo goes; a drawing of its "own" is placed by its own eyes, else by the box that
    its ink fills, as a sketch is that is handed to a model.

    Returns (size, size) uint8, ink = white. Raises Unreadable for a blank sheet, a traced drawing of another shape than
    its photo, and a photo without a face.
    """
    size = int(settings["size"])
    try:
        ink = to_ink(read(drawing, "it"), page=settings["page"]).ink
    except SketchError as error:
        raise Unreadable(
            f"is no drawing that can be used ({error})", "Draw it stronger, or leave the pair out."
        ) from None
    if settings["drawings"] == "own":
        return _to_bytes(place(ink, size, True).bring_in(ink))
    (height, width), (tall, wide) = photo.shape[:2], ink.shape
    if abs(wide * height - width * tall) > _SAME_SHAPE * wide * height:
        raise Unreadable(
            f"is {wide}x{tall}, and its photo {width}x{height}: it cannot lie over the photo, line by line",
            "Cut both alike, or prepare with drawings=own.",
        )
    if settings["align"] == "rows":
        return resize(cut_rows(_to_bytes(ink), settings["rows"]), size)
    if settings["align"] == "centre":
        return resize(centre_square(_to_bytes(ink)), size)
    eyes = find_eyes(photo)
    if eyes is None:
        raise Unreadable("has a photo without a face that the detector finds", "Crop it to the face.")
    across, down = width / wide, height / tall  # pixel areas are mapped, hence the half pixels
    onto_photo = np.array([[across, 0, across / 2 - 0.5], [0, down, down / 2 - 0.5], [0, 0, 1]])
    return warp(_to_bytes(ink), similarity_from_eyes(*eyes, size) @ onto_photo, size, border=0.0)


def _to_bytes(ink: NDArray[np.float32]) -> NDArray[np.uint8]:
    return np.rint(255 * ink.clip(0.0, 1.0)).astype(np.uint8)
