"""Checkpoints as the published training writes them."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from actionspace.errors import WeightsError
from actionspace.localization.network.keys import network_state, published_state, told_options
from tests.localization.networks import network, tiny


def test_there_and_back() -> None:
    model, average = network(0), network(1)
    checkpoint = {
        "epoch": 35,
        "state_dict": published_state(model.state_dict()),
        "state_dict_ema": published_state(average.state_dict()),
    }
    assert "module.backbone.embd.0.conv.weight" in checkpoint["state_dict"]
    other = network(2)
    other.load_state_dict(network_state(checkpoint))
    assert torch.equal(other.cls_head.cls_head.conv.weight, average.cls_head.cls_head.conv.weight)
    other.load_state_dict(network_state(checkpoint, average=False))
    assert torch.equal(other.cls_head.cls_head.conv.weight, model.cls_head.cls_head.conv.weight)
    other.load_state_dict(network_state(average.state_dict()))  # bare, without a prefix
    assert torch.equal(other.cls_head.cls_head.conv.weight, average.cls_head.cls_head.conv.weight)


def test_messages() -> None:
    with pytest.raises(WeightsError, match=r"no 'state_dict_ema'; it has epoch, state_dict"):
        network_state({"epoch": 1, "state_dict": {}})
    with pytest.raises(WeightsError, match=r"not the weights of ActionFormer.*begin with conv1"):
        network_state({"state_dict_ema": {"conv1.weight": torch.zeros(1)}})


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"relative_positions": True, "neck": "fpn"},
        {"backbone": "transformer_v2"},
        {"backbone": "transformer_v2", "windows": -1, "v2": {"rms_norm": False}},
        {"backbone": "transformer_v2", "windows": -1, "v2": {"compat": "fork", "kv_heads": 1}},
        {"backbone": "transformer_v2", "v2": {"compat": "fork", "swiglu": False}},
        {"backbone": "transformer_v2", "windows": -1, "v2": {"compat": "fork", "rope": False}},
        {"neck": "cs_fpn", "head_skip": True},
    ],
)
def test_options_that_weights_tell(changes: dict[str, Any]) -> None:
    """They make the network that the weights fit."""
    told = told_options(network(**changes).state_dict(), tiny().heads)
    v2 = {name.removeprefix("v2."): told.pop(name) for name in [*told] if name.startswith("v2.")}
    same = {"windows": changes.get("windows", 5)}
    network(**same, **told, v2=v2).load_state_dict(network(**changes).state_dict())
    if "backbone" in changes:
        assert v2["compat"] == changes.get("v2", {}).get("compat", "none")
