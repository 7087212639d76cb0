"""Rows and seconds, uneven features, batches."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from actionspace.errors import DataError, StoreError
from actionspace.features.store import VideoFeatures
from actionspace.localization.data.sample import RowGrid, Sample, collate, make_sample


def features(
    n: int, stride: float = 4, window: float = 16, fps: float = 30, dim: int = 3
) -> VideoFeatures:
    start = np.arange(n) * stride
    values = np.random.default_rng(n).normal(size=(n, dim)).astype(np.float16)
    return VideoFeatures(values, np.stack([start, start + window], axis=1) / fps)


@given(
    st.integers(2, 3000), st.floats(1, 32), st.floats(1, 64), st.floats(5, 120),
    st.lists(st.floats(-10, 4000), min_size=1, max_size=5),
)  # fmt: skip
def test_seconds_to_rows_and_back(
    n: int, stride: float, window: float, fps: float, seconds: list[float]
) -> None:
    start = np.arange(n) * stride
    grid = RowGrid.of(np.stack([start, start + window], axis=1) / fps)
    given_ = np.array(seconds)
    rows = grid.to_rows(given_)
    # What the original computes: sec * fps / stride - 0.5 * num_frames / stride.
    np.testing.assert_allclose(
        rows, given_ * fps / stride - 0.5 * window / stride, rtol=1e-6, atol=1e-5
    )
    back = grid.to_seconds(torch.from_numpy(rows))
    np.testing.assert_allclose(back.numpy(), given_, rtol=1e-9, atol=1e-8)
    assert grid.offset == pytest.approx(0.5 * window / stride)
    part = grid.from_row(7)
    np.testing.assert_allclose(part.to_rows(given_), rows - 7, rtol=1e-6, atol=1e-6)
    assert part.offset == grid.offset


def test_rows_that_are_not_even_are_refused() -> None:
    found = features(20)
    gone = np.delete(found.times, slice(5, 9), axis=0)
    with pytest.raises(StoreError, match=r"'a\.mp4': its rows are not evenly spaced.*fps="):
        RowGrid.of(gone, "a.mp4")
    with pytest.raises(StoreError, match="has no rows"):
        RowGrid.of(np.zeros((0, 2)), "a.mp4")
    clamped = found.times.copy()
    clamped[-1, 1] -= 0.3  # our own last row stops at the end of the video
    assert RowGrid.of(clamped) == RowGrid.of(found.times)
    one = RowGrid.of(found.times[:1])
    assert (one.step, one.first) == (pytest.approx(16 / 30), pytest.approx(8 / 30))


def test_a_sample_is_float32_rows() -> None:
    sample = make_sample("a", features(5), np.array([[1.0, 2.0]]), np.array([3]), 9.0)
    assert sample.features.shape == (3, 5) and sample.features.dtype == torch.float32
    assert sample.segments.dtype == torch.float32 and sample.labels.dtype == torch.int64
    np.testing.assert_allclose(sample.segments, [[1 * 30 / 4 - 2, 2 * 30 / 4 - 2]], rtol=1e-6)
    empty = make_sample("a", features(1), np.zeros((0, 2)), np.zeros(0), float("nan"))
    assert empty.segments.shape == (0, 2) and len(empty) == 1
    views = VideoFeatures(np.zeros((5, 2, 3)), features(5).times)
    with pytest.raises(StoreError, match=r"shape \[5, 2, 3\].*one view"):
        make_sample("a", views, np.zeros((0, 2)), np.zeros(0), 1.0)


def test_a_batch_is_padded_as_the_network_says() -> None:
    def sample(n: int, events: int) -> Sample:
        times = np.tile([[1.0, 2.0]], (events, 1))
        return make_sample(f"v{n}", features(n), times, np.arange(events), 9.0)

    asked = []

    def padded(longest: int) -> int:
        asked.append(longest)
        return 12

    batch = collate([sample(5, 2), sample(9, 0)], padded)
    assert asked == [9] and batch.features.shape == (2, 3, 12)
    assert batch.mask.sum(dim=2).tolist() == [[5], [9]] and batch.mask[0, 0, :5].all()
    assert (batch.features[0, :, 5:] == 0).all()
    assert batch.truth.real.sum(dim=1).tolist() == [2, 0]
    assert batch.truth.labels[0].tolist() == [0, 1]
    assert (batch.videos, batch.durations) == (("v5", "v9"), (9.0, 9.0))
    with pytest.raises(DataError, match="does not fit"):
        collate([sample(5, 2)], lambda longest: 4)
