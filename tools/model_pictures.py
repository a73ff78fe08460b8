"""The pictures of docs/models.md: python tools/model_pictures.py [MODEL ...]

Each model paints two of the sketches in examples/, which were drawn for this project. The picture is a small JPEG in
docs/pictures/: sketch, face, sketch, face. A model that takes colours is given flat colours, shown after each sketch.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from PIL import Image, ImageDraw

from calisketch import CaliSketch
from calisketch.weights.names import DEFAULT_MODEL

ROOT = Path(__file__).resolve().parents[1]
PICTURES = ROOT / "docs" / "pictures"
EXAMPLES = ("woman-bob", "man-glasses")
SIDE, QUALITY = 112, 82
#: Ellipses on a sheet of side 1: hair, then skin over it; the ground fills the rest.
COLOURS = {"ground": "#7d9a78", "hair": "#7a4a26", "skin": "#e3b594"}
HAIR, SKIN = (0.16, 0.03, 0.84, 0.70), (0.27, 0.26, 0.73, 0.86)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    shipped = [DEFAULT_MODEL, *sorted(f"models/{path.parent.name}" for path in ROOT.glob("models/*/config.json"))]
    parser.add_argument("models", nargs="*", default=shipped, help="models as for --model (all that are shipped)")
    parser.add_argument("--out", type=Path, default=PICTURES, help="folder of the pictures (docs/pictures)")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    for name in options.models:
        beside = ROOT / name
        model = CaliSketch.from_pretrained(beside if beside.is_dir() else name)
        path = options.out / f"{Path(name).name}.jpg"
        strip(model).save(path, quality=QUALITY)
        print(f"{name} -> {path}")


def strip(model: CaliSketch) -> Image.Image:
    """The examples as they are, the colours where the model takes colours, and the painted faces, side by side."""
    tiles = []
    for name in EXAMPLES:
        with Image.open(ROOT / "examples" / f"{name}.png") as opened:
            sketch = opened.convert("L")
        colours = flat_colours(sketch.size) if model.takes_colours else None
        tiles += [sketch, *([colours] if colours else []), model.synthesize(sketch, colours=colours)]
    page = Image.new("RGB", (SIDE * len(tiles), SIDE), "white")
    for place, tile in enumerate(tiles):
        page.paste(tile.convert("RGB").resize((SIDE, SIDE), Image.Resampling.LANCZOS), (place * SIDE, 0))
    return page


def flat_colours(size: tuple[int, int]) -> Image.Image:
    """Hair, skin and ground as flat colours, where the examples have them."""
    width, height = size
    sheet = Image.new("RGB", size, COLOURS["ground"])
    pen = ImageDraw.Draw(sheet)
    for place, colour in ((HAIR, "hair"), (SKIN, "skin")):
        left, top, right, bottom = place
        pen.ellipse((left * width, top * height, right * width, bottom * height), fill=COLOURS[colour])
    return sheet


if __name__ == "__main__":
    main()
