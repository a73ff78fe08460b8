"""What stands behind `CaliSketch.fit`: photos prepared in memory, and Algorithm 1 run on them from given weights.

For more than a few hundred photos prepare a folder once (`calisketch prepare`) and train with `calisketch train`.
"""

from __future__ import annotations

import copy
import os
import tempfile
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import Dataset, Subset

from . import remedies
from .boundary import alignment, decoding, images
from .boundary.colours import takes_colours
from .datasets.preparing.aligned import align_photo, centre_square, resize
from .datasets.reading.conditioned_photos import PhotosWith
from .isn import ISN
from .networks import HED
from .scn import SCN
from .sketching import ColorStrokes, edges
from .sketching.styles import SketchMixture
from .stage import Schedule
from .systems.cali_sketch import CaliSketchSystem

EdgeMap = Callable[[Tensor], Tensor]
MakeSystem = Callable[[nn.Module, nn.Module, Mapping[str, Schedule] | None], CaliSketchSystem]

_VALIDATION_EVERY = 7
_COLOURINGS = 64  # that colours are made of each photo in, for a model that takes them


class PhotosInMemory(Dataset[dict[str, Tensor]]):
    """Photos with both edge maps, held as 8-bit values.

    Args:
        photos: a folder, or a list of paths, PIL images, arrays (H, W, 3) and tensors (3, H, W), uint8 or float in
            [0, 1].
        size: side of the squares they become.
        contour: (1, 3, size, size) photo -> (1, 1, size, size) contour map in [0, 1], edge = 1; HED if None.
        align: bring the eyes to their canonical places, where the detector can run; else the middle square is taken.

    Raises:
        FileNotFoundError: no such file or folder; `weights.MissingWeights` without `contour` and HED's file.
        SketchError: a photo that cannot be read.
        ValueError: no photos, or none with a face in it.
    """

    def __init__(self, photos: Any, size: int, contour: EdgeMap | None = None, align: bool = True) -> None:
        find_contour = contour if contour is not None else _hed()
        by_eyes = align and alignment.detector_available()
        if align and not by_eyes:
            warnings.warn(
                "the photos are not aligned, since the face detector cannot run here; the middle square of each is "
                f"taken. Crop them to the face. Or: {alignment.DETECTOR_REMEDY}",
                stacklevel=3,
            )
        self.items: list[dict[str, Tensor]] = []
        for name, given in _listed(photos):
            square = _square(_read_photo(given, name), name, size, by_eyes)
            if square is None:
                continue
            photo = torch.from_numpy(square.copy()).permute(2, 0, 1)[None]
            real = photo.float() / 255
            lines = find_contour(real)
            if lines.shape != (1, 1, size, size):
                raise ValueError(f"contour must give (1, 1, {size}, {size}); got {tuple(lines.shape)} for {name}.")
            maps = {"photo": real, "contour": lines, "detail": edges.canny(real.double())}
            self.items.append({key: (value[0] * 255).round().to(torch.uint8) for key, value in maps.items()})
        if not self.items:
            raise ValueError("none of the photos shows a face that the detector finds. Crop them, or use align=False.")

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        item = {name: values.float() / 255 for name, values in self.items[index].items()}
        return {**item, "index": torch.tensor(index)}


