"""calisketch: a rough sketch becomes a photo-real face, in two steps a person can see and steer.

>>> from calisketch import CaliSketch
>>> model = CaliSketch.from_pretrained("cuhk-small-256")        # doctest: +SKIP
>>> refined = model.calibrate("sketch.png")                     # doctest: +SKIP
>>> face = model.synthesize("sketch.png", strength=0.8)         # doctest: +SKIP
"""

from __future__ import annotations

from ._torchvision_shim import declare_missing_operators

declare_missing_operators()  # before anything imports torchvision

from .pipeline import CaliSketch, calibrate, synthesize  # noqa: E402

__all__ = ["CaliSketch", "__version__", "calibrate", "synthesize"]
__version__ = "0.5.0"
