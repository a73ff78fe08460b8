from __future__ import annotations

import pytest
import torch

from calisketch.networks import EncoderDecoder, MaskedResidualUnit, MRUUNet


def count(module: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def conv(kernel: int, inputs: int, outputs: int) -> int:
    return kernel * kernel * inputs * outputs + outputs


def encoder_decoder_parameters(inputs: int, outputs: int, width: int, blocks: int, skips: bool) -> int:
    """From the description in section 3.2, not from the code."""
    twice = 2 if skips else 1
    return (
        conv(7, inputs, width)
        + conv(4, width, 2 * width)
        + conv(4, 2 * width, 4 * width)
        + blocks * 2 * conv(3, 4 * width, 4 * width)
        + conv(3, twice * 4 * width, 2 * width)
        + conv(3, twice * 2 * width, width)
        + conv(7, twice * width, outputs)
    )


@pytest.mark.parametrize(
    ("outputs", "width", "blocks", "skips"), [(1, 64, 8, True), (3, 64, 16, True), (3, 8, 2, False)]
)
def test_encoder_decoder_has_the_parameters_of_its_description(
    outputs: int, width: int, blocks: int, skips: bool
) -> None:
    network = EncoderDecoder(1, outputs, width=width, blocks=blocks, skips=skips)
    assert count(network) == encoder_decoder_parameters(1, outputs, width, blocks, skips)


def test_the_papers_generator_has_10_86_million_parameters() -> None:
    assert count(EncoderDecoder(1, 3, head="tanh")) == pytest.approx(10.86e6, rel=1e-3)


def test_mru_unet_has_the_parameters_of_its_description() -> None:
    width, image = 8, 1
    channels = [8, 16, 32, 64, 64]

    def unit(inputs: int, outputs: int) -> int:
        seen = inputs + image
        return conv(3, seen, inputs) + 9 * seen * outputs + conv(3, seen, outputs) + inputs * outputs

    encoder = unit(width, channels[0]) + sum(unit(channels[i], channels[i + 1]) for i in range(4))
    decoder = sum(unit(channels[i + 1] + channels[i], channels[i]) for i in range(4))
    expected = conv(7, image, width) + encoder + decoder + conv(7, width, 3)
    assert count(MRUUNet(width=width)) == expected


@pytest.mark.parametrize(
    "network", [EncoderDecoder(1, 3, width=4, blocks=1, head="tanh"), MRUUNet(width=4, depth=2)], ids=["ed", "mru"]
)
@pytest.mark.parametrize("size", [(32, 32), (36, 64)])
def test_sides_that_divide_go_through_and_come_back_in_range(
    network: torch.nn.Module, size: tuple[int, int], generator: torch.Generator
) -> None:
    result = network(torch.rand(2, 1, *size, generator=generator))
    assert result.shape == (2, 3, *size)
    assert result.min() >= 0
    assert result.max() <= 1


@pytest.mark.parametrize("size", [(28, 32), (33, 64)])
def test_other_sides_are_refused_with_a_remedy(size: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match=r"at least 32 and divide by 4; got .*Pad or resize"):
        EncoderDecoder(width=4, blocks=1)(torch.zeros(1, 1, *size))


def test_config_rebuilds_the_network() -> None:
    for network in (EncoderDecoder(1, 3, width=4, blocks=2, skips=False, head="tanh"), MRUUNet(width=4, depth=2)):
        twin = type(network)(**network.config)
        twin.load_state_dict(network.state_dict())
        image = torch.rand(1, 1, 32, 32)
        assert torch.equal(twin(image), network(image))


def test_instance_norm_keeps_batch_mates_apart(generator: torch.Generator) -> None:
    network = EncoderDecoder(width=4, blocks=1)
    images = torch.rand(3, 1, 32, 32, generator=generator)
    together = network(images)
    alone = torch.cat([network(image[None]) for image in images])
    torch.testing.assert_close(together, alone, rtol=0, atol=1e-5)
    assert not any("running" in name for name, _ in network.named_buffers())


def test_skips_carry_the_input_past_the_bottleneck() -> None:
    network = EncoderDecoder(width=4, blocks=1).eval()
    for parameter in network.residual.parameters():
        torch.nn.init.zeros_(parameter)
    assert (
        network.decoder1.conv[0].in_channels
        == 2 * EncoderDecoder(width=4, blocks=1, skips=False).decoder1.conv[0].in_channels
    )


@pytest.mark.parametrize("arguments", [{"width": 0}, {"blocks": 0}, {"head": "relu"}])
def test_arguments_that_make_no_network_are_refused(arguments: dict) -> None:
    with pytest.raises(ValueError, match="got"):
        EncoderDecoder(**arguments)


def test_masked_residual_unit_follows_its_formula(generator: torch.Generator) -> None:
    unit = MaskedResidualUnit(2, 3, 1)
    x, c = torch.randn(1, 2, 6, 6, generator=generator), torch.rand(1, 1, 6, 6, generator=generator)

    def convolve(layer: torch.nn.Conv2d, features: torch.Tensor) -> torch.Tensor:
        if layer.kernel_size == (3, 3):
            features = torch.nn.functional.pad(features, (1, 1, 1, 1), mode="reflect")
        return torch.nn.functional.conv2d(features, layer.weight, layer.bias)

    m = 1 / (1 + torch.exp(-convolve(unit.mask, torch.cat([x, c], 1))))
    z = convolve(unit.candidate, torch.cat([m * x, c], 1))
    z = (z - z.mean((2, 3), keepdim=True)) / (z.var((2, 3), keepdim=True, unbiased=False) + 1e-5).sqrt()
    z = torch.where(z > 0, z, 0.2 * z)
    n = 1 / (1 + torch.exp(-convolve(unit.gate, torch.cat([x, c], 1))))
    torch.testing.assert_close(unit(x, c), (1 - n) * convolve(unit.carry, x) + n * z)


def test_bilinear_upsampling_is_of_the_first_decoder_and_changes_no_weight() -> None:
    torch.manual_seed(0)
    plain = EncoderDecoder(4, 3, width=4, blocks=1, skips=False)
    bilinear = EncoderDecoder(4, 3, width=4, blocks=1, skips=False, upsampling="bilinear")
    bilinear.load_state_dict(plain.state_dict())  # the same parameters by the same names
    features = torch.rand(1, 16, 5, 7)
    larger = torch.nn.functional.interpolate(features, size=(10, 14), mode="bilinear", align_corners=False)
    conv = bilinear.decoder1.conv
    torch.testing.assert_close(bilinear.decoder1(features), conv(larger))
    assert not torch.allclose(plain.decoder1(features), conv(larger), atol=1e-3)
    assert type(bilinear.decoder2) is type(plain.decoder2)
    with pytest.raises(ValueError, match="upsampling must be one of"):
        EncoderDecoder(upsampling="cubic")


def test_dropout_is_in_the_residual_blocks_and_off_in_evaluation() -> None:
    torch.manual_seed(0)
    network = EncoderDecoder(3, 3, width=4, blocks=2, dropout=0.5)
    image = torch.rand(1, 3, 32, 32)
    assert not torch.equal(network(image), network(image))
    network.eval()
    assert torch.equal(network(image), network(image))
    plain = EncoderDecoder(3, 3, width=4, blocks=2)
    plain.load_state_dict(network.state_dict())
    assert torch.equal(plain.eval()(image), network(image))
    assert EncoderDecoder(**network.config).config == network.config
    assert "dropout" not in plain.config  # nor upsampling: an older calisketch reads the folder
    with pytest.raises(ValueError, match="dropout must be a probability"):
        EncoderDecoder(dropout=1.0)
