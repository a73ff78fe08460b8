from __future__ import annotations

import itertools

import pytest
import torch

from calisketch.networks import MultiScaleDiscriminator, PatchGAN70, SNPatchGAN, without_power_iteration


def conv(kernel: int, inputs: int, outputs: int) -> int:
    return kernel * kernel * inputs * outputs + outputs


@pytest.mark.parametrize("channels", [1, 3])
def test_sn_patchgan_has_the_parameters_and_shapes_of_its_description(channels: int) -> None:
    network = SNPatchGAN(channels)
    widths = [channels, 64, 128, 256, 256, 256, 256]
    assert sum(p.numel() for p in network.parameters()) == sum(conv(5, i, o) for i, o in itertools.pairwise(widths))
    output = network(torch.rand(2, channels, 64, 64))
    assert [tuple(f.shape[1:]) for f in output.features] == [
        (64, 32, 32), (128, 16, 16), (256, 8, 8), (256, 4, 4), (256, 2, 2), (256, 1, 1)
    ]  # fmt: skip
    assert output.logits[0] is output.features[-1]


def test_patchgan70_sees_70_pixels_and_no_more(generator: torch.Generator) -> None:
    network = PatchGAN70(3, width=4).eval()
    assert [c.weight.shape[0] for c in network.convolutions] == [4, 8, 16, 32, 1]
    image = torch.rand(1, 3, 160, 160, generator=generator, requires_grad=True)
    logits = network(image).logits[0]
    logits[0, 0, logits.shape[2] // 2, logits.shape[3] // 2].backward()
    touched = image.grad.abs().sum((0, 1)) > 0
    rows = torch.nonzero(touched.any(1)).flatten()
    assert int(rows[-1] - rows[0] + 1) == 70


def test_patchgan70_without_spectral_norm_is_pix2pixs(generator: torch.Generator) -> None:
    """C64-C128-C256-C512 and one more; on batches of one, batch normalisation and this one are the same."""
    network = PatchGAN70(4, width=4, spectral=False)
    widths = [4, 4, 8, 16, 32, 1]
    expected = sum(conv(4, i, o) for i, o in itertools.pairwise(widths)) + 2 * sum(widths[2:5])
    assert sum(p.numel() for p in network.parameters()) == expected
    image = torch.rand(1, 4, 64, 64, generator=generator)
    features = image
    for place, convolution in enumerate(network.convolutions[:-1]):
        features = convolution(features)
        if place > 0:
            features = torch.nn.functional.batch_norm(features, None, None, training=True)
        features = torch.where(features > 0, features, 0.2 * features)
    torch.testing.assert_close(network(image).logits[0], network.convolutions[-1](features), rtol=1e-4, atol=1e-5)
    mate = torch.rand(1, 4, 64, 64, generator=generator)
    together = network(torch.cat([image, mate])).logits[0][:1]
    torch.testing.assert_close(together, network(image).logits[0], rtol=0, atol=1e-5)


def test_each_weight_is_divided_by_its_largest_singular_value() -> None:
    network = SNPatchGAN(1, width=4).train()
    for _ in range(60):  # power iteration converges over passes
        network(torch.rand(1, 1, 64, 64))
    for convolution in network.eval().convolutions:
        assert torch.linalg.matrix_norm(convolution.weight.flatten(1), 2).item() == pytest.approx(1, abs=0.02)


def test_looking_at_scores_does_not_advance_the_power_iteration() -> None:
    network = SNPatchGAN(1, width=4).train()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    with without_power_iteration(network):
        network(torch.rand(1, 1, 64, 64))
    assert network.training
    assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())


def test_multi_scale_judges_the_halved_image_too(generator: torch.Generator) -> None:
    parts = [SNPatchGAN(1, width=4), SNPatchGAN(1, width=4)]
    network = MultiScaleDiscriminator(parts).eval()
    image = torch.rand(1, 1, 128, 128, generator=generator)
    output = network(image)
    halved = torch.nn.functional.avg_pool2d(image, 3, 2, 1, count_include_pad=False)
    assert torch.equal(output.logits[0], parts[0](image).logits[0])
    assert torch.equal(output.logits[1], parts[1](halved).logits[0])
    assert len(output.features) == 12


def test_multi_scale_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one"):
        MultiScaleDiscriminator([])
