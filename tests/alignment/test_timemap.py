from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actionspace.alignment import timemap
from actionspace.alignment.match import Method
from actionspace.alignment.timemap import TimeMap, time_map, time_table, write_table
from actionspace.errors import DataError, UsageError
from actionspace.features.track import Track
from tests.alignment.warped import FPS, course, track, true_time


@pytest.mark.parametrize("method", ["nearest", "dtw", "soft_dtw"])
@pytest.mark.parametrize("target", ["b.mp4", "c.mp4"])
def test_the_warp_is_recovered(method: Method, target: str) -> None:
    found = time_map(track("a.mp4"), track(target), method, gamma=1e-4)
    # A frame of the target can be a step of the source's course away where it is the slower one.
    step = max(1.0, float(np.diff(true_time("a.mp4", target)).max() * FPS)) / FPS
    late = np.abs(found.times - true_time("a.mp4", target))
    inside = slice(2, -2)  # at its ends the course stands nearly still in one of the two
    assert late[inside].max() <= step + 1e-9
    assert np.median(late) <= 1 / FPS
    if method == "nearest":  # nothing is nearer than the nearest
        assert (found.distances <= time_map(track("a.mp4"), track(target)).distances + 1e-6).all()


@given(st.integers(0, 1000))
@settings(max_examples=30, deadline=None)
def test_between_rows_a_map_never_falls(seed: int) -> None:
    rng = np.random.default_rng(seed)
    source = Track.of("a", rng.normal(size=(12, 4)), np.arange(12))
    found = TimeMap(source, source, rng.random(12) * 9, np.zeros(12))
    at = found.at(np.linspace(-1, 13, 57))
    assert (np.diff(at) >= -1e-12).all()
    assert at.min() >= found.times.min() - 1e-12
    assert at.max() <= found.times.max() + 1e-12


def test_a_map_that_rises_is_kept() -> None:
    found = time_map(track("a.mp4"), track("b.mp4"))
    np.testing.assert_allclose(found.at(track("a.mp4").times), found.times)


def test_scale_is_of_no_concern_but_direction_is() -> None:
    louder = Track.of("l", 100 * track("b.mp4").embeddings, track("b.mp4").times)
    found, same = (time_map(track("a.mp4"), t) for t in (track("b.mp4"), louder))
    np.testing.assert_array_equal(found.times, same.times)
    nothing = Track.of("z", np.zeros((3, 16)), np.arange(3))
    with pytest.raises(DataError):
        time_map(track("a.mp4"), nothing)


def test_too_long_for_a_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timemap, "MOST_PAIRS", 2000)
    with pytest.raises(UsageError, match="every=3"):
        time_map(track("a.mp4"), track("b.mp4"))
    time_map(track("a.mp4"), track("b.mp4"), "nearest")
    time_map(track("a.mp4").every(3), track("b.mp4").every(3))


def test_the_table_is_written_row_by_row(tmp_path: Path) -> None:
    maps = [time_map(track("a.mp4"), track(name)) for name in ("b.mp4", "c.mp4")]
    read = pd.read_csv(write_table(time_table(maps), tmp_path / "sub" / "map.csv"))
    assert list(read.columns) == ["video", "reference_time", "time", "distance"]
    assert len(read) == 2 * len(course("a.mp4"))
    of_c = read[read["video"] == "c.mp4"]
    np.testing.assert_allclose(of_c["reference_time"], track("a.mp4").times)
    np.testing.assert_allclose(of_c["time"], maps[1].times)
