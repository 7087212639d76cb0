"""What the page shows of detections."""

from __future__ import annotations

from typing import Any

import pandas as pd

from actionspace.events.table import Events
from actionspace.localization.measure import as_metrics, compare
from actionspace.localization.options import EvaluationConfig
from actionspace.report.detection_view import detection_view, lead
from actionspace.report.measures import headline, measures


def metrics() -> dict[str, Any]:
    rows = [{"video": "a", "start": s, "end": s + 4, "label": "dig"} for s in (0, 10, 20)]
    rows += [{"video": "b", "start": 5, "end": 9, "label": "rear"}]
    videos = [{"video": name, "duration": 40, "group": name} for name in "ab"]
    truth = Events.from_frames(rows, videos)
    guess = pd.DataFrame(
        [
            {"video": "a", "start": 0, "end": 4, "label": "dig", "score": 0.9},
            {"video": "a", "start": 10, "end": 14, "label": "rear", "score": 0.8},
            {"video": "b", "start": 5, "end": 9, "label": "rear", "score": 0.7},
            {"video": "b", "start": 30, "end": 34, "label": "rear", "score": 0.1},
        ]
    )
    config = EvaluationConfig(bootstrap=50)
    found = compare(Events.from_frames(guess, videos), truth, config, "label", split=None)
    return as_metrics(found, config)


def test_classes_kinds_and_misses_are_told() -> None:
    found = detection_view(metrics())
    assert found is not None
    assert [(c.name, c.support, c.predicted) for c in found.classes] == [
        ("dig", 3, 1),
        ("rear", 1, 3),
    ]
    assert found.classes[0].ap == 1 / 3 and found.classes[0].recall == 1 / 3
    assert found.thresholds == ("0.30", "0.40", "0.50", "0.60", "0.70")
    shares = {kind.name: kind.share for kind in found.kinds}
    assert shares["true"] == 0.5 and shares["wrong label"] == 0.25
    assert shares["background"] == 0.25
    assert abs(sum(b.share for b in found.missed if b.name == "length") - 1) < 1e-9


def test_the_result_is_told_in_a_sentence() -> None:
    told = lead(metrics())
    assert told.startswith("In 2 videos with 4 annotated events of 2 classes")
    assert "overlaps of 0.3 to 0.7" in told


def test_measures_have_names_of_detection() -> None:
    top = headline(measures(metrics(), {}))
    assert [m.name for m in top] == [
        "Mean average precision",
        "mAP at overlap 0.50",
        "Recall@1x at overlap 0.50",
    ]
    assert "overlaps" in top[0].means and top[0].low is not None


def test_other_metrics_are_no_detections() -> None:
    assert detection_view({"map": 0.5, "per_class": [{"f1": 1}]}) is None
    assert detection_view({}) is None
