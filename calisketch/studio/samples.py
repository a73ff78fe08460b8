"""The sketches that one may start from: their files, and small pictures of them beside their names."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from ..boundary.images import SketchError
from .addresses import address_of

SAMPLES = ("woman-bob", "man-fringe", "woman-long-hair", "man-glasses", "woman-tied-hair", "man-few-lines")
SIDE = 72
"""Pixels of a small picture; the page shows it no larger."""


def button_of(name: str) -> str:
    """The `elem_id` of an example's button."""
    return f"sample-{name}"


def sample(name: str) -> Path:
    """An example's file. Raises SketchError for another name than those of `SAMPLES`; as `samples_folder`."""
    if name not in SAMPLES:
        raise SketchError(f"there is no example {name!r}; there are {', '.join(SAMPLES)}.")
    return samples_folder() / f"{name}.png"


def samples_folder() -> Path:
    """The folder of the examples: inside an installed package, or a checkout's own.

    Raises:
        FileNotFoundError: there is neither.
    """
    here = Path(__file__).resolve().parent
    folders = (here / "samples", here.parents[1] / "examples")
    for folder in folders:
        if folder.is_dir():
            return folder
    raise FileNotFoundError(
        f"no folder of examples: neither of {', '.join(map(str, folders))}. Install calisketch again."
    )


def samples_style() -> str:
    """Style rules that put a small picture of each example above its name, in its button (`button_of`)
    within #samples.

    The pictures are in the rules themselves, so that none is asked for of any server.

    Raises:
        FileNotFoundError: as `samples_folder`, or an example is missing in it.
    """
    rules = []
    for name in SAMPLES:
        with Image.open(sample(name)) as drawing:
            small = drawing.convert("L")
        small.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
        rules.append(f"#samples #{button_of(name)}::before {{ background-image: url({address_of(small)}); }}")
    return "\n".join(rules) + "\n"
