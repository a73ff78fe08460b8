"""A drawing style that was learned from examples: a photo-to-sketch network as one more style.

The report on conditional GANs of faces (experiment 6): the network that paints photos from sketches, trained the other
way round on some fifty pairs, makes as many sketches in that style as there are photos. `systems.photo_to_sketch`
trains one.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from calisketch.checks import check_image
from calisketch.networks import GENERATORS
from calisketch.options import check_channels
from calisketch.weights import folder as model_folder
from calisketch.weights.folder import ModelFolderError

NETWORK = "sketcher"  # its name in a model folder


class LearnedStyle:
    """Draws photos as the network of a model folder does. It is a style of `SketchMixture`, and a draw by itself.

    There is no chance in it: a photo has one drawing. Photos of another size are brought to the model's and their
    drawings back. It is sent to other processes as its folder's path, and every process reads the folder once.

    Args:
        model: a model folder with the network "sketcher", as a training of system=photo_to_sketch leaves it.

    Raises:
        FileNotFoundError: there is no such folder, or a file of it is missing.
        ModelFolderError: it is no whole model of this kind.
    """

    def __init__(self, model: str | os.PathLike[str]) -> None:
        self.model = os.path.abspath(model)
        network, self.size = self._network(torch.device("cpu"), torch.float32)
        self.name = str(model_folder.read_config(self.model).get("info", {}).get("name", Path(self.model).name))
        if not any(True for _ in network.parameters()):
            raise ModelFolderError(f"{model} holds a network without weights. Copy the folder again.")

    @torch.no_grad()
    def draw(self, photo: Tensor) -> Tensor:
        """One drawing per photo.

        Args:
            photo: (B, 1 or 3, H, W) in [0, 1], aligned faces. Double precision is drawn in double precision.

        Returns:
            (B, 1, H, W), ink = 1, [0, 1], of the photo's device and precision (single, where that is half).

        Raises:
            TypeError, ValueError: not such photos.
        """
        check_image(photo, (1, 3), "photo")
        with torch.autocast(photo.device.type, enabled=False):
            photo = photo if photo.dtype == torch.float64 else photo.float()
            network, size = self._network(photo.device, photo.dtype)
            seen = _resized(photo.expand(-1, 3, -1, -1), (size, size))
            # One at a time, so that a drawing does not depend, in its last bits, on the photo's batch mates.
            drawn = torch.cat([network(seen[k : k + 1].contiguous()) for k in range(len(seen))])
            return _resized(drawn, (photo.shape[-2], photo.shape[-1])).clamp(0.0, 1.0)

    def __call__(self, photo: Tensor, *, seed: int = 0, epoch: int = 0, index: Sequence[int] | Tensor = ()) -> Tensor:
        """`draw`, in the form that training calls its draws in; nothing depends on seed, epoch and index."""
        return self.draw(photo)

    def digest(self) -> str:
        """SHA-256 of the model's description and weights, in hexadecimal digits: another hand has another."""
        digest = hashlib.sha256()
        for path in sorted(Path(self.model).iterdir()):
            if path.suffix in (".json", ".safetensors"):
                digest.update(path.name.encode() + b"/" + path.read_bytes())
        return digest.hexdigest()

    def _network(self, device: torch.device, dtype: torch.dtype) -> tuple[nn.Module, int]:
        config = Path(self.model) / model_folder.CONFIG_FILE
        written = hashlib.sha256(config.read_bytes()).hexdigest() if config.is_file() else ""
        return _loaded(self.model, written, device, dtype)

    def __repr__(self) -> str:
        return f"LearnedStyle({self.model!r})"


@lru_cache(maxsize=8)
def _loaded(model: str, written: str, device: torch.device, dtype: torch.dtype) -> tuple[nn.Module, int]:
    """The network of a folder, and its images' side; ``written`` tells a folder from one that was written over it."""
    with torch.random.fork_rng(devices=[]):  # networks begin with random weights: a run's seed must not notice
        networks, config = model_folder.load(model, GENERATORS)
    network = sketcher_of(networks, model)
    return network.to(device=device, dtype=dtype).requires_grad_(False), int(config["size"])


def sketcher_of(networks: dict[str, nn.Module], model: str | os.PathLike[str]) -> nn.Module:
    """The one network of a photo-to-sketch model.

    Raises:
        ModelFolderError: it is another kind of model; the message says which.
    """
    if list(networks) != [NETWORK]:
        raise ModelFolderError(
            f"{model} holds the networks {sorted(networks)}; expected {NETWORK!r} alone. It is no photo-to-sketch "
            "model: give one that a training with experiment=paper/photo_to_sketch has left."
        )
    try:
        check_draws(networks[NETWORK])
    except ValueError as error:
        raise ModelFolderError(f"{model} is no photo-to-sketch model: {error}") from error
    return networks[NETWORK]


def check_draws(network: nn.Module) -> None:
    """Raises ValueError for a network that says it maps other than photos to sketches; see `check_channels`."""
    remedy = (
        "It draws: a photo in, a sketch out. Give one that a training with experiment=paper/photo_to_sketch has left."
    )
    check_channels("network", network, 3, 1, remedy)


def _resized(image: Tensor, size: tuple[int, int]) -> Tensor:
    """Bilinear, over areas where it shrinks, so that thin lines do not break up."""
    if image.shape[-2:] == size:
        return image
    return F.interpolate(image, size=size, mode="bilinear", align_corners=False, antialias=True)
