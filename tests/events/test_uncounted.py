"""Spans in which nobody knows what happens."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from actionspace.events.table import Events
from actionspace.events.uncounted import uncounted_time, within

INF = np.inf


@pytest.mark.parametrize(
    ("labelled", "ignored", "spans"),
    [
        (None, [], None),
        (None, [(3.0, 5.0)], [(3, 5)]),
        (None, [(None, None)], [(-INF, INF)]),
        ("0-4;6-9", [], [(-INF, 0), (4, 6), (9, INF)]),
        ("6-9;0-4;2-7", [(1.0, 2.0)], [(1, 2), (-INF, 0), (9, INF)]),
    ],
)
def test_rows_to_ignore_and_time_outside_of_labelled_spans(
    labelled: str | None, ignored: list[Any], spans: list[tuple[float, float]] | None
) -> None:
    rows = [
        {"video": "a", "start": s, "end": e, "label": "dig", "status": "ignore"} for s, e in ignored
    ]
    rows.append({"video": "b", "start": 0.0, "end": 1.0, "label": "dig"})
    found = uncounted_time(Events.from_frames(rows, [{"video": "a", "labelled": labelled}]))
    assert set(found) == ({"a"} if spans else set())
    if spans:
        np.testing.assert_array_equal(found["a"], spans)


def test_spans_are_half_open() -> None:
    spans = np.array([[1.0, 2.0], [4.0, INF]])
    moments = np.array([0.9, 1.0, 1.9, 2.0, 3.9, 4.0, 1e9])
    assert within(moments, spans).tolist() == [False, True, True, False, False, True, True]
