"""The command line, ``calisketch`` or ``python -m calisketch``: which command is in which module."""

from __future__ import annotations

import difflib
import signal
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import NamedTuple

from . import __version__, remedies
from .commands import help_pages


class Command(NamedTuple):
    """A function of calisketch.commands, arguments -> exit status, as "module.function"; and what it does."""

    runs: str
    does: str


GROUPS = {
    "Draw and paint": {
        "synthesize": Command("synthesize.main", "paints photo-real faces from sketches"),
        "calibrate": Command("synthesize.calibrate", "redraws sketches as the lines of a real face"),
        "studio": Command("studio.main", "a page to draw on in the browser, served by this computer"),
    },
    "Train on photos of your own": {
        "prepare": Command("prepare.main", "a folder of photos of faces -> a folder to train on"),
        "prepare-cuhk": Command("prepare.cuhk", "the same for the CUHK student set"),
        "prepare-pairs": Command("prepare.pairs", "the same for photos with a drawing of each"),
        "train": Command("train.main", "a prepared folder -> a model"),
    },
    "Measure": {
        "evaluate": Command("evaluate.main", "the figures of models on a prepared folder"),
        "compare": Command("compare.main", "a paper's claims put to the test"),
    },
    "Hand a model on": {
        "export": Command("export.main", "a model as ONNX files"),
        "publish": Command("publish.main", "checks a model folder, and tells how others load it from the web"),
    },
    "Relatives": {
        "pi-rec": Command("pi_rec.main", "paint | reconstruct | interpolate: pictures from edges and flat colours"),
        "x-gans": Command("x_gans.main", "restore | compress | expand: pictures repaired, photos as a few points"),
        "sketcher": Command("sketcher.main", "draw: photos drawn in a learned hand"),
    },
}
COMMANDS = {name: command for group in GROUPS.values() for name, command in group.items()}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; the exit status is the command's, or 2 without a command that there is."""
    own_process = arguments is None
    name, *rest = [*(sys.argv[1:] if arguments is None else arguments), ""]
    rest = rest[:-1]
    if name in ("", "-h", "--help"):
        print(overview())
        return 0 if name else 2
    if name == "--version":
        print(f"calisketch {__version__}")
        return 0
    if name not in COMMANDS:
        close = difflib.get_close_matches(name, COMMANDS)
        meant = f" Did you mean {' or '.join(close)}?" if close else ""
        print(f"calisketch: there is no command {name!r}.{meant} See: calisketch --help", file=sys.stderr)
        return 2
    if name in help_pages.PAGES and help_pages.asked_for(rest):
        print(help_pages.text(name))  # without the extra that the command needs, too
        return 0
    if own_process and name == "train" and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # at once; while it trains, it saves first
    module, _, function = COMMANDS[name].runs.partition(".")
    try:
        run = getattr(import_module(f".commands.{module}", __package__), function)
    except ModuleNotFoundError as error:
        if name not in help_pages.PAGES or (error.name is not None and error.name.startswith("calisketch")):
            raise
        print(
            f"calisketch {name} needs the package {error.name!r}, which is not installed. "
            f"Install the extra train: {remedies.install('train')}",
            file=sys.stderr,
        )
        return 2
    return int(run(rest))


def overview() -> str:
    """Every command by its group, with what it does."""
    lines = ["calisketch: a rough sketch becomes a photo-real face.", "", "usage: calisketch COMMAND ..."]
    for group, commands in GROUPS.items():
        lines += ["", f"{group}:", *(f"  {name:<15}{command.does}" for name, command in commands.items())]
    lines += ["", "An example:  calisketch synthesize drawing.png --out faces"]
    lines += ["What a command takes:  calisketch COMMAND --help"]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
