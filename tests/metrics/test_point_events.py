"""Moments of events tables against each other."""

from __future__ import annotations

from typing import Any

import pytest

from actionspace.errors import DataError
from actionspace.events.table import Events
from actionspace.metrics.point_events import evaluate_point_events

VIDEOS = [{"video": n, "duration": 60, "fps": 10, "group": n} for n in ("a", "b")]


def events(*rows: Any, videos: Any = VIDEOS, **more: Any) -> Events:
    names = ("video", "start", "end", "label", "score")
    return Events.from_frames([dict(zip(names, row, strict=False)) | more for row in rows], videos)


TRUTH = events(("a", 5, 5, "peck"), ("a", 9, 9, "bite"), ("b", 3, 3, "peck"))


def test_moments_are_measured_by_class_with_intervals() -> None:
    guess = events(
        ("a", 5.3, 5.3, "peck", 0.9), ("b", 3.05, 3.05, "peck", 0.8), ("b", 20, 20, "bite", 0.7)
    )
    found = evaluate_point_events(TRUTH, guess, (0.1, 0.5))
    table = found.per_class().set_index("class")
    assert table.loc["peck", "ap@0.5s"] == 1 and table.loc["peck", "ap@0.1s"] == 0.25
    assert table.loc["bite", "ap"] == 0 and table.loc["bite", "support"] == 1
    assert found.metrics()["point_ap@0.5s"] == 0.5
    low, high = found.intervals(50)["point_map"]
    assert 0 <= low <= found.metrics()["point_map"] <= high <= 1
    assert found.protocol.as_dict()["thresholds"] == [0.1, 0.5]


def test_one_group_has_no_interval() -> None:
    one = [{"video": "a", "duration": 60, "group": "x"}]
    found = evaluate_point_events(
        events(("a", 5, 5, "peck"), videos=one), events(("a", 5, 5, "peck", 0.9), videos=one)
    )
    low, high = found.intervals(20)["point_map"]
    assert low != low and high != high


def test_which_moment_of_events_that_last() -> None:
    lasting = events(("a", 4, 8, "peck"))
    for at, when in (("start", 4), ("center", 6), ("end", 8)):
        guess = events(("a", when, when, "peck", 0.9))
        for other in ("start", "center", "end"):
            found = evaluate_point_events(lasting, guess, (0.5,), at=other)  # type: ignore[arg-type]
            assert found.metrics()["point_map"] == float(at == other)


def test_repeated_annotations_and_time_that_does_not_count() -> None:
    truth = events(
        ("a", 5, 5, "peck"), ("a", 5.0005, 5.0005, "peck"), ("a", 5, 5, "bite"),
    )  # fmt: skip
    found = evaluate_point_events(truth, events(("a", 5, 5, "peck", 0.9)), (0.5,))
    assert found.left_out["annotations_repeated"] == 1
    assert found.per_class()["support"].tolist() == [1, 1]
    all_of_it = evaluate_point_events(truth, events(("a", 5, 5, "peck", 0.9)), (0.5,), clean=False)
    assert all_of_it.per_class()["support"].sum() == 3
    videos = [{"video": "a", "duration": 60, "labelled": "0-10"}]
    guess = events(("a", 5, 5, "peck", 0.5), ("a", 30, 30, "peck", 0.9), videos=videos)
    partly = evaluate_point_events(events(("a", 5, 5, "peck"), videos=videos), guess, (0.5,))
    assert partly.metrics()["point_map"] == 1


def test_frames_need_a_rate() -> None:
    guess = events(("a", 5.1, 5.1, "peck", 0.9))
    found = evaluate_point_events(TRUTH, guess, (), (1,))
    assert found.metrics()["point_ap@1f"] == 0.25
    videos = [{"video": "a", "duration": 60}]
    with pytest.raises(DataError, match="fps"):
        evaluate_point_events(
            events(("a", 5, 5, "peck"), videos=videos),
            events(("a", 5, 5, "peck", 0.9), videos=videos),
            (),
            (1,),
        )
