from __future__ import annotations

import pytest
import torch
from torch import nn

from calisketch.training.ema import Ema


def test_average_follows_the_formula_with_warm_up():
    module = nn.Linear(1, 1, bias=False)
    module.weight.data.fill_(1.0)
    ema = Ema(module, decay=0.15)
    expected = 1.0
    for update, weight in enumerate([3.0, -2.0, 5.0, 7.0]):
        module.weight.data.fill_(weight)
        ema.update()
        decay = min(0.15, (1 + update) / (10 + update))  # 1/10, then .15 from 2/11 on
        expected = decay * expected + (1 - decay) * weight
        assert ema.average["weight"].item() == pytest.approx(expected, rel=1e-6)


def test_buffers_are_copied_and_no_decay_is_the_weights_themselves():
    module = nn.BatchNorm1d(2)
    ema = Ema(module, decay=0.0)
    module.weight.data.fill_(4.0)
    module.num_batches_tracked.fill_(9)
    ema.update()
    assert torch.equal(ema.average["weight"], module.weight)
    assert ema.average["num_batches_tracked"].item() == 9


def test_swapped_holds_the_average_inside_and_the_own_weights_bit_for_bit_outside():
    module = nn.Linear(3, 3)
    ema = Ema(module, decay=0.5)
    own = module.weight.detach().clone()
    ema.average["weight"].zero_()

    def fail_inside() -> None:
        with ema.swapped():
            assert module.weight.abs().sum() == 0
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        fail_inside()
    assert torch.equal(module.weight, own)
    assert ema.average["weight"].abs().sum() == 0


def test_state_goes_round_and_another_networks_is_refused():
    ema = Ema(nn.Linear(2, 2), decay=0.9)
    ema.update()
    other = Ema(nn.Linear(2, 2), decay=0.9)
    other.load_state_dict(ema.state_dict())
    assert other.updates == 1
    assert torch.equal(other.average["weight"], ema.average["weight"])
    with pytest.raises(ValueError, match="another network"):
        Ema(nn.Conv2d(1, 1, 1, bias=False), decay=0.9).load_state_dict(ema.state_dict())


@pytest.mark.parametrize("decay", [-0.1, 1.0, float("nan")])
def test_decay_outside_its_range_is_refused(decay: float):
    with pytest.raises(ValueError, match="ema_decay"):
        Ema(nn.Linear(1, 1), decay=decay)
