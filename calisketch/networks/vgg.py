"""VGG-19 (Simonyan and Zisserman, 2015) as a fixed extractor of features before and after each activation.

The perceptual loss (Eq. 8) reads convolutions before activation, the style loss (Eq. 9) activations, so ReLUs are never
in place. Two published files load: torchvision's `vgg19-dcbb9e9d.pth` (`features.N.weight`; the classifier is left
out), and `vgg19-normalised-features-fp16.safetensors` (`N.weight`), the Caffe network with each channel scaled to mean
activation 1. Their features differ in scale: `source` says which one is loaded.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor, nn

from calisketch import weights
from calisketch.checks import check_image

__all__ = ["LAYERS", "VGG19", "channels"]

CONVOLUTIONS = (2, 2, 4, 4, 4)
MULTIPLES = (1, 2, 4, 8, 8)  # channels of each block, in units of `width`
IMAGENET_MEAN, IMAGENET_DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)

_NAMES = [f"{block}_{index}" for block, count in enumerate(CONVOLUTIONS, start=1) for index in range(1, count + 1)]
LAYERS: tuple[str, ...] = tuple(f"{kind}{name}" for name in _NAMES for kind in ("conv", "relu"))
"""Every name `VGG19.forward` gives features for, in the network's order: conv1_1, relu1_1, conv1_2, ..., relu5_4."""


def _torchvision_index(block: int, index: int) -> int:
    """Where torchvision's `vgg19().features` has conv{block}_{index}: each block is (conv, ReLU)... and a pool."""
    return sum(2 * count + 1 for count in CONVOLUTIONS[: block - 1]) + 2 * (index - 1)


def channels(layer: str, width: int = 64) -> int:
    """How many channels a layer has, of `LAYERS`, in a network of that width. Raises ValueError for another name."""
    if layer not in LAYERS:
        raise ValueError(f"a layer must be one of VGG-19's, such as conv3_1 or relu4_4; got {layer!r}.")
    return MULTIPLES[int(layer[len("conv")]) - 1] * width


