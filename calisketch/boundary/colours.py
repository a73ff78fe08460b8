"""Colours that are given beside a sketch: flat strokes for hair, skin, clothes and background, free choice elsewhere.

The Image Synthesis Network may take 1 + 3 + 1 channels: the refined sketch R, colours * given, and given, which is 1
where a colour is given and 0 elsewhere. The last four are called *colours* throughout, (B, 4, H, W); all zeros are
none at all. Not the paper's: it paints from R alone.

From a person they come as a picture (`painted`), in training as what `sketching.ColorStrokes` makes of a photo.
"""

from __future__ import annotations

import logging
from typing import Any, Literal, get_args

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ..checks import check_image, check_same_size
from ..stage import Batch
from . import images
from .pictures import Picture, read_picture
from .placement import Placement

Values = NDArray[np.float32]
Unpainted = Literal["auto", "transparent", "white"]

_LOG = logging.getLogger("calisketch")
CHANNELS = 4
"""Of colours: red, green and blue where they are given, and where that is."""

_PAPER = 250 / 255  # in every channel: white but for the noise of a JPEG file
_OPAQUE = 0.5
_NO_COLOURS = (
    "this model takes no colours: its ISN has one input channel, the sketch. Leave colours out, or load a model that "
    "was trained with them; docs/colour.md says how to train one from any model."
)


def takes_colours(generator: nn.Module | None) -> bool:
    """Whether a generator is given colours beside the sketch, by what it says of its ``in_channels``."""
    said = getattr(generator, "config", None)
    return isinstance(said, dict) and said.get("in_channels") == 1 + CHANNELS


def need_colours(generator: nn.Module | None) -> None:
    """Raises ValueError for a generator that takes no colours, saying what to do."""
    if not takes_colours(generator):
        raise ValueError(_NO_COLOURS)


def beside(refined: Tensor, colours: Tensor | None) -> Tensor:
    """What a generator with colours sees: (B, 1, H, W) and (B, 4, H, W) -> (B, 5, H, W); None: none are given.

    Raises:
        ValueError: colours of another shape.
    """
    if colours is None:
        colours = refined.new_zeros(len(refined), CHANNELS, *refined.shape[-2:])
    check_image(colours, CHANNELS, "colours", range01=False)
    check_same_size(refined, colours, "refined", "colours")
    return torch.cat([refined, colours.to(refined.device)], dim=1)


def over_paper(colours: Tensor) -> Tensor:
    """Colours (B, 4, H, W) as a picture to look at (B, 3, H, W): white where none are given."""
    return colours[:, :3] + (1 - colours[:, 3:])


def themselves(batch: Batch) -> Tensor:
    """The colours of a batch as they are, over paper: what a comparison holds beside faces painted with them."""
    return over_paper(batch["colours"])


class GivenColours:
    """The pictures of colours that a call was given, one for each sketch or one for all.

    Args:
        given: None; a picture as `pictures.read_picture` takes it, for every sketch; or a list or a (B, C, H, W) tensor
            of as many as there are sketches, None among them for no colours.
        count: of the sketches.
        unpainted: what of a picture is no colour: "transparent", its transparent parts; "white", white paper too;
            "auto": the transparent parts where there are any, else white paper.

    Raises:
        ValueError: unpainted is none of these.
        SketchError: another number of pictures than of sketches.
    """

    def __init__(self, given: Any, count: int, unpainted: Unpainted = "auto") -> None:
        if unpainted not in get_args(Unpainted):
            raise ValueError(f"unpainted must be one of {', '.join(get_args(Unpainted))}; got {unpainted!r}.")
        self.unpainted = unpainted
        self._items = images.one_for_each(given, count, "colours", "sketches")
        self._last: tuple[Any, Values] | None = None

    def placed(self, index: int, placement: Placement) -> Tensor | None:
        """The colours (4, side, side) of one sketch, moved as the sketch is; None where it is given none.

        Raises:
            SketchError, FileNotFoundError: as `pictures.read_picture`.
        """
        given, name = self._items[index]
        if given is None:
            return None
        if self._last is None or self._last[0] is not given:  # one for all is read once
            picture = read_picture(given, name)
            self._last = given, painted(picture, self.unpainted)
            if not self._last[1][..., 3].any() and (picture.alpha is None or picture.alpha.any()):
                _LOG.warning(
                    "%s: nothing in it counts as painted, so the model chooses all colours. Parts of less than half "
                    'opacity do not count, nor does white paper, unless unpainted="transparent".',
                    name,
                )
        values = self._last[1]
        return torch.from_numpy(np.ascontiguousarray(in_place(values, placement).transpose(2, 0, 1)))


def painted(picture: Picture, unpainted: Unpainted = "auto") -> Values:
    """A picture as colours (H, W, 4): RGB where it is painted, and 1 there; 0 elsewhere. unpainted: as above."""
    given = np.ones(picture.rgb.shape[:2], dtype=bool) if picture.alpha is None else picture.alpha >= _OPAQUE
    if unpainted == "white" or (unpainted == "auto" and given.all()):
        given = given & (picture.rgb.min(axis=2) < _PAPER)
    mask = given.astype(np.float32)[..., None]
    return np.concatenate([picture.rgb * mask, mask], axis=2)


def in_place(colours: Values, placement: Placement) -> Values:
    """Colours (h, w, 4) of a sketch's sheet, in any size, in the model's frame (side, side, 4).

    They are stretched to the sheet's size first. A pixel of the frame has a colour where at least half of it is
    painted: the mean of what is. Outside the sheet none is given.
    """
    size = placement.width, placement.height
    if (colours.shape[1], colours.shape[0]) != size:
        smaller = colours.shape[0] > size[1] or colours.shape[1] > size[0]
        how = cv2.INTER_AREA if smaller else cv2.INTER_LINEAR
        colours = np.asarray(cv2.resize(colours, size, interpolation=how), dtype=np.float32)
    frame = placement.picture_in(colours)
    share = frame[..., 3:]
    given = (share >= _OPAQUE).astype(np.float32)
    rgb = np.clip(frame[..., :3] / np.maximum(share, _OPAQUE), 0, 1) * given
    return np.concatenate([rgb, given], axis=2).astype(np.float32, copy=False)
