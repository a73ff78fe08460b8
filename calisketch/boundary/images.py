"""The boundary inwards: what a person hands in is read to one kind of drawing (`answers` is the way back).

Read: paths, PIL images, arrays (H, W) or (H, W, 1 | 3 | 4), tensors (H, W), (C, H, W) or (B, C, H, W), and lists of
these. A colour drawing counts by its luma (ITU-R 601), a file by its first frame, upright as its EXIF tag says.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageFile
from torch import Tensor

from . import decoding

Values = NDArray[np.float32]
Polarity = Literal["auto", "dark_on_light", "light_on_dark"]
POLARITIES: tuple[Polarity, ...] = ("auto", "dark_on_light", "light_on_dark")
FILE_ENDINGS = (".png", ".jpg", ".jpeg", ".jfif", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pgm")

_LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)
_SMALLEST_SIDE = 16  # the longer side; fewer pixels hold no face
_NARROWEST = 8  # the shorter one; a line of pixels holds none either
_LARGEST_SIDE = 32000  # OpenCV's warps count pixels in 16 bits
LARGEST_SKETCH = 36_000_000  # pixels: A4 at 600 dots per inch; answering one takes up to 2.3 GiB
_DEEPEST_LIST = 16


class SketchError(ValueError):
    """A sketch that cannot be used as it was handed in; the message says what was got, expected, and the remedy."""


@dataclass(frozen=True)
class Kind:
    """What a picture was handed in as: enough to answer in kind.

    Attributes:
        name: what messages call it.
        holder: "pil" (also for paths), "array" or "tensor".
        channels: of the array or tensor; None where it had no such axis.
        dtype: of the array or tensor.
        device: of the tensor.
    """

    name: str
    holder: Literal["pil", "array", "tensor"]
    channels: int | None = None
    dtype: Any = None
    device: torch.device | None = None


@dataclass(frozen=True)
class Sketch:
    """One sketch as read.

    Attributes:
        kind: what it was handed in as.
        luma: (H, W) float32 in [0, 1], over the ground where the sketch has transparency.
        alpha: (H, W) opacity, None for an opaque sketch without an alpha channel.
        transparency: what alpha means. "none"; "ground": strokes on a transparent ground; "strokes": strokes rubbed
            out of an opaque sheet; "kept": an opaque sheet with a transparent rim or hole.
    """

    kind: Kind
    luma: Values
    alpha: Values | None = None
    transparency: Literal["none", "ground", "strokes", "kept"] = "none"


def flatten(
    given: Any, name: str = "sketch", depth: int = 0
) -> tuple[list[tuple[Any, str]], Callable[[list[Any]], Any]]:
    """Take lists and batches apart.

    Returns:
        The single sketches, each with a name for messages, and the function that puts as many results together again:
        a list for a list, a (B, ...) tensor for a (B, C, H, W) tensor, the result itself for a single sketch.

    Raises:
        SketchError: a list or batch with nothing in it, or lists in lists without end.
    """
    if isinstance(given, list | tuple):
        if not given:
            raise SketchError(f"{name}: got an empty list; expected at least one sketch. Check what filled the list.")
        if depth >= _DEEPEST_LIST:
            raise SketchError(
                f"{name.split('[')[0]} holds lists in lists, more than {_DEEPEST_LIST} deep; expected one list. "
                "Does a list hold itself?"
            )
        parts = [flatten(item, f"{name}[{index}]", depth + 1) for index, item in enumerate(given)]
        counts = [len(items) for items, _ in parts]

        def rebuild(results: list[Any]) -> list[Any]:
            starts = [sum(counts[:index]) for index in range(len(counts))]
            return [
                put(results[start : start + count])
                for (_, put), start, count in zip(parts, starts, counts, strict=True)
            ]

        return [item for items, _ in parts for item in items], rebuild
    if isinstance(given, Tensor) and given.ndim == 4:
        if given.shape[0] == 0:
            raise SketchError(f"{name}: got an empty batch, {tuple(given.shape)}; expected at least one sketch.")
        return [(item, f"{name}[{index}]") for index, item in enumerate(given)], torch.stack
    return [(given, name)], lambda results: results[0]


def is_several(given: Any) -> bool:
    """Whether a list or a batch was handed in."""
    return isinstance(given, list | tuple) or (isinstance(given, Tensor) and given.ndim == 4)


def one_for_each(given: Any, count: int, name: str, of: str = "drawings") -> list[tuple[Any, str]]:
    """A picture and its name for each of `count` drawings: of a list or batch of as many, or a single one for all.

    of: what messages call the drawings.

    Raises:
        SketchError: another number of pictures.
    """
    if not is_several(given):
        return [(given, name)] * count
    items, _ = flatten(given, name)
    if len(items) != count:
        raise SketchError(
            f"{name} holds {len(items)} pictures for {count} {of}; expected one for each, in their order, or a single "
            "picture for all, not in a list."
        )
    return items


def read(given: Any, name: str = "sketch", polarity: Polarity = "auto") -> Sketch:
    """Read one sketch.

    Args:
        given: path, PIL image, array or tensor (see the module's head); uint8, uint16 or float in [0, 1].
        name: what messages call it; a path is called by its own name.
        polarity: where the ground is transparent and this is not "auto", it says what the ground is taken for.

    Raises:
        SketchError: not an image, unreadable, too small or large, NaN, or values outside the range.
        FileNotFoundError: there is no such file.
    """
    if polarity not in POLARITIES:
        raise ValueError(f"polarity must be one of {', '.join(POLARITIES)}; got {polarity!r}.")
    values, kind = read_values(given, name, "L")
    if values.ndim == 2:
        return Sketch(kind, values)
    if values.shape[2] == 1:
        return Sketch(kind, np.ascontiguousarray(values[..., 0]))
    luma = values[..., :3] @ _LUMA
    return Sketch(kind, luma) if values.shape[2] == 3 else _over_ground(kind, luma, values[..., 3], polarity)


def read_values(given: Any, name: str, mode: Literal["L", "RGB"]) -> tuple[Values, Kind]:
    """The values of one picture, (H, W) or (H, W, 1 | 3 | 4) float32 in [0, 1], and what it was handed in as.

    Args:
        given, name: as for `read`.
        mode: what an opaque PIL image or file is converted to.

    Raises:
        as `read`.
    """
    if isinstance(given, str | os.PathLike):
        path = Path(given)
        return _pil_values(open_image(path, LARGEST_SKETCH), shown(path), mode)
    if isinstance(given, Image.Image):
        return _pil_values(decoded(given, name), name, mode)
    if isinstance(given, Tensor):
        return _tensor_values(given, name)
    if isinstance(given, np.ndarray):
        return _array_values(given, name)
    raise SketchError(
        f"{name} must be a path, a PIL image, a numpy array, a tensor or a list of these; "
        f"got {type(given).__name__}. Open it with PIL.Image.open first."
    )


def open_image(path: Path, largest: int = decoding.LARGEST_IMAGE) -> Image.Image:
    """Read and decode an image file, its first frame, upright.

    Args:
        path: an ordinary file, PNG, JPEG, BMP, GIF, TIFF, WebP or PPM by its first bytes.
        largest: pixels; a larger one is refused before it is decoded.

    Raises:
        FileNotFoundError: there is no such file.
        SketchError: a folder, not an image, cut short, damaged, or too many pixels.
    """
    if not os.path.lexists(path):
        raise FileNotFoundError(f"no such sketch: {shown(path)}. Check the path; it is relative to {Path.cwd()}.")
    if path.is_dir():
        raise SketchError(
            f"{shown(path)} is a folder; expected an image file. Pass its files, e.g. list(folder.glob('*.png'))."
        )
    try:
        return decoding.decode(decoding.read_file(path), largest)
    except decoding.Unreadable as error:
        raise SketchError(f"{shown(path)} {error}") from error


def shown(path: os.PathLike[str] | str) -> str:
    """A path for a message: on one line, and free of what would steer a terminal."""
    text = os.fspath(path)
    return "".join(letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in text)


def decoded(image: Image.Image, name: str) -> Image.Image:
    """A PIL image upright; one that is opened and not decoded yet is read anew from its file, and as strictly."""
    check_size(image.height, image.width, name)
    stream = getattr(image, "fp", None)
    at_rest = isinstance(image, ImageFile.ImageFile) and image.tile and getattr(image, "tell", lambda: 0)() == 0
    try:
        if at_rest and stream is not None and not stream.closed and stream.seekable():
            place = stream.tell()
            try:
                stream.seek(0)
                data = stream.read(decoding.LARGEST_FILE + 1)
            finally:
                stream.seek(place)
            kind = decoding.kind_of(data)
            if kind is not None and image.format in (kind, "MPO"):
                if len(data) > decoding.LARGEST_FILE:
                    raise decoding.too_large()
                return decoding.decode(data, LARGEST_SKETCH)
        return decoding.upright(image)
    except decoding.Unreadable as error:
        raise SketchError(f"{name} {error}") from error
    except (OSError, SyntaxError, ValueError) as error:
        raise SketchError(f"{name} cannot be decoded ({error}). The file may be cut short; save it again.") from error


def _pil_values(image: Image.Image, name: str, mode: Literal["L", "RGB"]) -> tuple[Values, Kind]:
    check_size(image.height, image.width, name)
    if image.mode.startswith("I") or image.mode == "F":
        values = np.asarray(image)
        if image.mode != "F":
            # 16 bits, whatever integer Pillow widened them to; in mode "I" it may have widened 8 bits.
            full = 255 if image.mode == "I" and values.max() <= 255 else 65535
            if values.min() < 0 or values.max() > full:
                raise SketchError(
                    f"{name} has values from {values.min()} to {values.max()}; expected 16 bits, 0 to 65535. "
                    "Scale it to 8 or 16 bits."
                )
            values = values.astype(np.float32) / np.float32(full)
        return _checked_range(values, name), Kind(name, "pil")
    image = converted(image, "RGBA" if image.has_transparency_data else mode, name)
    return np.asarray(image, dtype=np.float32) / np.float32(255.0), Kind(name, "pil")


def converted(image: Image.Image, mode: Literal["L", "RGB", "RGBA"], name: str) -> Image.Image:
    """A PIL image in another mode; SketchError for one that cannot be."""
    if image.mode == mode:
        return image
    try:
        if image.mode in ("La", "RGBa"):
            image = image.convert(image.mode.upper())
        return image.convert(mode) if mode != "L" or image.mode in ("1", "RGB") else image.convert("RGB").convert(mode)
    except ValueError as error:
        raise SketchError(
            f"{name} is an image of mode {image.mode!r}; expected grey, palette, RGB or CMYK ({error}). "
            "Convert it to RGB first."
        ) from error


def _array_values(array: NDArray[Any], name: str) -> tuple[Values, Kind]:
    channels = None if array.ndim == 2 else array.shape[2] if array.ndim == 3 else 0
    if channels not in (None, 1, 3, 4):
        remedy = ""
        if array.ndim == 3 and array.shape[0] in (1, 3, 4):
            remedy = " Channels come last in arrays: array.transpose(1, 2, 0)."
        elif array.ndim == 4:
            remedy = " For a batch pass a list: list(array)."
        raise SketchError(f"{name} must be (H, W) or (H, W, 1 | 3 | 4); got {array.shape}.{remedy}")
    check_size(array.shape[0], array.shape[1], name)
    if array.dtype in (np.uint8, np.uint16):
        values = array.astype(np.float32) / np.float32(np.iinfo(array.dtype).max)
    elif np.issubdtype(array.dtype, np.floating):
        values = _checked_range(array, name)
    else:
        raise SketchError(
            f"{name} must be uint8, uint16 or float in [0, 1]; got {array.dtype}. "
            "Convert it, e.g. (255 * mask).astype('uint8') for a mask."
        )
    return values, Kind(name, "array", channels, array.dtype)


def _tensor_values(tensor: Tensor, name: str) -> tuple[Values, Kind]:
    channels = None if tensor.ndim == 2 else tensor.shape[0] if tensor.ndim == 3 else 0
    if channels not in (None, 1, 3, 4):
        last = tensor.ndim == 3 and tensor.shape[2] in (1, 3, 4)
        remedy = " Channels come first in tensors: tensor.permute(2, 0, 1)." if last else ""
        raise SketchError(
            f"{name} must be (H, W), (C, H, W) or (B, C, H, W) with C = 1, 3 or 4; got {tuple(tensor.shape)}.{remedy}"
        )
    check_size(tensor.shape[-2], tensor.shape[-1], name)
    if tensor.dtype != torch.uint8 and not tensor.is_floating_point():
        raise SketchError(
            f"{name} must be uint8 or float in [0, 1]; got {tensor.dtype}. "
            "Convert it: tensor.to(torch.uint8) for 0 to 255, tensor.float() for 0 and 1."
        )
    if tensor.layout != torch.strided or tensor.device.type == "meta":
        raise SketchError(
            f"{name} must be an ordinary tensor that holds values; got one of {tensor.layout} on {tensor.device}. "
            "Make it one, e.g. with tensor.to_dense()."
        )
    values = tensor.detach().cpu().float().numpy()
    values = values / np.float32(255.0) if tensor.dtype == torch.uint8 else _checked_range(values, name)
    values = values if channels is None else values.transpose(1, 2, 0)
    return values, Kind(name, "tensor", channels, tensor.dtype, tensor.device)


def check_size(height: int, width: int, name: str) -> None:
    """SketchError for a picture that is too small to hold a face, or too large to be answered."""
    if not (min(height, width) >= _NARROWEST and _SMALLEST_SIDE <= max(height, width) <= _LARGEST_SIDE):
        raise SketchError(
            f"{name} is {width} x {height} pixels; expected a drawing of {_SMALLEST_SIDE} to {_LARGEST_SIDE} "
            f"pixels on its longer side, and at least {_NARROWEST} on the other. 256 is a good size."
        )
    if height * width > LARGEST_SKETCH:
        raise SketchError(
            f"{name} has {width} x {height} pixels; expected at most {LARGEST_SKETCH // 1_000_000} million, A4 at 600 "
            "dots per inch. Scale it down; the model works on a few hundred per side."
        )


def _checked_range(values: NDArray[Any], name: str) -> Values:
    """Floats in [0, 1] as float32; SketchError for NaN and for values outside, saying how to bring them there."""
    values = values.astype(np.float32)
    if not np.isfinite(values).all():
        raise SketchError(
            f"{name} holds {int((~np.isfinite(values)).sum())} values that are NaN or infinite; expected numbers in "
            "[0, 1]. Replace them, e.g. with numpy.nan_to_num(sketch, nan=1.0) for white."
        )
    low, high = float(values.min()), float(values.max())
    if low < -1e-3 or high > 1 + 1e-3:
        remedy = "Divide by 255." if low >= 0 and 1 < high <= 255.5 else "Bring them there first."
        if -1.001 <= low < 0 and high <= 1.001:
            remedy = "For values in [-1, 1]: (sketch + 1) / 2."
        raise SketchError(f"{name} must hold floats in [0, 1]; got {low:.4g} to {high:.4g}. {remedy}")
    return np.asarray(values.clip(0.0, 1.0), dtype=np.float32)


def _over_ground(kind: Kind, luma: Values, alpha: Values, polarity: Polarity) -> Sketch:
    """Lay a drawing with transparency on the ground that shows its strokes."""
    if float(alpha.min()) > 0.999:
        return Sketch(kind, luma, alpha)
    weight = float(alpha.sum())
    mean = float((luma * alpha).sum() / weight) if weight > 0 else 0.0
    ground = 1.0 if mean < 0.5 else 0.0
    meaning: Literal["ground", "strokes", "kept"] = "ground"
    if weight > 0.5 * alpha.size:
        # Mostly opaque: a sheet. Its own lines show on it; where it is all one tone, the holes are the lines.
        opaque = luma[alpha > 0.5]
        meaning = "strokes" if float(opaque.std()) < 0.02 else "kept"
        if meaning == "kept":
            ground = float(np.median(opaque))
    elif polarity != "auto":
        ground = 1.0 if polarity == "dark_on_light" else 0.0
    return Sketch(kind, luma * alpha + ground * (1 - alpha), alpha, meaning)


def files_in(folder: Path) -> Sequence[Path]:
    """The image files of a folder and its subfolders by their endings, sorted; hidden ones are left out."""
    found = (path for path in folder.rglob("*") if path.suffix.lower() in FILE_ENDINGS and path.is_file())
    return sorted(path for path in found if not any(part.startswith(".") for part in path.relative_to(folder).parts))
