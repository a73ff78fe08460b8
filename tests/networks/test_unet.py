"""pix2pix's U-Net: its description, layer by layer, and the sizes it takes."""

from __future__ import annotations

import itertools

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from calisketch.networks import UNet

pytestmark = pytest.mark.usefixtures("one_thread")


def described(inputs: int, outputs: int, width: int, depth: int) -> int:
    """Parameters of CK-C2K-C4K-C8K..., 4x4 both ways, from the description and not from the code."""
    channels = [width * min(2**level, 8) for level in range(depth)]
    encoder = 16 * (inputs * channels[0] + sum(a * b for a, b in itertools.pairwise(channels)))
    biases = channels[0] + channels[-1]  # of the two layers that are not normalised
    decoder = 16 * (channels[-1] * channels[-2] + sum(2 * channels[i] * channels[i - 1] for i in range(1, depth - 1)))
    scales_and_shifts = 2 * (sum(channels[1:-1]) + sum(channels[:-1]))
    return encoder + biases + decoder + scales_and_shifts + 16 * 2 * width * outputs + outputs


def count(network: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def test_u_net_256_has_the_54_4_million_parameters_of_its_description() -> None:
    with torch.device("meta"):  # shapes without memory
        network = UNet(3, 3)
    assert count(network) == described(3, 3, 64, 8) == pytest.approx(54.4e6, rel=1e-3)


@pytest.mark.parametrize(("width", "depth"), [(4, 8), (8, 6), (4, 5), (4, 2)])
@pytest.mark.parametrize("norm", ["instance", "batch"])
def test_smaller_ones_have_the_parameters_of_their_description(width: int, depth: int, norm: str) -> None:
    assert count(UNet(1, 3, width, depth, norm)) == described(1, 3, width, depth)


def by_hand(network: UNet, image: Tensor) -> Tensor:
    """The network as nested calls, in instance normalisation's own formula: outside in, and back."""

    def normalised(features: Tensor, norm: torch.nn.Module) -> Tensor:
        mean, variance = features.mean((2, 3), keepdim=True), features.var((2, 3), keepdim=True, unbiased=False)
        scale, shift = norm.weight.view(1, -1, 1, 1), norm.bias.view(1, -1, 1, 1)
        return (features - mean) / (variance + 1e-5).sqrt() * scale + shift

    def below(features: Tensor, level: int) -> Tensor:
        encoder = network.encoders[level]
        activated = features if level == 0 else torch.where(features > 0, features, 0.2 * features)
        down = F.conv2d(F.pad(activated, [1] * 4), encoder[0].weight, encoder[0].bias, stride=2)
        if 0 < level < len(network.encoders) - 1:
            down = normalised(down, encoder[1])
        if level < len(network.encoders) - 1:
            down = torch.cat([below(down, level + 1), down], dim=1)
        if level == 0:
            return (torch.tanh(transposed(down.clamp(min=0), network.output)) + 1) / 2
        decoder = network.decoders[len(network.encoders) - 1 - level]
        return normalised(transposed(down.clamp(min=0), decoder[0]), decoder[1])

    def transposed(features: Tensor, layer: torch.nn.ConvTranspose2d) -> Tensor:
        spread = features.new_zeros(*features.shape[:2], 2 * features.shape[2] - 1, 2 * features.shape[3] - 1)
        spread[:, :, ::2, ::2] = features
        mirrored = layer.weight.transpose(0, 1).flip(2, 3)
        return F.conv2d(F.pad(spread, [2] * 4), mirrored, layer.bias)

    return below(image, 0)


def test_it_computes_its_description(generator: torch.Generator) -> None:
    network = UNet(width=4, depth=5).double().eval()
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, 0, 0.3, generator=generator)
    image = torch.rand(2, 1, 64, 32, generator=generator, dtype=torch.float64)
    torch.testing.assert_close(network(image), by_hand(network, image))


