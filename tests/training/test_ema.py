"""The average of the weights: against its definition, and back again to the bit."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from actionspace.errors import RunError
from actionspace.training.ema import EMA
from actionspace.training.freeze import freeze, trainable_state


def _model() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))


def _train(model: nn.Module, steps: int, ema: EMA | None = None) -> list[dict[str, torch.Tensor]]:
    optimizer = torch.optim.SGD((p for p in model.parameters() if p.requires_grad), lr=0.1)
    states = [{k: v.clone() for k, v in model.state_dict().items()}]
    for _ in range(steps):
        optimizer.zero_grad()
        model(torch.randn(6, 3)).square().sum().backward()
        optimizer.step()
        if ema is not None:
            ema.update()
        states.append({k: v.clone() for k, v in model.state_dict().items()})
    return states


def test_equals_the_definition() -> None:
    model = _model()
    ema = EMA(model, 0.9)
    states = _train(model, 5, ema)
    for name, average in ema.state_dict().items():
        want = states[0][name].double()
        for state in states[1:]:
            want = 0.9 * want + 0.1 * state[name].double()
        if not average.is_floating_point():
            want = states[-1][name].double()  # a count cannot be averaged
        torch.testing.assert_close(average.double(), want, rtol=1e-5, atol=1e-6)
    assert set(ema.state_dict()) == set(model.state_dict())
    assert ema.state_dict()["1.num_batches_tracked"] == 5


def test_frozen_weights_are_no_part_of_it() -> None:
    model = _model()
    freeze(model, keep=["2."])
    assert set(EMA(model, 0.9).state_dict()) == {"2.weight", "2.bias"}


def test_a_replaced_buffer_is_followed() -> None:
    model = _model()
    ema = EMA(model, 0.5)
    model[1].running_mean = torch.full((4,), 8.0)
    ema.update()
    assert torch.equal(ema.state_dict()["1.running_mean"], torch.full((4,), 4.0))


def test_applied_and_back_to_the_bit_whatever_happens() -> None:
    model = _model()
    ema = EMA(model, 0.9)
    last = _train(model, 4, ema)[-1]
    pointers = [p.data_ptr() for p in model.parameters()]
    averages = {k: v.clone() for k, v in ema.state_dict().items()}
    with pytest.raises(KeyError), ema.applied():
        assert all(torch.equal(v, averages[k]) for k, v in model.state_dict().items())
        assert not torch.equal(model[0].weight, last["0.weight"])
        model[0].weight.detach().fill_(9.0)  # what is done inside stays inside
        raise KeyError
    assert all(torch.equal(v, last[k]) for k, v in model.state_dict().items())
    assert all(torch.equal(v, averages[k]) for k, v in ema.state_dict().items())
    assert pointers == [p.data_ptr() for p in model.parameters()]  # the optimiser's tensors still


def test_for_good() -> None:
    model = _model()
    ema = EMA(model, 0.9)
    _train(model, 2, ema)
    ema.copy_to_model()
    assert all(torch.equal(v, ema.state_dict()[k]) for k, v in trainable_state(model).items())


def test_goes_on_from_its_state() -> None:
    model = _model()
    ema = EMA(model, 0.9)
    _train(model, 2, ema)
    saved = {k: v.clone() for k, v in ema.state_dict().items()}
    resumed = EMA(model, 0.9)  # begins with the weights as they are now
    assert not torch.equal(resumed.state_dict()["0.weight"], saved["0.weight"])
    resumed.load_state_dict(saved)
    for average in (ema, resumed):
        average.update()
    assert all(torch.equal(v, ema.state_dict()[k]) for k, v in resumed.state_dict().items())
    assert not torch.equal(resumed.state_dict()["0.weight"], saved["0.weight"])  # not shared


def test_state_of_another_model() -> None:
    with pytest.raises(RunError, match="averaged weights"):
        EMA(_model(), 0.9).load_state_dict(EMA(nn.Linear(2, 2), 0.9).state_dict())
