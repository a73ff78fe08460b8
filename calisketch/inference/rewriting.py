"""The same function in fewer operations: a network's layers rewritten for inference.

Two of the generators' layers do work that need not be done:

* The kernel that a resize and its convolution are computed with (`blocks.resize_kernel`) is made anew in every step of
  a training; here it is made once.
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

from ..networks.blocks import UpConvNormReLU, resize_and_convolve, resize_kernel

_FEW_CHANNELS = 4  # of an output; from here on a convolution fills the vector unit by itself


class FoldedUpConv(nn.Module):
    """`UpConvNormReLU` with its kernel folded once: (B, I, H, W) -> (B, O, 2H, 2W)."""

    def __init__(self, original: UpConvNormReLU):
        super().__init__()
        convolution, self.norm = original.conv[0], original.conv[1]
        assert isinstance(convolution, nn.Conv2d)
        assert convolution.bias is not None
        self.weight = nn.Parameter(resize_kernel(convolution.weight.detach()).contiguous(), requires_grad=False)
        self.bias = nn.Parameter(convolution.bias.detach(), requires_grad=False)

    def forward(self, features: Tensor) -> Tensor:
        return F.relu(self.norm(resize_and_convolve(features, self.weight, self.bias)))


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
