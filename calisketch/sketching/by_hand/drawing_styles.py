"""The styles of the drawing mixture: what people draw with, and how. Each is (base drawings, chance) -> ink.

Ink is (256, 256) float64, ink = 1, [0, 1]. Every parameter of a style is drawn from the chance it is given.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from calisketch.sketching.by_hand.base_drawings import BaseDrawings
from calisketch.sketching.by_hand.chance import Chance, Numbers
from calisketch.sketching.by_hand.exaggeration import pixels
from calisketch.sketching.by_hand.hatching import hatching
from calisketch.sketching.by_hand.paper import grain, ground_left, on_grain, patches, ruled
from calisketch.sketching.by_hand.shading import filled, quantised, smudged, step
from calisketch.sketching.by_hand.strokes import Strokes, by_hand, draw_strokes, gaps, looked_up, pressure
from calisketch.sketching.kernels import REFERENCE_SIDE

Drawn = Callable[[BaseDrawings, Chance], Numbers]
_SIDE = (REFERENCE_SIDE, REFERENCE_SIDE)
#: Centre x, y, half width, half height of the eyes with their brows, the nostrils and the mouth.
_FEATURES = ((96, 122, 30, 24), (160, 122, 30, 24), (128, 172, 22, 14), (128, 200, 36, 15))


def lines(base: BaseDrawings, chance: Chance) -> Numbers:
    """A pen: lines of an even ink, as a careful hand or one of three ways to find lines draws them."""
    kind = chance.of(("pen", "pen", "pen", "fdog", "xdog", "photocopy"))
    if kind == "pen":
        return outline(base, chance, width=chance.between(1.4, 3.0), ink=chance.between(0.8, 1.0))
    return _raster(getattr(base, kind), base, chance)


def hatched(base: BaseDrawings, chance: Chance) -> Numbers:
    """Lines, and the darkness hatched along the form in one direction."""
    return _hatched(base, chance, crossed=False)


def cross_hatched(base: BaseDrawings, chance: Chance) -> Numbers:
    """Lines, and two or three layers of hatching that cross, the upper ones where it is darker."""
    return _hatched(base, chance, crossed=True)


def filled_hair(base: BaseDrawings, chance: Chance) -> Numbers:
    """Lines, and the darkest places (hair, brows, dark clothes) filled in, often with strands left light."""
    ink = outline(base, chance, width=chance.between(1.4, 2.8), ink=chance.between(0.8, 1.0))
    darkness = _darkness(base)
    solid = filled(darkness, chance.between(0.5, 0.68), 0.05, chance.between(0.8, 2.0)) * chance.between(0.75, 1.0)
    if chance.happens(0.6):  # the brush follows the strands and leaves some of the paper
        strands = _hatching(base, darkness, chance, spacing=3.0, length=chance.between(16, 30), along_form=1.0)
        width = chance.between(2.4, 3.6) * pressure(strands, chance, spread=0.3, taper=0.6)
        brushed = draw_strokes(strands, width, 0.95) / 255.0
        solid = solid * np.maximum(brushed, chance.between(0.0, 0.75))
    return np.maximum(ink, solid)


def pencil(base: BaseDrawings, chance: Chance) -> Numbers:
    """Soft pencil: grey lines, hair in strands, shading in a few tones, smudged in places, on the paper's grain."""
    paper = grain(chance, chance.between(0.6, 1.0))
    darkness = _darkness(base)
    tone = quantised(
        darkness ** chance.between(0.7, 1.1),
        chance,
        levels=3 + int(4 * chance.uniforms(1)[0]),
        smoothing=chance.between(1.0, 2.5),
        softness=chance.between(0.15, 0.9),
    )
    tone = smudged(tone, chance, width=chance.between(2.0, 5.0), share=chance.between(0.2, 0.7))
    ink = tone * chance.between(0.25, 0.75)
    press = chance.between(0.5, 0.95)
    if chance.happens(0.75):  # strands and shadows laid on in strokes, twice
        for length in (chance.between(14, 28), chance.between(8, 16)):
            strokes = _hatching(base, darkness, chance, spacing=2.2, length=length, along_form=0.9, lightest=0.22)
            inks = press * pressure(strokes, chance, spread=0.3, taper=0.8) * strokes.weights[strokes.number] ** 0.7
            laid = draw_strokes(strokes, chance.between(1.1, 1.9), inks) / 255.0
            ink = 1.0 - (1.0 - ink) * (1.0 - 0.8 * laid)
    line = outline(base, chance, width=chance.between(1.3, 2.5), ink=chance.between(0.5, 0.85))
    ink = 1.0 - (1.0 - cv2.GaussianBlur(line, (0, 0), 0.5)) * (1.0 - ink.clip(0.0, 1.0))
    return on_grain(ink, paper, chance.between(0.1, 0.3))


