"""XGan: a badly corrupted picture in, the repaired one out; and photos kept as a few of their points."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypedDict, TypeVar, get_args, overload

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from ..boundary import decoding, images
from ..boundary.answers import face_in_kind
from ..boundary.images import SketchError
from ..boundary.kinds import Computed, File, Given, Pixels, Several
from ..boundary.pictures import Framed, Picture, Values, read_picture, to_tensor, to_values
from ..boundary.sheet import in_batches
from ..checks import check_image
from ..compression import point_file
from ..compression.point_file import PointFileError
from ..compression.point_sampling import Where, known_in_frame, photo_to_points, points_to_picture
from ..inference.computing import Precision, device_of
from ..options import check_batch_size, check_channels, is_number, whole_number
from ..whole_files import written_whole
from .one_network import OneNetwork

if TYPE_CHECKING:
    from typing_extensions import Required, Unpack

Kind = Literal["pil", "array", "tensor"]

PointFile: TypeAlias = bytes | bytearray | memoryview | str | os.PathLike[str]
APointFile = TypeVar("APointFile", bound=PointFile)

WHITE_TASKS = ("points", "feature_points", "white_block")
"""Corruptions that leave white where the photo is missing."""

_WHITE = 1 - 0.5 / 255  # from here on a channel is as white as 8 bits have it
_LOG = logging.getLogger("calisketch")


class Restored(Computed, total=False):
    """Of `XGan.restore` and `XGan.decompress`."""

    paste: bool


class Compressed(TypedDict, total=False):
    """Of `XGan.compress`."""

    bits: int
    seed: int
    out: None


class CompressedTo(TypedDict, total=False):
    """Of `XGan.compress` into a file."""

    bits: int
    seed: int
    out: Required[str | os.PathLike[str]]


class XGan(OneNetwork):
    """X-GANs' generator: s -> x, trained for one corruption, which ``info["task"]`` names.

    Calling it changes nothing in it: the same picture gives the same answer, alone or in any batch (to one grey level).

    Args:
        generator: G, (B, 3, H, W) corrupted picture -> (B, 3, H, W) restored picture, both RGB in [0, 1]. It is copied.
        size: side of the images it was trained on; every picture is brought to it.
        info: anything worth keeping with the model, as JSON has it; "task" is read.
        precision: as for `PIRec`; single precision unless it is said otherwise.

    Raises:
        ValueError: a size below 1, or a network of other channels than 3 -> 3.
    """

    name, method, system = "x_gan", "X-GANs", "x_gans"

    def __init__(
        self, generator: nn.Module, size: int, info: Mapping[str, Any] | None = None, *, precision: Precision = "fp32"
    ):
        check_channels("generator", generator, 3, 3, "It repairs: an RGB picture in, an RGB picture out.")
        super().__init__(generator, size, info, precision=precision)  # dropout off *(a reading)*

    @overload
    def restore(self, picture: File, kept: Given | None = None, **options: Unpack[Restored]) -> Image.Image: ...
    @overload
    def restore(self, picture: Pixels, kept: Given | None = None, **options: Unpack[Restored]) -> Pixels: ...
    @overload
    def restore(self, picture: Several, kept: Given | None = None, **options: Unpack[Restored]) -> list[Any]: ...
    def restore(
        self,
        picture: Given,
        kept: Given | None = None,
        *,
        paste: bool = False,
        batch_size: int = 8,
        device: str | torch.device | None = None,
    ) -> Any:
        """The picture repaired.

        Args:
            picture: corrupted as the model was trained for: a path, a PIL image, an array (H, W) or (H, W, 1 | 3 | 4),
                a tensor (H, W), (C, H, W) or (B, C, H, W), or a list of these. uint8, uint16 or float in [0, 1];
                transparent parts count as white.
            kept: where the pixels are the photo's own: pictures of the same sizes, bright where kept, in the same lists
                or batches. None: for a model of points or white blocks, all that is not pure white; for others, not
                known. What is not kept is made white for a model that expects white there.
            paste: put the kept pixels back into the answer.
            batch_size: how many pictures go through the network at a time.
            device: where to compute, for this call; None: where the model is.

        Returns:
            RGB pictures of the given sizes and kinds: PIL for paths and PIL, (H, W, 3) arrays, (3, H, W) or
            (B, 3, H, W) tensors of the same dtype and range, a list for a list. A picture of another size than the
            model's is scaled to it, and its answer back. Points are not blurred by that: of the model's pixels as large
            a share is known as was of the picture's. Noise has to be at the model's own size.

        Raises:
            SketchError: an unreadable or too small picture, NaN, values out of range, an empty list, a mask of another
                size than its picture, or one that keeps nothing; noise of another size than the model's.
            FileNotFoundError: a path that is not there.
            ValueError: paste without knowing what is kept, a batch_size below 1.
        """
        batch_size = check_batch_size(batch_size)
        items, rebuild = images.flatten(picture, "picture")
        masks: Sequence[tuple[Any, str] | None] = [None] * len(items)
        if kept is not None:
            masks, _ = images.flatten(kept, "kept")
            if len(masks) != len(items):
                raise SketchError(f"kept must hold a mask for each of {len(items)} pictures; got {len(masks)}.")

        def read() -> Iterator[_Damaged]:
            for (given, name), mask in zip(items, masks, strict=True):
                yield self._read(given, name, mask, paste)

        answers: list[Any] = []
        for batch in in_batches(read(), batch_size, lambda each: each.pixels):
            seen = torch.stack([to_tensor(each.seen) for each in batch])
            for each, made in zip(batch, self._computing.run(self.generator, seen, device), strict=True):
                restored = each.frame.back(to_values(made))
                if paste:
                    assert each.kept is not None
                    restored = np.where(each.kept[..., None], each.picture.rgb, restored)
                answers.append(face_in_kind(each.picture.kind, restored))
        return rebuild(answers)

    @overload
    def compress(
        self, photo: File | NDArray[Any], percent: float = 5.0, points: Where = "feature", **options: Unpack[Compressed]
    ) -> bytes: ...
    @overload
    def compress(
        self, photo: Several, percent: float = 5.0, points: Where = "feature", **options: Unpack[Compressed]
    ) -> list[bytes]: ...
    @overload
    def compress(
        self, photo: Tensor, percent: float = 5.0, points: Where = "feature", **options: Unpack[Compressed]
    ) -> Any: ...
    @overload
    def compress(
        self, photo: Given, percent: float = 5.0, points: Where = "feature", **options: Unpack[CompressedTo]
    ) -> Path: ...
    def compress(
        self,
        photo: Given,
        percent: float = 5.0,
        points: Where = "feature",
        *,
        bits: int = 5,
        seed: int = 0,
        out: str | os.PathLike[str] | None = None,
    ) -> Any:
        """A photo kept as a few of its points: the bytes of a small file, which `decompress` makes a picture of again.

        The network takes no part in it; the model says how large the grid is that the points lie on.

        Args:
            photo: as `restore` takes pictures.
            percent: of the grid's places that are kept, in (0, 100]; the model was trained for 1 to 20.
            points: "feature": mostly where the picture changes; "random": evenly, and then the file does not have to
                say where, so that it is smaller.
            bits: of each colour channel, 1 to 8.
            seed: of what is drawn.
            out: a file to write; of a single photo.

        Returns:
            The bytes (a list for a list or batch); the path, if `out` is given.

        Raises:
            SketchError, FileNotFoundError: as for `restore`; there is no folder to write `out` in.
            ValueError: an option out of range, or `out` for several photos.
        """
        if not is_number(percent) or not 0 < percent <= 100:
            raise ValueError(f"percent must be in (0, 100]; got {percent!r}. 5 keeps every twentieth place.")
        bits = whole_number("bits", bits, 1, 8, "It is of each colour channel.")
        seed = whole_number("seed", seed, 0, 2**32 - 1)
        items, _ = images.flatten(photo, "photo")
        several = images.is_several(photo)
        if out is not None and several:
            raise ValueError("out is one file, and photo holds several. Write each of the bytes that compress returns.")
        if out is not None and not Path(out).parent.is_dir():
            raise FileNotFoundError(
                f"out is {images.shown(out)}, but there is no folder {images.shown(Path(out).parent)}. Make it first."
            )
        files = []
        for given, name in items:
            rgb = read_picture(given, name).over_white()
            chosen = photo_to_points(rgb, self.size, float(percent), points, bits=bits, seed=seed)
            files.append(point_file.write(chosen))
        if out is None:
            return files if several else files[0]
        path = Path(out)
        try:
            with written_whole(path) as aside:
                aside.write_bytes(files[0])
        except OSError as error:
            raise OSError(error.errno, f"out cannot be written ({error.strerror}); give another file", path) from error
        return path

    @overload
    def decompress(
        self, file: PointFile, *, kind: Literal["pil"] = "pil", **options: Unpack[Restored]
    ) -> Image.Image: ...
    @overload
    def decompress(
        self, file: PointFile, *, kind: Literal["array"], **options: Unpack[Restored]
    ) -> NDArray[np.uint8]: ...
    @overload
    def decompress(self, file: PointFile, *, kind: Literal["tensor"], **options: Unpack[Restored]) -> Tensor: ...
    @overload
    def decompress(
        self,
        file: list[APointFile] | tuple[APointFile, ...],
        *,
        kind: Literal["pil"] = "pil",
        **options: Unpack[Restored],
    ) -> list[Image.Image]: ...
    @overload
    def decompress(
        self, file: list[APointFile] | tuple[APointFile, ...], *, kind: Literal["array"], **options: Unpack[Restored]
    ) -> list[NDArray[np.uint8]]: ...
    @overload
    def decompress(
        self, file: list[APointFile] | tuple[APointFile, ...], *, kind: Literal["tensor"], **options: Unpack[Restored]
    ) -> list[Tensor]: ...
    def decompress(
        self,
        file: PointFile | list[APointFile] | tuple[APointFile, ...],
        *,
        kind: Kind = "pil",
        paste: bool = False,
        batch_size: int = 8,
        device: str | torch.device | None = None,
    ) -> Any:
        """The picture that a compressed photo holds.

        Args:
            file: what `compress` made: bytes, a path, or a list of these. A file made for a smaller or, up to 2048
                places a side, larger model is read too; its points then go to the nearest places of this model's grid.
            kind: of the answer: "pil", "array" (uint8) or "tensor" (float in [0, 1]).
            paste: put the known points back into the answer, before it is scaled to the photo's size.
            batch_size, device: as for `restore`.

        Returns:
            PIL "RGB", an (H, W, 3) array or a (3, H, W) tensor of the photo's height and width; a list for a list.

        Raises:
            PointFileError: a foreign file, or one that was cut short, altered or made by a newer calisketch.
            FileNotFoundError: a path that is not there.
            ValueError: another kind, a batch_size below 1.
        """
        batch_size = check_batch_size(batch_size)
        if kind not in get_args(Kind):
            raise ValueError(f"kind must be one of {', '.join(get_args(Kind))}; got {kind!r}.")
        files = list(file) if isinstance(file, list | tuple) else [file]
        if not files:
            raise PointFileError("file: got an empty list; expected at least one file of points.")

        def read() -> Iterator[_Damaged]:
            for each in files:
                data = bytes(each) if isinstance(each, bytes | bytearray | memoryview) else _bytes_of(each)
                points = point_file.read(data)
                seen, kept = points_to_picture(points, self.size)
                picture = Picture(images.Kind("file", "pil"), np.empty((points.height, points.width, 0), np.float32))
                yield _Damaged(picture, Framed(points.height, points.width, self.size), seen, kept > 0)

        answers: list[Any] = []
        for batch in in_batches(read(), batch_size, lambda each: each.pixels):
            seen = torch.stack([to_tensor(each.seen) for each in batch])
            for each, made in zip(batch, self._computing.run(self.generator, seen, device), strict=True):
                restored = to_values(made)
                if paste:
                    assert each.kept is not None
                    restored = np.where(each.kept[..., None], each.seen, restored)
                answers.append(_as_kind(each.frame.back(restored), kind))
        return answers if isinstance(file, list | tuple) else answers[0]

    def from_batch(
        self,
        batch: Mapping[str, Tensor],
        *,
        paste: bool = False,
        percent: float | None = None,
        points: Where = "feature",
        bits: int = 5,
        seed: int = 0,
    ) -> Tensor | tuple[Tensor, dict[str, list[float]]]:
        """The model's answer to a batch as training has it: for measuring.

        Args:
            batch: ``sketch`` (N, 4, size, size), the corrupted picture and the kept mask, which only `paste` looks at;
                or, with percent, ``photo`` (N, 3, size, size).
            paste: put the kept pixels back into the answer.
            percent: not None: each photo goes through `compress` and `decompress`, with `points`, `bits` and `seed`.

        Returns:
            (N, 3, size, size) in [0, 1], on the model's device; with percent also {"bpp": the bits of each photo's file
            for each of its pixels}.

        Raises:
            TypeError, ValueError: a batch of other shapes or values.
        """
        if percent is None:
            given = batch["sketch"]
            check_image(given, 4, "sketch")
            self._check_side(given, "sketch")
            seen, kept = given[:, :3].float(), given[:, 3:] > 0.5
            restored = self._computing.run(self.generator, seen)
            return torch.where(kept.to(restored.device), seen.to(restored.device), restored) if paste else restored
        photo = batch["photo"]
        check_image(photo, 3, "photo")
        self._check_side(photo, "photo")
        files = [self.compress(one.float().cpu(), percent, points, bits=bits, seed=seed) for one in photo.clamp(0, 1)]
        made = torch.stack(self.decompress(files, kind="tensor", paste=paste)).to(device_of(self.generator))
        return made, {"bpp": [8 * len(data) / self.size**2 for data in files]}

    def _read(self, given: Any, name: str, mask: tuple[Any, str] | None, paste: bool) -> _Damaged:
        picture = read_picture(given, name)
        picture, name = replace(picture, rgb=picture.over_white()), picture.kind.name
        height, width = picture.rgb.shape[:2]
        frame = Framed(height, width, self.size)
        task = self.info.get("task")
        if task == "colour_noise" and not frame.exact:
            raise SketchError(
                f"{name} is {width} x {height} pixels; expected {self.size} x {self.size}, since scaling makes "
                "other noise of it. Cut it to that size, or give a model of its size."
            )
        kept: NDArray[np.bool_] | None = None
        if task in WHITE_TASKS:
            kept = np.asarray((picture.rgb < _WHITE).any(2))
        if mask is not None:
            kept = np.asarray(read_picture(*mask).rgb.mean(2) > 0.5)
            if kept.shape != (height, width):
                raise SketchError(
                    f"{mask[1]} is {kept.shape[1]} x {kept.shape[0]} pixels; expected its picture's {width} x {height}."
                )
        if kept is not None and not kept.any():
            raise SketchError(f"{name} keeps no pixel of the photo, so there is nothing to go by.")
        if paste and kept is None:
            raise ValueError(
                f"paste needs kept: a model of the task {task!r} cannot tell which pixels are the photo's."
            )
        if kept is not None and (task in WHITE_TASKS or task is None):
            seen = known_in_frame(picture.rgb, kept, frame)
        else:
            seen = frame.bring_in(picture.rgb)
        _LOG.info("%s: %s", name, "all of it" if kept is None else f"{100 * kept.mean():.1f} % of it is known")
        return _Damaged(picture, frame, seen, kept)

    def _check_side(self, images_: Tensor, name: str) -> None:
        if images_.shape[-2:] != (self.size, self.size):
            raise ValueError(
                f"{name} must be (N, C, {self.size}, {self.size}), of the model's size; got {tuple(images_.shape)}."
            )


@dataclass(frozen=True)
class _Damaged:
    """One picture on its way through: as read, its way to the square, as the network sees it, what is kept of it."""

    picture: Picture
    frame: Framed
    seen: Values
    kept: NDArray[np.bool_] | None

    @property
    def pixels(self) -> int:
        return self.frame.height * self.frame.width


def _bytes_of(path: Any) -> bytes:
    if not isinstance(path, str | os.PathLike):
        raise PointFileError(f"file must be bytes, a path, or a list of these; got {type(path).__name__}.")
    if not os.path.lexists(path):
        raise FileNotFoundError(f"no such file: {images.shown(path)}. Check the path; it is relative to {Path.cwd()}.")
    if os.path.isdir(path):
        raise PointFileError(f"{images.shown(path)} is a folder; expected a file that compress wrote.")
    try:
        return decoding.read_file(Path(path))
    except decoding.Unreadable as error:
        raise PointFileError(f"{images.shown(path)} {error}") from error


def _as_kind(rgb: Values, kind: Kind) -> Any:
    if kind == "tensor":
        return to_tensor(rgb)
    levels = np.rint(rgb.clip(0, 1) * 255).astype(np.uint8)
    return levels if kind == "array" else Image.fromarray(levels)
