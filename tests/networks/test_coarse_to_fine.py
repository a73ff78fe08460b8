"""The encoder-decoder of half the side with a thin network around it."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from calisketch.boundary.colours import beside
from calisketch.inference.rewriting import for_inference
from calisketch.networks import CoarseToFine, ColourLed, EncoderDecoder, MRUUNet, enlarged

pytestmark = pytest.mark.usefixtures("one_thread")


def lively(network: CoarseToFine) -> CoarseToFine:
    """With a fine branch that says something."""
    torch.manual_seed(1)
    torch.nn.init.normal_(network.fine_output.weight, 0, 0.05)
    return network.eval().requires_grad_(False)


def before_head(answer: torch.Tensor, head: str) -> torch.Tensor:
    return torch.logit(answer.double()) if head == "sigmoid" else torch.atanh(2 * answer.double() - 1)


def test_it_has_the_parameters_of_its_description() -> None:
    def conv(kernel: int, inputs: int, outputs: int) -> int:
        return kernel * kernel * inputs * outputs + outputs

    width, fine = 8, 3
    extra = conv(7, 1, fine) + conv(4, fine, 2 * fine) + conv(3, 2 * width + 2 * fine, fine) + conv(7, 2 * fine, 3)
    counts = [
        sum(parameter.numel() for parameter in network.parameters())
        for network in (EncoderDecoder(1, 3, width, 2), CoarseToFine(1, 3, width, 2, fine_width=fine))
    ]
    assert counts[1] - counts[0] == extra


@pytest.mark.parametrize(("outputs", "head"), [(1, "sigmoid"), (3, "tanh")])
def test_enlarged_it_answers_as_before_at_twice_the_side(outputs: int, head: str, generator: torch.Generator) -> None:
    """The old answer to the halved image, brought to twice the side before the head; nothing of the fine branch yet."""
    torch.manual_seed(0)
    old = EncoderDecoder(1, outputs, 8, 2, head=head)
    image = torch.rand(2, 1, 72, 96, generator=generator)
    halved = (image[..., ::2, ::2] + image[..., 1::2, ::2] + image[..., ::2, 1::2] + image[..., 1::2, 1::2]) / 4
    expected = F.interpolate(before_head(old(halved), head), size=(72, 96), mode="bilinear", align_corners=False)
    torch.testing.assert_close(before_head(enlarged(old)(image), head), expected, atol=1e-4, rtol=0)


def test_a_model_that_takes_colours_is_enlarged_as_it_paints_without_them(generator: torch.Generator) -> None:
    torch.manual_seed(0)
    led = ColourLed(width=8, blocks=1, lead=0.7)
    image = torch.rand(1, 1, 64, 64, generator=generator)
    large = enlarged(led)
    expected = before_head(led(beside(F.avg_pool2d(image, 2), None)), "tanh")
    got = F.avg_pool2d(before_head(large(image), "tanh"), 2)
    inner = (slice(None), slice(None), slice(1, -1), slice(1, -1))
    smoothed = F.conv2d(expected.transpose(0, 1), _halved_after_enlarging()).transpose(0, 1)
    torch.testing.assert_close(got[inner], smoothed, atol=1e-4, rtol=0)
    assert large.config["in_channels"] == 1
    assert "lead" not in large.config


def _halved_after_enlarging() -> torch.Tensor:
    """What bilinear enlarging by 2 and a mean of 2 x 2 make of a pixel and its neighbours: 1/8, 3/4, 1/8 a side."""
    side = torch.tensor([0.125, 0.75, 0.125], dtype=torch.float64)
    return (side[:, None] * side)[None, None]


def test_what_is_finer_than_half_the_side_is_seen_by_the_fine_branch_alone(generator: torch.Generator) -> None:
    image = (torch.rand(1, 1, 64, 64, generator=generator) > 0.8).float()
    other = image.view(1, 1, 32, 2, 32, 2).flip(3, 5).reshape(1, 1, 64, 64)  # the same means of 2 x 2
    assert not torch.equal(image, other)
    network = CoarseToFine(1, 3, 8, 1, head="tanh")
    torch.testing.assert_close(network(image), network(other), atol=1e-6, rtol=0)
    lively(network)
    assert (network(image) - network(other)).abs().max() > 1e-3


def test_all_of_it_learns_from_the_second_step_on() -> None:
    """In the first the fine branch's last convolution learns, which is 0, and the gradient of what precedes it is."""
    torch.manual_seed(0)
    network = CoarseToFine(1, 1, 4, 1, fine_width=2)
    optimizer = torch.optim.SGD(network.parameters(), 1.0)
    for _ in range(2):
        optimizer.zero_grad()
        (network(torch.rand(1, 1, 64, 64)) - 0.2).square().mean().backward()
        optimizer.step()
    assert all(parameter.grad is not None for parameter in network.parameters())
    still = [
        name
        for name, weight in network.named_parameters()
        if weight.ndim > 1 and (weight.grad is None or not weight.grad.any())
    ]
    assert still == []


def test_its_form_for_inference_is_the_same(generator: torch.Generator) -> None:
    network = lively(CoarseToFine(1, 3, 8, 2, head="tanh", fine_width=6))
    image = (torch.rand(2, 1, 64, 80, generator=generator) > 0.9).float()
    torch.testing.assert_close(for_inference(network)(image), network(image), atol=2e-5, rtol=0)
    rounded = for_inference(network, torch.bfloat16)(image.bfloat16())
    assert (rounded - network(image)).abs().mean() < 2 / 255


def test_config_rebuilds_it_and_wrong_ones_are_refused() -> None:
    network = lively(CoarseToFine(1, 1, 4, 1, skips=False, fine_width=5))
    twin = CoarseToFine(**network.config).eval()
    twin.load_state_dict(network.state_dict())
    image = torch.rand(1, 1, 64, 64)
    assert torch.equal(twin(image), network(image))
    for wrong, said in (
        ({"fine_width": 0}, "fine_width must be a whole number, at least 1; got 0"),
        ({"fine_width": 2.5}, "at least 1; got 2.5"),
        ({"head": "relu"}, "head must be"),
    ):
        with pytest.raises(ValueError, match=said):
            CoarseToFine(**wrong)  # type: ignore[arg-type]
    for size in (56, 68):
        with pytest.raises(ValueError, match="at least 64 and divide by 8"):
            network(torch.zeros(1, 1, size, 64))
    for other in (network, MRUUNet(width=4, depth=2)):
        with pytest.raises(ValueError, match=f"is enlarged; got {type(other).__name__}"):
            enlarged(other)
