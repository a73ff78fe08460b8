"""What a person may hand in, what it is answered by, and the options of such calls, for a type checker.

A path and a PIL image are answered by a PIL image, an array by an array, a tensor by a tensor (these of the same dtype
and range), and a list by a list.
"""

from __future__ import annotations

import os
from typing import Any, Literal, TypeAlias, TypedDict, TypeVar

import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from .answers import Ground
from .colours import Unpainted
from .images import Polarity
from .ink import Page
from .placement import Align

File: TypeAlias = str | os.PathLike[str] | Image.Image
AFile = TypeVar("AFile", bound=File)
Pixels = TypeVar("Pixels", NDArray[Any], Tensor)
Files: TypeAlias = list[AFile] | tuple[AFile, ...]
Stack: TypeAlias = list[Pixels] | tuple[Pixels, ...]
Several: TypeAlias = list[Any] | tuple[Any, ...]
Given: TypeAlias = File | NDArray[Any] | Tensor | Several


class Computed(TypedDict, total=False):
    """Of every call."""

    batch_size: int
    device: str | torch.device | None


class Drawn(Computed, total=False):
    """Of calls that take drawings."""

    polarity: Polarity
    page: Page


class Placed(Drawn, total=False):
    """Of `CaliSketch`'s calls."""

    align: Align


class Calibrated(Placed, total=False):
    """Of `CaliSketch.calibrate`."""

    thin: bool
    tone: bool
    ground: Ground


class Painted(Placed, total=False):
    """Of `CaliSketch.synthesize`, whether it gives back what it paints from or not."""

    colours: Given | None
    unpainted: Unpainted
    seed: int


class Face(Painted, total=False):
    """Of `CaliSketch.synthesize` where it gives back faces alone."""

    return_refined: Literal[False]


class Faces(Painted):
    """Of `CaliSketch.synthesize` where it gives several faces for each sketch."""

    variants: int


class FaceAndRefined(Painted):
    """Of `CaliSketch.synthesize` where it gives back both."""

    return_refined: Literal[True]
