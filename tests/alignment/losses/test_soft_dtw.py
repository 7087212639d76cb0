"""Soft-DTW against the plain double loop, and its limits."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from actionspace.alignment.losses.soft_dtw import soft_dtw


def by_loops(cost: Tensor, gamma: float) -> float:
    rows, columns = cost.shape
    reached = [[math.inf] * (columns + 1) for _ in range(rows + 1)]
    reached[0][0] = 0.0
    for i in range(rows):
        for j in range(columns):
            before = (reached[i][j], reached[i][j + 1], reached[i + 1][j])
            least = min(before)
            if gamma:
                least -= gamma * math.log(sum(math.exp(-(b - least) / gamma) for b in before))
            reached[i + 1][j + 1] = float(cost[i, j]) + least
    return reached[rows][columns]


def paths(rows: int, columns: int) -> int:
    """Warping paths through a matrix: the Delannoy numbers."""
    return sum(
        math.comb(rows - 1, k) * math.comb(columns - 1, k) * 2**k for k in range(min(rows, columns))
    )


@settings(max_examples=40, deadline=None)
@given(
    rows=st.integers(1, 9),
    columns=st.integers(1, 9),
    gamma=st.sampled_from([0.0, 0.01, 0.1, 1.0, 10.0]),
    seed=st.integers(0, 10**6),
)
def test_is_the_recurrence(rows: int, columns: int, gamma: float, seed: int) -> None:
    make = torch.Generator().manual_seed(seed)
    cost = torch.rand(2, rows, columns, generator=make, dtype=torch.float64)
    found = soft_dtw(cost, gamma)
    assert found.tolist() == pytest.approx([by_loops(c, gamma) for c in cost], abs=1e-9)
    hard = soft_dtw(cost, 0)
    below = gamma * math.log(paths(rows, columns))
    assert (found <= hard + 1e-9).all() and (found >= hard - below - 1e-9).all()


def test_nears_plain_warping() -> None:
    cost = torch.rand(3, 12, 15, dtype=torch.float64)
    torch.testing.assert_close(soft_dtw(cost, 1e-5), soft_dtw(cost, 0), rtol=0, atol=1e-3)


def test_of_equal_videos_plain_warping_is_free() -> None:
    points = torch.rand(1, 20, 3, dtype=torch.float64)
    cost = torch.cdist(points, points.repeat_interleave(3, dim=1)) ** 2
    assert soft_dtw(cost, 0).item() == pytest.approx(0, abs=1e-12)


def test_padding_is_left_out() -> None:
    cost = torch.rand(3, 7, 9, dtype=torch.float64)
    lengths = torch.tensor([[7, 9], [3, 5], [0, 4]])
    found = soft_dtw(cost, 0.1, lengths)
    alone = [
        soft_dtw(c[None, :n, :m], 0.1).item() for c, (n, m) in zip(cost, lengths, strict=True) if n
    ]
    assert found.tolist() == pytest.approx([*alone, 0.0])


@pytest.mark.parametrize("gamma", [0.0, 0.1])
def test_gradients(gamma: float) -> None:
    cost = torch.rand(3, 5, 6, dtype=torch.float64, requires_grad=True)
    lengths = torch.tensor([[5, 6], [2, 3], [0, 0]])
    assert torch.autograd.gradcheck(lambda c: soft_dtw(c, gamma, lengths), cost)


def test_gradients_of_the_limit_mark_the_path() -> None:
    cost = torch.rand(1, 6, 8, dtype=torch.float64, requires_grad=True)
    soft_dtw(cost, 0).sum().backward()
    assert cost.grad is not None
    assert set(cost.grad.flatten().tolist()) == {0.0, 1.0}
    assert cost.grad[0, 0, 0] == cost.grad[0, -1, -1] == 1
