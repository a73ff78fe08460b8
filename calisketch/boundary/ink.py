"""Paper to ink: which of the two tones is the drawing, and a photographed page turned into clean lines.

Luma is (H, W) float32 in [0, 1]; ink is the same with the drawing's strokes = 1 on a ground of 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from .images import Polarity, Sketch, SketchError

Page = Literal["auto"] | bool
Grey = NDArray[np.float32]

_LOOK_SIDE = 256  # the ground is judged on a small copy; it has no detail
_CLEAN_GROUND = 0.94  # a ground lighter than this, and as even as this, is a scan's or a drawing program's
_EVEN_GROUND = 0.04
_SPECK = 9  # pixels: no more than this is dust, not a drawing
_FAINT = 0.45  # the strokes of a clean drawing reach at least this


@dataclass(frozen=True)
class Ink:
    """A drawing as ink.

    Attributes:
        ink: (H, W) float32, strokes = 1.
        polarity: what it was, "dark_on_light" or "light_on_dark".
        cleaned: whether it was taken for a photographed page, and its paper removed.
    """

    ink: Grey
    polarity: Literal["dark_on_light", "light_on_dark"]
    cleaned: bool


def to_ink(sketch: Sketch, polarity: Polarity = "auto", page: Page = "auto") -> Ink:
    """Turn a sketch into ink.

    Args:
        sketch: as read by `images.read`.
        polarity: "auto" tells dark lines on a light ground from light ones on a dark ground; the others force it.
        page: True cleans it as a photographed page, False takes its tones as they are, "auto" cleans where the ground
            is toned or uneven or the strokes are faint.

    Raises:
        SketchError: there is nothing drawn on it.
        ValueError: `page` is none of these.
    """
    if page not in ("auto", True, False):
        raise ValueError(f"page must be 'auto', True or False; got {page!r}.")
    told = detect_polarity(sketch.luma) if polarity == "auto" else polarity
    luma = sketch.luma if told == "dark_on_light" else 1 - sketch.luma
    if float(np.ptp(luma)) < 0.02:
        raise _blank(sketch, told)
    ground = paper_ground(luma) if page else None  # looked for only where asked: it takes as long as a small network
    if page == "auto" and ground is not None and _is_clean(luma, ground):
        ground = None
    cleaned = ground is not None
    ink = 1 - luma if ground is None else clean_page(luma, ground)
    if ink is None or np.count_nonzero(ink > 0.05) <= _SPECK:
        raise _blank(sketch, told, cleaned)
    return Ink(ink=ink, polarity=told, cleaned=cleaned)


def _blank(sketch: Sketch, polarity: str, cleaned: bool = False) -> SketchError:
    other = "light_on_dark" if polarity == "dark_on_light" else "dark_on_light"
    taken = f"{polarity}, its paper cleaned away" if cleaned else polarity
    forced = f"polarity='{other}' or page=False" if cleaned else f"polarity='{other}'"
    return SketchError(
        f"{sketch.kind.name} is a blank page: nothing on it stands out as a stroke (taken as {taken}). Expected a "
        f"drawn face; if there is one, draw it stronger, or force {forced}."
    )


def detect_polarity(luma: Grey) -> Literal["dark_on_light", "light_on_dark"]:
    """Tell dark lines on a light ground from light lines on a dark one.

    The ground is the tone of most of the sheet, and of its rim. Where both are a middle grey (a toned or badly lit
    page), its lines decide: things darker than their surroundings against things lighter than theirs.
    """
    small = _shrink(luma)
    rim = np.concatenate([small[:3].ravel(), small[-3:].ravel(), small[:, :3].ravel(), small[:, -3:].ravel()])
    middle, around = float(np.median(small)), float(np.median(rim))
    if min(middle, around) > 0.75:
        return "dark_on_light"
    if max(middle, around) < 0.25:
        return "light_on_dark"
    # A wide median is the ground without its lines; cubed, a few strong strokes count for more than all the grain.
    grey = np.rint(255 * small).astype(np.uint8)
    reach = 2 * max(2, round(0.08 * max(small.shape))) + 1
    departure = (grey.astype(np.float64) - cv2.medianBlur(grey, reach)) ** 3
    # Light lines have to be plain: what tells neither way is paper, seldom a blackboard.
    return "light_on_dark" if departure.sum() > 0.2 * np.abs(departure).sum() else "dark_on_light"


def paper_ground(luma: Grey) -> Grey:
    """The paper's own tone at each pixel, (H, W): what is left when everything thin and dark is closed over.

    Dark areas too broad to be strokes (filled hair) would be closed to themselves; there the ground is held near the
    smooth surface through the sheet's light parts, so that they stay dark.
    """
    small = _shrink(luma)
    # Against its own broad fall of light the sheet is level, and can be continued past its rim by reflection.
    surface = np.maximum(_smooth_surface(small), 0.02)
    level = small / surface
    reach = _disc(0.08, small.shape)
    margin = max(reach.shape)
    framed = cv2.copyMakeBorder(level, margin, margin, margin, margin, cv2.BORDER_REFLECT_101)
    # The median before it keeps single bright grains from becoming the ground.
    closed = cv2.morphologyEx(cv2.medianBlur(framed, 3), cv2.MORPH_CLOSE, reach)
    closed = cv2.GaussianBlur(closed, (0, 0), reach.shape[0] / 4)[margin:-margin, margin:-margin]
    closed = np.maximum(closed, 0.75) * surface
    full = cv2.resize(closed, luma.shape[::-1], interpolation=cv2.INTER_CUBIC)
    return np.asarray(full.clip(0.02, 1.0), dtype=np.float32)


def clean_page(luma: Grey, ground: Grey) -> Grey | None:
    """Ink of a photographed page: tone against paper, the paper's grain cut off, the strokes brought to full ink.

    Args:
        luma: (H, W), dark lines on a light ground.
        ground: (H, W), the paper's tone.

    Returns:
        (H, W) ink, or None where nothing stands out from the grain.
    """
    tone = (1 - luma / ground).clip(0.0, 1.0)
    level, grain = _grain(tone)
    floor = level + 2.5 * grain
    dark = (tone > floor + max(0.04, 2.5 * grain)).astype(np.float32)
    # A stroke's pixel has neighbours along the stroke, a grain's has none.
    strokes = tone[(dark > 0) & (cv2.blur(dark, (3, 3)) > 2.5 / 9)]
    if strokes.size < 0.0005 * tone.size:
        return None
    full = float(np.percentile(strokes, 80))
    return np.asarray(((tone - floor) / (full - floor)).clip(0.0, 1.0), dtype=np.float32)


def _grain(tone: Grey) -> tuple[float, float]:
    """Mean and standard deviation of bare paper: of the quarter of the sheet's light parts that is flattest."""
    # Windows that hold no stroke tell the paper, however much of the sheet is drawn on.
    mean = cv2.blur(tone, (7, 7))
    deviation = np.sqrt(np.maximum(cv2.blur(tone * tone, (7, 7)) - mean * mean, 0))
    light = mean < max(0.3, float(np.percentile(mean, 25)) + 1e-6)
    bare = light & (deviation <= np.percentile(deviation[light], 25))
    return float(np.median(mean[bare])), float(np.percentile(deviation[light], 25))


