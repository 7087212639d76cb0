"""Properties of the samplers; their exact values are in tests/golden."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from actionspace.video import sample

total = st.integers(1, 500)
frames = st.integers(1, 40)
stride = st.integers(1, 6)


@given(total, frames, stride, st.integers(0, 600), st.sampled_from(["loop", "repeat_last"]))
def test_indices_lie_in_the_video(n: int, length: int, step: int, offset: int, how: str) -> None:
    indices = sample.clip_indices(offset, length, step, n, how)  # type: ignore[arg-type]
    assert len(indices) == length and indices.dtype == np.int64
    assert (indices >= 0).all() and (indices < n).all()
    inside = offset + np.arange(length) * step
    assert (indices[inside < n] == inside[inside < n]).all()


@given(total, frames, stride, st.integers(1, 10), st.integers(0, 1000))
def test_offsets_leave_room_for_the_clip(n: int, f: int, s: int, clips: int, seed: int) -> None:
    room = max(0, n - f * s + 1)
    spread = sample.test_offsets(n, f, s, clips)
    drawn = sample.train_offsets(n, f, s, np.random.default_rng(seed), clips)
    for offsets in (spread, drawn):
        assert len(offsets) == clips and (np.diff(offsets) >= 0).all() and (offsets >= 0).all()
        # with fewer places than clips the original spreads them one too far, and wraps round
        assert (offsets < max(1, room) + (room < clips)).all()


@given(total, frames, st.integers(0, 1000))
def test_segments_are_one_frame_each_in_order(n: int, length: int, seed: int) -> None:
    for rng in (None, np.random.default_rng(seed)):
        indices = sample.segment_indices(n, length, rng)
        assert len(indices) == length and (np.diff(indices) >= 0).all()
        assert (indices >= 0).all() and (indices < n).all()


@given(total, frames, stride, st.integers(1, 50))
def test_dense_windows_cover_the_video_without_a_spare_one(
    n: int, f: int, s: int, hop: int
) -> None:
    starts = sample.dense_windows(n, f, s, hop)
    span = f * s
    assert (starts == np.arange(len(starts)) * hop).all()
    assert starts[-1] < n
    assert hop > span or starts[-1] + span >= n  # the end is reached
    assert len(starts) == 1 or starts[-2] + span < n  # and was not before


@given(total, frames)
def test_spread_frames_reach_from_first_to_last(n: int, length: int) -> None:
    indices = sample.spread_indices(n, length)
    assert len(indices) == length and indices[0] == 0 and (np.diff(indices) >= 0).all()
    assert indices[-1] == (n - 1 if length > 1 else 0)
    exact = np.arange(length) * (n - 1) / max(length - 1, 1)
    assert (np.abs(exact - indices - 0.5) < 0.501).all()  # rounded down
    kept = sample.spread_indices(n, length, short="repeat_last")
    expected = indices if n >= length else np.minimum(np.arange(length), n - 1)
    assert (kept == expected).all() and kept.dtype == np.int64