@pytest.mark.parametrize(("size", "depth"), [(256, 8), (128, 7), (64, 6), (32, 5)])
def test_at_its_size_the_bottleneck_is_one_pixel_and_the_face_in_range(size: int, depth: int) -> None:
    network = UNet(width=2, depth=depth).train()
    seen: list[torch.Size] = []
    network.encoders[-1].register_forward_hook(lambda _module, _given, made: seen.append(made.shape))
    face = network(torch.rand(1, 1, size, size))
    assert seen == [(1, 2 * min(2 ** (depth - 1), 8), 1, 1)]
    assert face.shape == (1, 3, size, size)
    assert face.min() >= 0
    assert face.max() <= 1
    face.square().mean().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())


def test_other_sides_are_refused_with_a_remedy() -> None:
    with pytest.raises(ValueError, match=r"at least 64 and divide by 64; got 64 x 96.*Pad or resize"):
        UNet(width=2, depth=6)(torch.zeros(1, 1, 64, 96))
    with pytest.raises(ValueError, match=r"at least 256 and divide by 256; got 128 x 128"):
        UNet(width=2)(torch.zeros(1, 1, 128, 128))


def test_dropout_varies_the_face_in_training_and_not_in_use(generator: torch.Generator) -> None:
    network = UNet(width=4, depth=5)
    image = torch.rand(1, 1, 32, 32, generator=generator)
    assert not torch.equal(network.train()(image), network(image))
    assert torch.equal(network.eval()(image), network(image))
    dropped = [[type(part).__name__ for part in decoder].count("Dropout") for decoder in UNet(width=2).decoders]
    assert dropped == [1, 1, 1, 0, 0, 0, 0]
    still = UNet(width=4, depth=5, dropout=0.0).train()
    assert torch.equal(still(image), still(image))


def test_instance_norm_keeps_batch_mates_apart_and_batch_norm_takes_the_trainings_averages(
    generator: torch.Generator,
) -> None:
    images = torch.rand(3, 1, 32, 32, generator=generator)
    for norm, mode in (("instance", True), ("instance", False), ("batch", False)):
        network = UNet(width=4, depth=5, norm=norm, dropout=0.0).train(mode)
        alone = torch.cat([network(image[None]) for image in images])
        torch.testing.assert_close(network(images), alone, rtol=0, atol=1e-5)
    network = UNet(width=4, depth=5, norm="batch", dropout=0.0)
    assert (network.train()(images)[:1] - network(images[:1])).abs().max() > 1e-3


def test_skips_carry_lines_past_the_bottleneck(generator: torch.Generator) -> None:
    network = UNet(width=4, depth=5).eval()
    for part in (network.encoders[-1], network.decoders[0]):
        for parameter in part.parameters():
            torch.nn.init.zeros_(parameter)
    one, other = torch.rand(2, 1, 1, 32, 32, generator=generator)
    assert (network(one) - network(other)).abs().max() > 1e-4


def test_config_rebuilds_the_network(generator: torch.Generator) -> None:
    network = UNet(1, 3, width=4, depth=5, norm="batch", dropout=0.25).eval()
    twin = UNet(**network.config).eval()
    twin.load_state_dict(network.state_dict())
    image = torch.rand(1, 1, 32, 32, generator=generator)
    assert torch.equal(twin(image), network(image))


def test_convolutions_of_both_kinds_start_small_and_scales_near_one() -> None:
    network = UNet(width=16, depth=5)
    assert network.decoders[0][0].weight.std().item() == pytest.approx(0.02, rel=0.05)
    assert network.encoders[1][0].weight.std().item() == pytest.approx(0.02, rel=0.05)
    assert network.encoders[2][1].weight.mean().item() == pytest.approx(1, abs=0.02)
    assert network.encoders[2][1].weight.std().item() < 0.05


@pytest.mark.parametrize(
    "arguments", [{"width": 0}, {"depth": 1}, {"depth": 13}, {"norm": "layer"}, {"dropout": 1.0}, {"head": "relu"}]
)
def test_arguments_that_make_no_network_are_refused(arguments: dict) -> None:
    with pytest.raises(ValueError, match="got"):
        UNet(**arguments)
