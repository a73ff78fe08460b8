"""QuarterUNet: shapes, what it refuses, and that it sees far and corrects every pixel."""

from __future__ import annotations

import pytest
import torch

from calisketch.networks import GENERATORS, QuarterUNet


def test_it_answers_in_the_images_own_size_and_range() -> None:
    network = QuarterUNet(width=4, blocks=2)
    answer = network(torch.rand(2, 1, 64, 96))
    assert answer.shape == (2, 1, 64, 96)
    assert 0 < float(answer.detach().min()) <= float(answer.detach().max()) < 1
    again = GENERATORS["QuarterUNet"](**network.config)
    assert {name: value.shape for name, value in again.state_dict().items()} == {
        name: value.shape for name, value in network.state_dict().items()
    }


def test_one_pixel_of_ink_is_seen_at_its_own_place_and_far_away() -> None:
    torch.manual_seed(0)
    network = QuarterUNet(width=8, blocks=3)
    for parameter in network.parameters():  # as made, the residual branches are nothing
        torch.nn.init.normal_(parameter, 0.0, 0.1)
    image = torch.zeros(1, 1, 128, 128)
    other = image.clone()
    other[0, 0, 64, 64] = 1
    changed = (network(other) - network(image)).abs()[0, 0]
    assert float(changed[64, 64]) > 0
    assert float(changed[64, 4]) > 0, "sixty pixels away"


@pytest.mark.parametrize("side", [32, 68])
def test_sides_that_do_not_fit_are_refused(side: int) -> None:
    with pytest.raises(ValueError, match=f"at least 64 and divide by 8; got {side}"):
        QuarterUNet(width=4, blocks=1)(torch.zeros(1, 1, side, side))


def test_counts_below_1_are_refused() -> None:
    with pytest.raises(ValueError, match="must be at least 1"):
        QuarterUNet(blocks=0)
