"""The command ``studio``: a page in the browser where a person draws, served on this machine until Ctrl+C."""

from __future__ import annotations

import argparse
import contextlib
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

from .. import pipeline
from ..boundary.images import shown
from ..weights import address as hub
from ..weights import names as model_names

NAMELESS = "model"
"""What a training calls its model's folder; the run above it tells one from another."""


def main(arguments: Sequence[str]) -> int:
    """Serves until Ctrl+C or SIGTERM; the exit status is 0, 1 if it cannot be started."""
    options = _parser().parse_args(arguments)
    from ..studio.serve import StudioError, serve

    try:
        models = {
            name: pipeline.CaliSketch.from_pretrained(model, device=options.device)
            for name, model in named(options.model or [model_names.DEFAULT_MODEL]).items()
        }
        with _terminated_as_interrupted():
            serve(models, options.host, options.port, in_browser=options.open)
    except KeyboardInterrupt:
        print(file=sys.stderr)  # after the terminal's ^C
    except (StudioError, OSError, ValueError, RuntimeError, ModuleNotFoundError) as error:
        print(f"calisketch: {' '.join(str(error).split())}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    command = argparse.ArgumentParser(
        prog="calisketch studio",
        description="Draw in the browser, on a page that this computer serves (extra app). Ctrl+C ends it.",
        epilog="Example: calisketch studio --open",
    )
    command.add_argument(
        "--model",
        nargs="+",
        action="extend",
        help="models to choose from, the first one chosen: names of shipped models, model folders, or "
        f"https://HOST/FOLDER#sha256=HEX ({model_names.DEFAULT_MODEL})",
    )
    command.add_argument(
        "--host", default="127.0.0.1", help="address to listen at; 0.0.0.0 lets other machines in (%(default)s)"
    )
    command.add_argument("--port", type=_port, help="(the first free one from 7860 on)")
    command.add_argument("--open", action="store_true", help="open the page in the browser")
    command.add_argument("--device", help="cpu, cuda, mps, or auto: the GPU, if there is one (cpu)")
    return command


@contextlib.contextmanager
def _terminated_as_interrupted() -> Iterator[None]:
    """SIGTERM ends the studio as Ctrl+C does, so that its temporary folder goes then, too."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def named(models: Sequence[str]) -> dict[str, str]:
    """Models by the names that a person chooses among: folders by their own, the second of a name as "NAME 2"."""
    found: dict[str, str] = {}
    for model in dict.fromkeys(models):
        name, number = _name(model), 2
        unique = name
        while unique in found:
            unique, number = f"{name} {number}", number + 1
        found[unique] = model
    return found


def _name(model: str) -> str:
    if hub.is_address(model):
        return model.partition("#")[0].rstrip("/").rpartition("/")[2]
    if model in model_names.available_models():
        return model
    path = Path(model).absolute()
    return shown(path.parent.name if path.name == NAMELESS else path.name) or shown(model)


def _port(text: str) -> int:
    value = int(text)
    if not 1 <= value <= 65535:
        raise argparse.ArgumentTypeError(f"must be from 1 to 65535; got {text}")
    return value
