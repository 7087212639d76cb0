"""Random windows keep what they say; every draw is a function of its random numbers."""

from __future__ import annotations

import random

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from actionspace.localization.data.truncate import Truncation, keep_inside, truncate


@st.composite
def videos(draw: st.DrawFn) -> tuple[int, Tensor]:
    length = draw(st.integers(1, 80))
    starts = draw(st.lists(st.floats(-2, length + 2), max_size=4))
    spans = [(s, s + draw(st.floats(0.1, 20))) for s in starts]
    return length, torch.tensor(spans, dtype=torch.float32).reshape(-1, 2)


@given(videos(), st.integers(1, 40), st.floats(0, 1), st.booleans(), st.integers(0, 99))
def test_a_window_keeps_what_it_says(
    video: tuple[int, Tensor], most: int, threshold: float, crop: bool, seed: int
) -> None:
    length, segments = video
    how = Truncation(most, threshold, (0.5, 1.0) if crop else None)
    offset = 0.5
    window = truncate(length, segments, offset, how, random.Random(seed).randint)
    size = window.stop - window.start
    assert 0 <= window.start < window.stop <= length
    assert size <= max(most, 1) and (size == length or crop or length > most)
    if size == length:
        assert torch.equal(window.segments, segments)
        return
    low, high = -offset, size + offset
    before = segments[window.kept]
    inside = window.segments + window.start
    assert (window.segments[:, 0] >= low - 1e-4).all() and (
        window.segments[:, 1] <= high + 1e-4
    ).all()
    share = (inside[:, 1] - inside[:, 0]) / (before[:, 1] - before[:, 0])
    assert (share >= threshold - 1e-4).all()
    others = [i for i in range(len(segments)) if i not in window.kept.tolist()]
    for start, end in segments[others].tolist():
        left, right = max(start, window.start - offset), min(end, window.stop + offset)
        assert max(right - left, 0) / (end - start) < max(threshold, 0) + 1e-4
    again = truncate(length, segments, offset, how, random.Random(seed).randint)
    assert (again.start, again.stop) == (window.start, window.stop)


def test_windows_are_drawn_until_one_has_a_segment() -> None:
    starts = iter([0, 10, 80, 85])
    window = truncate(
        100, torch.tensor([[85.0, 90.0]]), 0, Truncation(10), lambda low, high: next(starts)
    )
    assert (window.start, window.segments.tolist()) == (80, [[5.0, 10.0]])
    starts = iter(range(0, 200))
    nowhere = truncate(
        500,
        torch.tensor([[490.0, 499.0]]),
        0,
        Truncation(10, tries=7),
        lambda low, high: next(starts),
    )
    assert nowhere.start == 6 and len(nowhere.segments) == 0
    once = truncate(50, torch.zeros(0, 2), 0, Truncation(10), lambda low, high: high)
    assert (once.start, once.stop) == (40, 50)


def test_whole_segments_only() -> None:
    starts = iter([3, 0])
    segments = torch.tensor([[1.0, 9.0]])
    window = truncate(40, segments, 0, Truncation(10, whole=True), lambda low, high: next(starts))
    assert window.start == 0 and torch.equal(window.segments, segments)


def test_a_crop_asks_for_the_original_s_numbers() -> None:
    asked = []

    def randint(low: int, high: int) -> int:
        asked.append((low, high))
        return low

    truncate(25, torch.zeros(0, 2), 0, Truncation(100, crop_ratio=(0.9, 1.0)), randint)
    assert asked == [(22, 25), (0, 3)]  # round(22.5) is 22: Python rounds half to even
    asked.clear()
    truncate(25, torch.zeros(0, 2), 0, Truncation(100, crop_ratio=None), randint)
    assert asked == []


def test_a_window_is_as_long_as_its_rows_if_told() -> None:
    """As in TriDet: rows see nothing beyond."""
    segments = torch.tensor([[0.0, 11.0], [12.5, 20.0]])

    def drawn(enlarged: bool) -> list[list[float]]:
        how = Truncation(10, threshold=0.1, enlarged=enlarged)
        return truncate(40, segments, 2.0, how, lambda low, high: 3).segments.tolist()

    assert drawn(True) == [[-2.0, 8.0], [9.5, 12.0]]
    assert drawn(False) == [[0.0, 8.0]]  # of the other one less than a tenth is inside


def test_segments_at_the_end_of_the_features() -> None:
    segments = torch.tensor([[1.0, 5.0], [8.0, 12.0], [9.9, 30.0], [10.5, 12.0]])
    kept, which = keep_inside(segments, 10.5, 0.5)
    assert which.tolist() == [0, 1] and kept.tolist() == [[1.0, 5.0], [8.0, 10.5]]
    assert keep_inside(segments, 10.5, 0.0)[1].tolist() == [0, 1, 2]