def marker(base: BaseDrawings, chance: Chance) -> Numbers:
    """A felt marker of 6 to 14 pixels: the longer lines only, at one width, with round ends."""
    width = chance.between(6.2, 13.6)
    strokes = _in_figure(base.coarse, base, chance)
    # A broad pen cannot draw what is shorter than it is wide.
    strokes = strokes.chosen((strokes.lengths >= 0.45 * width) & (strokes.weights > 0.15))
    strokes = by_hand(strokes, chance, shift=0.05 * width, turn=0.03)
    tip = width * (0.97 + 0.03 * pressure(strokes, chance, spread=0.5))
    full = chance.between(0.85, 1.0)
    ink = draw_strokes(strokes, tip, full) / 255.0
    if chance.happens(0.4):  # a worn tip: strokes that overlap are darker
        ink = ink * (0.9 + 0.1 * patches(chance, 0.5, 12))
    return ink


def hairlines(base: BaseDrawings, chance: Chance) -> Numbers:
    """Lines thinner than a pixel, of a sharp pencil or a fine pen."""
    return outline(base, chance, width=chance.between(0.5, 0.9), ink=chance.between(0.75, 1.0), taper=0.4)


def broken(base: BaseDrawings, chance: Chance) -> Numbers:
    """Lines that the pen leaves and takes up again: a fifth to a half of their course is missing."""
    strokes = _lines_of(base, chance)
    strokes = by_hand(strokes, chance, shift=chance.between(0.3, 1.0))
    drawn = gaps(strokes, chance, share=chance.between(0.2, 0.5), period=chance.between(6.0, 16.0))
    width = chance.between(1.4, 2.8) * pressure(strokes, chance, spread=0.25)
    return draw_strokes(strokes, width, chance.between(0.8, 1.0), drawn) / 255.0


def doubled(base: BaseDrawings, chance: Chance) -> Numbers:
    """Every line drawn two to four times, searching, each time a little elsewhere and a little longer."""
    width, ink = chance.between(1.1, 2.2), chance.between(0.55, 0.95)
    shift, times = chance.between(1.0, 2.2), 2 + int(3 * chance.uniforms(1)[0])
    strokes = _lines_of(base, chance)
    sheet = np.zeros(_SIDE)
    for _ in range(times):
        again = by_hand(strokes, chance, shift=shift, turn=0.06, overshoot=0.15)
        inks = ink * pressure(again, chance, spread=0.3, taper=0.6)
        sheet = 1.0 - (1.0 - sheet) * (1.0 - draw_strokes(again, width, inks) / 255.0)
    return sheet


def chalk(base: BaseDrawings, chance: Chance) -> Numbers:
    """Chalk or charcoal on grey paper: broad, dry, on rough grain; some of the cleaned ground is left."""
    paper = grain(chance, chance.between(0.8, 1.4))
    ink = outline(base, chance, width=chance.between(2.5, 5.0), ink=chance.between(0.75, 1.0), fine=0.5)
    if chance.happens(0.7):
        tone = quantised(_darkness(base), chance, levels=3, smoothing=3.0, softness=0.6) * chance.between(0.4, 0.8)
        ink = np.maximum(ink, smudged(tone, chance, width=4.0, share=0.6))
    ink = on_grain(cv2.GaussianBlur(ink, (0, 0), 0.7), paper, chance.between(0.25, 0.6))
    # Light chalk heightens the brightest places; with the ground gone these only lose what ink they had.
    ink = ink * (1.0 - 0.6 * step(1.0 - base.tone / 255.0 * 4.0, 0.8, 1.0) * patches(chance, 0.3))
    return np.maximum(ink, ground_left(chance, paper, chance.between(0.03, 0.16)))


def light_pencil(base: BaseDrawings, chance: Chance) -> Numbers:
    """A hard pencil, hardly pressed: lines that reach a tenth to less than a half of full ink."""
    paper = grain(chance, 0.7)
    ink = outline(base, chance, width=chance.between(1.3, 2.5), ink=1.0, hand=0.5, taper=0.6)
    if chance.happens(0.4):
        tone = quantised(_darkness(base), chance, levels=3, smoothing=2.0, softness=0.6)
        ink = np.maximum(ink, 0.45 * tone)
    return on_grain(ink, paper, 0.3) * chance.between(0.15, 0.45)