def fit_generators(
    generators: Mapping[str, nn.Module],
    size: int,
    photos: Any,
    *,
    contour: EdgeMap | None,
    align: bool,
    schedules: Mapping[str, Schedule] | None,
    stages: Sequence[str] | None,
    system: MakeSystem | None,
    draw: Callable[..., Tensor] | None,
    run_dir: str | os.PathLike[str] | None,
    quiet: bool,
    settings: Mapping[str, Any],
) -> tuple[dict[str, nn.Module], dict[str, Any]]:
    """Train copies of {"scn": G1, "isn": G2}; see `CaliSketch.fit`.

    Returns:
        The trained generators in their moving averages, on the CPU, and what to note about the training.
    """
    try:
        from .training import Engine, Interrupted
        from .training.validation import averaged
    except ModuleNotFoundError as error:
        if error.name is not None and error.name.startswith("calisketch"):
            raise
        raise ModuleNotFoundError(
            f"fit needs the package {error.name!r}, which is not installed. Install the extra train: "
            f"{remedies.install('train')}",
            name=error.name,
        ) from error
    dataset = PhotosInMemory(photos, size, contour, align)
    train: Dataset[Any] = dataset
    validation: Dataset[Any] | None = None
    if len(dataset) >= _VALIDATION_EVERY:
        kept = set(range(_VALIDATION_EVERY - 1, len(dataset), _VALIDATION_EVERY))
        train = Subset(dataset, [index for index in range(len(dataset)) if index not in kept])
        validation = Subset(dataset, sorted(kept))
    if takes_colours(generators["isn"]):
        train = PhotosWith(train, {"colours": ColorStrokes()}, variants=_COLOURINGS)
        validation = None if validation is None else PhotosWith(validation, {"colours": ColorStrokes()})
    copies = {name: copy.deepcopy(network).requires_grad_(True).train() for name, network in generators.items()}
    made = (system or _paper_system)(copies["scn"], copies["isn"], schedules)
    with tempfile.TemporaryDirectory(prefix="calisketch-fit-") as aside:
        engine = Engine(aside if run_dir is None else Path(run_dir), quiet=quiet, **settings)
        try:
            state = engine.fit(made.stages, train, validation, draw=draw or SketchMixture(), only=stages)
        except Interrupted as error:
            if run_dir is not None:
                raise
            raise Interrupted(
                "stopped by a signal, and nothing is kept. With run_dir=FOLDER the run is saved there when it is "
                "stopped, and the same call goes on from there.",
                error.number,
            ) from None
        with averaged(state.averages):
            trained = {name: copy.deepcopy(network).cpu() for name, network in made.generators.items()}
        engine.close()
    return trained, {"fitted photos": len(dataset), "fitted stages": list(state.completed)}


def _paper_system(
    scn_generator: nn.Module, isn_generator: nn.Module, schedules: Mapping[str, Schedule] | None
) -> CaliSketchSystem:
    kept = not takes_colours(isn_generator)  # else photos come under many numbers
    return CaliSketchSystem(SCN(scn_generator), ISN(isn_generator, keep_features=kept), schedules)


def _listed(photos: Any) -> list[tuple[str, Any]]:
    if isinstance(photos, str | os.PathLike):
        folder = Path(photos)
        if not folder.is_dir():
            raise FileNotFoundError(f"no such folder of photos: {folder}. Give a folder, or a list of photos.")
        found = [(str(path), path) for path in images.files_in(folder)]
        if not found:
            raise ValueError(f"{folder} holds no image files; looked for {', '.join(images.FILE_ENDINGS)}.")
        return found
    found = [
        (str(item) if isinstance(item, str | os.PathLike) else f"photos[{i}]", item) for i, item in enumerate(photos)
    ]
    if not found:
        raise ValueError("photos is empty; expected at least one photo of a face.")
    return found


def _read_photo(given: Any, name: str) -> NDArray[np.uint8]:
    """Any photo as (H, W, 3) uint8."""
    if isinstance(given, str | os.PathLike):
        given = images.open_image(Path(given))
    if isinstance(given, Image.Image):
        given = decoding.upright(given)  # one that was opened, not decoded, may still lie on its side
        if given.mode.startswith("I") or given.mode == "F":
            raise images.SketchError(
                f"{name} is an image of mode {given.mode!r}; expected 8 bits a channel. Convert it to 8-bit RGB first."
            )
        return np.asarray(given.convert("RGB"))
    if isinstance(given, Tensor) and given.ndim == 3:
        given = given.detach().cpu().permute(1, 2, 0).numpy()
    if not isinstance(given, np.ndarray) or given.ndim != 3 or given.shape[2] != 3:
        shape = f" {tuple(given.shape)}" if hasattr(given, "shape") else ""
        raise images.SketchError(
            f"{name} must be a path, a PIL image, an (H, W, 3) array or a (3, H, W) tensor; "
            f"got {type(given).__name__}{shape}."
        )
    if given.dtype == np.uint8:
        return given
    if not np.issubdtype(given.dtype, np.floating) or not (given.min() >= 0 and given.max() <= 1):
        raise images.SketchError(f"{name} must be uint8 or float in [0, 1]; got {given.dtype} outside it.")
    return np.rint(given * 255).astype(np.uint8)


def _square(photo: NDArray[np.uint8], name: str, size: int, by_eyes: bool) -> NDArray[np.uint8] | None:
    if not by_eyes:
        return resize(centre_square(photo), size)
    aligned = align_photo(photo, size)
    if aligned is None:
        warnings.warn(f"{name} is left out: the detector finds no face in it. Crop it to the face.", stacklevel=4)
        return None
    return aligned[0]


def _hed() -> EdgeMap:
    network = HED.from_pretrained()
    return lambda photo: edges.hed(photo, network)
