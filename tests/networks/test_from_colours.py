"""The generator that starts from its colours: they are what it paints where the encoder-decoder has nothing to say."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from calisketch.inference.rewriting import for_inference
from calisketch.networks import GENERATORS, EncoderDecoder, FromColours


def picture(colour: tuple[float, float, float]) -> Tensor:
    """No edges, and a square of one colour on white: (1, 4, 32, 32)."""
    image = torch.zeros(1, 4, 32, 32)
    image[:, 1:] = 1
    image[0, 1:, 8:24, 8:24] = torch.tensor(colour)[:, None, None]
    return image


def small(kind: type[EncoderDecoder]) -> EncoderDecoder:
    torch.manual_seed(0)
    return kind(4, 3, width=8, blocks=2, skips=False, head="tanh", upsampling="bilinear").eval()


def test_with_nothing_to_add_it_is_the_colours_themselves() -> None:
    network = small(FromColours)
    torch.nn.init.zeros_(network.output.weight)
    torch.nn.init.zeros_(network.output.bias)
    image = torch.rand(2, 4, 32, 36, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(network(image), image[:, 1:].clamp(0.01, 0.99), atol=1e-6, rtol=0)


@torch.no_grad()
def test_it_tells_flat_colours_apart_that_instance_norm_makes_alike() -> None:
    told = {}
    for kind in (EncoderDecoder, FromColours):
        network = small(kind)
        dark, light = network(picture((0.2, 0.2, 0.2))), network(picture((0.8, 0.8, 0.8)))
        told[kind] = float((light - dark)[..., 8:24, 8:24].mean())
    assert abs(told[EncoderDecoder]) < 0.02
    assert told[FromColours] > 0.4  # of a difference of .6


def test_it_is_rebuilt_from_its_config_and_runs_in_fewer_operations() -> None:
    network = small(FromColours)
    twin = GENERATORS["FromColours"](**network.config)
    twin.load_state_dict(network.state_dict())
    image = torch.rand(2, 4, 32, 36)
    assert torch.equal(twin(image), network(image))
    torch.testing.assert_close(for_inference(network)(image), network(image), atol=1e-5, rtol=0)
    for arguments in ({"in_channels": 1}, {"out_channels": 1}, {"head": "sigmoid"}):
        with pytest.raises(ValueError, match="FromColours maps 4 channels to 3"):
            FromColours(**arguments)
