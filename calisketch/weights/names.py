"""What a model may be called: the name of a shipped one, a folder, or an address."""

from __future__ import annotations

import os
from pathlib import Path

from . import address as hub
from . import folder as model_folder

DEFAULT_MODEL = "cuhk-small-256"

_MODELS = Path(__file__).resolve().parents[1] / "models"


def available_models() -> list[str]:
    """The names of the models that are shipped with the package."""
    return sorted(path.parent.name for path in _MODELS.glob(f"*/{model_folder.CONFIG_FILE}"))


def folder_of(model: str | os.PathLike[str], sha256: str | None = None) -> Path:
    """Where a model lies that is named as for `CaliSketch.from_pretrained`; errors as there."""
    if isinstance(model, str) and hub.is_address(model):
        return hub.fetch_model(model, sha256)
    folder = _MODELS / model if isinstance(model, str) and model in available_models() else Path(model)
    if not os.path.isdir(folder):
        raise FileNotFoundError(
            f"no model {str(model)!r}: it is neither a folder nor the name of a shipped model. "
            f"Shipped: {', '.join(available_models()) or 'none'}. Give one of these, or the folder of a trained model."
        )
    return folder if sha256 is None else hub.check_hash(folder, sha256)
