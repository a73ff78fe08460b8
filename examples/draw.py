"""Draws the example sketches: faces as a person with a pen would draw them, stroke by stroke.

    python examples/draw.py [folder]

Each face is a list of strokes, given by hand as a few points; `hand` adds a slow wobble, a taper, and now and then a
second try. Every sketch is written as SVG (one filled path per stroke) and as PNG; `photographed-page` is one of them
in faint pencil on unevenly lit paper. No image of anybody was used.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import features
import hair
import numpy as np
from hand import SIDE, Hand, Points
from PIL import Image, ImageDraw

PIXELS = 512


def woman_long_hair(hand: Hand) -> None:  # noqa: D103
    features.jaw(hand, 63, 56, 18, 228)
    features.eyes(hand, 15, 7, lashes=True)
    features.brows(hand, 113, 5)
    features.nose(hand, 13, 167)
    features.mouth(hand, 21, 8, 3)
    hair.long(hand)
    features.neck(hand, 30)


def man_short_hair(hand: Hand) -> None:  # noqa: D103
    features.jaw(hand, 66, 62, 24, 233)
    features.eyes(hand, 15, 5)
    features.brows(hand, 113, 3, 3)
    features.nose(hand, 16, 171, -1)
    features.mouth(hand, 25, 6, 1.5, 199)
    features.ears(hand)
    hair.short_up(hand)
    features.neck(hand, 42, "shirt")


def woman_bob(hand: Hand) -> None:  # noqa: D103
    features.jaw(hand, 64, 58, 20, 229)
    features.eyes(hand, 16, 7.5, lashes=True)
    features.brows(hand, 114, 3, 1)
    features.nose(hand, 13, 167, 0)
    features.mouth(hand, 20, 7, 4)
    hair.bob(hand)
    features.neck(hand, 31)


def man_glasses(hand: Hand) -> None:  # noqa: D103
    features.jaw(hand, 65, 59, 21, 232)
    features.eyes(hand, 14, 5, lid=False)
    features.brows(hand, 111, 3, 2)
    features.nose(hand, 15, 171, 1)
    features.mouth(hand, 23, 6, 2, 198)
    features.ears(hand)
    hair.side(hand)
    features.glasses(hand)
    features.neck(hand, 39, "shirt")


def woman_tied_hair(hand: Hand) -> None:  # noqa: D103
    features.jaw(hand, 64, 57, 18, 230)
    features.eyes(hand, 15, 7)
    features.brows(hand, 112, 6, 2)
    features.nose(hand, 13, 168, -1)
    features.mouth(hand, 23, 8, 5)
    features.ears(hand, 75)
    hair.tied(hand)
    features.neck(hand, 31)
    hand.both((60, 164), (58, 170), (62, 172), (63, 166), width=0.8)


def man_fringe(hand: Hand) -> None:  # noqa: D103
    features.jaw(hand, 67, 64, 26, 230)
    features.eyes(hand, 14, 5, lid=False)
    features.brows(hand, 114, 2, 3)
    features.nose(hand, 17, 170)
    features.mouth(hand, 24, 7, 2.5, 197)
    features.ears(hand, 79)
    hair.fringe(hand)
    features.neck(hand, 44)


def woman_glasses_wavy(hand: Hand) -> None:  # noqa: D103
    features.jaw(hand, 64, 58, 19, 229)
    features.eyes(hand, 14, 6)
    features.brows(hand, 110, 5, 1)
    features.nose(hand, 13, 168, 1)
    features.mouth(hand, 22, 8, 4.5)
    hair.wavy(hand)
    features.glasses(hand, 24, 19, round_=True)
    features.neck(hand, 30)


def man_few_lines(hand: Hand) -> None:  # noqa: D103
    features.jaw(hand, 65, 61, 23, 233)
    features.eyes(hand, 14, 5, lid=False)
    features.brows(hand, 113, 4, 1)
    features.nose(hand, 15, 170, 1)
    features.mouth(hand, 23, 6, 2, 198)
    features.ears(hand)
    hair.cropped(hand)
    features.neck(hand, 41)


PEOPLE: dict[str, tuple[Callable[[Hand], None], Hand]] = {
    "woman-long-hair": (woman_long_hair, Hand(11)),
    "man-short-hair": (man_short_hair, Hand(12)),
    "woman-bob": (woman_bob, Hand(13, width=1.7)),
    "man-glasses": (man_glasses, Hand(14)),
    "woman-tied-hair": (woman_tied_hair, Hand(15, wobble=0.7)),
    "man-fringe": (man_fringe, Hand(16, width=1.7)),
    "woman-glasses-wavy": (woman_glasses_wavy, Hand(17)),
    "man-few-lines": (man_few_lines, Hand(18, width=1.8, wobble=0.8)),
}


def draw(name: str) -> list[Points]:
    """The strokes of one of PEOPLE, the same at every call."""
    person, hand = PEOPLE[name]
    fresh = Hand(hand.seed, hand.width, hand.wobble)
    person(fresh)
    return fresh.strokes


def to_svg(strokes: list[Points]) -> str:
    """An SVG drawing, one filled path per stroke."""
    paths = "\n".join('<path d="M' + "L".join(f"{x:.1f} {y:.1f}" for x, y in stroke) + 'Z"/>' for stroke in strokes)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {SIDE} {SIDE}" width="{PIXELS}" height="{PIXELS}">\n'
        f'<rect width="{SIDE}" height="{SIDE}" fill="#fff"/>\n<g fill="#111">\n{paths}\n</g>\n</svg>\n'
    )


def to_image(strokes: list[Points], pixels: int = PIXELS, finer: int = 4) -> Image.Image:
    """The drawing as grey pixels, dark on white."""
    scale = pixels * finer / SIDE
    sheet = Image.new("L", (pixels * finer, pixels * finer), 255)
    pen = ImageDraw.Draw(sheet)
    for stroke in strokes:
        pen.polygon([(x * scale, y * scale) for x, y in stroke], fill=17)
    return sheet.resize((pixels, pixels), Image.Resampling.BOX)


def photographed_page(drawing: Image.Image, size: tuple[int, int] = (640, 800), seed: int = 0) -> Image.Image:
    """A drawing as faint pencil on a sheet of paper, photographed a little crooked in light from one side."""
    random = np.random.default_rng(seed)
    width, height = size
    turn = cv2.getRotationMatrix2D((drawing.width / 2, drawing.height / 2), 4.0, 0.98 * width / drawing.width / 1.15)
    turn[:, 2] += (width / 2 - drawing.width / 2 + 12, height / 2 - drawing.height / 2 - 30)
    ink = cv2.warpAffine(1 - np.asarray(drawing, dtype=np.float32) / 255, turn, size, flags=cv2.INTER_LINEAR)
    rows, columns = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j]
    light = 0.80 - 0.26 * columns - 0.14 * rows + 0.05 * np.sin(3 * columns + 2 * rows)
    grain = cv2.GaussianBlur(random.normal(0, 1, (height, width)), (0, 0), 0.8) * 0.012
    tooth = np.clip(1 + 1.5 * cv2.GaussianBlur(random.normal(0, 1, (height, width)), (0, 0), 0.9), 0.3, 1.2)
    page = light * (1 - 0.42 * ink * tooth) + grain
    tint = np.array([1.0, 0.97, 0.90])
    return Image.fromarray(np.rint(255 * np.clip(page[..., None] * tint, 0, 1)).astype(np.uint8))


def main(folder: Path) -> None:
    """Write every sketch to `folder` as SVG and PNG, and the photographed page as JPEG."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in PEOPLE:
        strokes = draw(name)
        (folder / f"{name}.svg").write_text(to_svg(strokes), encoding="utf-8")
        to_image(strokes).save(folder / f"{name}.png", optimize=True)
    page = photographed_page(to_image(draw("woman-tied-hair")))
    page.save(folder / "photographed-page.jpg", quality=88)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
