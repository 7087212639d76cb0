"""What is trained, in which mode, and what a checkpoint holds of it."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from actionspace.encoders.drop_path import DropPath
from actionspace.errors import RunError, UsageError
from actionspace.training.freeze import (
    count_parameters,
    freeze,
    load_trainable_state,
    train_mode,
    trainable_slots,
    trainable_state,
)


class Normaliser(nn.Module):
    """A running value that is replaced rather than written to, as losses do."""

    value: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("value", torch.tensor(100.0))
        self.register_buffer("scratch", torch.zeros(3), persistent=False)


class Model(nn.Module):
    """A backbone with everything that could drift, a head, and a loss that has a state."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = nn.Sequential(
            nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Dropout(0.5), DropPath(0.5), nn.Linear(4, 4)
        )
        self.head = nn.Sequential(nn.Dropout(0.5), nn.Linear(4, 2), nn.BatchNorm1d(2))
        self.loss = Normaliser()

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.head(self.backbone(x))
        return y


def _modes(model: nn.Module) -> dict[str, bool]:
    return {name: m.training for name, m in model.named_modules()}


def test_frozen_backbone_stands_still_while_the_head_trains() -> None:
    model = Model()
    freeze(model, keep=["head"])
    assert {n for n, p in model.named_parameters() if p.requires_grad} == {
        f"head.{n}" for n, _ in model.head.named_parameters()
    }
    before = {k: v.clone() for k, v in model.state_dict().items()}
    model.eval()
    train_mode(model)
    modes = _modes(model)
    assert all(on != name.startswith("backbone") for name, on in modes.items())
    x = torch.randn(8, 4)
    assert torch.equal(model.backbone(x), model.backbone(x))
    for _ in range(3):
        model(x).sum().backward()
    changed = {k for k, v in model.state_dict().items() if not torch.equal(v, before[k])}
    assert changed == {
        f"head.2.{b}" for b in ("running_mean", "running_var", "num_batches_tracked")
    }


def test_named_modules_stay_active_in_the_frozen_part() -> None:
    model = Model()
    freeze(model, keep=["head"])
    train_mode(model, active=lambda m: isinstance(m, DropPath))
    on = {name for name, mode in _modes(model).items() if mode and name.startswith("backbone")}
    assert on == {"backbone.3"}


def test_a_partly_trained_module_trains_all_but_its_frozen_parts() -> None:
    model = Model()
    freeze(model, keep=["backbone.4", "head"])
    train_mode(model)
    modes = _modes(model)
    frozen = {"backbone.0", "backbone.1"}
    assert {name for name, mode in modes.items() if not mode} == frozen
    freeze(model)
    train_mode(model)
    assert not any(_modes(model).values())


def test_unknown_part_to_train() -> None:
    with pytest.raises(UsageError, match="Did you mean 'head'"):
        freeze(Model(), keep=["haed"])


def test_state_is_what_training_changes() -> None:
    model = Model()
    assert set(trainable_state(model)) == set(model.state_dict())
    freeze(model, keep=["head"])
    state = trainable_state(model)
    whole = model.state_dict()
    assert set(state) == {k for k in whole if k.startswith("head.")} | {"loss.value"}
    assert all(v.data_ptr() == whole[k].data_ptr() for k, v in state.items())
    assert not any(v.requires_grad for v in state.values())


def test_a_replaced_buffer_is_found() -> None:
    model = Model()
    slots = trainable_slots(model)
    model.loss.value = torch.tensor(7.0)
    owner, key = slots["loss.value"]
    value = owner[key]
    assert value is not None
    assert value.item() == 7.0


def test_tied_weights_are_kept_once() -> None:
    model = nn.ModuleDict({"a": nn.Linear(3, 3), "b": nn.Linear(3, 3)})
    model["b"].weight = model["a"].weight
    assert set(trainable_state(model)) == {"a.weight", "a.bias", "b.bias"}


def test_state_goes_back() -> None:
    one, other = Model(), Model()
    for model in (one, other):
        freeze(model, keep=["head"])
    one.loss.value.fill_(3.0)
    load_trainable_state(other, trainable_state(one))
    for key, value in trainable_state(one).items():
        assert torch.equal(trainable_state(other)[key], value)
    assert not torch.equal(one.backbone[0].weight, other.backbone[0].weight)


@pytest.mark.parametrize("fault", ["missing", "unknown", "shape"])
def test_state_of_another_model_changes_nothing(fault: str) -> None:
    model = Model()
    state = {k: v + 1 for k, v in trainable_state(model).items()}
    if fault == "missing":
        del state["head.1.bias"]
    elif fault == "unknown":
        state["neck.weight"] = torch.zeros(1)
    else:
        state["head.1.weight"] = torch.zeros(3, 4)
    before = {k: v.clone() for k, v in model.state_dict().items()}
    with pytest.raises(RunError, match=r"(head\.1|neck)\.(bias|weight)"):
        load_trainable_state(model, state)
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())


def test_counts() -> None:
    model = Model()
    freeze(model, keep=["head.1"])
    assert count_parameters(model) == (10, 20 + 8 + 20 + 10 + 4)
