"""The command ``x-gans``, which can restore, compress and expand: pictures repaired, photos kept as a few points."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

from PIL import Image

from ..compression.point_file import ENDING
from ..compression.point_sampling import Where
from ..relatives.x_gans import XGan
from .files import Beside, answer_all


def main(arguments: Sequence[str]) -> int:
    """Answers every input; the exit status is 0, 1 if any failed, 2 for arguments that make no sense."""
    options = _parser().parse_args(arguments)
    try:
        model = XGan.from_pretrained(options.model, options.device)
    except (OSError, ValueError, RuntimeError) as error:
        print(f"calisketch: {error}", file=sys.stderr)
        return 2
    return {"restore": _restore, "compress": _compress, "expand": _expand}[options.action](model, options)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="calisketch x-gans",
        description="Pictures repaired, and photos kept as a few of their points, by a model of X-GANs.",
        epilog="Example: calisketch x-gans compress photos --out small --model runs/small/x_gans/model",
    )
    commands = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    command = _command(
        commands, "restore", "repair pictures that are corrupted as the model was trained for", "PICTURE"
    )
    command.add_argument(
        "--kept",
        type=Path,
        metavar="FILE",
        help="a mask for all pictures, bright where they are the photo's own, or a folder with one for each, of the "
        "same name and in the same subfolder (for models of points and white blocks: all that is not pure white)",
    )
    command.add_argument("--paste", action="store_true", help="put the pixels that are known back into the answer")

    command = _command(
        commands, "compress", f"keep photos as a few of their points, in small files ({ENDING})", "PHOTO"
    )
    command.add_argument("--percent", type=float, default=5.0, help="of the model's pixels that are kept (%(default)s)")
    command.add_argument(
        "--points",
        choices=get_args(Where),
        default="feature",
        help="mostly where the photo changes, or anywhere, which makes smaller files (%(default)s)",
    )
    command.add_argument("--bits", type=int, default=5, help="of each colour channel, 1 to 8 (%(default)s)")
    command.add_argument("--seed", type=int, default=0, help="of the choice of points (%(default)s)")

    command = _command(commands, "expand", f"rebuild photos from the files of compress ({ENDING})", "FILE")
    command.add_argument("--paste", action="store_true", help="put the points that are known back into the answer")
    return parser


def _restore(model: XGan, options: argparse.Namespace) -> int:
    remedy = "Give each picture's mask its name and place, or a single mask for all."
    masks = None if options.kept is None else Beside(options.kept, options.inputs, "masks", remedy)

    def answer(path: Path) -> dict[str, Image.Image]:
        return {"": model.restore(path, None if masks is None else masks.of(path), paste=options.paste)}

    return answer_all(options.inputs, options.out, "-restored", answer)


def _compress(model: XGan, options: argparse.Namespace) -> int:
    settings = {"bits": options.bits, "seed": options.seed}

    def answer(path: Path) -> dict[str, bytes]:
        return {"": model.compress(path, options.percent, options.points, **settings)}

    return answer_all(options.inputs, options.out, "-points", answer, ending=ENDING)


def _expand(model: XGan, options: argparse.Namespace) -> int:
    def answer(path: Path) -> dict[str, Image.Image]:
        return {"": model.decompress(path, paste=options.paste)}

    return answer_all(options.inputs, options.out, "-rebuilt", answer, endings=(ENDING,))


def _command(
    commands: argparse._SubParsersAction[argparse.ArgumentParser], name: str, text: str, given: str
) -> argparse.ArgumentParser:
    command = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
    command.add_argument("inputs", nargs="+", type=Path, metavar=given, help="files and folders of them")
    command.add_argument("--out", type=Path, required=True, help="folder for the results")
    command.add_argument(
        "--model",
        required=True,
        help="folder of a model that was trained by experiment=paper/x_gans, or https://HOST/FOLDER#sha256=HEX",
    )
    command.add_argument("--device", help="cpu, cuda, mps, or auto: the GPU, if there is one (cpu)")
    return command
