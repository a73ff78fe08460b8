"""The mean of several networks' weights."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from calisketch.networks import EncoderDecoder, averaged


def three() -> list[nn.Module]:
    networks: list[nn.Module] = []
    for seed in range(3):
        torch.manual_seed(seed)
        networks.append(EncoderDecoder(1, 3, 4, 1))
    return networks


def test_weights_are_the_mean_by_their_shares_and_the_networks_stay() -> None:
    networks, shares = three(), [0.5, 0.3, 0.2]
    before = [{name: value.clone() for name, value in network.state_dict().items()} for network in networks]
    mean = averaged(networks, shares)
    flat = torch.stack([nn.utils.parameters_to_vector(network.parameters()) for network in networks])
    expected = torch.tensor(shares) @ flat.detach()
    torch.testing.assert_close(nn.utils.parameters_to_vector(mean.parameters()).detach(), expected)
    for network, state in zip(networks, before, strict=True):
        for name, value in network.state_dict().items():
            assert torch.equal(value, state[name])
    assert mean.config == networks[0].config
    assert mean.encoder0[0].weight.data_ptr() != networks[0].encoder0[0].weight.data_ptr()


def test_the_mean_of_one_network_and_itself_is_that_network(generator: torch.Generator) -> None:
    network = three()[0]
    sketch = torch.rand(1, 1, 32, 32, generator=generator)
    assert torch.equal(averaged([network, network, network])(sketch), network(sketch))


def test_where_a_network_is_linear_in_its_weights_so_is_its_answer(generator: torch.Generator) -> None:
    layers = [nn.Conv2d(2, 3, 3), nn.Conv2d(2, 3, 3)]
    image = torch.rand(1, 2, 8, 8, generator=generator)
    expected = 0.25 * layers[0](image) + 0.75 * layers[1](image)
    torch.testing.assert_close(averaged(layers, [0.25, 0.75])(image), expected)


def test_counters_are_the_first_ones() -> None:
    norms = [nn.BatchNorm2d(2), nn.BatchNorm2d(2)]
    norms[0].num_batches_tracked.fill_(3)
    norms[1].running_mean.fill_(1.0)
    mean = averaged(norms)
    assert mean.num_batches_tracked == 3
    assert mean.running_mean.tolist() == [0.5, 0.5]


@pytest.mark.parametrize(
    ("shares", "said"),
    [
        ([0.5, 0.5], "expected 3 shares above 0 that make 1 together, one per network; got"),
        ([0.5, 0.5, 0.5], "make 1 together"),
        ([0.0, 0.5, 0.5], "above 0"),
        ([float("nan"), 0.5, 0.5], "above 0"),
    ],
)
def test_shares_that_do_not_fit_are_refused(shares: list[float], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        averaged(three(), shares)


def test_dtype_and_mode_are_the_first_ones() -> None:
    networks = [network.half().eval().requires_grad_(False) for network in three()]
    mean = averaged(networks)
    assert {parameter.dtype for parameter in mean.parameters()} == {torch.float16}
    assert not mean.training
    assert not any(parameter.requires_grad for parameter in mean.parameters())
    flat = torch.stack([nn.utils.parameters_to_vector(network.parameters()).double() for network in networks])
    assert torch.equal(nn.utils.parameters_to_vector(mean.parameters()), flat.mean(dim=0).half())


def test_shapes_that_would_broadcast_are_refused() -> None:
    with pytest.raises(ValueError, match=r"out_features=3.*number 2 Linear in_features=4, out_features=1"):
        averaged([nn.Linear(4, 3), nn.Linear(4, 1)])


@pytest.mark.parametrize(
    "other", [EncoderDecoder(1, 3, 8, 1), EncoderDecoder(1, 3, 4, 1, head="tanh_chroma4"), nn.Conv2d(1, 3, 1)]
)
def test_networks_of_another_kind_are_refused_even_if_their_weights_fit(other: nn.Module) -> None:
    with pytest.raises(ValueError, match=r"number 4 .*Leave one out"):
        averaged([*three(), other])


def test_one_network_has_no_mean() -> None:
    with pytest.raises(ValueError, match="two networks or more; got 1"):
        averaged(three()[:1])