def _is_clean(luma: Grey, ground: Grey) -> bool:
    # Shaded hair is in the ground, but not in the surface through its light parts.
    surface = _smooth_surface(_shrink(ground))
    low, level = (float(value) for value in np.percentile(surface, (5, 50)))
    if level < _CLEAN_GROUND or level - low > _EVEN_GROUND:
        return False
    tone = 1 - luma
    strokes = tone[tone > 0.05]
    return strokes.size > 0 and float(np.percentile(strokes, 95)) >= _FAINT


def _smooth_surface(ground: Grey) -> Grey:
    """The quadratic surface through a ground's light parts: fitted, then refitted without what lies well under it."""
    rows, columns = np.mgrid[-1 : 1 : ground.shape[0] * 1j, -1 : 1 : ground.shape[1] * 1j]
    terms = np.stack([np.ones_like(rows), rows, columns, rows * columns, rows**2, columns**2], axis=-1).reshape(-1, 6)
    values = ground.reshape(-1).astype(np.float64)
    kept = values >= np.median(values)
    surface = values
    for _ in range(4):
        weights = np.linalg.lstsq(terms[kept], values[kept], rcond=None)[0]
        surface = terms @ weights
        closer = values > surface - 0.08
        if closer.sum() < 0.2 * values.size:
            break
        kept = closer
    return np.asarray(surface.clip(0.0, 1.0).reshape(ground.shape), dtype=np.float32)


def _shrink(luma: Grey) -> Grey:
    scale = _LOOK_SIDE / max(luma.shape)
    if scale >= 1:
        return luma
    size = (max(8, round(luma.shape[1] * scale)), max(8, round(luma.shape[0] * scale)))
    return np.asarray(cv2.resize(luma, size, interpolation=cv2.INTER_AREA), dtype=np.float32)


def _disc(share: float, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """A round kernel whose radius is a share of the sheet's longer side."""
    side = 2 * max(1, round(share * max(shape))) + 1
    return np.asarray(cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side)), dtype=np.uint8)
