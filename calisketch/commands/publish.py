"""The command ``publish``: a model folder checked, and the line that loads it from the web."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from ..relatives.any_model import load_model
from ..weights.address import how_to_publish


def main(arguments: Sequence[str]) -> int:
    """Checks the folder, and says what to do; the exit status is 0, or 2 if the folder cannot be published."""
    parser = argparse.ArgumentParser(
        prog="calisketch publish",
        description="Checks a model folder, and prints the line that loads it from the web. It sends nothing anywhere.",
        epilog="Example: calisketch publish runs/small/cali_sketch/model",
    )
    parser.add_argument("folder", metavar="FOLDER", help="as save_pretrained or a training run wrote it")
    folder = parser.parse_args(arguments).folder
    try:
        model = load_model(Path(folder))
        print(f"{model!r} is whole.\n{how_to_publish(folder, type(model).__name__)}")
    except (OSError, ValueError, RuntimeError) as error:
        print(f"calisketch: {error}", file=sys.stderr)
        return 2
    return 0
