"""What a network ends in: from its last convolution's output to an image in [0, 1]."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Sigmoid01(nn.Module):
    """Logits to (0, 1) by the logistic function: SCN's head."""

    def forward(self, logits: Tensor) -> Tensor:
        return torch.sigmoid(logits)


class Tanh01(nn.Module):
    """Logits to (0, 1) by (tanh + 1) / 2: ISN's head."""

    def forward(self, logits: Tensor) -> Tensor:
        return (torch.tanh(logits) + 1) / 2


class SmoothChroma(nn.Module):
    """RGB (B, 3, H, W) in [0, 1] -> the same luma, with colour at 1 / ``factor`` of the side, clipped to [0, 1].

    Luma is BT.601's, as in JPEG; what is left, R - Y, G - Y and B - Y, is averaged over squares of ``factor`` pixels
    and enlarged bilinearly. Photos are like that: JPEG keeps colour at half the side (4:2:0), and skin, hair and cloth
    have little colour detail. A network that paints RGB freely leaves fringes there. Not the paper's. The answer is
    float32, of float64 float64.

    Raises:
        ValueError: in ``forward``, sides that do not divide by factor.
    """

    luma: Tensor

    def __init__(self, factor: int):
        super().__init__()
        self.factor = factor
        self.register_buffer("luma", torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1), persistent=False)

    def forward(self, image: Tensor) -> Tensor:
        if image.shape[-2] % self.factor or image.shape[-1] % self.factor:
            raise ValueError(f"sides must divide by {self.factor}; got {image.shape[-2]} x {image.shape[-1]}.")
        image = image.to(torch.promote_types(image.dtype, torch.float32))
        luma = (image * self.luma.to(image.dtype)).sum(1, keepdim=True)
        colour = F.avg_pool2d(image - luma, self.factor)
        smooth = F.interpolate(colour, scale_factor=float(self.factor), mode="bilinear", align_corners=False)
        return (luma + smooth).clamp(0, 1)


_HEADS: dict[str, Callable[[], nn.Module]] = {
    "sigmoid": Sigmoid01,
    "tanh": Tanh01,
    "tanh_chroma2": lambda: nn.Sequential(Tanh01(), SmoothChroma(2)),
    "tanh_chroma4": lambda: nn.Sequential(Tanh01(), SmoothChroma(4)),
}


def make_head(name: str, channels: int) -> nn.Module:
    """The output function named in a model's configuration: "sigmoid", "tanh", or "tanh_chroma2" or "tanh_chroma4".

    The last two are "tanh" and `SmoothChroma` by 2 or 4; ``channels``, what the head is given, must be 3 for them.

    Raises:
        ValueError: another name, or chroma of an image that is not RGB.
    """
    if name not in _HEADS:
        raise ValueError(f"head must be one of {sorted(_HEADS)}; got {name!r}.")
    if "chroma" in name and channels != 3:
        raise ValueError(f"the head {name!r} is for RGB, out_channels 3; got {channels}. 'tanh' takes any number.")
    return _HEADS[name]()


def head_of_weights(name: str) -> str:
    """The head without what has no weights: "tanh" of "tanh_chroma4"."""
    return name.partition("_chroma")[0]


def with_head(generator: nn.Module, head: str) -> nn.Module:
    """A copy of a network that ends in another head for which its weights are: "tanh_chroma4" in place of "tanh".

    Raises:
        ValueError: a network without a head, or a head of another kind; as `make_head`.
    """
    said = getattr(generator, "config", {})
    now = said.get("head")
    if not isinstance(now, str) or head_of_weights(now) != head_of_weights(head):
        raise ValueError(
            f"the weights of this {type(generator).__name__} are for the head {now!r}; got {head!r}. Those that differ "
            "in their colours only are exchanged, 'tanh' for 'tanh_chroma2' or 'tanh_chroma4'."
        )
    made = type(generator)(**{**said, "head": head})
    made.load_state_dict(generator.state_dict())
    return made.train(generator.training)
