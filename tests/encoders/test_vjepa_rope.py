"""Positions and rotary tables of V-JEPA 2 and 2.1."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from actionspace.encoders.vjepa_rope import rotary_table, rotate, token_positions, trained_span
from actionspace.encoders.vjepa_sincos import fit_table, sincos_table
from actionspace.errors import UsageError

SIDES = st.integers(1, 6)


@given(SIDES, SIDES, SIDES)
def test_numbers_count_columns_then_rows_then_times(t: int, h: int, w: int) -> None:
    expected = np.stack(np.unravel_index(np.arange(t * h * w), (t, h, w)), axis=1)
    got = token_positions(torch.arange(t * h * w), (h, w))
    assert got.dtype == torch.float32
    np.testing.assert_array_equal(got.numpy(), expected)


@given(SIDES, SIDES)
def test_a_span_stretches_rows_and_columns(h: int, w: int) -> None:
    got = token_positions(torch.arange(2 * h * w), (h, w), span=15)
    assert got[:, 0].tolist() == [0.0] * h * w + [1.0] * h * w
    ends = [0.0 if h == 1 else 15.0, 0.0 if w == 1 else 15.0]  # not NaN in a single row
    assert got[-1, 1:].tolist() == ends and got[0, 1:].tolist() == [0.0, 0.0]


def test_span_of_the_patch_sizes() -> None:
    assert trained_span(16) == 15 and trained_span(14) == 17
    with pytest.raises(UsageError, match="not 8; switch it off"):
        trained_span(8)


def test_every_frequency_of_every_axis() -> None:
    """Channel by channel, of a head of 32: 10 for each axis and 2 left alone."""
    positions = torch.tensor([[3.0, 5.0, 7.0]])
    for interleaved in (False, True):
        cos, sin = rotary_table(positions, 32, interleaved=interleaved)
        assert cos.shape == sin.shape == (1, 1, 1, 32)
        for channel in range(30):
            axis, j = divmod(channel, 10)
            k = j // 2 if interleaved else j % 5
            angle = float(positions[0, axis]) * 10000 ** (-k / 5)
            assert float(sin[..., channel]) == pytest.approx(np.sin(angle), abs=1e-6)
            assert float(cos[..., channel]) == pytest.approx(np.cos(angle), abs=1e-6)
        assert cos[..., 30:].tolist() == [[[[1.0, 1.0]]]] and not sin[..., 30:].any()


@pytest.mark.parametrize("head_dim", [1, 4, 6, 9, 15, 16, 64])
def test_pairs_turn_and_the_rest_stays(head_dim: int) -> None:
    x = torch.randn(2, 3, 4, head_dim)
    table = rotary_table(token_positions(torch.arange(8, 12), (2, 2)), head_dim, interleaved=True)
    y = rotate(x, table)
    rotated = 3 * (2 * (head_dim // 3 // 2))
    assert torch.equal(y[..., rotated:], x[..., rotated:])
    pairs = [v[..., :rotated].unflatten(-1, (-1, 2)).norm(dim=-1) for v in (x, y)]
    torch.testing.assert_close(*pairs)
    if rotated:
        assert not torch.allclose(x, y)


def test_interleaved_attention_sees_only_differences_of_positions() -> None:
    """What a rotary position is for; that of 2.0 is not one."""
    q, k = torch.randn(1, 1, 1, 12), torch.randn(1, 1, 1, 12)
    here, there, by = torch.randn(1, 3), torch.randn(1, 3), torch.randn(1, 3)

    def product(interleaved: bool, shift: torch.Tensor) -> float:
        tables = [rotary_table(p + shift, 12, interleaved=interleaved) for p in (here, there)]
        return float((rotate(q, tables[0]) * rotate(k, tables[1])).sum())

    assert product(True, by) == pytest.approx(product(True, 0 * by), abs=1e-4)
    assert abs(product(False, by) - product(False, 0 * by)) > 1e-3


def test_half_precision_tokens_keep_full_precision_tables() -> None:
    positions = token_positions(torch.arange(2000, 2004), (1, 1))
    table = rotary_table(positions, 16, interleaved=True)
    assert table[0].dtype == torch.float32
    x = torch.ones(1, 1, 4, 16)
    y = rotate(x.bfloat16(), table)
    assert y.dtype == torch.bfloat16
    torch.testing.assert_close(y.float(), rotate(x, table), atol=1e-2, rtol=1e-2)


def test_fixed_table_of_other_clips() -> None:
    table = sincos_table(32, (4, 4, 4))
    assert table.shape == (1, 64, 32) and table.dtype == torch.float32
    assert fit_table(table, (4, 4, 4), (4, 4, 4)) is table
    assert torch.equal(fit_table(table, (4, 4, 4), (2, 4, 4)), table[:, :32])
    assert fit_table(table, (4, 4, 4), (3, 5, 2)).shape == (1, 30, 32)
    picture = sincos_table(16, (1, 3, 3))
    assert fit_table(picture, (1, 3, 3), (1, 4, 2)).shape == (1, 8, 16)
    assert len(torch.unique(picture[0], dim=0)) == 9
    assert sincos_table(20, (2, 2, 2), uniform=True).shape == (1, 8, 20)
