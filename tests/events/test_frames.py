from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actionspace.errors import DataError
from actionspace.events.frames import from_frames, to_frames

steps = st.lists(st.floats(1e-3, 5.0), min_size=1, max_size=60)
"""Durations of frames: variable frame rate."""


def times_of(durations: list[float]) -> np.ndarray:
    edges = np.concatenate([[0.0], np.cumsum(durations)])
    return np.stack([edges[:-1], edges[1:]], axis=1)


@given(steps, st.data(), st.sampled_from([None, "none"]))
def test_frames_to_events_to_frames_is_exact(
    durations: list[float], data: st.DataObject, background: str | None
) -> None:
    times = times_of(durations)
    label = st.sampled_from(["a", "b", "none"])
    labels = data.draw(st.lists(label, min_size=len(times), max_size=len(times)))
    rows = from_frames(labels, times, "v.mp4", background)
    assert to_frames(rows, times, "none").tolist() == labels
    again = from_frames(to_frames(rows, times, "none"), times, "v.mp4", background)
    pd.testing.assert_frame_equal(again, rows)
    assert background not in rows["label"].tolist()


def test_uneven_frames() -> None:
    times = times_of([0.04, 0.04, 1.0, 0.04])
    rows = from_frames(["a", "a", "b", "b"], times, "v")
    assert rows["start"].tolist() == [0.0, 0.08]
    assert rows["end"].tolist() == pytest.approx([0.08, 1.12])


def test_a_cut_inside_a_frame_goes_to_the_nearer_side() -> None:
    times = times_of([1.0] * 4)
    rows = pd.DataFrame({"start": [0.4, 2.6], "end": [2.6, 9.0], "label": ["a", "b"]})
    assert to_frames(rows, times, "-").tolist() == ["a", "a", "a", "b"]


def test_of_overlapping_events_the_last_to_start_wins_and_points_cover_nothing() -> None:
    times = times_of([1.0] * 4)
    rows = pd.DataFrame(
        {"start": [1.0, np.nan, 3.5], "end": [2.0, np.nan, 3.5], "label": ["a", "b", "point"]}
    )
    assert to_frames(rows, times).tolist() == ["b", "a", "b", "b"]
    assert to_frames(rows[:0], times).tolist() == ["background"] * 4


def test_gaps_between_frames_belong_to_the_frame_before() -> None:
    times = np.array([[0.0, 0.1], [1.0, 1.1], [2.0, 2.1]])
    rows = from_frames(["a", "b", "b"], times, "v")
    assert rows[["start", "end"]].to_numpy().tolist() == [[0.0, 1.0], [1.0, 2.1]]


def test_wrong_times() -> None:
    with pytest.raises(DataError, match="2 frame labels for 1 frames"):
        from_frames(["a", "b"], times_of([1.0]), "v")
    with pytest.raises(DataError, match="increase"):
        to_frames(pd.DataFrame(), np.array([[0.0, 1.0], [0.0, 1.0]]))
    assert len(from_frames([], np.zeros((0, 2)), "v")) == 0
