"""Whether boundaries know how uncertain they are."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from actionspace.events.table import Events
from actionspace.metrics.boundaries import boundary_measures


def _truth() -> Events:
    return Events.from_frames(
        [
            {"video": "a", "start": 10.0, "end": 20.0, "label": "dig"},
            {"video": "a", "start": 30.0, "end": 40.0, "label": "rear|dig"},
            {"video": "b", "start": 5.0, "end": 8.0, "label": "rear"},
        ]
    )


def _found(start: float, end: float, half: float, **more: Any) -> dict[str, Any]:
    about = {"start": start, "end": end, "start_std": half, "end_std": half, "score": 0.9}
    spans = {
        f"{name}_{side}": at + sign * half
        for name, at in (("start", start), ("end", end))
        for side, sign in (("low", -1), ("high", 1))
    }
    return {"video": "a", "label": "dig"} | about | spans | more


def test_each_event_counts_once_by_its_best_prediction() -> None:
    guess = Events.from_frames(
        [
            _found(11, 20.5, 2.0),  # both ends inside
            _found(10, 20, 5.0, score=0.1),  # the same event again
            _found(31, 41, 0.5),  # neither end
            _found(31, 40.5, 0.75, label="rear"),  # one of two
            _found(5, 8, 9.0, video="b"),  # of another class
            _found(90, 95, 9.0),  # of no event
        ]
    )
    found = boundary_measures(_truth(), guess)
    assert found["boundary_coverage"] == pytest.approx((2 + 0 + 1) / 6)
    assert found["boundary_interval"] == pytest.approx((4.0 + 1.0 + 1.5) / 3)
    assert found["boundary_error"] == pytest.approx((1.5 + 2 + 1.5) / 6)


def test_intervals_of_a_bell_cover_what_they_say() -> None:
    random = np.random.default_rng(0)
    truth, guess = [], []
    for k in range(2000):
        start, end, std = 30.0 * k, 30.0 * k + 12, random.uniform(0.2, 1.0)
        a, b = (start, end) + std * random.standard_normal(2)
        truth.append({"video": "a", "start": start, "end": end, "label": "dig"})
        guess.append(_found(a, b, 1.2816 * std))
    found = boundary_measures(Events.from_frames(truth), Events.from_frames(guess))
    assert found["boundary_coverage"] == pytest.approx(0.8, abs=0.02)


def test_predictions_that_do_not_tell_are_not_measured() -> None:
    plain = {"video": "a", "start": 10.0, "end": 20.0, "label": "dig", "score": 0.5}
    assert boundary_measures(_truth(), Events.from_frames([plain])) == {}
    assert boundary_measures(_truth(), Events.from_frames([_found(60, 70, 1.0)])) == {}
    some = Events.from_frames([plain, _found(10, 20, 1.0)])
    assert boundary_measures(_truth(), some)["boundary_interval"] == pytest.approx(2.0)
