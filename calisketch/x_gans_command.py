"""The commands ``restore``, ``compress`` and ``decompress``: pictures repaired, photos kept as a few points."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import get_args

from PIL import Image

from . import images
from .command_files import answer_all, jobs, real
from .point_file import ENDING
from .point_sampling import Where
from .x_gans import XGan


def add_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the three to the commands of ``python -m calisketch``."""
    command = _command(
        commands, "restore", "repair pictures that are corrupted as the model was trained for", "PICTURE"
    )
    command.add_argument(
        "--kept",
        type=Path,
        metavar="FILE",
        help="a mask for all pictures, bright where they are the photo's own, or a folder with one for each, of the "
        "same name (for models of points and white blocks: all that is not pure white)",
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

    command = _command(commands, "decompress", f"rebuild photos from the files of compress ({ENDING})", "FILE")
    command.add_argument("--paste", action="store_true", help="put the points that are known back into the answer")


def run(options: argparse.Namespace) -> int:
    """Answers every input; the exit status is 0, 1 if any failed, 2 for arguments that make no sense."""
    try:
        model = XGan.from_pretrained(options.model, options.device)
    except (OSError, ValueError, RuntimeError) as error:
        print(f"calisketch: {error}", file=sys.stderr)
        return 2
    if options.command == "compress":
        return _compress(model, options)
    if options.command == "restore":

        def answer(path: Path) -> dict[str, Image.Image]:
            kept = None if options.kept is None else _mask_of(path, options.kept)
            return {"": model.restore(path, kept, paste=options.paste)}

        return answer_all(options.inputs, options.out, "-restored", answer)
    files = list(_point_files(options.inputs))
    return answer_all(files, options.out, "-rebuilt", lambda path: {"": model.decompress(path, paste=options.paste)})


def _compress(model: XGan, options: argparse.Namespace) -> int:
    """As `answer_all`, for files that are no pictures."""
    failed: list[str] = []
    taken: set[Path] = set()
    done = 0
    for path, below in list(jobs(options.inputs, options.out, failed)):
        target = _free_name(options.out / below, path.stem, taken)
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            settings = {"bits": options.bits, "seed": options.seed, "out": target}
            model.compress(path, options.percent, options.points, **settings)
            print(f"{images.shown(path)} -> {images.shown(target)} ({target.stat().st_size} bytes)")
            done += 1
        except (OSError, ValueError, RuntimeError, MemoryError) as error:
            named = images.shown(path)
            failed.append(f"{named}: {error}" if named not in str(error) else str(error))
    print(f"{done} of {done + len(failed)} done" + (f", {len(failed)} failed:" if failed else "."), flush=True)
    for line in failed:
        print(f"  {line}", file=sys.stderr)
    return 1 if failed else 0


def _free_name(folder: Path, stem: str, taken: set[Path]) -> Path:
    """STEM.xgp, numbered where that is another photo's."""
    number = 1
    while True:
        target = folder / (f"{stem}{ENDING}" if number == 1 else f"{stem}-{number}{ENDING}")
        if real(target) not in taken:
            taken.add(real(target))
            return target
        number += 1


def _point_files(inputs: Sequence[Path]) -> Iterator[Path]:
    """The files that were named, and those of points in the folders that were; a folder without any stays, to fail."""
    for given in inputs:
        found = sorted(given.rglob(f"*{ENDING}")) if given.is_dir() else []
        yield from found or [given]


def _mask_of(picture: Path, masks: Path) -> Path:
    if not masks.is_dir():
        return masks
    for path in images.files_in(masks):
        if path.stem == picture.stem:
            return path
    raise FileNotFoundError(
        f"no mask for {images.shown(picture)}: {images.shown(masks)} has no image called {picture.stem}. Give each "
        "picture's mask its name, or a single mask for all."
    )


def _command(
    commands: argparse._SubParsersAction[argparse.ArgumentParser], name: str, text: str, given: str
) -> argparse.ArgumentParser:
    command = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
    command.add_argument("inputs", nargs="+", type=Path, metavar=given, help="files and folders of them")
    command.add_argument("--out", type=Path, required=True, help="folder for the results")
    command.add_argument(
        "--model",
        required=True,
        help="folder of a model that was trained by experiment=x_gans, or https://HOST/FOLDER#sha256=HEX",
    )
    command.add_argument("--device", help="e.g. cpu or cuda")
    return command
