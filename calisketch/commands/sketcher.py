"""The command ``draw``: photos of faces in, sketches in a learned hand out."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from PIL import Image

from ..boundary.placement import Align
from ..relatives.sketcher import Sketcher
from .files import answer_all


def add_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds ``draw`` to the commands of ``python -m calisketch``."""
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
    command.add_argument("--device", help="e.g. cpu or cuda")


def run(options: argparse.Namespace) -> int:
    """Draws every photo; the exit status is 0, 1 if any failed, 2 for arguments that make no sense."""
    try:
        sketcher = Sketcher.from_pretrained(options.model, device=options.device)
    except (OSError, ValueError, RuntimeError) as error:
        print(f"calisketch: {error}", file=sys.stderr)
        return 2
    align: Align = False if options.no_align else "auto"

    def answer(path: Path) -> dict[str, Image.Image]:
        return {"": sketcher.draw(path, align=align)}

    return answer_all(options.inputs, options.out, "-sketch", answer)
