"""The command ``export``: a model as ONNX files, each compared with the model before it is kept."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from ..boundary.images import shown
from ..export import export_folder


def main(arguments: Sequence[str]) -> int:
    """Writes the files; the exit status is 0, or 2 if that cannot be done."""
    parser = argparse.ArgumentParser(
        prog="calisketch export",
        description="Writes a model as ONNX files (extra export).",
        epilog="Example: calisketch export cuhk-small-256 onnx",
    )
    parser.add_argument(
        "model", metavar="MODEL", help="name of a shipped model, a model folder, or https://HOST/FOLDER#sha256=HEX"
    )
    parser.add_argument("folder", type=Path, metavar="OUT", help="folder for scn.onnx, isn.onnx and cali_sketch.onnx")
    options = parser.parse_args(arguments)
    try:
        for name, path in export_folder(options.model, options.folder).items():
            print(f"{name} -> {shown(path)}")
    except (OSError, ValueError, RuntimeError, ModuleNotFoundError) as error:
        print(f"calisketch: {error}", file=sys.stderr)
        return 2
    return 0
