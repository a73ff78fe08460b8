"""What the relatives' pipelines share: one network, copied; its model folder; the device and precision it runs in."""

from __future__ import annotations

import copy
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import nn

from ..inference.computing import Computing, Precision, checked_device, device_of, on_device
from ..networks import GENERATORS
from ..weights import folder as model_folder
from ..weights.names import folder_of

if TYPE_CHECKING:
    from typing_extensions import Self

_CLASSES = {"isn": "CaliSketch", "scn": "CaliSketch", "pi_rec": "PIRec", "x_gan": "XGan", "sketcher": "Sketcher"}


class OneNetwork:
    """A pipeline of one network.

    Calling it changes nothing in it: the same input gives the same answer, alone or in any batch (to one grey level).

    Args:
        generator: the network. It is copied.
        size: side of the images it was trained on.
        info: anything worth keeping with the model, as JSON has it.
        precision: "fp32", "bf16", or the fastest that is safe ("auto").

    Raises:
        ValueError: a size below 1, another precision.
    """

    name: ClassVar[str]
    """Of the network in a model folder."""
    method: ClassVar[str]
    """What messages call the method."""
    system: ClassVar[str]
    """What trains it."""

    def __init__(
        self, generator: nn.Module, size: int, info: Mapping[str, Any] | None = None, *, precision: Precision = "auto"
    ):
        if size < 1:
            raise ValueError(f"size must be the side of the training images, at least 1; got {size}.")
        self.generator = copy.deepcopy(generator).eval().requires_grad_(False)
        self.size = int(size)
        self.info = dict(info or {})
        self._computing = Computing(self.size, precision)

    @classmethod
    def from_pretrained(
        cls,
        model: str | os.PathLike[str],
        device: str | torch.device | None = None,
        *,
        sha256: str | None = None,
        precision: Precision | None = None,
    ) -> Self:
        """Load a model from its folder, or from "https://HOST/FOLDER".

        Args:
            model: the folder or the address.
            device: where to; None: the CPU.
            sha256: of the model's config.json; needed with an address, see `weights.address.fetch_model`.
            precision: as for the class; None: the class's own.

        Raises:
            FileNotFoundError: no such folder, or a file of it is not there.
            DownloadError, WrongContent, ValueError: as for `weights.address.fetch_model`; there is no such device.
            ModelFolderError: the folder is not a whole model, or a model of another method.
        """
        networks, config = model_folder.load(folder_of(model, sha256), GENERATORS)
        if networks.keys() != {cls.name}:
            other = next((_CLASSES[name] for name in networks if name in _CLASSES), None)
            remedy = (
                f" but one for calisketch.{other}." if other else f". Give one that system={cls.system} has trained."
            )
            raise model_folder.ModelFolderError(
                f"{model} holds the networks {sorted(networks)}; expected {cls.name!r}. It is no {cls.method} model"
                + remedy
            )
        try:
            loaded = cls(networks[cls.name], config["size"], config.get("info"))
        except ValueError as error:
            raise model_folder.ModelFolderError(f"{model} is no {cls.method} model: {error}") from error
        return loaded.to(device, precision=precision)

    def __repr__(self) -> str:
        return model_folder.in_words(type(self).__name__, self.size, {self.name: self.generator})

    def save_pretrained(
        self, folder: str | os.PathLike[str], *, half: bool = True, max_file_bytes: int = model_folder.LARGEST_FILE
    ) -> Path:
        """Write config.json and model.safetensors, or several (float16 unless `half=False`), to a folder; return it."""
        networks = {self.name: self.generator}
        return model_folder.save(folder, networks, self.size, self.info, half=half, max_file_bytes=max_file_bytes)

    def to(self, device: str | torch.device | None = None, *, precision: Precision | None = None) -> Self:
        """A model of the same weights on another device, in another precision; None: as here.

        Raises:
            ValueError: there is no such device or precision.
        """
        moved = copy.copy(self)
        moved._computing = Computing(self.size, precision or self._computing.asked)
        here = device_of(self.generator) if device is None else checked_device(device)
        moved.generator = on_device(self.generator, here)
        return moved
