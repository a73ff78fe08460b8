"""The command line: python -m calisketch calibrate | synthesize IN... --out DIR, publish FOLDER, train and evaluate."""

from __future__ import annotations

import argparse
import io
import logging
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

from PIL import Image

from . import CaliSketch, __version__
from .boundary import images
from .boundary.answers import GROUNDS
from .boundary.colours import Unpainted, need_colours
from .commands import pi_rec as pi_rec_command
from .commands import sketcher as sketcher_command
from .commands import studio as studio_command
from .commands import x_gans as x_gans_command
from .commands.files import Beside, answer_all
from .inference import computing
from .options import need_isn
from .relatives.any_model import load_model
from .weights import address as hub
from .weights import names as model_names

_PAGE = {"auto": "auto", "yes": True, "no": False}
COMMANDS = {
    **dict.fromkeys(("reconstruct", "paint", "interpolate"), pi_rec_command),
    **dict.fromkeys(("restore", "compress", "decompress"), x_gans_command),
    "draw": sketcher_command,
    "studio": studio_command,
}
_SUFFIX = {"calibrate": "-calibrated", "synthesize": "-face"}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; the exit status is 0, 1 if any sketch failed, 2 for arguments that make no sense."""
    own_process = arguments is None
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    if arguments[:1] == ["train"]:  # Hydra reads its own arguments
        if own_process and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            signal.signal(signal.SIGINT, signal.SIG_DFL)  # at once; while it trains, it saves first
        return _by_hydra("train", arguments[1:])
    if arguments[:1] in (["evaluate"], ["compare"]):
        return _by_hydra(arguments[0], arguments[1:])
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.command is None:
        parser.print_help()
        return 2
    if options.command in COMMANDS:
        return COMMANDS[options.command].run(options)
    if options.command == "export":
        return _export(options.model, options.folder)
    return _publish(options.folder) if options.command == "publish" else _process(options)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="calisketch", description="Calibrates sketches of faces and paints them.")
    parser.add_argument("--version", action="version", version=f"calisketch {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="command")
    help_of = {"calibrate": "redraw sketches as the lines of a real face", "synthesize": "paint photo-real faces"}
    for name, text in help_of.items():
        command = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
        command.add_argument("inputs", nargs="+", type=Path, metavar="IN", help="image files and folders of them")
        command.add_argument("--out", type=Path, required=True, help="folder for the results, written as PNG")
        command.add_argument(
            "--model",
            default=model_names.DEFAULT_MODEL,
            help="name of a shipped model, a model folder, or https://HOST/FOLDER#sha256=HEX (%(default)s)",
        )
        command.add_argument(
            "--strength",
            type=_strength,
            help="0 keeps the strokes, 1 replaces them (1, where the model calibrates)",
        )
        command.add_argument("--no-align", action="store_true", help="only scale and pad, do not move the face")
        command.add_argument("--polarity", choices=images.POLARITIES, default="auto", help="(%(default)s)")
        command.add_argument(
            "--page", choices=_PAGE, default="auto", help="clean a photographed page's paper away (%(default)s)"
        )
        command.add_argument("--device", help="e.g. cpu or cuda")
        command.add_argument(
            "--precision",
            choices=get_args(computing.Precision),
            default="auto",
            help="of the networks; the fastest that is safe on this computer (%(default)s)",
        )
        command.add_argument(
            "--engine",
            choices=get_args(computing.Engine),
            default="eager",
            help="compiled and openvino take a while to begin and are faster then (%(default)s)",
        )
        command.add_argument(
            "--verbose", action="store_true", help="say of each sketch how it was read and where its face was found"
        )
        if name == "calibrate":
            command.add_argument("--thin", action="store_true", help="reduce the refined lines to their middles")
            command.add_argument("--tone", action="store_true", help="keep hatching, hair and shadow as light tone")
            command.add_argument(
                "--ground",
                choices=GROUNDS,
                help="draw dark on white, light on black, or lines alone (the sketch's own ground, if not given)",
            )
        if name == "synthesize":
            command.add_argument(
                "--refined", action="store_true", help="also write the sketch each face is painted from"
            )
            command.add_argument(
                "--colours",
                type=Path,
                metavar="FILE",
                help="for a model that takes them: a picture of colour strokes that lies on every sketch, or a folder "
                "of such pictures, of the sketches' names",
            )
            command.add_argument(
                "--unpainted",
                choices=get_args(Unpainted),
                default="auto",
                help="what of --colours is no colour: transparent parts, or white paper too (%(default)s: the former "
                "where there are any)",
            )
    for module in dict.fromkeys(COMMANDS.values()):
        module.add_commands(commands)
    publish = commands.add_parser("publish", help="check a model folder, and print the line that loads it from the web")
    publish.add_argument("folder", metavar="FOLDER", help="as save_pretrained or a training run wrote it")
    export = commands.add_parser("export", help="write a model as ONNX files (extra export)")
    export.add_argument("model", metavar="MODEL", help="as for --model above")
    export.add_argument("folder", type=Path, metavar="OUT", help="folder for scn.onnx, isn.onnx and cali_sketch.onnx")
    commands.add_parser(
        "train", help="train a model, e.g. experiment=smoke/cali_sketch (arguments as for tools/train.py)"
    )
    commands.add_parser("evaluate", help="measure models; arguments as for tools/evaluate.py, e.g. data.root=FOLDER")
    commands.add_parser("compare", help="put a paper's claims to the test; arguments as for tools/compare.py")
    return parser


def _strength(text: str) -> float:
    value = float(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"must be in [0, 1]; got {text}")
    return value


def _by_hydra(command: str, arguments: list[str]) -> int:
    try:
        if command == "evaluate":
            from .commands.evaluate import main as run
        elif command == "compare":
            from .commands.compare import main as run
        else:
            from .commands.train import main as run
    except ModuleNotFoundError as error:
        if error.name is not None and error.name.startswith("calisketch"):
            raise
        print(
            f"calisketch {command} needs the package {error.name!r}, which is not installed. "
            "Install the extra: pip install 'calisketch[train]'",
            file=sys.stderr,
        )
        return 2
    return run(arguments)


def _publish(folder: str) -> int:
    try:
        model = load_model(Path(folder))
        print(f"{model!r} is whole.\n{hub.how_to_publish(folder, type(model).__name__)}")
    except (OSError, ValueError, RuntimeError) as error:
        print(f"calisketch: {error}", file=sys.stderr)
        return 2
    return 0


def _export(model: str, folder: Path) -> int:
    from .export import export_folder

    try:
        for name, path in export_folder(model, folder).items():
            print(f"{name} -> {images.shown(path)}")
    except (OSError, ValueError, RuntimeError, ModuleNotFoundError) as error:
        print(f"calisketch: {error}", file=sys.stderr)
        return 2
    return 0


def _process(options: argparse.Namespace) -> int:
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
    colours: Path | None = getattr(options, "colours", None)
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

    return answer_all(options.inputs, options.out, _SUFFIX[options.command], answer)


if __name__ == "__main__":
    sys.exit(main())
