"""Drafts: the lines and the flat colours that PI-REC paints from, as they come from a person, in a model's square."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from skimage.morphology import skeletonize
from torch import Tensor

from . import images
from .images import Kind, Sketch
from .ink import Page, to_ink
from .pictures import Framed, Values, read_picture, to_tensor

_FAINT = 0.4  # of a drawing's full strokes; what is fainter is no edge
_WIDE = 0.1  # share of a drawing that lies in blocks of 3 x 3; of Canny's edges it is 0, seldom .01


@dataclass(frozen=True)
class Draft:
    """What one picture is painted from.

    Attributes:
        kind: of the drawing or photo, in which the picture is given back.
        frame: the way into the square and back.
        edges: (1, side, side) of 0 and 1, edge = 1.
        colours: (3, side, side) in [0, 1].
    """

    kind: Kind
    frame: Framed
    edges: Tensor
    colours: Tensor

    @property
    def pixels(self) -> int:
        """Of the drawing or photo."""
        return self.frame.height * self.frame.width


def frame_of(values: Values, side: int) -> Framed:
    """The way of a picture (H, W) or (H, W, C) into the square."""
    height, width = values.shape[:2]
    return Framed(height, width, side)


def read_edges(
    given: Any, name: str, side: int, polarity: images.Polarity, page: Page
) -> tuple[Sketch, Framed, Tensor]:
    """A drawing as read, its way into the square, and its edges there, (1, side, side) of 0 and 1.

    Raises:
        SketchError, FileNotFoundError, ValueError: as `images.read` and `ink.to_ink`.
    """
    sketch = images.read(given, name, polarity)
    frame = frame_of(sketch.luma, side)
    return sketch, frame, to_tensor(binary_edges(to_ink(sketch, polarity, page).ink, frame))


def read_colours(given: Any, name: str, frame: Framed) -> Tensor:
    """A picture, laid over the drawing that `frame` belongs to, (3, side, side) in [0, 1]; transparent parts are white.

    A picture of another size than the drawing's is stretched to it.

    Raises:
        SketchError, FileNotFoundError: as `pictures.read_picture`.
    """
    rgb, size = read_picture(given, name).over_white(), (frame.width, frame.height)
    if (rgb.shape[1], rgb.shape[0]) != size:
        smaller = rgb.shape[0] > frame.height or rgb.shape[1] > frame.width
        how = cv2.INTER_AREA if smaller else cv2.INTER_LINEAR
        rgb = np.asarray(cv2.resize(rgb, size, interpolation=how), dtype=np.float32)
    return to_tensor(frame.bring_in(rgb)).clamp(0, 1)


def binary_edges(ink: Values, frame: Framed) -> Values:
    """A drawing's ink (height, width) as edges of 0 and 1 (side, side), one or two pixels wide as Canny's are.

    Lines that shrinking pales still count: what is an edge is judged by the drawing's own full strokes. Where strokes
    are wider than Canny's, the lines along their middle are taken, and of a filled area alike.
    """
    placed = frame.bring_in(ink, border=0.0)
    strokes = placed[placed > 0.1 * placed.max()]
    drawn = placed >= _FAINT * float(np.percentile(strokes, 90))
    wide = cv2.morphologyEx(drawn.astype(np.uint8), cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    if wide.sum() > _WIDE * drawn.sum():
        drawn = skeletonize(drawn)
    return np.asarray(drawn, dtype=np.float32)
