"""Columns that say how uncertain boundaries are: in tables, formats and pictures."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest

from actionspace.errors import DataError
from actionspace.events import io
from actionspace.events.blur import STEPS, bars, edges_of
from actionspace.events.columns import UNCERTAINTY
from actionspace.events.nms_videos import Detections, NmsOptions, join, suppress
from actionspace.events.table import Events

CERTAIN = {"video": "a.mp4", "start": 5.0, "end": 6.0, "label": "rear", "score": 0.4}
UNCERTAIN = {
    **{"video": "a.mp4", "start": 1.0, "end": 2.0, "label": "dig", "score": 0.9},
    **{"start_std": 0.1, "start_low": 0.8, "start_high": 1.1},
    **{"end_std": 0.2, "end_low": 1.7, "end_high": 2.5},
}


@pytest.fixture
def events(tmp_path: Path) -> Events:
    return Events.from_frames([UNCERTAIN, CERTAIN], root=tmp_path)


@pytest.mark.parametrize("name", ["e.csv", "e.parquet", "e.json", "folder"])
def test_formats_with_room_carry_them(events: Events, tmp_path: Path, name: str) -> None:
    io.write(events, tmp_path / name)
    assert io.read(tmp_path / name, root=tmp_path).equals(events)


def test_others_leave_them_out(events: Events, tmp_path: Path) -> None:
    io.write(events, tmp_path / "e.boris")
    assert not set(UNCERTAINTY) & set(io.read(tmp_path / "e.boris").rows.columns)


def test_they_are_numbers_and_never_heads() -> None:
    assert not set(UNCERTAINTY) & set(Events.from_frames([CERTAIN]).rows.columns)
    with pytest.raises(DataError, match="'start_std' is 'wide'"):
        Events.from_frames([UNCERTAIN | {"start_std": "wide"}])
    with pytest.raises(DataError, match="cannot be a head"):
        Events.from_frames([UNCERTAIN], heads=("label", "end_low"))
    with pytest.raises(DataError, match="Did you mean 'start_std'"):
        Events.from_frames([CERTAIN | {"start_sdt": 1.0}])


def test_bars_lie_within_each_other() -> None:
    edges = edges_of(UNCERTAIN)
    assert edges == (0.8, 1.1, 1.7, 2.5)
    found = bars(edges)
    assert len(found) == STEPS
    for (begin, end), (later, sooner) in pairwise(found):
        assert begin < later < sooner < end
    assert found[0][0] > 0.8 and found[0][1] < 2.5
    assert 0 < len(bars((0.0, 2.0, 1.0, 3.0))) < STEPS  # edges that overlap
    assert edges_of(CERTAIN) is None


def test_suppression_keeps_what_belongs_to_a_pick() -> None:
    import numpy as np

    segments = np.array([[0, 4], [0, 4.2], [10, 12], [10, 12.1]], np.float32)
    scores = np.array([0.5, 0.9, 0.8, 0.3], np.float32)
    spread = np.arange(24, dtype=np.float32).reshape(4, 2, 3)
    video = Detections(segments, scores, np.zeros(4, np.int64), spread)
    options = NmsOptions(method="hard", iou_threshold=0.5, min_score=0.01)
    other = Detections(*(part[:1] for part in (segments, scores, video.labels, spread)))
    (found, second) = suppress([video, other], options)
    assert found.scores.tolist() == pytest.approx([0.9, 0.8])
    assert found.spread[:, 0, 0].tolist() == [6, 12] and second.spread[0, 0, 0] == 0
    both = join([found, second])
    assert both.spread.shape == (3, 2, 3) and len(both) == 3