class VGG19(nn.Module):
    """The sixteen convolutions of VGG-19, frozen.

    normalise: apply ImageNet's mean and deviation to the photo first. Off by default: with raw [0, 1] photos the
    paper's loss weights are in balance; normalised, style (quadratic in the input's scale) drowns the other terms.
    width: channels of the first block; 64 in the published network.

    The weights are random until a state dict is loaded; use `VGG19.from_pretrained()`, or `VGG19.random()` where a run
    only has to go through. Gradients flow through to the photo, never into the weights.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, normalise: bool = False, width: int = 64) -> None:
        super().__init__()
        self.normalise = normalise
        self.width = width
        self.source = "random weights"
        previous = 3
        for block, (count, multiple) in enumerate(zip(CONVOLUTIONS, MULTIPLES, strict=True), start=1):
            for index in range(1, count + 1):
                self.add_module(f"conv{block}_{index}", nn.Conv2d(previous, multiple * width, 3, padding=1))
                previous = multiple * width
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN).view(1, 3, 1, 1))
        self.register_buffer("deviation", torch.tensor(IMAGENET_DEVIATION).view(1, 3, 1, 1))
        self.requires_grad_(False)

    def forward(self, photo: Tensor, layers: Sequence[str]) -> dict[str, Tensor]:
        """Features of `photo` at `layers`.

        photo: (B, 3, H, W), RGB in [0, 1], sides of at least 16. layers: names of `LAYERS`; `conv1_1` is the
        convolution's output before the activation, `relu1_1` after it. Returns {name: (B, C, h, w)} in the order of
        `layers`; block b is at 1 / 2^(b-1) of the photo's size. Nothing after the last wanted layer is computed.
        Raises ValueError for an unknown layer, shape or range.
        """
        check_image(photo, 3, "photo", range01=False)  # a generator's output may leave [0, 1] by rounding
        unknown = [name for name in layers if name not in LAYERS]
        if unknown or not layers:
            raise ValueError(f"layers must be names such as conv1_1 or relu4_4; got {unknown or list(layers)}.")
        if min(photo.shape[-2:]) < 16:
            raise ValueError(f"photo is too small for VGG-19: got {tuple(photo.shape)}, expected sides of at least 16.")
        last = max(LAYERS.index(name) for name in layers)
        wanted = set(layers)
        found: dict[str, Tensor] = {}
        features = (photo - self.mean) / self.deviation if self.normalise else photo
        for position, name in enumerate(_NAMES):
            if 2 * position > last:
                break
            if name.endswith("_1") and name != "1_1":
                features = F.max_pool2d(features, 2, 2)
            features = self.get_submodule(f"conv{name}")(features)
            if f"conv{name}" in wanted:
                found[f"conv{name}"] = features
            features = F.relu(features)  # not in place: the tensor kept above must stay as it is
            if f"relu{name}" in wanted:
                found[f"relu{name}"] = features
        return {name: found[name] for name in layers}

    def train(self, mode: bool = True) -> VGG19:
        """A fixed function: it stays in evaluation mode whatever the module around it does."""
        del mode
        return super().train(False)

    @classmethod
    def from_pretrained(cls, path: str | Path | None = None, normalise: bool = False) -> VGG19:
        """VGG-19 with published weights, in float32.

        path: torchvision's `.pth` or a `.safetensors` file; None: `weights.locate("vgg19")`.
        Raises weights.MissingWeights (how to get the file), or ValueError for a file of another layout.
        """
        path = weights.locate("vgg19") if path is None else Path(path)
        if not path.is_file():
            raise weights.MissingWeights(f"no VGG-19 weights at {path}. Leave `path` out to search the usual folders.")
        if path.suffix == ".safetensors":
            state = load_file(path)
        else:
            state = torch.load(path, map_location="cpu", weights_only=True)
        network = cls(normalise=normalise)
        network.load_published(state, name=path.name)
        return network.eval()

    @classmethod
    def random(cls, seed: int = 0, width: int = 8, normalise: bool = False) -> VGG19:
        """A small stand-in with random weights, for smoke runs and tests: its features mean nothing.

        The weights are He-initialised from `seed`, so that activations keep their scale through the depth. A result
        obtained with it must not be reported as a perceptual or style loss.
        """
        network = cls(normalise=normalise, width=width)
        generator = torch.Generator().manual_seed(seed)
        for name in _NAMES:
            convolution = network.get_submodule(f"conv{name}")
            assert isinstance(convolution, nn.Conv2d)
            deviation = (2.0 / (9 * convolution.in_channels)) ** 0.5
            convolution.weight.copy_(torch.randn(convolution.weight.shape, generator=generator) * deviation)
            assert convolution.bias is not None
            convolution.bias.zero_()
        network.source = f"random weights (seed {seed}, width {width})"
        return network.eval()

    def load_published(self, state: Mapping[str, Tensor], name: str = "the state dict") -> None:
        """Take the weights of `state`: torchvision's keys, with or without the `features.` prefix.

        Raises ValueError if a tensor is missing, foreign or of the wrong shape.
        """
        indices = {
            str(_torchvision_index(block, index)): f"conv{block}_{index}"
            for block, count in enumerate(CONVOLUTIONS, start=1)
            for index in range(1, count + 1)
        }
        own: dict[str, Tensor] = {"mean": self.mean, "deviation": self.deviation}
        for key, value in state.items():
            if key.startswith("classifier."):
                continue
            number, _, kind = key.removeprefix("features.").partition(".")
            own[f"{indices.get(number, number)}.{kind}"] = value.float()
        try:
            self.load_state_dict(own, strict=True)
        except RuntimeError as error:
            raise ValueError(f"{name} does not fit VGG-19: {error}") from error
        self.source = name
