"""What the studio does with a drawing: the models by name, one answer at a time."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..boundary.images import SketchError
from ..boundary.sheet import Sheets, inks_of
from ..options import need_isn
from ..pipeline import CaliSketch
from .overlay import changes
from .uploads import shortened

CANVAS = 512
"""Side of the sheet that is drawn on, in pixels; all panes have it."""

Picture = NDArray[np.uint8]


class UnknownModelError(ValueError):
    """A model of a name that the studio was not started with."""


class StrengthError(ValueError):
    """A strength that is no number in [0, 1]."""


@dataclass(frozen=True)
class Panes:
    """What is shown of a drawing; all (CANVAS, CANVAS) uint8, dark lines on white.

    Attributes:
        sketch: the person's strokes. refined: what the face is painted from, (1 - strength) S + strength R.
        face: (CANVAS, CANVAS, 3). changes: (CANVAS, CANVAS, 3), strokes kept, moved, added and removed by the
            calibration; see `overlay`.
        seconds: that it took.
    """

    sketch: Picture
    refined: Picture
    face: Picture
    changes: Picture
    seconds: float


class Painter:
    """The models that a studio offers, loaded when first asked for, and painting with one at a time.

    Args:
        models: by the name that is shown: what `CaliSketch.from_pretrained` takes, or a model.

    Raises:
        ValueError: no models.
    """

    def __init__(self, models: Mapping[str, str | Path | CaliSketch]) -> None:
        if not models:
            raise ValueError("models must name at least one model; got none.")
        self._models: dict[str, str | Path | CaliSketch] = dict(models)
        self._lock = threading.Lock()

    @property
    def names(self) -> list[str]:
        """In the order in which they were given."""
        return list(self._models)

    def model(self, name: str) -> CaliSketch:
        """The model of that name. Raises UnknownModelError; ValueError where it has no ISN; as `from_pretrained`."""
        with self._lock:
            return self._model(name)

    def _model(self, name: str) -> CaliSketch:
        if name not in self._models:
            raise UnknownModelError(f"there is no model {name!r} here; there are: {', '.join(self._models)}.")
        model = self._models[name]
        if not isinstance(model, CaliSketch):
            model = CaliSketch.from_pretrained(model)
            need_isn(model.isn_generator, "the studio")
            self._models[name] = model
        return model

    def paint(self, strokes: Image.Image, model: str, strength: float, colours: Any = None) -> Panes:
        """A drawing's panes.

        Args:
            strokes: (CANVAS, CANVAS), as `on_white` or `imported` gives it: it lies where the model expects it.
            model: a name. strength: in [0, 1]; of no effect on a model without an SCN.
            colours: RGBA of the same size, for a model that takes them; left out for others.

        Raises:
            SketchError: nothing is drawn, or next to nothing.
            UnknownModelError, StrengthError: no such model; a strength out of range.
        """
        began = time.perf_counter()
        _check_strength(strength)
        with self._lock:
            system = self._model(model)
            options: dict[str, Any] = {"align": False, "page": False, "polarity": "dark_on_light"}
            calibrates = system.scn_generator is not None
            given = colours if system.takes_colours else None
            face, refined = system.synthesize(
                strokes,
                strength if calibrates else None,
                return_refined=True,
                colours=given,
                unpainted="transparent",
                **options,
            )
            # What the calibration changes is told of its whole strength, of which the slider takes a part.
            whole = system.calibrate(strokes, **options) if calibrates and strength < 1 else refined
        sketch = np.asarray(strokes.convert("L"))
        shown = _enlarged(refined)
        return Panes(
            sketch=sketch,
            refined=shown,
            face=np.asarray(face.convert("RGB")),
            changes=changes(_ink(sketch), _ink(_enlarged(whole)), CANVAS / 128).picture(),
            seconds=time.perf_counter() - began,
        )

    def imported(self, sketch: Image.Image, model: str) -> Image.Image:
        """A sketch from elsewhere, (CANVAS, CANVAS) "L": cleaned of its page, dark on white, the face in its place.

        Raises SketchError: it cannot be read as a sketch; UnknownModelError.
        """
        self.model(model)  # that there is one of this name
        (sheet,) = next(iter(Sheets(sketch, CANVAS)))
        ink = inks_of([sheet])[0, 0].numpy()
        return Image.fromarray(np.round(255 * (1 - ink)).clip(0, 255).astype(np.uint8))

    def answer(self, sketch: Image.Image, model: str, strength: float) -> tuple[Image.Image, Image.Image]:
        """(calibrated sketch, "L" of the model's side; face, "RGB" of the sketch's size) of a sketch from elsewhere.

        Raises SketchError; UnknownModelError, StrengthError as `paint`.
        """
        _check_strength(strength)
        with self._lock:
            system = self._model(model)
            told = strength if system.scn_generator is not None else None
            face, refined = system.synthesize(sketch, told, return_refined=True)
        return refined.convert("L"), face


def on_white(layer: Image.Image) -> Image.Image:
    """A transparent layer of strokes on white paper, "L". Raises SketchError if nothing is drawn on it."""
    alpha = np.asarray(layer.convert("RGBA").getchannel("A"), dtype=np.float32) / 255
    if not (alpha > 0.5).any():
        raise SketchError("nothing is drawn yet. Draw on the sheet, open a sketch, or take an example.")
    grey = np.asarray(layer.convert("RGBA").convert("L"), dtype=np.float32)
    return Image.fromarray(np.round(255 * (1 - alpha) + grey * alpha).astype(np.uint8))


def strokes_layer(sketch: Image.Image) -> Image.Image:
    """Dark lines on white, "L", as a layer of black lines on nothing, "LA"."""
    ink = Image.fromarray(255 - np.asarray(sketch.convert("L")))
    return Image.merge("LA", [Image.new("L", ink.size, 0), ink])


def _check_strength(strength: Any) -> None:
    if isinstance(strength, bool) or not isinstance(strength, (int, float)) or not 0 <= strength <= 1:
        raise StrengthError(f"strength must be a number in [0, 1]; got {shortened(repr(strength))}.")


def _ink(drawing: Picture) -> NDArray[np.float32]:
    return np.float32(1) - drawing.astype(np.float32) / np.float32(255)


def _enlarged(drawing: Image.Image) -> Picture:
    drawing = drawing.convert("L")
    if drawing.size != (CANVAS, CANVAS):
        drawing = drawing.resize((CANVAS, CANVAS), Image.Resampling.BICUBIC)
    return np.asarray(drawing)
