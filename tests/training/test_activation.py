"""Recomputed activations: the same numbers with less memory."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from actionspace.encoders.swin3d import SwinTransformer3D
from actionspace.training.activation import checkpoint_activations
from actionspace.training.freeze import freeze


class Block(nn.Module):
    """Linear, BatchNorm, dropout; counts how often it runs."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(16, 16)
        self.norm = nn.BatchNorm1d(16)
        self.drop = nn.Dropout(0.3)
        self.runs = 0

    def forward(self, x: Tensor, *, scale: float = 1.0) -> tuple[Tensor, int]:
        self.runs += 1
        return x + scale * self.drop(self.norm(self.linear(x)).relu()), 7


class Net(nn.Module):
    """A stem and blocks in two nested lists, and a list of single layers."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Linear(16, 16)
        stages = [nn.ModuleDict({"blocks": nn.ModuleList([Block(), Block()])}) for _ in range(2)]
        self.stages = nn.ModuleList(stages)
        self.heads = nn.ModuleList([nn.Linear(16, 2), nn.Linear(16, 3)])

    @property
    def blocks(self) -> list[Block]:
        return [m for m in self.modules() if isinstance(m, Block)]

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        for block in self.blocks:
            x, _ = block(x, scale=0.5)
        return torch.cat([head(x) for head in self.heads], 1)


def _pair() -> tuple[Net, Net]:
    torch.manual_seed(0)
    plain = Net()
    ours = copy.deepcopy(plain)
    assert checkpoint_activations(ours) == 4
    return plain, ours


def _remembered(model: nn.Module, x: Tensor) -> int:
    """Return the bytes that a forward pass keeps for the backward pass."""
    kept: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        model(x)
    own = {p.untyped_storage().data_ptr() for p in model.parameters()}
    return sum(size for pointer, size in kept.items() if pointer not in own)


def test_same_gradients_and_statistics_to_the_bit() -> None:
    plain, ours = _pair()
    x = torch.randn(8, 16)
    for model in (plain, ours):
        for step in range(2):
            torch.manual_seed(step)
            model(x).square().sum().backward()
    pairs = zip(plain.named_parameters(), ours.named_parameters(), strict=True)
    for (name, p), (other, q) in pairs:
        assert name == other
        assert p.grad is not None
        assert q.grad is not None
        assert torch.equal(p.grad, q.grad)
    theirs = plain.state_dict()
    assert list(theirs) == list(ours.state_dict())
    assert all(torch.equal(v, theirs[k]) for k, v in ours.state_dict().items())
    assert theirs["stages.0.blocks.0.norm.num_batches_tracked"] == 2
    assert [b.runs for b in plain.blocks + ours.blocks] == [2] * 4 + [4] * 4


def test_blocks_stay_what_they_are() -> None:
    _, ours = _pair()
    block = ours.blocks[0]
    assert isinstance(block, Block)
    assert type(block).__name__ == "Block"
    assert checkpoint_activations(ours) == 0  # a second time changes nothing
    twin = copy.deepcopy(ours)
    twin(torch.randn(4, 16)).sum().backward()
    assert block.linear.weight.grad is None


def test_runs_once_where_no_gradient_flows() -> None:
    _, ours = _pair()
    freeze(ours, keep=["stages.1", "heads"])
    ours(torch.randn(4, 16)).sum().backward()
    assert [b.runs for b in ours.blocks] == [1, 1, 2, 2]
    with torch.no_grad():
        ours(torch.randn(4, 16))
    assert [b.runs for b in ours.blocks] == [2, 2, 3, 3]
    freeze(ours)
    ours(torch.randn(4, 16, requires_grad=True)).sum().backward()  # it flows through, to the input
    assert [b.runs for b in ours.blocks] == [4, 4, 5, 5]


@pytest.mark.parametrize("own", [False, True])
def test_video_swin(own: bool) -> None:
    """Its blocks are found, unless they recompute their parts already."""
    torch.manual_seed(0)
    options = {"embed_dim": 8, "depths": (2, 2), "num_heads": (1, 2), "window_size": (2, 2, 2)}
    plain = SwinTransformer3D(**options, drop_path_rate=0.5)
    ours = SwinTransformer3D(**options, drop_path_rate=0.5, use_checkpoint=own)
    ours.load_state_dict(plain.state_dict())
    assert checkpoint_activations(ours) == (0 if own else 4)
    x = torch.randn(2, 3, 4, 16, 16)
    for model in (plain, ours):
        torch.manual_seed(1)
        model(x).square().sum().backward()
    for p, q in zip(plain.parameters(), ours.parameters(), strict=True):
        torch.testing.assert_close(p.grad, q.grad, rtol=0, atol=0)
    assert _remembered(ours, x) < 0.5 * _remembered(plain, x)
