"""Networks to which colours were added, and the one that is led by them."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from calisketch.boundary.colours import beside, takes_colours
from calisketch.networks import ColourLed, EncoderDecoder, MRUUNet, UNet, without_colours
from tools.add_colour import with_colours

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.mark.parametrize("network", [EncoderDecoder(1, 3, 8, 2, head="tanh"), MRUUNet(1, 3, 4, 2), UNet(1, 3, 4, 5)])
def test_a_generator_to_which_colours_were_added_answers_as_before_without_bit_for_bit(
    network: nn.Module, generator: torch.Generator
) -> None:
    old = network.eval()
    wide = with_colours(old)
    assert takes_colours(wide)
    assert not takes_colours(old)
    refined, colours = (torch.rand(3, 1, 64, 64, generator=generator) > 0.8).float(), torch.ones(3, 4, 64, 64)
    with torch.inference_mode():
        before = old(refined)
        assert torch.equal(wide(beside(refined, None)), before)
        change = wide(beside(refined, colours)) - before
    assert isinstance(wide, ColourLed) == isinstance(old, EncoderDecoder)
    assert (change > 0).all() if isinstance(wide, ColourLed) else not change.any()
    with pytest.raises(ValueError, match="takes colours already"):
        with_colours(wide)
    with pytest.raises(ValueError, match="one input channel"):
        with_colours(nn.Conv2d(1, 3, 3))


def test_a_network_from_which_colours_are_taken_answers_as_it_did_without_any(generator: torch.Generator) -> None:
    torch.manual_seed(0)
    led = ColourLed(width=8, blocks=1, head="tanh_chroma2", upsampling="bilinear", lead=0.25).eval()
    kept, random = {name: value.clone() for name, value in led.state_dict().items()}, torch.get_rng_state()
    plain = without_colours(led)
    assert torch.equal(torch.get_rng_state(), random)
    assert (type(plain), plain.training) == (EncoderDecoder, False)
    assert plain.config == {**{key: value for key, value in led.config.items() if key != "lead"}, "in_channels": 1}
    refined = (torch.rand(3, 1, 64, 64, generator=generator) > 0.8).float()
    with torch.inference_mode():
        torch.testing.assert_close(plain(refined), led(beside(refined, None)))
    assert all(torch.equal(value, kept[name]) for name, value in led.state_dict().items())
    with pytest.raises(ValueError, match="taken from a ColourLed; got EncoderDecoder"):
        without_colours(plain)


def test_the_level_of_colours_reaches_the_face_because_they_lead_it(generator: torch.Generator) -> None:
    """Instance norm subtracts what is the same all over the picture: to the rest of the network, darker is no other."""
    torch.manual_seed(0)
    refined = (torch.rand(1, 1, 64, 64, generator=generator) > 0.9).float()
    given = torch.cat([torch.rand(1, 3, 64, 64, generator=generator) * 0.5, torch.ones(1, 1, 64, 64)], 1)
    lighter = given + torch.tensor([0.3, 0.3, 0.3, 0.0]).view(1, 4, 1, 1)
    changes = []
    for network in (EncoderDecoder(5, 3, 8, 1, head="tanh"), ColourLed(width=8, blocks=1)):
        with torch.inference_mode():
            changes.append(network(beside(refined, lighter)) - network(beside(refined, given)))
    assert changes[0].abs().max() < 1e-4
    assert changes[1].min() > 0.05


def test_colours_lead_by_their_share_and_not_where_none_are_given() -> None:
    torch.manual_seed(0)
    network = ColourLed(width=8, blocks=1, lead=0.25).eval()
    colours = torch.zeros(1, 4, 32, 32)
    colours[:, :3, :16], colours[:, 3, :16] = torch.tensor([0.9, 0.5, 0.2]).view(3, 1, 1), 1
    image = beside(torch.zeros(1, 1, 32, 32), colours)
    plain = EncoderDecoder(5, 3, 8, 1, head="tanh").eval()
    plain.load_state_dict(network.state_dict())
    with torch.inference_mode():
        led, own = (torch.atanh(2 * each(image).double() - 1) for each in (network, plain))
    torch.testing.assert_close(led[..., 17:, :], own[..., 17:, :])
    wanted = torch.atanh(2 * torch.tensor([0.9, 0.5, 0.2]).double() - 1).view(1, 3, 1, 1)
    torch.testing.assert_close(led[..., :15, :], 0.75 * own[..., :15, :] + 0.25 * wanted, atol=1e-4, rtol=0)
    third = 0.25 / 3  # of the last row without colours: the softened border
    torch.testing.assert_close(led[..., 16, :], ((1 - third) * own + third * wanted)[..., 16, :], atol=1e-4, rtol=0)
    for wrong in ({"lead": 1.0}, {"in_channels": 4}, {"head": "sigmoid"}):
        with pytest.raises(ValueError, match=r"lead must be in|ColourLed maps 5 channels to 3"):
            ColourLed(**wrong)  # type: ignore[arg-type]