def eraser_ghosts(base: BaseDrawings, chance: Chance) -> Numbers:
    """Lines, and what an eraser left of earlier ones beside them: faint, blurred, in patches, and a smear."""
    strokes = _lines_of(base, chance)
    width = chance.between(1.4, 2.6)
    earlier = by_hand(strokes, chance, shift=chance.between(1.5, 3.0), turn=0.05, overshoot=0.1)
    off = 3.0 + 6.0 * chance.uniforms(2)
    off = off * np.where(chance.uniforms(2) < 0.5, -1.0, 1.0)
    earlier = Strokes(earlier.points + off, earlier.lengths, earlier.weights)
    ghost = draw_strokes(earlier, width * 1.6, 1.0) / 255.0
    rubbed = patches(chance, chance.between(0.3, 0.7))
    ghost = cv2.GaussianBlur(ghost, (0, 0), chance.between(0.6, 1.6)) * rubbed * chance.between(0.12, 0.35)
    smear = chance.between(0.0, 0.06) * cv2.GaussianBlur(rubbed * patches(chance, 0.5, 12), (0, 0), 6.0)
    strokes = by_hand(strokes, chance, shift=0.5)
    inks = chance.between(0.7, 1.0) * pressure(strokes, chance, spread=0.2, taper=0.4)
    return np.maximum(draw_strokes(strokes, width, inks) / 255.0, ghost + smear)


def ruled_paper(base: BaseDrawings, chance: Chance) -> Numbers:
    """A pen on ruled or squared paper, whose lines the reader of sheets could not take away altogether."""
    ink = outline(base, chance, width=chance.between(1.4, 2.8), ink=chance.between(0.7, 1.0))
    squared = chance.happens(0.4)
    left = ruled(
        chance,
        distance=chance.between(12.0, 28.0),
        ink=chance.between(0.06, 0.35),
        width=chance.between(0.8, 1.6),
        squared=squared,
        left=chance.between(0.4, 0.95),
    )
    return np.maximum(ink, left)


def artist(base: BaseDrawings, chance: Chance) -> Numbers:
    """The learned hand, in several strengths: pale to pressed, thinned to its lines, or hardened to black and white."""
    if base.artist is None:
        raise ValueError("the style artist needs base drawings with an artist's; make them with a learned hand.")
    ink = base.artist / 255.0
    way = chance.of(("as it is", "paler", "pressed", "lines", "hard"))
    if way == "paler":
        return ink * chance.between(0.4, 0.85)
    if way == "pressed":
        return np.asarray(ink ** chance.between(0.5, 0.9))
    if way == "lines":  # tone goes, what is darker than its surroundings stays
        around = cv2.GaussianBlur(ink, (0, 0), chance.between(4.0, 9.0))
        return np.clip((ink - around) * chance.between(1.5, 3.0), 0.0, 1.0)
    if way == "hard":
        return step(ink, chance.between(0.25, 0.4), chance.between(0.45, 0.6))
    return ink


DRAWING_STYLES: Mapping[str, Drawn] = {
    "lines": lines,
    "hatching": hatched,
    "cross_hatching": cross_hatched,
    "filled_hair": filled_hair,
    "pencil": pencil,
    "marker": marker,
    "hairlines": hairlines,
    "broken": broken,
    "doubled": doubled,
    "chalk": chalk,
    "light_pencil": light_pencil,
    "eraser_ghosts": eraser_ghosts,
    "ruled_paper": ruled_paper,
    "artist": artist,
}


def outline(
    base: BaseDrawings,
    chance: Chance,
    *,
    width: float,
    ink: float,
    hand: float = 0.3,
    taper: float | None = None,
    fine: float | None = None,
) -> Numbers:
    """The lines of a drawing, by a pen of about this width and ink.

    hand: how far each stroke strays, pixels. taper: how much of the width is gone at a stroke's ends; None: drawn.
    fine: the chance that fine lines are drawn beside the outlines; None: as `_lines_of` has it.
    """
    strokes = by_hand(_lines_of(base, chance, fine), chance, shift=hand)
    ends = chance.between(0.1, 0.8) if taper is None else taper
    widths = width * pressure(strokes, chance, spread=chance.between(0.1, 0.3), taper=ends)
    inks = ink * (0.75 + 0.25 * strokes.weights[strokes.number]) * (1.0 - 0.3 * ends * chance.uniforms(1)[0])
    drawn = draw_strokes(strokes, widths, inks) / 255.0
    return np.maximum(drawn, ink * _details(base, chance)) if chance.happens(0.75) else drawn


