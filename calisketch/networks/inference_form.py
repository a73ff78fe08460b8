"""The same function in fewer operations: a network's layers rewritten for inference.

Two of the generators' layers do work that need not be done:

* A nearest resize x2 followed by a 3x3 convolution reads every value of the small image four times. Adding up the
  weights that meet the same value leaves a transposed convolution with a 4x4 kernel, stride 2, on the small image:
  4/9 of the multiplications, and the large image with all its input channels is never made.
* A convolution to one or three channels leaves most of a vector unit idle. Its K rows, taken as outputs of one 1 x K
  convolution, fill it; they are then shifted and added up, in float32.

Both are exact but for rounding. Weights can be rounded to bfloat16; the last convolution's sums and the head stay
float32.
"""

from __future__ import annotations

import copy

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .blocks import UpConvNormReLU

_FEW_CHANNELS = 4  # of an output; from here on a convolution fills the vector unit by itself


class FoldedUpConv(nn.Module):
    """`UpConvNormReLU` as replication padding and a 4x4 transposed convolution: (B, I, H, W) -> (B, O, 2H, 2W).

    The resized image's reflection padding by one is the small image's own edge, so replicating the small image's edge
    pads as the original does.
    """

    def __init__(self, original: UpConvNormReLU):
        super().__init__()
        conv, self.norm = original.conv[0], original.conv[1]
        assert isinstance(conv, nn.Conv2d)
        assert conv.bias is not None
        weight = conv.weight.detach()  # (O, I, 3, 3)
        folded = weight.new_zeros(*weight.shape[:2], 4, 4)
        for down in range(2):
            for right in range(2):
                folded[:, :, down : down + 3, right : right + 3] += weight
        # A transposed convolution applies its kernel mirrored, and stores it as (I, O, ...).
        self.weight = nn.Parameter(folded.flip(2, 3).transpose(0, 1).contiguous(), requires_grad=False)
        self.bias = nn.Parameter(conv.bias.detach(), requires_grad=False)

    def forward(self, features: Tensor) -> Tensor:
        padded = F.pad(features, [1, 1, 1, 1], mode="replicate")
        return F.relu(self.norm(F.conv_transpose2d(padded, self.weight, self.bias, stride=2, padding=3)))


class RowSplitConv(nn.Module):
    """A K x K convolution to few channels as one 1 x K convolution and K - 1 additions: (B, I, H, W) -> (B, O, H, W).

    Whatever the input's type, the sum over the rows and the result are float32.
    """

    bias: Tensor

    def __init__(self, original: nn.Conv2d):
        super().__init__()
        channels, inputs, self.kernel, _ = original.weight.shape
        self.channels = channels
        rows = original.weight.detach().permute(2, 0, 1, 3)  # (K, O, I, K)
        self.weight = nn.Parameter(rows.reshape(-1, inputs, 1, self.kernel).contiguous(), requires_grad=False)
        bias = torch.zeros(channels) if original.bias is None else original.bias.detach().float()
        self.register_buffer("bias", bias.to(original.weight.device).view(1, -1, 1, 1).clone())

    def forward(self, features: Tensor) -> Tensor:
        height = features.shape[-2]
        padded = F.pad(features, [self.kernel // 2] * 4, mode="reflect")
        rows = F.conv2d(padded, self.weight)  # (B, K * O, H + K - 1, W)
        total: Tensor = self.bias.float()
        for row in range(self.kernel):
            first = row * self.channels
            total = total + rows[:, first : first + self.channels, row : row + height].float()
        return total


def for_inference(network: nn.Module, dtype: torch.dtype = torch.float32) -> nn.Module:
    """A network that computes the same in fewer operations, in eval mode and without gradients.

    Args:
        network: (B, C, H, W) in, as it was trained; it is not changed. Layers that need no rewriting keep its very
            weights where `dtype` is theirs, so that little memory is taken.
        dtype: of weights and features. Takes images of this type, answers in float32 where the network ends in a
            convolution to few channels.

    Returns:
        A module with the same attributes; its `state_dict` is not the network's.
    """
    shared = {id(tensor): tensor for tensor in (*network.parameters(), *network.buffers())}
    made = copy.deepcopy(network, shared)  # the structure anew, the tensors themselves
    for name, module in list(made.named_modules()):
        rewritten: nn.Module | None = None
        if isinstance(module, UpConvNormReLU):
            rewritten = FoldedUpConv(module)
        elif isinstance(module, nn.Conv2d) and _has_few_outputs(module):
            rewritten = RowSplitConv(module)
        if rewritten is not None:
            made.set_submodule(name, rewritten)
    if any(parameter.dtype != dtype for parameter in made.parameters()):
        made = _converted(made, dtype)
    return made.eval()


def _converted(network: nn.Module, dtype: torch.dtype) -> nn.Module:
    """Weights replaced, not overwritten: they may be another network's."""
    for module in network.modules():
        for name, parameter in list(module.named_parameters(recurse=False)):
            setattr(module, name, nn.Parameter(parameter.detach().to(dtype), requires_grad=False))
    return network


def _has_few_outputs(module: nn.Conv2d) -> bool:
    """Whether it is a large convolution to few channels that keeps the size by reflection padding."""
    kernel = module.kernel_size
    plain = module.stride == (1, 1) and module.dilation == (1, 1) and module.groups == 1
    kept = isinstance(module.padding, tuple) and module.padding == (kernel[0] // 2,) * 2 and kernel[0] % 2 == 1
    large = kernel[0] == kernel[1] and kernel[0] >= 5 and module.in_channels > module.out_channels
    return plain and kept and large and module.out_channels <= _FEW_CHANNELS and module.padding_mode == "reflect"
