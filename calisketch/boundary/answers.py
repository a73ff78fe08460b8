"""The boundary outwards: a drawing or a face goes back as the kind of thing that the sketch was."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from .images import Kind, Polarity, Sketch, Values

Ground = Literal["white", "black", "transparent"] | None
GROUNDS = ("white", "black", "transparent")
_POLARITY_ON: dict[str, Polarity] = {"white": "dark_on_light", "black": "light_on_dark"}


def drawing_in_kind(sketch: Sketch, ink: Values, polarity: Polarity, ground: Ground = None) -> Any:
    """A line drawing as the kind of thing that `sketch` was.

    Args:
        sketch: what was handed in.
        ink: (H, W) in [0, 1], ink = 1.
        polarity: of the sketch, "dark_on_light" or "light_on_dark".
        ground: None: the sketch's own. "white": dark strokes on white, "black": light ones on black, both opaque.
            "transparent": the strokes alone, in the sketch's polarity, their opacity their ink.

    Returns:
        PIL "L" (or "LA" for a sketch with transparent parts), or an array or tensor of the shape, dtype and range of
        the sketch: grey in each of three channels; a fourth channel holds the opacity, as the sketch's did. On a
        transparent ground PIL "LA", an (H, W, 4) array or a (4, H, W) tensor.
    """
    if ground == "transparent":
        sketch = replace(sketch, transparency="ground", kind=replace(sketch.kind, channels=4))
    elif ground is not None:
        sketch, polarity = replace(sketch, transparency="none", alpha=None), _POLARITY_ON[ground]
    dark = polarity == "dark_on_light"
    grey = 1 - ink if dark else ink
    alpha = sketch.alpha
    if sketch.transparency == "ground":
        alpha, grey = ink, np.full_like(ink, 0.0 if dark else 1.0)
    elif sketch.transparency == "strokes":
        alpha, grey = 1 - ink, np.full_like(ink, 1.0 if dark else 0.0)
    kind = sketch.kind
    if kind.holder == "pil":
        if sketch.transparency == "none" or alpha is None:
            return Image.fromarray(_to_uint8(grey))
        return Image.fromarray(np.stack([_to_uint8(grey), _to_uint8(alpha)], axis=-1))
    if kind.channels is None:
        return _in_kind(kind, grey)
    layers = [grey] * min(kind.channels, 3)
    if kind.channels == 4:
        layers.append(np.ones_like(grey) if alpha is None else alpha)
    return _in_kind(kind, np.stack(layers, axis=-1))


def face_in_kind(kind: Kind, face: Values) -> Any:
    """An RGB picture (H, W, 3) in [0, 1] as PIL "RGB", an (H, W, 3) array or a (3, H, W) tensor: as what was given."""
    return Image.fromarray(_to_uint8(face)) if kind.holder == "pil" else _in_kind(kind, face)


def several_in_kind(kind: Kind, faces: Sequence[Any]) -> Any:
    """Faces of one sketch, each as `face_in_kind` gives it: a list of PIL images; or one array or tensor of all."""
    if kind.holder == "pil":
        return list(faces)
    return np.stack(faces) if kind.holder == "array" else torch.stack(list(faces))


def _in_kind(kind: Kind, values: Values) -> Any:
    """An array or tensor of the kind's dtype; channels, if any, come last in `values`."""
    if kind.holder == "array":
        if np.issubdtype(kind.dtype, np.floating):
            return values.astype(kind.dtype)
        return np.rint(values.clip(0, 1) * np.iinfo(kind.dtype).max).astype(kind.dtype)
    tensor = torch.from_numpy(np.ascontiguousarray(values if values.ndim == 2 else values.transpose(2, 0, 1)))
    if kind.dtype == torch.uint8:
        tensor = (tensor.clamp(0, 1) * 255).round()
    return tensor.to(device=kind.device, dtype=kind.dtype)


def _to_uint8(values: Values) -> NDArray[np.uint8]:
    return np.rint(values.clip(0, 1) * 255).astype(np.uint8)
