"""Windows cover a video; what lies well inside one is found once or twice, never lost."""

from __future__ import annotations

import itertools

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from actionspace.events.nms_videos import Detections
from actionspace.localization.detection.windows import merge, plan


@given(st.integers(1, 2000), st.integers(8, 300), st.floats(0, 0.8), st.sampled_from([1, 2, 4]))
def test_windows_cover_everything(length: int, window: int, share: float, multiple: int) -> None:
    overlap = int(share * (window - multiple))
    windows = plan(length, window, overlap, multiple)
    assert windows[0][0] == 0 and windows[-1][1] == length
    assert all(0 < end - start <= window and start % multiple == 0 for start, end in windows)
    for (_, end), (start, _) in itertools.pairwise(windows):
        assert end - start >= overlap
    if length <= window:
        assert windows == [(0, length)]


def test_windows_that_would_not_get_on() -> None:
    with pytest.raises(ValueError, match="cannot overlap by 60"):
        plan(100, 64, 60, 8)


@given(st.integers(60, 400), st.data())
def test_nothing_is_lost_and_little_is_doubled(length: int, data: st.DataObject) -> None:
    windows = plan(length, 50, 20)
    centre = data.draw(st.floats(0, length))
    jitter = data.draw(st.lists(st.floats(-4, 4), min_size=len(windows), max_size=len(windows)))
    found = []
    for (start, end), wrong in zip(windows, jitter, strict=True):
        seen = start <= centre <= end
        middle = centre - start + wrong
        segments = torch.tensor([[middle - 1, middle + 1]] if seen else []).reshape(-1, 2)
        found.append(Detections(segments, torch.ones(len(segments)), torch.ones(len(segments))))
    merged = merge(windows, found)
    assert 1 <= len(merged.scores) <= 2
    assert ((merged.segments.mean(dim=1) - centre).abs() <= 4.001).all()


def test_an_edge_is_left_to_the_neighbour() -> None:
    windows = plan(80, 50, 20)
    assert windows == [(0, 50), (30, 80)]

    def at(*centres: float) -> Detections:
        middle = torch.tensor(centres, dtype=torch.float32)
        spans = torch.stack([middle - 1, middle + 1], dim=1)
        return Detections(spans, torch.arange(len(centres)) / 1.0, torch.zeros(len(centres)))

    merged = merge(windows, [at(-3, 40, 49), at(1, 15, 49)])
    assert merged.segments.mean(dim=1).tolist() == [-3, 40, 45, 79]
    assert merged.scores.tolist() == [0, 1, 1, 2]
    alone = merge([(0, 50)], [at(-3, 60)])
    assert alone.segments.mean(dim=1).tolist() == [-3, 60]
