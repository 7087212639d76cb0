"""Gaps, targets and splits: what a manifest says about time and classes."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actionspace.errors import DataError
from actionspace.events.table import Events
from actionspace.recognition import data
from actionspace.recognition.recipe import SplitConfig

DURATION = 20
spans = st.lists(
    st.tuples(st.integers(0, DURATION), st.integers(0, DURATION)).map(lambda p: tuple(sorted(p))),
    max_size=6,
)


def table(events: list[tuple[int, int]], labelled: list[tuple[int, int]] | None = None) -> Events:
    rows = [{"video": "v.mp4", "start": a, "end": b, "label": "x"} for a, b in events]
    text = ";".join(f"{a}-{b}" for a, b in labelled) if labelled else None
    videos = [{"video": "v.mp4", "duration": float(DURATION), "fps": 25.0, "labelled": text}]
    return Events.from_frames(rows, videos)


def covered(intervals: list[tuple[float, float]]) -> np.ndarray:
    middle = np.arange(DURATION) + 0.5
    return np.array([any(a <= m < b for a, b in intervals) for m in middle])


@given(spans, spans.map(lambda s: sorted(x for x in s if x[0] < x[1])))
def test_gaps_are_annotated_time_without_events(
    events: list[tuple[int, int]], labelled: list[tuple[int, int]]
):
    apart = [x for i, x in enumerate(labelled) if i == 0 or x[0] > max(y[1] for y in labelled[:i])]
    found = data.find_gaps(table(events, apart or None), "v.mp4", DURATION)
    annotated = covered(apart) if apart else np.ones(DURATION, bool)
    np.testing.assert_array_equal(covered(found), annotated & ~covered(events))
    assert all(a < b for a, b in found)
    assert all(b <= c for (_, b), (c, _) in pairwise(found))


def test_gaps_become_events_of_the_background():
    events = table([(2, 5), (6, 9)])
    found = data.with_gaps(events, "label", "background", {"v.mp4": (20.0, 1.5)})
    gaps = found.rows[found.rows["label"] == "background"]
    assert gaps[["start", "end"]].to_numpy().tolist() == [[0, 2], [9, 20]]  # 5-6 is too short
    assert data.with_gaps(events, "label", "background", {}) is events


def test_whole_video_events_leave_no_gap():
    events = Events.from_frames(
        [{"video": "v.mp4", "label": "x"}], [{"video": "v.mp4", "duration": 9.0}]
    )
    assert data.find_gaps(events, "v.mp4", 9.0) == []


def test_targets():
    events = Events.from_frames([{"video": f"{i}.mp4", "label": x} for i, x in enumerate("bab")])
    found = data.targets(events, "label")
    assert found.classes == ["a", "b"] and found.values.tolist() == [1, 0, 1]
    assert data.targets(events, "label", ["b"]).values.tolist() == [0, -1, 0]
    several = Events.from_frames(
        [{"video": "0.mp4", "label": "a|b"}, {"video": "1.mp4", "label": "b"}]
    )
    assert data.targets(several, "label").values.tolist() == [[True, True], [False, True]]
    ignored = events.rows.assign(status=["event", "ignore", "event"])
    with pytest.raises(DataError, match="at least two classes"):
        data.targets(Events.from_frames(ignored, events.videos), "label")


def test_groups_and_splits():
    rows = [{"video": f"{i}.mp4", "label": "ab"[i % 2]} for i in range(20)]
    videos = [{"video": f"{i}.mp4", "group": f"g{i // 4}" if i < 16 else None} for i in range(20)]
    events = Events.from_frames(rows, videos)
    groups = data.event_groups(events)
    assert groups[0] == groups[3] == "g0" and groups[17] == "video:17.mp4"
    said: list[str] = []
    made = data.with_splits(events, SplitConfig(), said.append)
    assert "no splits" in said[0]
    pd.testing.assert_frame_equal(
        made.videos, data.with_splits(events, SplitConfig(), said.append).videos
    )
    for _, part in made.videos[:16].groupby("group"):
        assert part["split"].nunique() == 1
    half = made.videos.assign(split=["train"] * 10 + [None] * 10)
    kept = data.with_splits(Events.from_frames(rows, half), SplitConfig(), said.append)
    assert len(kept.videos) == 10 and "10 videos have no split" in said[-1]
