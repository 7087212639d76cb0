"""What the page shows of moments."""

from __future__ import annotations

from typing import Any

import pandas as pd

from actionspace.events.table import Events
from actionspace.localization.measure import as_metrics, compare
from actionspace.localization.options import EvaluationConfig
from actionspace.report.detection_view import detection_view
from actionspace.report.measures import headline, measures
from actionspace.report.point_view import lead, point_view

VIDEOS = [{"video": name, "duration": 40, "group": name, "fps": 10} for name in "ab"]


def metrics(**config: Any) -> dict[str, Any]:
    rows = [{"video": "a", "start": s, "end": s, "label": "peck"} for s in (5, 10, 20)]
    rows += [{"video": "b", "start": 5, "end": 5, "label": "bite"}]
    guess = pd.DataFrame(
        [
            {"video": "a", "start": 5.1, "end": 5.1, "label": "peck", "score": 0.9},
            {"video": "a", "start": 10.3, "end": 10.3, "label": "peck", "score": 0.8},
            {"video": "b", "start": 30, "end": 30, "label": "bite", "score": 0.1},
        ]
    )
    how = EvaluationConfig(bootstrap=20, **config)
    truth = Events.from_frames(rows, VIDEOS)
    found = compare(Events.from_frames(guess, VIDEOS), truth, how, "label", points="center")
    return as_metrics(found, how)


def test_classes_and_timing_are_told() -> None:
    found = metrics(tolerances_frames=(1, 4))
    view = point_view(found)
    assert view is not None and detection_view(found) is None
    assert view.tolerances[:2] == ("0.1\u00a0s", "0.2\u00a0s")
    assert view.tolerances[-2:] == ("1\u00a0frame", "4\u00a0frames")
    peck = next(c for c in view.classes if c.name == "peck")
    assert peck.support == 3 and peck.predicted == 2 and abs((peck.error or 0) - 0.2) < 1e-9
    bite = next(c for c in view.classes if c.name == "bite")
    assert bite.error is None and bite.ap == 0
    assert "0.200\u00a0s off" in view.timing and "too late" in view.timing


def test_the_result_is_told_in_a_sentence() -> None:
    told = lead(metrics())
    assert told.startswith("In 2 videos with 4 annotated events of 2 classes")
    assert "tolerances of 0.1\u00a0s to 2\u00a0s" in told


def test_measures_have_names_of_moments() -> None:
    top = [m.name for m in headline(measures(metrics(), {}))]
    assert top[0] == "Mean average precision of moments"
    names = [m.name for m in measures(metrics(tolerances_frames=(2,)), {})]
    assert "mAP within 0.5 s" in names and "mAP within 2 frames" in names
    assert not any("iming" in name for name in names)  # seconds are no shares
