"""Parameter groups by the rules of the originals, and the optimisers on them."""

from __future__ import annotations

import string
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from actionspace.config import parse
from actionspace.encoders.swin3d import SwinTransformer3D
from actionspace.errors import ConfigError, UsageError
from actionspace.training.freeze import freeze
from actionspace.training.optimizers import (
    OptimizerConfig,
    build_optimizer,
    describe_groups,
    parameter_groups,
)

UAS = OptimizerConfig.model_validate(
    {
        "lr": 3e-4,
        "weight_decay": 0.05,
        "no_decay": "none",
        "rules": {
            "absolute_pos_embed": {"decay": 0},
            "relative_position_bias_table": {"decay": 0},
            "norm": {"decay": 0},
            "backbone": {"lr": 0.1},
        },
    }
)


def _recogniser() -> nn.Module:
    """The modules of Video Swin with the names of its checkpoints, small."""
    swin = SwinTransformer3D(embed_dim=6, depths=(1, 1), num_heads=(1, 2), window_size=(2, 2, 2))
    head = nn.ModuleDict({"fc_cls": nn.Linear(12, 3)})
    return nn.ModuleDict({"backbone": swin, "cls_head": head})


def _by_name(groups: list[dict[str, Any]]) -> dict[str, tuple[float, float]]:
    return {
        name: (group["lr"], group["weight_decay"]) for group in groups for name in group["names"]
    }


def test_original_rules_on_video_swin() -> None:
    """The norm rule never fires for the backbone's norms: they decay, at a tenth of the rate."""
    model = _recogniser()
    groups = parameter_groups(model, UAS)
    found = _by_name(groups)
    assert set(found) == {name for name, _ in model.named_parameters()}
    for name, values in found.items():
        if name.endswith("relative_position_bias_table"):
            assert values == (3e-4, 0.0)
        elif name.startswith("backbone"):
            assert values == (pytest.approx(3e-5), 0.05)
        else:
            assert values == (3e-4, 0.05)
    assert found["backbone.norm.weight"] == (pytest.approx(3e-5), 0.05)
    assert len(groups) == 3


def test_groups_hold_what_their_names_say_in_sorted_order() -> None:
    model = _recogniser()
    freeze(model, keep=["layers.1", "cls_head"])
    named = dict(model.named_parameters())
    groups = parameter_groups(model, UAS)
    for group in groups:
        assert group["names"] == sorted(group["names"])
        assert [id(p) for p in group["params"]] == [id(named[n]) for n in group["names"]]
        assert group["base_lr"] == group["lr"]
    trained = {name for name, p in named.items() if p.requires_grad}
    assert sorted(n for g in groups for n in g["names"]) == sorted(trained)


keys = st.text(string.ascii_lowercase[:3] + ".", min_size=1, max_size=4)


@given(st.lists(keys, min_size=1, max_size=8, unique=True), st.permutations(range(8)))
def test_longest_key_as_in_mmcv(found: list[str], order: list[int]) -> None:
    class Named(nn.Module):
        def named_parameters(self, *args: Any, **kwargs: Any) -> Any:
            return iter([(name, nn.Parameter(torch.zeros(2, 2))) for name in NAMES])

    NAMES = ["abc.ab.c", "a.b.c", "ccc", "ba.ca.ab", "bb"]
    shuffled = [found[i] for i in order if i < len(found)]
    rules = {key: {"lr": 2.0 + found.index(key)} for key in shuffled}
    config = OptimizerConfig.model_validate({"lr": 1.0, "rules": rules})
    ours = _by_name(parameter_groups(Named(), config))
    by_length = sorted(sorted(found), key=len, reverse=True)
    for name in NAMES:
        first = next((key for key in by_length if key in name), None)
        assert ours[name][0] == (2.0 + found.index(first) if first else 1.0)


class LayerNorm(nn.Module):
    """A norm whose parameters are no vectors, as ActionFormer's."""

    def __init__(self) -> None:
        super().__init__()
        self.weight, self.bias = (
            nn.Parameter(torch.ones(1, 4, 1)),
            nn.Parameter(torch.ones(1, 4, 1)),
        )


