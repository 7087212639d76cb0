"""Window geometry against its definition, spelled out token by token."""

from __future__ import annotations

import itertools
from typing import Any

import hypothesis.strategies as st
import torch
from hypothesis import given, settings

from actionspace.encoders.windows import (
    MASKED,
    clipped_index,
    merge,
    partition,
    plan_windows,
    relative_index,
    shift_mask,
)

sizes = st.tuples(st.integers(1, 7), st.integers(1, 9), st.integers(1, 9))
windows = st.tuples(st.integers(1, 4), st.integers(1, 4), st.integers(1, 4))


def _half(window: Any) -> Any:
    return tuple(w // 2 for w in window)


@settings(max_examples=30, deadline=None)
@given(sizes, windows)
def test_merge_undoes_partition(size: Any, window: Any) -> None:
    x = torch.randn(2, *size, 3)
    for shift in ((0, 0, 0), _half(window)):
        plan = plan_windows(size, window, shift)
        cut = partition(x, plan)
        assert cut.shape[1:] == (plan.window[0] * plan.window[1] * plan.window[2], 3)
        assert torch.equal(merge(cut, plan), x)


@settings(max_examples=30, deadline=None)
@given(sizes, windows)
def test_mask_separates_what_the_shift_brought_together(size: Any, window: Any) -> None:
    plan = plan_windows(size, window, _half(window))
    mask = shift_mask(plan, torch.device("cpu"), torch.float32)
    if not plan.shifted:
        assert mask is None
        return
    # Slices as the paper's code takes them; an axis that is not shifted has [-0:] = everything.
    ids = torch.zeros(plan.padded)
    axes = [
        (slice(0, -w), slice(-w, -s), slice(-s, None)) if s else (slice(None),)
        for w, s in zip(plan.window, plan.shift, strict=True)
    ]
    for n, (d, h, w) in enumerate(itertools.product(*axes)):
        ids[d, h, w] = n
    still = plan_windows(plan.padded, plan.window, (0, 0, 0))
    cut = partition(ids[None, ..., None], still).squeeze(-1)
    expected = (cut[:, :, None] != cut[:, None, :]) * MASKED
    assert mask is not None and torch.equal(mask, expected)


def test_an_axis_of_one_window_is_not_shifted() -> None:
    plan = plan_windows((16, 7, 5), (8, 7, 7), (4, 3, 3))
    assert plan.window == (8, 7, 5)
    assert plan.shift == (4, 0, 0)
    assert plan.padded == (16, 7, 5)


@settings(max_examples=30, deadline=None)
@given(windows, st.data())
def test_index_is_a_function_of_the_offset(full: Any, data: Any) -> None:
    window = tuple(data.draw(st.integers(1, n)) for n in full)
    index = clipped_index(relative_index(full), full, window, compat=False)
    tokens = list(itertools.product(*(range(n) for n in window)))
    for (i, a), (j, b) in itertools.product(enumerate(tokens), repeat=2):
        row = 0
        for x, y, n in zip(a, b, full, strict=True):
            row = row * (2 * n - 1) + x - y + n - 1
        assert index[i, j] == row


def test_compat_differs_only_where_space_is_clipped() -> None:
    full = (4, 3, 3)
    index = relative_index(full)
    for window, same in (((2, 3, 3), True), ((4, 2, 3), False), ((4, 3, 3), True)):
        right = clipped_index(index, full, window, compat=False)
        assert torch.equal(clipped_index(index, full, window, compat=True), right) is same
