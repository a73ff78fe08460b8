"""LPIPS v0.1 on AlexNet (Zhang et al., CVPR 2018): how different two photos look, as a fixed network.

AlexNet's five activations are normalised to unit length over channels; their squared differences are weighted by the
learned heads, averaged over positions and summed over layers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from calisketch import weights
from calisketch.checks import check_image, check_same_shape

__all__ = ["LPIPS"]

# torchvision's indices in alexnet().features: (index, out channels, kernel, stride, padding, pooled before)
_CONVOLUTIONS = (
    (0, 64, 11, 4, 2, False),
    (3, 192, 5, 1, 2, True),
    (6, 384, 3, 1, 1, True),
    (8, 256, 3, 1, 1, False),
    (10, 256, 3, 1, 1, False),
)
CHANNELS = tuple(entry[1] for entry in _CONVOLUTIONS)
"""Of the five activations."""

_SHIFT, _SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)
_SMALLEST_SIDE = 32


class LPIPS(nn.Module):
    """The perceptual distance, frozen: gradients flow to the photos, never into the weights.

    The weights are random until a state dict is loaded; use `LPIPS.from_pretrained()`, or `LPIPS.random()` where a run
    only has to go through.
    """

    shift: Tensor
    scale: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.source = "random weights"
        self.convolutions = nn.ModuleList()
        previous = 3
        for _, channels, kernel, stride, padding, _ in _CONVOLUTIONS:
            self.convolutions.append(nn.Conv2d(previous, channels, kernel, stride, padding))
            previous = channels
        self.heads = nn.ParameterList(nn.Parameter(torch.rand(entry[1]) / entry[1]) for entry in _CONVOLUTIONS)
        self.register_buffer("shift", torch.tensor(_SHIFT).view(1, 3, 1, 1))
        self.register_buffer("scale", torch.tensor(_SCALE).view(1, 3, 1, 1))
        self.requires_grad_(False)
        self.eval()

    def forward(self, photo: Tensor, face: Tensor) -> Tensor:
        """The distance of each pair.

        Args:
            photo, face: (B, 3, H, W), RGB in [0, 1], sides of at least 32.

        Returns:
            (B,) float32, 0 for equal images, about 0.7 for unrelated images.

        Raises:
            ValueError: other shapes or ranges, or sides that the network cannot take.
        """
        check_image(photo, 3, "photo", range01=False)  # a generator's output may leave [0, 1] by rounding
        check_image(face, 3, "face", range01=False)
        check_same_shape(photo, face, "photo", "face")
        if min(photo.shape[-2:]) < _SMALLEST_SIDE:
            raise ValueError(
                f"photo is too small for LPIPS: got {tuple(photo.shape)}, expected sides of at least {_SMALLEST_SIDE}."
            )
        return self.compare(self.features(photo), self.features(face))

    def compare(self, real: Sequence[Tensor], fake: Sequence[Tensor], weight: Tensor | None = None) -> Tensor:
        """The distance of each pair whose `features` are known.

        Args:
            real, fake: as `features` gives them, of pairs.
            weight: (B or 1, 1, H, W), at least 0, mean 1: how much each place counts; None: all alike, as published.

        Returns:
            (B,) float32.
        """
        distance = real[0].new_zeros(real[0].shape[0], dtype=torch.float32)
        for head, known, made in zip(self.heads, real, fake, strict=True):
            difference = ((known - made).square() * head.view(1, -1, 1, 1)).sum(1)
            if weight is not None:
                difference = difference * F.interpolate(weight, size=difference.shape[-2:], mode="area")[:, 0]
            distance = distance + difference.mean((1, 2))
        return distance

    def features(self, photo: Tensor) -> list[Tensor]:
        """The five activations of (B, 3, H, W) photos in [0, 1], each of unit length over its channels, float32."""
        image = (2 * photo - 1 - self.shift) / self.scale
        found = []
        for convolution, (*_, pooled) in zip(self.convolutions, _CONVOLUTIONS, strict=True):
            if pooled:
                image = F.max_pool2d(image, 3, 2)
            image = F.relu(convolution(image))
            activation = image.float()
            length = activation.square().sum(1, keepdim=True).add(1e-20).sqrt()  # the gradient at 0 stays finite
            found.append(activation / (length + 1e-10))
        return found

    def train(self, mode: bool = True) -> LPIPS:
        """A fixed function: it stays in evaluation mode whatever the module around it does."""
        del mode
        return super().train(False)

    @classmethod
    def from_pretrained(cls, path: str | Path | None = None) -> LPIPS:
        """LPIPS with the published weights, in float32.

        path: a `.safetensors` file with torchvision's `features.N.weight` and the heads `lin0..4`; None:
        `weights.locate("lpips-alexnet")`. Raises weights.MissingWeights, or ValueError for a file that is damaged or of
        another layout.
        """
        path = weights.locate("lpips-alexnet") if path is None else Path(path)
        if not path.is_file():
            raise weights.MissingWeights(f"no LPIPS weights at {path}. Leave `path` out to search the usual folders.")
        network = cls()
        try:
            state = load_file(path)
        except SafetensorError as error:
            raise ValueError(f"{path} cannot be read as LPIPS weights: {error}. Get it again.") from error
        network.load_published(state, name=path.name)
        return network

    @classmethod
    def random(cls, seed: int = 0) -> LPIPS:
        """A stand-in with random weights, for smoke runs and tests: its distances mean nothing."""
        network = cls()
        generator = torch.Generator().manual_seed(seed)
        for convolution in network.convolutions:
            assert isinstance(convolution, nn.Conv2d)
            inputs = convolution.weight[0].numel()
            convolution.weight.copy_(torch.randn(convolution.weight.shape, generator=generator) * (2 / inputs) ** 0.5)
            assert convolution.bias is not None
            convolution.bias.zero_()
        for head in network.heads:
            head.copy_(torch.rand(head.shape, generator=generator) / len(head))
        network.source = f"random weights (seed {seed})"
        return network

    def load_published(self, state: Mapping[str, Tensor], name: str = "the state dict") -> None:
        """Take the weights of `state`; raises ValueError if a tensor is missing, foreign or of the wrong shape."""
        own: dict[str, Tensor] = {"shift": self.shift, "scale": self.scale}
        places = {f"features.{entry[0]}": f"convolutions.{number}" for number, entry in enumerate(_CONVOLUTIONS)}
        for key, value in state.items():
            layer, _, kind = key.rpartition(".")
            own[f"heads.{key[3:]}" if key.startswith("lin") else f"{places.get(layer, layer)}.{kind}"] = value.float()
        try:
            self.load_state_dict(own, strict=True)
        except RuntimeError as error:
            raise ValueError(f"{name} does not fit LPIPS: {error}") from error
        self.source = name
