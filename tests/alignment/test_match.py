from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actionspace.alignment.match import (
    accumulate,
    align,
    expected_partners,
    nearest,
    soft_alignment,
    warp,
)
from actionspace.errors import DataError, UsageError


def by_hand(cost: np.ndarray) -> tuple[np.ndarray, list[tuple[int, int]]]:
    """The double loop, and its path read from the end: diagonal before up before left."""
    n, m = cost.shape
    table = np.full((n + 1, m + 1), np.inf)
    table[0, 0] = 0
    for i in range(n):
        for j in range(m):
            table[i + 1, j + 1] = cost[i, j] + min(table[i, j], table[i, j + 1], table[i + 1, j])
    i, j = n - 1, m - 1
    path = [(i, j)]
    while i or j:
        step = int(np.argmin((table[i, j], table[i, j + 1], table[i + 1, j])))
        i, j = i - (step != 2), j - (step != 1)
        path.append((i, j))
    return table[1:, 1:], path[::-1]


@given(st.integers(0, 10_000), st.integers(1, 12), st.integers(1, 12), st.booleans())
@settings(max_examples=80)
def test_equal_to_the_double_loop(seed: int, n: int, m: int, ties: bool) -> None:
    rng = np.random.default_rng(seed)
    cost = rng.integers(0, 3, (n, m)) / 3 if ties else rng.random((n, m))
    table, path = by_hand(cost)
    found = warp(cost)
    np.testing.assert_array_equal(accumulate(cost), table)
    assert list(zip(found.query.tolist(), found.candidate.tolist(), strict=True)) == path
    assert found.cost == table[-1, -1]
    assert len(found.partners()) == n
    assert (np.diff(found.partners()) >= 0).all()


@given(st.integers(0, 10_000), st.integers(1, 8), st.integers(1, 8))
@settings(max_examples=30)
def test_soft_alignment_is_the_gradient_of_soft_dtw(seed: int, n: int, m: int) -> None:
    rng, gamma, step = np.random.default_rng(seed), 0.5, 1e-5
    cost = rng.random((n, m))

    def soft_dtw(cost: np.ndarray) -> float:
        table = np.full((n + 1, m + 1), np.inf)
        table[0, 0] = 0
        for i in range(n):
            for j in range(m):
                before = np.array([table[i, j], table[i, j + 1], table[i + 1, j]])
                table[i + 1, j + 1] = cost[i, j] - gamma * np.log(np.exp(-before / gamma).sum())
        return float(table[n, m])

    share = soft_alignment(cost, gamma)
    i, j = int(rng.integers(n)), int(rng.integers(m))
    changed = cost.copy()
    changed[i, j] += step
    assert share[i, j] == pytest.approx((soft_dtw(changed) - soft_dtw(cost)) / step, abs=1e-4)
    assert share[0, 0] == pytest.approx(1)
    assert share[-1, -1] == pytest.approx(1)


def test_soft_alignment_becomes_the_path() -> None:
    cost = np.random.default_rng(3).random((9, 7))
    path, share = warp(cost), soft_alignment(cost, 1e-3)
    hard = np.zeros((9, 7))
    hard[path.query, path.candidate] = 1
    np.testing.assert_allclose(share, hard, atol=1e-6)
    np.testing.assert_allclose(expected_partners(np.eye(3)), [0, 1, 2])


@pytest.mark.parametrize("method", ["nearest", "dtw", "soft_dtw"])
def test_finds_the_moments_of_a_slower_video(method: str) -> None:
    times = np.linspace(0, 1, 20)
    fast = np.column_stack([np.cos(3 * times), np.sin(3 * times)])
    slow = np.repeat(fast, 3, axis=0)
    found = align(fast, slow, method, gamma=1e-3)  # type: ignore[arg-type]
    assert (found // 3 == np.arange(20)).all()


@pytest.mark.parametrize("method", ["nearest", "dtw", "soft_dtw"])
def test_videos_of_one_frame(method: str) -> None:
    one, many = np.ones((1, 2)), np.random.default_rng(0).random((5, 2))
    assert align(one, many, method).shape == (1,)  # type: ignore[arg-type]
    assert align(many, one, method).tolist() == [0] * 5  # type: ignore[arg-type]


def test_nearest_ignores_time() -> None:
    assert nearest([[2.0], [0.0], [2.0]], [[0.0], [2.0], [2.0]]).tolist() == [1, 0, 1]


def test_refusals() -> None:
    with pytest.raises(UsageError, match="method"):
        align(np.ones((2, 1)), np.ones((2, 1)), "fft")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="cannot be measured"):
        align(np.ones((2, 1)), np.ones((2, 1)), distance="nearness")
    with pytest.raises(UsageError, match="gamma"):
        soft_alignment(np.ones((2, 2)), 0)
    with pytest.raises(DataError, match="finite"):
        warp([[1.0, np.nan]])
    with pytest.raises(DataError, match="finite"):
        warp(np.ones((0, 2)))
