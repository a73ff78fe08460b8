"""The form for inference computes what the network computes, in fewer operations."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from calisketch.inference.rewriting import FoldedUpConv, RowSplitConv, for_inference
from calisketch.networks import EncoderDecoder, MRUUNet
from calisketch.networks.blocks import UpConvNormReLU


def lines(batch: int, side: int) -> torch.Tensor:
    return (torch.rand(batch, 1, side, side, generator=torch.Generator().manual_seed(0)) > 0.9).float()


def lively(network: nn.Module) -> nn.Module:
    """With weights and biases large enough that a wrong one shows."""
    torch.manual_seed(1)
    for part in network.modules():
        if isinstance(part, nn.Conv2d):
            nn.init.kaiming_normal_(part.weight)
            if part.bias is not None:
                nn.init.normal_(part.bias, 0, 0.5)
    return network.eval().requires_grad_(False)


def enlarged(block: UpConvNormReLU, features: torch.Tensor) -> torch.Tensor:
    """The block's description, operation by operation."""
    large = F.interpolate(features, scale_factor=2, mode="nearest")
    return F.relu(F.instance_norm(block.conv[0](large)))  # a convolution with reflection padding


@pytest.mark.parametrize(("height", "width"), [(6, 6), (5, 9), (2, 3)])
def test_an_enlarging_block_is_a_resize_and_a_convolution_up_to_its_edges(height: int, width: int) -> None:
    block = lively(UpConvNormReLU(3, 5)).double()
    features = torch.randn(2, 3, height, width, dtype=torch.float64)
    expected = enlarged(block, features)  # type: ignore[arg-type]
    torch.testing.assert_close(block(features), expected)
    torch.testing.assert_close(FoldedUpConv(block)(features), expected)  # type: ignore[arg-type]


def test_an_enlarging_blocks_gradients_are_those_of_the_resize_and_the_convolution() -> None:
    block = lively(UpConvNormReLU(3, 5)).double().requires_grad_(True)
    features = torch.randn(2, 3, 4, 6, dtype=torch.float64, requires_grad=True)
    weights = torch.randn(2, 5, 8, 12, dtype=torch.float64)
    wanted = [features, block.conv[0].weight, block.conv[0].bias]  # type: ignore[union-attr, index]
    got = torch.autograd.grad((block(features) * weights).sum(), wanted)
    expected = torch.autograd.grad((enlarged(block, features) * weights).sum(), wanted)  # type: ignore[arg-type]
    for one, other in zip(got, expected, strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("bias", [True, False])
def test_a_convolution_to_few_channels_is_the_same_row_by_row(bias: bool) -> None:
    conv = lively(nn.Conv2d(6, 3, 7, padding=3, padding_mode="reflect", bias=bias))
    features = torch.randn(2, 6, 9, 12)
    torch.testing.assert_close(RowSplitConv(conv)(features), conv(features), atol=1e-5, rtol=0)  # type: ignore


@pytest.mark.parametrize(
    "network",
    [EncoderDecoder(1, 1, 8, 2), EncoderDecoder(1, 3, 8, 2, skips=False, head="tanh"), MRUUNet(1, 3, 4, 3)],
    ids=["skips", "no skips", "masked units"],
)
def test_a_whole_network_is_the_same_and_stays_as_it_was(network: nn.Module) -> None:
    network = lively(network)
    before = {key: value.clone() for key, value in network.state_dict().items()}
    ink = lines(2, 40)
    expected = network(ink)
    torch.testing.assert_close(for_inference(network)(ink), expected, atol=2e-5, rtol=0)
    rounded = for_inference(network, torch.bfloat16)(ink.bfloat16())
    assert rounded.dtype == torch.float32
    assert (rounded - expected).abs().mean() < 2 / 255
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())
    assert torch.equal(network(ink), expected)


def test_an_enlarging_block_takes_four_ninths_of_the_multiplications() -> None:
    block = UpConvNormReLU(32, 16).to("meta")
    features = torch.zeros(1, 32, 62, 62, device="meta")
    counts = []
    for each in (lambda: enlarged(block, features), lambda: block(features)):
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            each()
        counts.append(counter.get_total_flops())
    assert counts[1] / counts[0] == pytest.approx(4 / 9, rel=0.08)  # the padding is multiplied too


def test_the_form_for_inference_takes_little_memory_of_its_own() -> None:
    network = EncoderDecoder(1, 3, 16, head="tanh").to("meta").eval()
    shared = {id(parameter) for parameter in network.parameters()}
    own = sum(p.numel() for p in for_inference(network).parameters() if id(p) not in shared)
    assert own < 0.2 * sum(p.numel() for p in network.parameters())
