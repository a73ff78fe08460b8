"""One network whose weights are the mean of several networks'."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence

import torch
from torch import nn


def averaged(networks: Sequence[nn.Module], shares: Sequence[float] | None = None) -> nn.Module:
    """A network whose weights are the weighted mean of those of `networks`, taken in float64; they stay as they are.

    That it paints well rests on networks that went on from the same weights (Wortsman et al., "Model soups", ICML 2022,
    section 2): of unrelated ones the mean is noise. What is not a floating-point number of their state, such as a
    counter of batches, and whether it trains is the first one's; so is each weight's dtype.

    Args:
        networks: two or more of one class with the same arguments, on one device.
        shares: what each counts for, positive, together 1; None: all alike.

    Raises:
        ValueError: fewer than two networks, other classes, arguments or shapes, or shares that are not as above.
    """
    if len(networks) < 2:
        raise ValueError(f"a mean is taken of two networks or more; got {len(networks)}. Give more.")
    shares = [1 / len(networks)] * len(networks) if shares is None else shares
    if len(shares) != len(networks) or not all(share > 0 for share in shares) or not math.isclose(sum(shares), 1):
        raise ValueError(
            f"expected {len(networks)} shares above 0 that make 1 together, one per network; got {list(shares)}. "
            "Divide them by their sum."
        )
    states = [network.state_dict() for network in networks]
    kinds = [(type(network), getattr(network, "config", None)) for network in networks]
    shapes = [{name: value.shape for name, value in state.items()} for state in states]
    for number in range(1, len(networks)):
        if kinds[number] != kinds[0] or shapes[number] != shapes[0]:
            raise ValueError(
                "a mean is taken of networks of one class, one set of arguments and the same shapes; the first is "
                f"{_told(networks[0])}, number {number + 1} {_told(networks[number])}. Leave one out."
            )
    mean = copy.deepcopy(networks[0])
    with torch.no_grad():
        for name, value in mean.state_dict().items():
            if value.is_floating_point():
                total = torch.zeros_like(value, dtype=torch.float64)
                for share, state in zip(shares, states, strict=True):
                    total += share * state[name].double()
                value.copy_(total)
    return mean


def _told(network: nn.Module) -> str:
    return f"{type(network).__name__} {getattr(network, 'config', None) or network.extra_repr()}".rstrip()
