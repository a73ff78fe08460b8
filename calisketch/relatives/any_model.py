"""A model folder, whichever method it is of, as the class that uses it."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from typing import Any

import torch

from ..inference.computing import Precision
from ..pipeline import CaliSketch
from ..weights import folder as model_folder
from ..weights.folder import ModelFolderError
from ..weights.names import folder_of


def load_model(
    model: str | os.PathLike[str],
    device: str | torch.device | None = None,
    *,
    sha256: str | None = None,
    precision: Precision = "auto",
) -> Any:
    """Load a model as `CaliSketch`, `PIRec`, `XGan` or `Sketcher`, by the networks that its folder holds.

    Args:
        model, device, sha256: as for `CaliSketch.from_pretrained`.
        precision: of a `CaliSketch`; the others choose their own.

    Raises:
        FileNotFoundError, ModelFolderError, ValueError: as `CaliSketch.from_pretrained`.
    """
    folder = folder_of(model, sha256)
    names = set(model_folder.read_config(folder)["networks"])
    for network, load in _loaders(precision).items():
        if network in names:
            return load(folder, device)
    raise ModelFolderError(f"{folder} holds the networks {sorted(names)}; expected one of {sorted(_loaders('auto'))}.")


def _loaders(precision: Precision) -> dict[str, Callable[..., Any]]:
    """By the name of a network that only its folders hold, what loads a model."""
    from .pi_rec import PIRec
    from .sketcher import Sketcher
    from .x_gans import XGan

    return {
        "isn": partial(CaliSketch.from_pretrained, precision=precision),
        "pi_rec": PIRec.from_pretrained,
        "x_gan": XGan.from_pretrained,
        "sketcher": Sketcher.from_pretrained,
        "scn": partial(CaliSketch.from_pretrained, precision=precision),  # alone: it only calibrates
    }
