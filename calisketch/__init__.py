"""calisketch: a rough sketch becomes a photo-real face, in two steps a person can see and steer.

>>> from calisketch import CaliSketch
>>> model = CaliSketch.from_pretrained("cuhk-small-256")        # doctest: +SKIP
>>> refined = model.calibrate("sketch.png")                     # doctest: +SKIP
>>> face = model.synthesize("sketch.png", strength=0.8)         # doctest: +SKIP

The names of ``__all__`` are the public ones. Each is imported when it is first asked for, so that a plain
``import calisketch`` stays quick.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ._torchvision_shim import declare_missing_operators

declare_missing_operators()  # before anything imports torchvision

if TYPE_CHECKING:
    from .boundary.images import SketchError
    from .compression.point_file import PointFileError
    from .datasets import SettingsDiffer
    from .export import ParityError
    from .pipeline import CaliSketch, calibrate, synthesize
    from .relatives.any_model import load_model
    from .relatives.pi_rec import PIRec
    from .relatives.sketcher import Sketcher
    from .relatives.x_gans import XGan
    from .training import CheckpointError, Interrupted, NonFiniteLoss, OutOfMemory, ProcessLost
    from .weights import MissingWeights
    from .weights.download import DownloadError, WrongContent
    from .weights.files import ModelFolderError

__version__ = "0.5.0"
_HOMES = {
    "boundary.images": ("SketchError",),
    "compression.point_file": ("PointFileError",),
    "datasets": ("SettingsDiffer",),
    "export": ("ParityError",),
    "pipeline": ("CaliSketch", "calibrate", "synthesize"),
    "relatives.any_model": ("load_model",),
    "relatives.pi_rec": ("PIRec",),
    "relatives.sketcher": ("Sketcher",),
    "relatives.x_gans": ("XGan",),
    "training": ("CheckpointError", "Interrupted", "NonFiniteLoss", "OutOfMemory", "ProcessLost"),
    "weights": ("MissingWeights",),
    "weights.download": ("DownloadError", "WrongContent"),
    "weights.files": ("ModelFolderError",),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}
__all__ = [  # __getattr__ finds them
    "CaliSketch",
    "CheckpointError",
    "DownloadError",
    "Interrupted",
    "MissingWeights",
    "ModelFolderError",
    "NonFiniteLoss",
    "OutOfMemory",
    "PIRec",
    "ParityError",
    "PointFileError",
    "ProcessLost",
    "SettingsDiffer",
    "SketchError",
    "Sketcher",
    "WrongContent",
    "XGan",
    "__version__",
    "calibrate",
    "load_model",
    "synthesize",
]


if not TYPE_CHECKING:  # a type checker would believe that any name is there

    def __getattr__(name: str) -> Any:
        if name not in _HOME_OF:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = getattr(import_module(f".{_HOME_OF[name]}", __name__), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME_OF})
