"""The command line: python -m calisketch calibrate | synthesize IN... --out DIR, publish FOLDER, train and evaluate."""

from __future__ import annotations

import argparse
import io
import logging
import os
import signal
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import get_args

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from . import CaliSketch, __version__, computing, hub, images, pipeline

_PAGE = {"auto": "auto", "yes": True, "no": False}
_MARK = ("Software", f"calisketch {__version__}")  # in the pictures that are written here
_SUFFIX = {"calibrate": "-calibrated", "synthesize": "-face"}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; the exit status is 0, 1 if any sketch failed, 2 for arguments that make no sense."""
    own_process = arguments is None
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    if arguments[:1] == ["train"]:  # Hydra reads its own arguments
        if own_process and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            signal.signal(signal.SIGINT, signal.SIG_DFL)  # at once; while it trains, it saves first
        return _by_hydra("train", arguments[1:])
    if arguments[:1] == ["evaluate"]:
        return _by_hydra("evaluate", arguments[1:])
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.command is None:
        parser.print_help()
        return 2
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
            default=pipeline.DEFAULT_MODEL,
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
        if name == "synthesize":
            command.add_argument(
                "--refined", action="store_true", help="also write the sketch each face is painted from"
            )
    publish = commands.add_parser("publish", help="check a model folder, and print the line that loads it from the web")
    publish.add_argument("folder", metavar="FOLDER", help="as save_pretrained or a training run wrote it")
    export = commands.add_parser("export", help="write a model as ONNX files (extra export)")
    export.add_argument("model", metavar="MODEL", help="as for --model above")
    export.add_argument("folder", type=Path, metavar="OUT", help="folder for scn.onnx, isn.onnx and cali_sketch.onnx")
    commands.add_parser("train", help="train a model; arguments as for tools/train.py, e.g. experiment=smoke")
    commands.add_parser("evaluate", help="measure models; arguments as for tools/evaluate.py, e.g. data.root=FOLDER")
    return parser


def _strength(text: str) -> float:
    value = float(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"must be in [0, 1]; got {text}")
    return value


def _by_hydra(command: str, arguments: list[str]) -> int:
    try:
        if command == "evaluate":
            from .evaluate_command import main as run
        else:
            from .train_command import main as run
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
        print(f"{CaliSketch.from_pretrained(Path(folder))!r} is whole.\n{hub.how_to_publish(folder)}")
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
    try:
        options.out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        print(f"calisketch: --out {options.out} cannot be made a folder: {error}. Give another one.", file=sys.stderr)
        return 2
    failed: list[str] = []
    taken: set[Path] = set()
    done = 0
    jobs = list(_jobs(options.inputs, options.out, failed))
    inputs = {_real(path) for path, _ in jobs}
    settings = {
        "strength": options.strength,
        "polarity": options.polarity,
        "align": False if options.no_align else "auto",
        "page": _PAGE[options.page],
    }
    for path, below in jobs:
        try:
            target = _free_name(options.out / below, path.stem, _SUFFIX[options.command], inputs, taken)
            if options.command == "calibrate":
                results = {target: model.calibrate(path, **settings)}
            elif options.refined:
                face, refined = model.synthesize(path, return_refined=True, **settings)
                beside = _free_name(target.parent, f"{target.stem}-refined", "-of", inputs, taken)
                results = {target: face, beside: refined}
            else:
                results = {target: model.synthesize(path, **settings)}
            for name, image in results.items():
                _write(image, name)
                print(f"{images.shown(path)} -> {images.shown(name)}")
            done += 1
        except (OSError, ValueError, RuntimeError, MemoryError) as error:
            named = images.shown(path)
            failed.append(f"{named}: {error}" if named not in str(error) else str(error))
    print(f"{done} of {done + len(failed)} done" + (f", {len(failed)} failed:" if failed else "."), flush=True)
    for line in failed:
        print(f"  {line}", file=sys.stderr)
    return 1 if failed else 0


def _jobs(inputs: Sequence[Path], out: Path, failed: list[str]) -> Iterator[tuple[Path, Path]]:
    """Each file to read, once however often it is named, and the folder below --out that its result goes to."""
    seen: set[Path] = set()
    place = _real(out)
    for given in inputs:
        if not os.path.isdir(given):  # unlike Path.is_dir, no error for a name that is too long
            if _real(given) not in seen:
                seen.add(_real(given))
                yield given, Path()
            continue
        # Results of an earlier run are no inputs: those in a folder of their own, and those among the inputs by a mark.
        inside = _real(given) in place.parents
        found = [path for path in images.files_in(given) if not (inside and place in _real(path).parents)]
        if _real(given) == place:
            found = [path for path in found if not _is_marked(path)]
        if not found:
            failed.append(
                f"{images.shown(given)}: no image files in this folder; looked for {', '.join(images.FILE_ENDINGS)}."
            )
        for path in found:
            if _real(path) not in seen:
                seen.add(_real(path))
                yield path, path.parent.relative_to(given)


def _real(path: Path) -> Path:
    """Where a path leads; unlike Path.resolve, links that lead in a circle do not end the run."""
    return Path(os.path.realpath(path))


def _is_marked(path: Path) -> bool:
    """Whether a picture was written by this command."""
    if not os.access(path, os.R_OK):
        return False  # which is said when it is read
    with open(path, "rb") as stream:
        return b"tEXt" + _MARK[0].encode() + b"\0" + b"calisketch " in stream.read(256)


def _free_name(folder: Path, stem: str, suffix: str, inputs: set[Path], taken: set[Path]) -> Path:
    """STEM.png; STEM-face.png and so on where that is an input; numbered where it is the result of another one."""
    if _real(folder / f"{stem}.png") in inputs:
        stem += suffix
    for number in range(1, len(inputs) + len(taken) + 2):
        target = folder / (f"{stem}.png" if number == 1 else f"{stem}-{number}.png")
        if _real(target) not in inputs | taken:
            taken.add(_real(target))
            return target
    raise AssertionError("more names were tried than can be taken")


def _write(image: Image.Image, target: Path) -> None:
    """Write aside and rename, so that no half-written picture is ever seen."""
    target.parent.mkdir(parents=True, exist_ok=True)
    descriptor, aside = tempfile.mkstemp(dir=target.parent, prefix=".calisketch-", suffix=".png")
    mark = PngInfo()
    mark.add_text(*_MARK)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            image.save(stream, format="PNG", pnginfo=mark)
        os.chmod(aside, 0o644)  # mkstemp's files are private
        os.replace(aside, target)
    finally:
        if os.path.exists(aside):
            os.unlink(aside)


if __name__ == "__main__":
    sys.exit(main())
