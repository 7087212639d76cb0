"""Banded and global attention against a dense softmax."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from actionspace.localization.network.attention import Attention, banded_attention, global_attention
from actionspace.localization.network.switches import Switches


def dense(
    query: Tensor, key: Tensor, value: Tensor, mask: Tensor, half: int, bias: Tensor | None
) -> Tensor:
    """As the sheet says it: -1e4 on padded keys, -inf outside the band, padded queries zero."""
    time = query.shape[2]
    offset = torch.arange(time) - torch.arange(time)[:, None]
    scores = query @ key.mT / query.shape[-1] ** 0.5
    if bias is not None:
        scores = scores + bias[:, (offset + half).clamp(0, 2 * half)]
    scores = scores - 1e4 * (~mask)[:, None, None, :]
    scores = scores.masked_fill(offset.abs() > half, float("-inf"))
    return scores.softmax(-1) * mask[:, None, :, None] @ value


@settings(max_examples=40)
@given(
    time=st.integers(1, 90),
    half=st.integers(1, 40),
    cut=st.integers(0, 89),
    biased=st.booleans(),
    seed=st.integers(0, 99),
)
def test_banded_is_a_dense_softmax_with_a_band(
    time: int, half: int, cut: int, biased: bool, seed: int
) -> None:
    draw = torch.Generator().manual_seed(seed)
    query, key, value = torch.randn(3, 2, 2, time, 4, generator=draw).unbind()
    mask = torch.arange(time).expand(2, -1) < torch.tensor([[time], [max(1, time - cut)]])
    bias = torch.randn(2, 2 * half + 1, generator=draw) if biased else None
    expected = dense(query, key, value, mask, half, bias)
    got = banded_attention(query, key, value, mask, half, bias)
    assert got.isfinite().all()
    torch.testing.assert_close(got * mask[:, None, :, None], expected, rtol=1e-5, atol=1e-5)


def test_gradients_of_banded_attention() -> None:
    torch.manual_seed(0)
    query, key, value = torch.randn(3, 1, 2, 70, 4)
    mask = (torch.arange(70) < 51)[None]
    bias = torch.randn(2, 9)
    inputs = [t.clone().requires_grad_() for t in (query, key, value, bias)]
    others = [t.clone().requires_grad_() for t in (query, key, value, bias)]
    weight = torch.randn(1, 2, 70, 4) * mask[:, None, :, None]
    (banded_attention(*inputs[:3], mask, 4, inputs[3]) * weight).sum().backward()
    (dense(*others[:3], mask, 4, others[3]) * weight).sum().backward()
    for one, other in zip(inputs, others, strict=True):
        assert one.grad is not None and other.grad is not None
        torch.testing.assert_close(one.grad, other.grad, rtol=1e-4, atol=1e-5)


def test_a_video_of_padding_only_between_others_is_finite() -> None:
    query = torch.randn(2, 1, 40, 4, requires_grad=True)
    mask = torch.ones(2, 40, dtype=torch.bool)
    mask[1, 1:] = False
    banded_attention(query, query, query, mask, 3).sum().backward()
    assert query.grad is not None and query.grad.isfinite().all()


def test_global_attention_sees_valid_keys_only() -> None:
    torch.manual_seed(0)
    query, key, value = torch.randn(3, 2, 2, 12, 4)
    mask = torch.arange(12) < torch.tensor([[12], [7]])
    got = global_attention(query, key, value, mask)
    alone = global_attention(query[1:], key[1:, :, :7], value[1:, :, :7], mask[1:, :7])
    torch.testing.assert_close(got[1:], alone)


@pytest.mark.parametrize("window", [-1, 5])
@pytest.mark.parametrize("stride", [1, 2, 4])
def test_shapes_and_masks(window: int, stride: int) -> None:
    attention = Attention(8, 2, stride=stride, window=window)
    mask = torch.arange(24) < torch.tensor([[24], [9]])
    out, coarse = attention(torch.randn(2, 24, 8), mask)
    assert out.shape == (2, 24 // stride, 8)
    assert torch.equal(coarse, mask[:, ::stride])
    assert not out[~coarse].any() and out[coarse].any()
    assert attention.query_conv.conv.kernel_size == ((3,) if stride == 1 else (stride + 1,))


def test_relative_bias_starts_small_and_learns() -> None:
    torch.manual_seed(0)
    attention = Attention(32, 2, window=5, switches=Switches(relative=True))
    assert attention.rel_pe is not None and attention.rel_pe.shape == (1, 1, 2, 5)
    assert 0 < attention.rel_pe.abs().max() < 2
    attention(torch.randn(1, 20, 32), torch.ones(1, 20, dtype=torch.bool))[0].sum().backward()
    assert attention.rel_pe.grad is not None and attention.rel_pe.grad.any()
    assert Attention(32, 2, window=-1, switches=Switches(relative=True)).rel_pe is None
