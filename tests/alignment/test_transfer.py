"""Phases, progress and anomaly of videos that are aligned with a labelled one."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from actionspace.alignment.anomaly import anomaly_score
from actionspace.alignment.progress_curve import progress_by_phases, progress_by_reference
from actionspace.alignment.timemap import time_map
from actionspace.alignment.transfer import transfer_phases
from actionspace.errors import DataError, UsageError
from actionspace.events.table import Events
from actionspace.features.track import Track
from tests.alignment.warped import FPS, FRAMES, SPEEDS, course, track

PHASES = [("reach", 0.0, 0.3), ("pour", 0.3, 0.8), ("leave", 0.8, 1.0)]


def labelled(gap: bool = False) -> Events:
    """The phases of a.mp4, which goes through the course evenly."""
    seconds = FRAMES["a.mp4"] / FPS
    rows = [
        {"video": "a.mp4", "start": a * seconds, "end": b * seconds, "phase": name}
        for name, a, b in PHASES
        if not (gap and name == "pour")
    ]
    return Events.from_frames(rows, heads=("phase",))


def test_phases_are_handed_on() -> None:
    maps = [time_map(track(name), track("a.mp4")) for name in ("b.mp4", "c.mp4")]
    found = transfer_phases(labelled(), maps)
    assert found.heads == ("phase",)
    assert set(found.rows["video"]) == {"b.mp4", "c.mp4"}
    for name in ("b.mp4", "c.mp4"):
        rows = found.for_video(name)
        assert rows["phase"].tolist() == ["reach", "pour", "leave"]
        assert rows["start"].iloc[0] == 0
        assert rows["end"].iloc[-1] == pytest.approx(FRAMES[name] / FPS)
        np.testing.assert_array_equal(rows["end"][:-1], rows["start"][1:])  # contiguous
        true = [share ** (1 / SPEEDS[name]) * FRAMES[name] / FPS for _, share, _ in PHASES[1:]]
        np.testing.assert_allclose(rows["start"].iloc[1:], true, atol=2.5 / FPS)


def test_where_the_labelled_video_has_no_phase_there_is_none() -> None:
    found = transfer_phases(labelled(gap=True), [time_map(track("b.mp4"), track("a.mp4"))])
    assert found.rows["phase"].tolist() == ["reach", "leave"]
    assert found.rows["end"].iloc[0] < found.rows["start"].iloc[1] - 1


def test_what_cannot_be_handed_on_is_said() -> None:
    back = time_map(track("b.mp4"), track("a.mp4"))
    with pytest.raises(DataError, match="'phase'"):
        transfer_phases(labelled(), [back], head="phas")
    with pytest.raises(DataError, match=r"b\.mp4"):
        transfer_phases(labelled(), [time_map(track("a.mp4"), track("b.mp4"))])


def test_progress_by_the_reference() -> None:
    found = progress_by_reference(time_map(track("b.mp4"), track("a.mp4")))
    assert found.name == "b.mp4"
    assert len(found.values) == FRAMES["b.mp4"]
    np.testing.assert_allclose(found.values, course("b.mp4"), atol=2.5 / FRAMES["a.mp4"])
    assert (np.diff(found.values) >= 0).all()


def test_progress_by_phases() -> None:
    rows = pd.DataFrame({"start": [0.0, 2.0], "end": [2.0, 3.0], "phase": ["x", "z"]})
    found = progress_by_phases("v", rows, [0.0, 1.0, 2.0, 2.5, 3.5], ["x", "y", "z"])
    np.testing.assert_allclose(found.values, [0, 1 / 6, 2 / 3, 5 / 6, np.nan])
    with pytest.raises(DataError, match="'x'"):
        progress_by_phases("v", rows, [0.0], ["y", "z"])
    assert np.isnan(progress_by_phases("v", rows[:0], [0.0], ["x"]).values).all()


def test_what_the_reference_lacks_stands_out() -> None:
    usual = track("b.mp4")
    rows = usual.embeddings.copy()
    rows[50:60] *= -1
    odd = Track.of("odd", rows, usual.times)
    score = anomaly_score([time_map(odd, track("a.mp4"))])
    others = np.delete(score.values, np.s_[50:60])
    assert score.values[50:60].min() > 5 * others.max()
    # Another reference that has it too makes it usual.
    both = anomaly_score(
        [time_map(odd, track("a.mp4")), time_map(odd, Track.of("c", rows, usual.times))]
    )
    assert both.values.max() < 1e-6
    with pytest.raises(UsageError):
        anomaly_score([])
    with pytest.raises(UsageError):
        anomaly_score([time_map(usual, track("a.mp4")), time_map(odd, track("a.mp4"))])
