"""A picture of what a model does best, middling and worst, by LPIPS: sketch | calibrated | face | photo."""

from __future__ import annotations

import math
from collections.abc import Sequence

from PIL import Image, ImageDraw
from torch import Tensor

from ..measures.pixel import to_uint8

__all__ = ["picture_grid", "places_of_interest"]

CAPTION_HEIGHT = 16


def places_of_interest(values: Sequence[float], *, lower_is_better: bool, rows: int = 3) -> dict[str, list[int]]:
    """The places of the best, median and worst values, up to `rows` each, no place twice: {"best": [...], ...}.

    Values that are NaN are left out.
    """
    known = [place for place, value in enumerate(values) if not math.isnan(value)]
    order = sorted(known, key=lambda place: values[place], reverse=not lower_is_better)
    count = min(rows, len(order) // 3) or min(1, len(order))
    middle = (len(order) - count) // 2
    if len(order) < 3:
        return {"best": order[:1], "median": [], "worst": order[1:]}
    return {"best": order[:count], "median": order[middle : middle + count], "worst": order[len(order) - count :]}


def picture_grid(
    columns: dict[str, Tensor], names: Sequence[str], values: Sequence[float], metric: str, *, lower_is_better: bool
) -> Image.Image:
    """One row a sample, best first, with its name and value; line drawings (one channel) dark on white.

    Args:
        columns: caption -> (N, 1 or 3, H, W) in [0, 1].
        names, values: of the N samples; the values decide which are shown.
        metric: the values' name, for the captions.
    """
    places = places_of_interest(values, lower_is_better=lower_is_better)
    shown = [(word, place) for word, chosen in places.items() for place in chosen]
    height, width = next(iter(columns.values())).shape[-2:]
    page = Image.new("RGB", (len(columns) * width, CAPTION_HEIGHT + (CAPTION_HEIGHT + height) * len(shown)), "white")
    pen = ImageDraw.Draw(page)
    for column, caption in enumerate(columns):
        pen.text((column * width + 4, 2), caption, fill="black")
    for row, (word, place) in enumerate(shown):
        top = CAPTION_HEIGHT + row * (CAPTION_HEIGHT + height)
        pen.text((4, top + 2), f"{word}: {names[place]}, {metric} {values[place]:.3f}", fill="black")
        for column, images in enumerate(columns.values()):
            image = images[place : place + 1].detach().float().cpu().clamp(0, 1)
            rgb = (1 - image).expand(-1, 3, -1, -1) if image.shape[1] == 1 else image
            page.paste(Image.fromarray(to_uint8(rgb)[0]), (column * width, top + CAPTION_HEIGHT))
    return page