class Branch(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv1d(4, 4, 3)
        self.ln1 = LayerNorm()
        self.bn = nn.BatchNorm1d(4)
        self.rel_pe = nn.Parameter(torch.zeros(1, 1, 2, 5))
        self.bias_table = nn.Parameter(torch.zeros(5, 2))
        self.scale = nn.Parameter(torch.ones(1, 4, 1))
        self.temperature = nn.Parameter(torch.tensor(1.0))
        self.query = nn.Parameter(torch.zeros(3, 4))


def test_norms_biases_and_scales_do_not_decay() -> None:
    config = OptimizerConfig.model_validate({"rules": {"conv": {"lr": 0.5, "decay": 2}}})
    found = _by_name(parameter_groups(Branch(), config))
    decayed = {name: decay for name, (_, decay) in found.items() if decay}
    assert decayed == {"conv.weight": 0.1, "query": 0.05}
    assert found["conv.bias"] == (1.5e-4, 0.0)  # a rule sets its rate, and it does not decay


def test_nothing_left_to_train() -> None:
    model = nn.Linear(2, 2)
    freeze(model)
    with pytest.raises(UsageError, match="Nothing is left to train"):
        build_optimizer(model, OptimizerConfig())


def test_description_names_groups_and_idle_rules() -> None:
    model = _recogniser()
    freeze(model, keep=["cls_head"])  # the rules for the backbone are then idle for a good reason
    text = "\n".join(describe_groups(model, build_optimizer(model, UAS), UAS))
    assert "AdamW, fused" in text
    assert "39 values in 2 parameters (cls_head.fc_cls.bias, cls_head.fc_cls.weight)" in text
    assert "lr 0.0003 and weight decay 0.05" in text
    assert "No parameter's name contains absolute_pos_embed: idle" in text


def _follow(model: nn.Module, optimizer: torch.optim.Optimizer, steps: range) -> list[Tensor]:
    for step in steps:
        generator = torch.Generator().manual_seed(step)
        for p in model.parameters():
            p.grad = torch.randn(p.shape, generator=generator)
        optimizer.step()
    return [p.detach().clone() for p in model.parameters()]


REFERENCES: dict[str, Any] = {
    "adamw": lambda ps: torch.optim.AdamW(ps, betas=(0.8, 0.9), eps=1e-2, foreach=False),
    "adam": lambda ps: torch.optim.Adam(ps, betas=(0.8, 0.9), eps=1e-2, foreach=False),
    "sgd": lambda ps: torch.optim.SGD(ps, momentum=0.7, nesterov=True, foreach=False),
}


@pytest.mark.parametrize("name", REFERENCES)
def test_options_reach_the_optimiser(name: str) -> None:
    config = OptimizerConfig.model_validate(
        {"name": name, "betas": [0.8, 0.9], "eps": 1e-2, "momentum": 0.7, "nesterov": True}
    )
    ours, theirs = (Branch() for _ in range(2))
    theirs.load_state_dict(ours.state_dict())
    groups = parameter_groups(theirs, config)
    reference = REFERENCES[name](
        [{k: g[k] for k in ("params", "lr", "weight_decay")} for g in groups]
    )
    mine = _follow(ours, build_optimizer(ours, config), range(5))
    for a, b in zip(mine, _follow(theirs, reference, range(5)), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("name", REFERENCES)
def test_resumed_from_its_state_to_the_bit(name: str, tmp_path: Any) -> None:
    config = OptimizerConfig.model_validate({"name": name})
    torch.manual_seed(0)
    whole = Branch()
    start = {k: v.clone() for k, v in whole.state_dict().items()}
    want = _follow(whole, build_optimizer(whole, config), range(6))
    first, second = Branch(), Branch()
    first.load_state_dict(start)
    optimizer = build_optimizer(first, config)
    _follow(first, optimizer, range(3))
    torch.save(optimizer.state_dict(), tmp_path / "state.pt")
    second.load_state_dict(first.state_dict())
    resumed = build_optimizer(second, config)
    resumed.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    got = _follow(second, resumed, range(3, 6))
    assert all(torch.equal(a, b) for a, b in zip(got, want, strict=True))
    assert resumed.param_groups[0]["base_lr"] == config.lr


@pytest.mark.parametrize(
    "values", [{"betas": [0.9, 1]}, {"nesterov": True, "momentum": 0}, {"rules": {"a": {"wd": 0}}}]
)
def test_options_out_of_range(values: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        parse(OptimizerConfig, values)
