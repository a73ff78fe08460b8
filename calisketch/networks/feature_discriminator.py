"""A discriminator that looks at a fixed network's features in place of the image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor, nn

from .patchgan import DiscriminatorOutput, PatchDiscriminator
from .vgg import channels

__all__ = ["FeatureDiscriminator"]

DEEP_LAYERS = ("conv3_1", "conv4_1", "conv5_1")  # of Eq. 8's, those whose features tell photos from faces


class _Head(PatchDiscriminator):
    def __init__(self, in_channels: int, width: int):
        super().__init__(
            [nn.Conv2d(in_channels, width, 1), nn.Conv2d(width, width, 4, 2, 1), nn.Conv2d(width, 1, 3, 1, 1)]
        )


class FeatureDiscriminator(nn.Module):
    """One small patch discriminator on each of several layers of VGG-19: features -> logits, one scale a layer.

    The model is Projected GANs (Sauer et al., NeurIPS 2021): independent discriminators D_l on the features P_l of a
    frozen network. Their losses are averaged here and summed there, and there is no random mixing of channels and
    scales. A few dozen photos teach a discriminator of pixels little; features of VGG need not be learned. Not part of
    the Cali-Sketch paper.

    Each D_l is a 1x1 convolution, a 4x4 convolution of stride 2, and a 3x3 convolution to one channel, with LeakyReLU
    0.2 between them and spectral normalisation.

    Args:
        in_channels: of the images that the features are of; VGG-19 takes 3.
        layers: names as in `vgg.LAYERS`; `isn.ISN` computes them. The layers of Eq. 8 cost nothing more.
        width: channels of each D_l.
        vgg_width: width of the network that computes the features; 64 in the published network.

    Attributes:
        layers, vgg_width: as given.

    Raises:
        ValueError: other channels, no layer, one twice, one that there is not, or a width below 1.
    """

    def __init__(self, in_channels: int = 3, layers: Sequence[str] = DEEP_LAYERS, width: int = 64, vgg_width: int = 64):
        super().__init__()
        if in_channels != 3:
            raise ValueError(f"VGG-19's features are of RGB images, in_channels 3; got {in_channels!r}.")
        if not layers or isinstance(layers, str) or len(set(layers)) != len(layers):
            raise ValueError(f"layers must name at least one layer of VGG-19, each once; got {layers!r}.")
        for name, value in (("width", width), ("vgg_width", vgg_width)):
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise ValueError(f"{name} must be a whole number, at least 1; got {value!r}. 64 is usual.")
        self.layers = tuple(layers)
        self.vgg_width = vgg_width
        self.heads = nn.ModuleDict({layer: _Head(channels(layer, vgg_width), width) for layer in self.layers})

    def forward(self, features: Mapping[str, Tensor]) -> DiscriminatorOutput:
        """Features by layer, (B, C, h, w) with sides of at least 2 -> (B, 1, h / 2, w / 2) of each layer in turn.

        The output's features are those after each LeakyReLU, then the logits, of all layers in turn. Raises KeyError
        for a layer that is not there, ValueError for an image.
        """
        if not isinstance(features, Mapping):
            got = type(features).__name__
            raise ValueError(f"features must be VGG-19's, by layer; got a {got}. It is a discriminator for ISN only.")
        outputs = [head(features[layer]) for layer, head in self.heads.items()]
        return DiscriminatorOutput(
            [logits for output in outputs for logits in output.logits],
            [seen for output in outputs for seen in output.features],
        )
