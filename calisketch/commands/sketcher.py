"""The command ``sketcher``, which can draw: photos of faces in, sketches in a learned hand out."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from ..boundary.placement import Align
from ..relatives.sketcher import Sketcher
from .files import answer_all


def main(arguments: Sequence[str]) -> int:
    """Draws every photo; the exit status is 0, 1 if any failed, 2 for arguments that make no sense."""
    options = _parser().parse_args(arguments)
    try:
        sketcher = Sketcher.from_pretrained(options.model, device=options.device)
    except (OSError, ValueError, RuntimeError) as error:
        print(f"calisketch: {error}", file=sys.stderr)
        return 2
    align: Align = False if options.no_align else "auto"

    def answer(path: Path) -> dict[str, Image.Image]:
        return {"": sketcher.draw(path, align=align)}

    return answer_all(options.inputs, options.out, "-sketch", answer)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="calisketch sketcher",
        description="Photos drawn in a hand that a model has learned.",
        epilog="Example: calisketch sketcher draw photos --out sketches --model runs/small/photo_to_sketch/model",
    )
    commands = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    text = "draw photos of faces as the person drew whose pairs a model was trained on"
    command = commands.add_parser("draw", help=text, description=text[0].upper() + text[1:] + ".")
    command.add_argument("inputs", nargs="+", type=Path, metavar="PHOTO", help="image files and folders of them")
    command.add_argument("--out", type=Path, required=True, help="folder for the sketches, written as PNG")
    command.add_argument(
        "--model",
        required=True,
        help="folder of a model that was trained by experiment=paper/photo_to_sketch, or https://HOST/FOLDER#sha256=HEX",
    )
    command.add_argument("--no-align", action="store_true", help="only scale and pad, do not move the face")
    command.add_argument("--device", help="cpu, cuda, mps, or auto: the GPU, if there is one (cpu)")
    return parser
