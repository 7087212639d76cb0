"""The strip under an overlay: moments are ticks that one can see."""

from __future__ import annotations

import numpy as np

from actionspace.report.strip import Mark, Row, Strip

RED, BLUE = "#ff0000", "#0000ff"


def width_of(picture: np.ndarray, colour: tuple[int, int, int]) -> int:
    return int((picture == np.array(colour)).all(axis=2).any(axis=0).sum())


def test_a_moment_is_a_tick_wherever_it_is() -> None:
    for time in (0.0, 7.0, 20.0):
        row = Row("predicted", [Mark(time, time, "peck", RED, 0.9)])
        picture = Strip([row], 20.0, 640).draw(12.0)
        assert 2 <= width_of(picture, (255, 0, 0)) <= 6


def test_moments_at_one_time_lie_under_each_other() -> None:
    row = Row("p", [Mark(7, 7, "peck", RED, 0.9), Mark(7, 7, "bite", BLUE, 0.8)])
    assert [[m.label for m in track] for track in row.tracks] == [["peck"], ["bite"]]
    picture = Strip([row], 20.0, 640).draw(12.0)
    assert width_of(picture, (255, 0, 0)) and width_of(picture, (0, 0, 255))
    assert [m.label for m in row.at(7.2)] == ["peck", "bite"]


def test_bouts_that_follow_each_other_share_a_track_and_a_moment_between_does_not() -> None:
    marks = [Mark(0, 5, "dig", RED, 0.9), Mark(5, 9, "rear", BLUE, 0.8), Mark(5, 5, "peck", RED)]
    tracks = Row("p", marks).tracks
    assert [[m.label for m in track] for track in tracks] == [["dig", "rear"], ["peck"]]
