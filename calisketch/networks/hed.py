"""HED, holistically-nested edge detection (Xie and Tu, ICCV 2015): a photo's contour map, E[0].

A VGG-16 trunk of five blocks; each block's last activation is projected to one channel, brought to the photo's size
bilinearly, and the five side outputs are fused. Three published sets of weights load into the same module, which keeps
one layout (RGB, one mean, one fusing convolution) and translates theirs on the way in:

| file | channels | side outputs are | pooling of odd sides |
|---|---|---|---|
| `hed-bsds-retrained-fp16.safetensors` (`conv1_1`, `dsn1`, `fuse`) | BGR | fused by a learned 1x1 convolution | up |
| `ControlNetHED.pth` (`block1.convs.0`, `block1.projection`, `norm`) | RGB | averaged | down |
| `network-bsds500.pytorch` (`moduleVggOne.0` or `netVggOne.0`, ...) | BGR | fused by a learned 1x1 convolution | down |
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor, nn

from calisketch import weights
from calisketch.checks import check_image

__all__ = ["HED"]

CONVOLUTIONS = (2, 2, 3, 3, 3)  # 3x3 convolutions in each block of VGG-16
CHANNELS = (64, 128, 256, 512, 512)
CAFFE_MEAN_RGB = (122.67891434, 116.66876762, 104.00698793)  # of the networks converted from Caffe


class HED(nn.Module):
    """HED as a fixed function from a photo to its contour map.

    The weights are random until a state dict is loaded; use `HED.from_pretrained()`. The parameters do not require
    gradients, but gradients flow through to the photo.
    """

    mean: Tensor

    def __init__(self) -> None:
        super().__init__()
        previous = 3
        for block, (count, channels) in enumerate(zip(CONVOLUTIONS, CHANNELS, strict=True), start=1):
            for index in range(1, count + 1):
                self.add_module(f"conv{block}_{index}", nn.Conv2d(previous, channels, 3, padding=1))
                previous = channels
            self.add_module(f"dsn{block}", nn.Conv2d(channels, 1, 1))
        self.fuse = nn.Conv2d(5, 1, 1)
        self.register_buffer("mean", torch.tensor(CAFFE_MEAN_RGB).view(1, 3, 1, 1))
        self.pool_upwards = True
        self.source = "random weights"
        self.requires_grad_(False)

    def forward(self, photo: Tensor) -> Tensor:
        """The contour map of `photo`.

        photo: (B, 3, H, W), RGB in [0, 1], of any size from 16 on. Returns (B, 1, H, W) in [0, 1], edge = 1.
        Raises ValueError for another shape or range.
        """
        check_image(photo, 3, "photo")
        height, width = photo.shape[-2:]
        if min(height, width) < 16:
            raise ValueError(
                f"photo is too small for HED: got {height}x{width}, expected sides of at least 16. Enlarge it first."
            )
        features = photo * 255.0 - self.mean
        sides = []
        for block, count in enumerate(CONVOLUTIONS, start=1):
            if block > 1:
                features = F.max_pool2d(features, 2, 2, ceil_mode=self.pool_upwards)
            for index in range(1, count + 1):
                features = F.relu(self.get_submodule(f"conv{block}_{index}")(features))
            side = self.get_submodule(f"dsn{block}")(features)
            sides.append(F.interpolate(side, size=(height, width), mode="bilinear", align_corners=False))
        return torch.sigmoid(self.fuse(torch.cat(sides, dim=1)))

    @classmethod
    def from_pretrained(cls, path: str | Path | None = None) -> HED:
        """HED with published weights, in evaluation mode and float32.

        path: a `.safetensors`, `.pth` or `.pytorch` file in one of the three layouts; None: `weights.locate("hed")`.
        Raises weights.MissingWeights (how to get the file), or ValueError for a file of another layout.
        """
        path = weights.locate("hed") if path is None else Path(path)
        if not path.is_file():
            raise weights.MissingWeights(f"no HED weights at {path}. Leave `path` out to search the usual folders.")
        if path.suffix == ".safetensors":
            state = load_file(path)
        else:
            state = torch.load(path, map_location="cpu", weights_only=True)
        network = cls()
        network.load_published(state, name=path.name)
        return network.eval()

    def load_published(self, state: Mapping[str, Tensor], name: str = "the state dict") -> None:
        """Take the weights of `state`, in any of the three published layouts (see the module's table).

        Raises ValueError if the layout is unknown, or a tensor is missing, foreign or of the wrong shape.
        """
        if "norm" in state:
            own, upwards = _from_controlnet(state), False
        elif any(key.startswith(("moduleVggOne", "netVggOne")) for key in state):
            own, upwards = _from_sniklaus(state), False
        elif "conv1_1.weight" in state:
            own, upwards = dict(state), True
            own["conv1_1.weight"] = own["conv1_1.weight"].flip(1)  # BGR to RGB
            own.setdefault("mean", torch.tensor(CAFFE_MEAN_RGB).view(1, 3, 1, 1))
        else:
            raise ValueError(
                f"{name} holds no HED network of a known layout: got keys such as {sorted(state)[:3]}, "
                "expected conv1_1.weight, block1.convs.0.weight or moduleVggOne.0.weight."
            )
        try:
            self.load_state_dict({key: value.float() for key, value in own.items()}, strict=True)
        except RuntimeError as error:
            raise ValueError(f"{name} does not fit HED: {error}") from error
        self.pool_upwards = upwards
        self.source = name


def _from_controlnet(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """lllyasviel's `ControlNetHED_Apache2`: RGB, `norm` subtracted, the five side outputs averaged."""
    own = {}
    for key, value in state.items():
        parts = key.split(".")
        if parts[0].startswith("block") and parts[1] == "convs":
            own[f"conv{parts[0].removeprefix('block')}_{int(parts[2]) + 1}.{parts[3]}"] = value
        elif parts[0].startswith("block") and parts[1] == "projection":
            own[f"dsn{parts[0].removeprefix('block')}.{parts[2]}"] = value
        elif key == "norm":
            own["mean"] = value
        else:
            own[key] = value  # foreign: load_state_dict names it
    own["fuse.weight"] = torch.full((1, 5, 1, 1), 0.2)
    own["fuse.bias"] = torch.zeros(1)
    return own


def _from_sniklaus(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """sniklaus's network: BGR, Sequentials whose convolutions alternate with ReLUs (after a pool, from block 2 on)."""
    numbers = {"One": 1, "Two": 2, "Thr": 3, "Fou": 4, "Fiv": 5}
    own = {}
    for key, value in state.items():
        stem, _, rest = key.removeprefix("module").removeprefix("net").partition(".")
        block = numbers.get(stem[3:] if stem.startswith("Vgg") else stem.removeprefix("Score"))
        if stem.startswith("Vgg") and block is not None:
            position, _, kind = rest.partition(".")
            first = 0 if block == 1 else 1
            own[f"conv{block}_{(int(position) - first) // 2 + 1}.{kind}"] = (
                value.flip(1) if (block == 1 and position == "0" and kind == "weight") else value
            )
        elif stem.startswith("Score") and block is not None:
            own[f"dsn{block}.{rest}"] = value
        elif stem == "Combine":
            own[f"fuse.{rest.partition('.')[2]}"] = value
        else:
            own[key] = value  # foreign: load_state_dict names it
    own["mean"] = torch.tensor(CAFFE_MEAN_RGB).view(1, 3, 1, 1)
    return own
