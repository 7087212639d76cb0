"""What golden cases cannot show: training mode, gradients, the kept tensors, options."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import nn

from actionspace.encoders.drop_path import DropPath
from actionspace.encoders.swin3d import SwinTransformer3D, WindowAttention
from actionspace.errors import UsageError

TINY: dict[str, Any] = {
    "embed_dim": 8,
    "depths": (2, 2),
    "num_heads": (1, 2),
    "window_size": (2, 3, 3),
}


def _net(seed: int = 0, **options: Any) -> SwinTransformer3D:
    torch.manual_seed(seed)
    return SwinTransformer3D(**TINY | options).eval()


@pytest.fixture
def clip() -> torch.Tensor:
    return torch.randn(2, 3, 7, 30, 26, generator=torch.Generator().manual_seed(1))


def test_gradients_reach_every_parameter(clip: torch.Tensor) -> None:
    net = _net(drop_path_rate=0.0).train()
    net(clip).square().mean().backward()
    for name, p in net.named_parameters():
        assert p.grad is not None and bool(p.grad.abs().sum() > 0), name


def test_checkpointing_changes_nothing(clip: torch.Tensor) -> None:
    grads = []
    for use in (False, True):
        net = _net(use_checkpoint=use, drop_path_rate=0.3).train()
        torch.manual_seed(5)
        net(clip).square().mean().backward()
        grads.append([p.grad for p in net.parameters()])
    for a, b in zip(*grads, strict=True):
        torch.testing.assert_close(a, b)


def test_every_linear_is_called_as_a_module(clip: torch.Tensor) -> None:
    net = _net()
    called = set()
    linears = {name: m for name, m in net.named_modules() if isinstance(m, nn.Linear)}
    for name, m in linears.items():
        m.register_forward_hook(lambda *_, name=name: called.add(name))
    with torch.no_grad():
        net(clip)
    assert called == set(linears)
    assert {n.split(".")[-1] for n in called} == {"qkv", "proj", "fc1", "fc2", "reduction"}


def _in_place(net: SwinTransformer3D) -> None:
    with torch.no_grad():
        for m in net.modules():
            if isinstance(m, WindowAttention):
                m.relative_position_bias_table.mul_(3)


def _replace_data(net: SwinTransformer3D) -> None:
    """As moving averages do it after a training step; it leaves no trace on the parameter."""
    net.train()
    for m in net.modules():
        if isinstance(m, WindowAttention):
            m.relative_position_bias_table.data.mul_(3)
    net.eval()


def _load(net: SwinTransformer3D, assign: bool) -> None:
    net.load_state_dict(_net(seed=9).state_dict(), assign=assign)


@pytest.mark.parametrize(
    "change",
    [
        _in_place,
        lambda net: _load(net, assign=False),
        lambda net: _load(net, assign=True),
        lambda net: net.double().float(),
        _replace_data,
    ],
    ids=["in place", "load", "assign", "dtype", "data"],
)
def test_kept_bias_follows_the_table(change: Any, clip: torch.Tensor) -> None:
    net = _net()
    with torch.no_grad():
        net(clip)
        change(net)
        after = net(clip)
        fresh = _net()
        fresh.load_state_dict(net.state_dict())
        torch.testing.assert_close(after, fresh(clip), atol=0, rtol=0)


def test_kept_tensors_follow_the_size_and_stay_out_of_copies(clip: torch.Tensor) -> None:
    net = _net()
    with torch.inference_mode():
        first = net(clip)
        net(clip[:, :, :4, :20, :20])
        assert torch.equal(net(clip), first)
    twin = copy.deepcopy(net)
    assert all(m._bias is None for m in twin.modules() if isinstance(m, WindowAttention))
    assert twin.state_dict().keys() == net.state_dict().keys()


def test_tensors_kept_from_inference_mode_serve_a_backward_pass(clip: torch.Tensor) -> None:
    net, small = _net(clipped_bias_compat=False), clip[:, :, :4, :16, :16]
    with torch.inference_mode():
        net(small)
    net(small).sum().backward()


def test_batches_do_not_mix(clip: torch.Tensor) -> None:
    net = _net()
    with torch.no_grad():
        together = net(clip)
        alone = torch.cat([net(clip[:1]), net(clip[1:])])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-5)


def test_drop_path_grows_linearly_and_acts_in_training_only(clip: torch.Tensor) -> None:
    net = _net(drop_path_rate=0.3)
    rates = [m.rate for m in net.modules() if isinstance(m, DropPath)]
    assert rates == pytest.approx([0.0, 0.1, 0.2, 0.3])
    x = torch.ones(4000, 2)
    drop = DropPath(0.25)
    assert torch.equal(drop.eval()(x), x)
    dropped = drop.train()(x)
    assert dropped.unique().tolist() == pytest.approx([0.0, 4 / 3])
    assert float((dropped[:, 0] == 0).float().mean()) == pytest.approx(0.25, abs=0.03)
    assert torch.equal(dropped[:, 0], dropped[:, 1])


def test_frozen_stages_stay_frozen_in_training() -> None:
    net = _net(frozen_stages=1).train()
    assert not net.patch_embed.training and not net.layers[0].training and net.layers[1].training
    frozen = {
        n.split(".")[0] + n.split(".")[1] for n, p in net.named_parameters() if p.requires_grad
    }
    assert frozen == {"layers1", "normweight", "normbias"}


def test_dropout_options_act(clip: torch.Tensor) -> None:
    net = _net(drop_rate=0.5, attn_drop_rate=0.5, drop_path_rate=0.0)
    assert torch.equal(net(clip), net(clip))
    net.train()
    assert not torch.equal(net(clip), net(clip))


def test_initialisation() -> None:
    net = _net(embed_dim=32, num_heads=(2, 4))
    weights = [m.weight.detach() for m in net.modules() if isinstance(m, nn.Linear)]
    assert float(torch.cat([w.flatten() for w in weights]).std()) == pytest.approx(0.02, rel=0.03)
    assert all(not m.bias.any() for m in net.modules() if isinstance(m, nn.LayerNorm))


@pytest.mark.parametrize(
    "options", [{"num_heads": (3, 2)}, {"num_heads": (1,)}, {"window_size": (2, 3)}]
)
def test_options_that_do_not_fit_are_explained(options: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=r"num_heads|window_size"):
        _net(**options)


def test_bfloat16_autocast_is_close(clip: torch.Tensor) -> None:
    net = _net()
    with torch.no_grad():
        exact = net(clip)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            rough = net(clip)
    assert float((exact - rough.float()).abs().max()) < 0.1
    with torch.no_grad():
        assert torch.equal(net(clip), exact)


@pytest.mark.gpu
def test_cuda_agrees_with_cpu(clip: torch.Tensor) -> None:
    net = _net()
    with torch.no_grad():
        here = net(clip)
        there = net.cuda()(clip.cuda())
        torch.testing.assert_close(there.cpu(), here, atol=1e-3, rtol=1e-3)


@pytest.mark.slow
def test_compiles_without_graph_breaks(clip: torch.Tensor) -> None:
    net = _net()
    compiled = torch.compile(net, fullgraph=True, backend="eager")
    with torch.inference_mode():
        torch.testing.assert_close(compiled(clip), net(clip))
