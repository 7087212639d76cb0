"""Positions, attention, embedders: what holds whatever the weights."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from actionspace.alignment.network.config import NetworkConfig
from actionspace.alignment.network.embedder import (
    ConvEmbedder,
    TransformerEmbedder,
    VanillaEmbedder,
    visible,
)
from actionspace.alignment.network.encoder import TemporalEncoder
from actionspace.alignment.network.positions import places, sinusoids

TINY: dict[str, Any] = {
    "fc": (8, 6),
    "fc_dropout": 0,
    "hidden_dim": 12,
    "layers": 2,
    "heads": 3,
    "feed_forward_dim": 10,
    "dropout": 0,
    "train_frames": 10,
    "embedding_dim": 5,
}


def config(**fields: Any) -> NetworkConfig:
    return NetworkConfig(**TINY | fields)


@given(st.integers(2, 60), st.integers(2, 60))
def test_stretched_clips_keep_their_ends(length: int, train_length: int) -> None:
    where = places(length, train_length)
    assert (where[0], where[-1]) == (0, train_length - 1)
    steps = where.diff()
    torch.testing.assert_close(steps, torch.full_like(steps, (train_length - 1) / (length - 1)))
    assert torch.equal(places(length), torch.arange(float(length)).double())
    assert places(1, train_length).tolist() == [0]


def test_every_column_has_a_frequency_of_its_own() -> None:
    table = sinusoids(torch.tensor([3.0], dtype=torch.float64), 4)[0]
    want = [
        f(torch.tensor(3 / 10_000 ** (k / 4), dtype=torch.float64))
        for k, f in enumerate([torch.sin, torch.cos, torch.sin, torch.cos])
    ]
    torch.testing.assert_close(table, torch.stack(want))


def test_positions_can_be_left_out() -> None:
    """Without them the same frames in another order have the same embeddings."""
    torch.manual_seed(0)
    x, order = torch.randn(1, 7, 4), torch.randperm(7)
    for kind, blind in (("stretched", False), ("index", False), ("none", True)):
        module = TransformerEmbedder(config(positions=kind), 4).eval()
        same = torch.allclose(module(x)[:, order], module(x[:, order]), atol=1e-5)
        assert same is blind


def test_index_and_stretched_agree_at_the_length_of_training() -> None:
    module = TransformerEmbedder(config(), 4).eval()
    other = TransformerEmbedder(config(positions="index"), 4).eval()
    other.load_state_dict(module.state_dict())
    x = torch.randn(1, 10, 4)
    assert torch.equal(module(x), other(x))
    assert not torch.allclose(module(x[:, :6]), other(x[:, :6]))


def test_padding_is_not_looked_at() -> None:
    module = TransformerEmbedder(config(), 4).eval()
    x, mask = torch.randn(2, 10, 4), torch.ones(2, 10)
    mask[1, 6:] = 0
    changed = x.clone()
    changed[1, 6:] += 1
    before, after = module(x, mask), module(changed, mask)
    assert torch.equal(before[0], after[0]) and torch.equal(before[1, :6], after[1, :6])
    assert not torch.allclose(module(x), module(changed))
    assert torch.equal(module(x, mask > 0), before)


def test_a_row_of_padding_alone_is_finite() -> None:
    module = TransformerEmbedder(config(), 4).train()
    x, mask = torch.randn(2, 10, 4, requires_grad=True), torch.ones(2, 10)
    mask[1] = 0
    out = module(x, mask)
    out.sum().backward()
    assert x.grad is not None and out.isfinite().all() and x.grad.isfinite().all()
    torch.testing.assert_close(out[0], module(x)[0])


def test_attention_maps() -> None:
    module = TransformerEmbedder(config(layers=3), 4).eval()
    mask = torch.ones(2, 10)
    mask[0, 7:] = 0
    maps = module.attention(torch.randn(2, 10, 4), mask)
    assert len(maps) == 3
    for one in maps:
        torch.testing.assert_close(one.sum(-1), torch.ones(2, 10))
        assert not one[0, :, 7:].any() and one[1].all()


@pytest.mark.parametrize("compat,alike", [("carl", True), ("none", False)])
def test_layers_begin_alike_in_the_original(compat: str, alike: bool) -> None:
    encoder = TemporalEncoder(config(compat=compat, layers=3))
    first, *others = [layer.state_dict() for layer in encoder.enc_layers]
    name = "self_att.linear_Q2d.weight"
    assert all(torch.equal(first[name], other[name]) is alike for other in others)


def test_visible() -> None:
    mask = torch.tensor([[1.0, 0.0], [0.0, 0.0]])
    seen = visible(mask)
    assert seen is not None and seen.shape == (2, 1, 1, 2)
    assert seen.flatten(1).tolist() == [[True, False], [True, True]]
    assert visible(None) is None


def test_contexts_are_those_of_a_frame() -> None:
    """A frame's embedding changes with its own contexts only."""
    torch.manual_seed(0)
    conv = [{"channels": 4, "kernel": 3, "time_padding": 1}]
    for make in (ConvEmbedder, VanillaEmbedder):
        module = make(config(embedder="vanilla", contexts=3, conv=conv), 4).eval()
        x = torch.randn(2, 6, 4, 5, 5)
        changed = x.clone()
        changed[:, 4] += 5  # a context of the second frame
        before, after = module(x), module(changed)
        assert before.shape == (2, 2, 5) and torch.equal(before[:, 0], after[:, 0])
        assert not torch.allclose(before[:, 1], after[:, 1])


def test_vanilla_takes_features() -> None:
    module = VanillaEmbedder(config(embedder="vanilla", contexts=2), 4).eval()
    maps = torch.randn(2, 6, 4, 3, 3)
    torch.testing.assert_close(module(maps), module(maps.amax((3, 4))))
