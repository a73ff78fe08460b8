"""The command ``pi-rec``, which can paint, reconstruct and interpolate: pictures from edges and a few flat colours."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

from ..boundary import images
from ..boundary.ink import Page
from .files import Beside, answer_all

if TYPE_CHECKING:
    from ..relatives.pi_rec import PIRec

Answer = Callable[[Path], dict[str, Image.Image]]

_PAGE: dict[str, Page] = {"auto": "auto", "yes": True, "no": False}


def main(arguments: Sequence[str]) -> int:
    """Answers every input; the exit status is 0, 1 if any failed, 2 for arguments that make no sense."""
    options = _parser().parse_args(arguments)
    from ..relatives.pi_rec import PIRec  # here: --help need not wait for what it imports

    answers = {"reconstruct": _reconstruct, "paint": _paint, "interpolate": _interpolate}
    try:
        answer = answers[options.action](PIRec.from_pretrained(options.model, options.device), options)
    except (OSError, ValueError, RuntimeError) as error:
        print(f"calisketch: {error}", file=sys.stderr)
        return 2
    return answer_all(options.inputs, options.out, "-painted", answer)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="calisketch pi-rec",
        description="Pictures from edges and a few flat colours, by a model of PI-REC.",
        epilog="Example: calisketch pi-rec paint edges.png --colours flat.png --out painted "
        "--model runs/small/pi_rec/model",
    )
    commands = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    command = _command(commands, "reconstruct", "reduce photos to edges and a few flat colours, and paint from these")
    command.add_argument("inputs", nargs="+", type=Path, metavar="PHOTO", help="image files and folders of them")
    command.add_argument("--sigma", type=float, default=3.0, help="of Canny, in pixels of 256; more: fewer edges (3)")
    command.add_argument("--flat-colours", type=int, default=3, help="how many, at most (%(default)s)")
    command.add_argument("--blur", type=int, default=25, help="of the colours, odd, in pixels of 256 (%(default)s)")
    command.add_argument("--second-blur", type=int, default=3, help="of their borders, likewise (%(default)s)")
    command.add_argument("--seed", type=int, default=0, help="of the choice of colours (%(default)s)")
    command.add_argument(
        "--layers",
        action="store_true",
        help="also write edges/NAME and colours/NAME, to be edited and painted from: pi-rec paint OUT/edges --colours "
        "OUT/colours",
    )

    command = _command(commands, "paint", "paint pictures from drawn lines and flat colours")
    command.add_argument("inputs", nargs="+", type=Path, metavar="EDGES", help="drawings: files and folders of them")
    command.add_argument(
        "--colours",
        type=Path,
        required=True,
        help="a picture for all drawings, or a folder with one for each, of the same name and in the same subfolder",
    )
    _add_drawing(command)

    command = _command(commands, "interpolate", "paint one drawing in colours that go over from one picture to another")
    command.add_argument("inputs", nargs="+", type=Path, metavar="EDGES", help="drawings: files and folders of them")
    command.add_argument("--from", dest="colours_a", type=Path, required=True, metavar="COLOURS", help="the first")
    command.add_argument("--to", dest="colours_b", type=Path, required=True, metavar="COLOURS", help="the last")
    command.add_argument("-n", type=int, default=5, help="how many pictures (%(default)s)")
    _add_drawing(command)
    return parser


def _reconstruct(model: PIRec, options: argparse.Namespace) -> Answer:
    from ..relatives.pi_rec import Reading

    settings: dict[str, Any] = {"sigma": options.sigma, "blur": options.blur, "colours": options.flat_colours}
    settings |= {"second_blur": options.second_blur, "seed": options.seed}
    Reading.of(model.size, **settings)  # what is wrong for all is said once

    def answer(path: Path) -> dict[str, Image.Image]:
        made = {"": model.reconstruct(path, refine=options.refine, **settings)}
        if options.layers:
            made["edges/"], made["colours/"] = model.take_apart(path, **settings)
        return made

    return answer


def _paint(model: PIRec, options: argparse.Namespace) -> Answer:
    remedy = "Give each drawing's colours its name and place, or a single picture for all."
    colours = Beside(options.colours, options.inputs, "colours", remedy)
    drawing: dict[str, Any] = {"polarity": options.polarity, "page": _PAGE[options.page]}
    return lambda path: {"": model.paint(path, colours.of(path), options.refine, **drawing)}


def _interpolate(model: PIRec, options: argparse.Namespace) -> Answer:
    drawing: dict[str, Any] = {"polarity": options.polarity, "page": _PAGE[options.page]}

    def answer(path: Path) -> dict[str, Image.Image]:
        pictures = model.interpolate(path, options.colours_a, options.colours_b, options.n, options.refine, **drawing)
        return {f"-{number}": picture for number, picture in enumerate(pictures, start=1)}

    return answer


def _command(
    commands: argparse._SubParsersAction[argparse.ArgumentParser], name: str, text: str
) -> argparse.ArgumentParser:
    command = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
    command.add_argument("--out", type=Path, required=True, help="folder for the results, written as PNG")
    command.add_argument(
        "--model",
        required=True,
        help="folder of a model that was trained by experiment=paper/pi_rec, or https://HOST/FOLDER#sha256=HEX",
    )
    command.add_argument(
        "--refine",
        action=argparse.BooleanOptionalAction,
        help="with or without a second pass over the picture (with, if the model was trained for it)",
    )
    command.add_argument("--device", help="cpu, cuda, mps, or auto: the GPU, if there is one (cpu)")
    return command


def _add_drawing(command: argparse.ArgumentParser) -> None:
    command.add_argument("--polarity", choices=images.POLARITIES, default="auto", help="(%(default)s)")
    command.add_argument(
        "--page", choices=_PAGE, default="auto", help="clean a photographed page's paper away (%(default)s)"
    )
