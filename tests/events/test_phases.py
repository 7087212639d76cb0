"""Phases: means of annotators, labels at times, runs of frames as events and back."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actionspace.errors import DataError
from actionspace.events.frames import to_frames
from actionspace.events.phases import merge_annotators, phase_events, phases_at, resampled


@st.composite
def marked(draw: st.DrawFn) -> dict[str, dict[str, list[list[float]]]]:
    """Draw phases in time that one to three annotators marked."""
    cuts = np.cumsum(draw(st.lists(st.floats(0.5, 5), min_size=4, max_size=12)))
    pairs = list(zip(cuts[::2], cuts[1::2], strict=False))
    shift = st.floats(-0.1, 0.1)
    return {
        name: {str(k): [[a + draw(shift), b + draw(shift)]] for k, (a, b) in enumerate(pairs)}
        for name in ("p0", "p1", "p2")[: draw(st.integers(1, 3))]
    }


@settings(max_examples=40)
@given(marked())
def test_merged_phases_touch_and_cover_all_time(annotators: dict) -> None:
    segments = merge_annotators(annotators)
    assert list(segments) == list(range(len(segments)))
    ends = list(segments.values())
    assert all(before[1] == after[0] for before, after in itertools.pairwise(ends))
    labels = phases_at(segments, np.linspace(-1, 100, 300))
    assert labels[0] == 0 and labels[-1] == len(segments) - 1
    assert (np.diff(labels) >= 0).all()


def test_several_segments_of_a_phase_count_alike() -> None:
    one = {"p0": {"0": [[0, 1], [2, 5]], "1": [[8, 9]]}}
    assert merge_annotators(one) == {0: (1.0, 5.5), 1: (5.5, 9.0)}


def test_phases_that_are_left_out_are_named() -> None:
    with pytest.raises(DataError, match="'p1' has no segment of phase 1"):
        merge_annotators({"p0": {"0": [[0, 1]], "1": [[2, 3]]}, "p1": {"0": [[0, 1]]}})
    with pytest.raises(DataError, match="no segment of any phase"):
        merge_annotators({})


@settings(max_examples=30)
@given(st.lists(st.integers(-1, 3), min_size=1, max_size=40), st.booleans())
def test_frames_to_events_to_frames(labels: list[int], named: bool) -> None:
    steps = np.random.default_rng(len(labels)).uniform(0.01, 0.1, len(labels) + 1)
    edges = np.cumsum(steps)
    times = np.stack([edges[:-1], edges[1:]], axis=1)  # frames of uneven length
    names = {n: f"phase {n}" for n in range(4)} if named else None
    rows = phase_events(np.array(labels), times, "a.mp4", names)
    back = to_frames(rows.rename(columns={"phase": "label"}), times, background="none")
    assert back.tolist() == ["none" if n < 0 else f"phase {n}" if named else str(n) for n in labels]
    assert (rows["start"].to_numpy()[1:] >= rows["end"].to_numpy()[:-1]).all()


def test_a_phase_without_a_name() -> None:
    with pytest.raises(DataError, match=r"a.mp4: there is no name for phase 2 \(of 2\)"):
        phase_events(np.array([0, 2]), np.array([[0, 1], [1, 2]]), "a.mp4", {0: "a", 1: "b"})


def test_resampled() -> None:
    assert resampled(np.arange(4), 8).tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    assert resampled(np.arange(5), 3).tolist() == [0, 1, 3]
    assert resampled(np.arange(5), 5).tolist() == list(range(5))
    with pytest.raises(DataError, match="without a single label"):
        resampled(np.arange(0), 5)