def _details(base: BaseDrawings, chance: Chance) -> Numbers:
    """Irises, brows, nostrils and the line of the mouth: what is darker than the skin about it, inside the face."""
    tone = base.tone / 255.0
    local = tone - cv2.GaussianBlur(tone, (0, 0), chance.between(6.0, 9.0))
    low = chance.between(0.1, 0.22)
    return step(local, low, low + chance.between(0.08, 0.2)) * _inner_face()


@lru_cache(maxsize=1)
def _inner_face() -> Numbers:
    """(256, 256): 1 at eyes, brows, nose and mouth, fading outwards."""
    x, y = pixels()
    near = [((x - cx) / wide) ** 2 + ((y - cy) / high) ** 2 for cx, cy, wide, high in _FEATURES]
    return step(-np.sqrt(np.min(near, 0)), -1.25, -0.95)


def _lines_of(base: BaseDrawings, chance: Chance, fine: float | None = None) -> Strokes:
    """The strokes that a drawing consists of: fine lines, outlines or both, without the weakest."""
    kind = chance.of(("fine", "fine", "coarse", "both"))
    if fine is not None:
        kind = "fine" if chance.happens(fine) else "coarse"
    strokes = base.fine if kind != "coarse" else base.coarse
    if kind == "both":
        strokes = strokes.and_also(base.coarse)
    strokes = strokes.chosen(strokes.weights > chance.between(0.0, 0.35))
    return _in_figure(strokes, base, chance)


def _in_figure(strokes: Strokes, base: BaseDrawings, chance: Chance) -> Strokes:
    """Most people leave out what is behind the person."""
    if not chance.happens(0.9) or not len(strokes.lengths):
        return strokes
    inside = (looked_up(base.figure, strokes.points) > 100).astype(np.float64)
    share = np.add.reduceat(inside, np.cumsum(strokes.lengths) - strokes.lengths) / strokes.lengths
    return strokes.chosen(share > 0.6)


def _figure(base: BaseDrawings) -> Numbers:
    large: NDArray[np.uint8] = cv2.resize(base.figure, _SIDE, interpolation=cv2.INTER_LINEAR_EXACT)
    return large / 255.0


def _darkness(base: BaseDrawings) -> Numbers:
    return base.tone / 255.0 * _figure(base)


def _raster(drawing: NDArray[np.uint8], base: BaseDrawings, chance: Chance) -> Numbers:
    ink = chance.between(0.8, 1.0) * (drawing / 255.0) ** chance.between(0.7, 1.6)
    return ink * _figure(base) if chance.happens(0.9) else ink


def _hatching(
    base: BaseDrawings,
    darkness: Numbers,
    chance: Chance,
    *,
    spacing: float,
    length: float,
    along_form: float,
    slant: float = 2.3,
    turned: float = 0.0,
    lightest: float = 0.18,
) -> Strokes:
    return hatching(
        cv2.GaussianBlur(darkness, (0, 0), 1.5),
        base.flow,
        chance,
        spacing=spacing,
        length=length,
        slant=slant,
        along_form=along_form,
        turned=turned,
        lightest=lightest,
    )


def _hatched(base: BaseDrawings, chance: Chance, *, crossed: bool) -> Numbers:
    width, ink = chance.between(0.9, 2.0), chance.between(0.65, 1.0)
    ways = {
        "spacing": chance.between(2.6, 4.5) * width**0.5,
        "length": chance.between(9.0, 22.0),
        "along_form": float(chance.of(("1", "1", "0.6", "0"))),
        "slant": chance.between(1.9, 2.7) if chance.happens(0.8) else chance.between(0.3, 1.2),
    }
    darkness = _darkness(base)
    sheet = outline(base, chance, width=width * chance.between(1.0, 1.5), ink=ink)
    layers = (2 + int(2 * chance.uniforms(1)[0])) if crossed else 1
    turn = chance.between(0.8, 1.57)
    for layer in range(layers):
        strokes = _hatching(
            base,
            darkness,
            chance,
            spacing=ways["spacing"],
            length=ways["length"],
            along_form=ways["along_form"],
            slant=ways["slant"],
            turned=turn * layer,
            lightest=0.18 + 0.16 * layer,
        )
        inks = ink * pressure(strokes, chance, spread=0.2, taper=0.5) * (0.6 + 0.4 * strokes.weights[strokes.number])
        drawn = draw_strokes(strokes, width * pressure(strokes, chance, spread=0.15, taper=0.5), inks) / 255.0
        sheet = np.maximum(sheet, drawn)
    return sheet
