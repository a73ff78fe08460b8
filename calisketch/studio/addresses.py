"""Pictures as data addresses, as the page's sheet sends and shows them."""

from __future__ import annotations

import base64
import binascii
import io
from typing import Any

import numpy as np
from PIL import Image

from ..boundary.images import SketchError
from .painter import CANVAS

PREFIX = "data:image/png;base64,"
LONGEST = 2 * 2**20
"""Characters of an address; a sheet of pure noise takes 1.4 million."""


def layer_of(address: Any, name: str) -> Image.Image | None:
    """A layer of the sheet, (CANVAS, CANVAS) "RGBA"; None for None.

    Raises SketchError for anything but a PNG of that size in an address of at most `LONGEST` characters.
    """
    if address is None:
        return None
    wrong = f"the sheet's {name} cannot be read: "
    if not isinstance(address, str) or not address.startswith(PREFIX) or len(address) > LONGEST:
        raise SketchError(wrong + f"expected a PNG as a data address of at most {LONGEST} characters. Draw it again.")
    try:
        data = base64.b64decode(address[len(PREFIX) :], validate=True)
        with Image.open(io.BytesIO(data), formats=["PNG"]) as image:
            if image.size != (CANVAS, CANVAS):
                raise SketchError(wrong + f"got {image.width} x {image.height} pixels, expected {CANVAS} x {CANVAS}.")
            return image.convert("RGBA")
    except (binascii.Error, OSError, ValueError, SyntaxError) as error:
        if isinstance(error, SketchError):
            raise
        raise SketchError(wrong + f"it is no whole PNG ({type(error).__name__}). Draw it again.") from error


def address_of(picture: Image.Image | np.ndarray[Any, Any]) -> str:
    """A picture as the address of a PNG."""
    image = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
    stream = io.BytesIO()
    image.save(stream, "PNG", compress_level=1)  # the page is on this machine
    return PREFIX + base64.b64encode(stream.getvalue()).decode("ascii")
