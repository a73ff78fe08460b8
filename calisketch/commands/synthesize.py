"""The commands ``synthesize`` and ``calibrate``: drawings in, faces or the sketches they are painted from out."""

from __future__ import annotations

import argparse
import io
import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

from PIL import Image

from ..boundary import images
from ..boundary.answers import GROUNDS
from ..boundary.colours import Unpainted, need_colours
from ..inference import computing
from ..options import need_isn
from ..pipeline import CaliSketch
from ..weights import names as model_names
from .files import Beside, answer_all

_PAGE = {"auto": "auto", "yes": True, "no": False}


def main(arguments: Sequence[str]) -> int:
    """Paints faces; the exit status is 0, 1 if any sketch failed, 2 for arguments that make no sense."""
    parser = _parser("synthesize", "Paints photo-real faces from sketches.", "drawing.png photos-of-drawings/")
    parser.add_argument("--refined", action="store_true", help="also write the sketch each face is painted from")
    parser.add_argument(
        "--colours",
        type=Path,
        metavar="FILE",
        help="for a model that takes them: a picture of colour strokes that lies on every sketch, or a folder of such "
        "pictures, of the sketches' names",
    )
    parser.add_argument(
        "--unpainted",
        choices=get_args(Unpainted),
        default="auto",
        help="what of --colours is no colour: transparent parts, or white paper too (%(default)s: the former where "
        "there are any)",
    )
    return _answer(parser.parse_args(arguments), "-face")


def calibrate(arguments: Sequence[str]) -> int:
    """Redraws sketches; the exit status as `main`'s."""
    parser = _parser("calibrate", "Redraws sketches as the lines of a real face.", "drawing.png")
    parser.add_argument("--thin", action="store_true", help="reduce the refined lines to their middles")
    parser.add_argument("--tone", action="store_true", help="keep hatching, hair and shadow as light tone")
    parser.add_argument(
        "--ground",
        choices=GROUNDS,
        help="draw dark on white, light on black, or lines alone (the sketch's own ground, if not given)",
    )
    parser.set_defaults(colours=None)
    return _answer(parser.parse_args(arguments), "-calibrated")


def _parser(name: str, does: str, example: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=f"calisketch {name}", description=does, epilog=f"Example: calisketch {name} {example} --out results"
    )
    parser.add_argument("inputs", nargs="+", type=Path, metavar="IN", help="image files and folders of them")
    parser.add_argument("--out", type=Path, required=True, help="folder for the results, written as PNG")
    parser.add_argument(
        "--model",
        default=model_names.DEFAULT_MODEL,
        help="name of a shipped model, a model folder, or https://HOST/FOLDER#sha256=HEX (%(default)s)",
    )
    parser.add_argument(
        "--strength",
        type=_strength,
        help="0 keeps the strokes, 1 replaces them (1, where the model calibrates)",
    )
    parser.add_argument("--no-align", action="store_true", help="only scale and pad, do not move the face")
    parser.add_argument("--polarity", choices=images.POLARITIES, default="auto", help="(%(default)s)")
    parser.add_argument(
        "--page", choices=_PAGE, default="auto", help="clean a photographed page's paper away (%(default)s)"
    )
    parser.add_argument("--device", help="cpu, cuda, mps, or auto: the GPU, if there is one (cpu)")
    parser.add_argument(
        "--precision",
        choices=get_args(computing.Precision),
        default="auto",
        help="of the networks; the fastest that is safe on this computer (%(default)s)",
    )
    parser.add_argument(
        "--engine",
        choices=get_args(computing.Engine),
        default="eager",
        help="compiled and openvino take a while to begin and are faster then (%(default)s)",
    )
    parser.add_argument(
        "--verbose", action="store_true", help="say of each sketch how it was read and where its face was found"
    )
    parser.set_defaults(command=name)
    return parser


def _strength(text: str) -> float:
    value = float(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"must be in [0, 1]; got {text}")
    return value


def _answer(options: argparse.Namespace, suffix: str) -> int:
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a name that the terminal cannot show must not end the run
            stream.reconfigure(errors="backslashreplace")
    if options.verbose:
        logging.basicConfig(format="%(message)s")
        logging.getLogger("calisketch").setLevel(logging.INFO)
    try:
        model = CaliSketch.from_pretrained(
            options.model, device=options.device, precision=options.precision, engine=options.engine
        )
    except (OSError, ValueError, RuntimeError, ModuleNotFoundError) as error:
        print(f"calisketch: {error}", file=sys.stderr)
        return 2
    colours: Path | None = options.colours
    try:
        painter = None if options.command == "calibrate" else need_isn(model.isn_generator, options.command)
    except ValueError as error:
        print(f"calisketch: {error}", file=sys.stderr)
        return 2
    try:
        if colours is not None and painter is not None:
            need_colours(painter)
            colours.stat()
    except (OSError, ValueError) as error:
        print(f"calisketch: --colours {colours}: {error}", file=sys.stderr)
        return 2
    remedy = "Add one; a fully transparent one gives none."
    beside = None if colours is None else Beside(colours, options.inputs, "colours", remedy)
    settings = {
        "strength": options.strength,
        "polarity": options.polarity,
        "align": False if options.no_align else "auto",
        "page": _PAGE[options.page],
    }

    def answer(path: Path) -> dict[str, Image.Image]:
        if options.command == "calibrate":
            drawn = {"thin": options.thin, "tone": options.tone, "ground": options.ground}
            return {"": model.calibrate(path, **drawn, **settings)}
        given = {"colours": None if beside is None else beside.of(path), "unpainted": options.unpainted}
        if options.refined:
            face, refined = model.synthesize(path, return_refined=True, **given, **settings)
            return {"": face, "-refined": refined}
        return {"": model.synthesize(path, **given, **settings)}

    return answer_all(options.inputs, options.out, suffix, answer)
