"""Predicted events against annotated ones: names, splits, protocol, errors by kind and bin."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest

from actionspace.errors import DataError, UsageError
from actionspace.events.table import Events
from actionspace.metrics.detection import THRESHOLDS
from actionspace.metrics.detection_bins import characteristics, sort_into, usual_bins
from actionspace.metrics.detection_errors import KINDS, false_positives
from actionspace.metrics.detection_events import DetectionEvaluation, evaluate_events

TRUTH = [
    {"video": "a.mp4", "start": 0, "end": 10, "label": "dig"},
    {"video": "a.mp4", "start": 20, "end": 30, "label": "groom|still"},
    {"video": "b.mp4", "start": 5, "end": 15, "label": "dig"},
    {"video": "b.mp4", "start": 50, "end": 60, "label": "dig", "status": "ignore"},
    {"video": "c.mp4", "start": 0, "end": 9, "label": "jump"},
]
VIDEOS: list[dict[str, Any]] = [
    {"video": "a.mp4", "split": "test", "duration": 40, "group": "rat 1"},
    {"video": "b.mp4", "split": "test", "duration": 60, "group": "rat 2"},
    {"video": "c.mp4", "split": "train", "duration": 50},
    {"video": "d.mp4", "split": "test"},
]
GUESS = [
    {"video": "a.mp4", "start": 0, "end": 9, "label": "dig", "score": 0.9},
    {"video": "a.mp4", "start": 21, "end": 30, "label": "groom", "score": 0.8},
    {"video": "b.mp4", "start": 5, "end": 15, "label": "dig", "score": 0.7},
    {"video": "d.mp4", "start": 0, "end": 5, "label": "dig", "score": 0.95},
    {"video": "d.mp4", "start": 0, "end": 5, "label": "jump", "score": 0.95},
]


def truth(rows: Any = TRUTH, videos: Any = VIDEOS) -> Events:
    return Events.from_frames(rows, videos)


def measured(guess: Any = GUESS, **options: Any) -> DetectionEvaluation:
    return evaluate_events(truth(), Events.from_frames(guess), [0.5, 0.95], split="test", **options)


def test_figures_by_hand() -> None:
    found = measured()
    assert found.classes == ("dig", "groom", "still")
    ap = {"dig": (2 / 3, 0.5 / 3), "groom": (1, 0), "still": (0, 0)}
    table = found.per_class().set_index("class")
    for name, (loose, strict) in ap.items():
        assert table.loc[name, "ap@0.50"] == pytest.approx(loose)
        assert table.loc[name, "ap@0.95"] == pytest.approx(strict)
    assert table["support"].tolist() == [2, 1, 1] and table["predicted"].tolist() == [3, 1, 0]
    metrics = found.metrics()
    assert metrics["map@0.50"] == pytest.approx((2 / 3 + 1) / 3)
    assert metrics["recall1x@0.50"] == pytest.approx(2 / 3)
    assert found.left_out["predictions_of_unknown_classes"] == 1
    assert found.videos == ("a.mp4", "b.mp4", "d.mp4")


def test_the_protocol_tells_sets_of_videos_apart() -> None:
    found = measured()
    about = found.protocol.as_dict()
    assert about["videos"] == 3 and about["rows"] == 4 and about["thresholds"] == [0.5, 0.95]
    assert about["classes"] == ["dig", "groom", "still"] and about["rules"]["clean"] is True
    json.dumps(about)
    fewer = evaluate_events(
        truth(videos=VIDEOS[:3]), Events.from_frames(GUESS[:3]), [0.5, 0.95], split="test"
    )
    assert fewer.protocol.hash != found.protocol.hash
    assert fewer.metrics()["map"] > found.metrics()["map"]  # the false ones in d.mp4 are not seen
    assert measured(GUESS[:1]).protocol.hash == found.protocol.hash


def test_other_videos() -> None:
    guess = [*GUESS, {"video": "c.mp4", "start": 0, "end": 9, "label": "dig", "score": 0.99}]
    with pytest.raises(DataError, match=r"1 predictions are in videos .* 'c.mp4'"):
        measured(guess)
    dropped = measured(guess, other_videos="drop")
    assert dropped.metrics() == measured().metrics()
    assert dropped.left_out["predictions_in_other_videos"] == 1
    counted = measured(guess, other_videos="count")
    assert counted.metrics()["map"] < dropped.metrics()["map"]
    with pytest.raises(UsageError, match="refuse, drop or count"):
        measured(other_videos="keep")


def test_time_that_nobody_labelled_does_not_count() -> None:
    videos = [dict(VIDEOS[0], labelled="0-12;18-35"), VIDEOS[1]]
    guess = [
        *GUESS[:3],
        {"video": "a.mp4", "start": 12, "end": 17, "label": "dig", "score": 1.0},
        {"video": "a.mp4", "start": 33, "end": 34, "label": "dig", "score": 1.0},
    ]
    found = evaluate_events(truth(TRUTH[:4], videos), Events.from_frames(guess), [0.5])
    assert found.left_out["predictions_in_uncounted_time"] == 1
    assert found.per_class().set_index("class").loc["dig", "ap"] == pytest.approx(2 / 3)


def test_time_to_ignore_counts_neither_way() -> None:
    ignored = {"video": "a.mp4", "start": 5, "end": 19, "label": "dig", "status": "ignore"}
    rows = [*TRUTH[:3], {"video": "a.mp4", "start": 6, "end": 12, "label": "jump"}, ignored]
    guess = [
        *GUESS[:3],
        {"video": "a.mp4", "start": 11, "end": 18, "label": "dig", "score": 1.0},  # not known
        {"video": "a.mp4", "start": 6, "end": 11, "label": "jump", "score": 0.5},  # annotated
        {"video": "a.mp4", "start": 13, "end": 32, "label": "groom", "score": 1.0},  # it lasts
    ]
    options: dict[str, Any] = {"thresholds": [0.4], "split": "test"}
    found = evaluate_events(truth(rows), Events.from_frames(guess), **options)
    plain = evaluate_events(truth(rows[:-1]), Events.from_frames(guess), **options)
    assert found.left_out["predictions_in_uncounted_time"] == 1
    ap, before = (each.per_class().set_index("class")["ap"] for each in (found, plain))
    assert ap["jump"] == before["jump"] == 1 and ap["groom"] == before["groom"] == 1
    assert ap["dig"] == 1 and before["dig"] == pytest.approx(2 / 3)
    assert found.protocol.hash != plain.protocol.hash
    assert found.protocol.rules["uncounted_time"]["videos"] == 1
    assert "uncounted_time" not in plain.protocol.rules


def test_repeated_annotations_are_cleaned_unless_asked() -> None:
    rows = [*TRUTH[:3], {"video": "a.mp4", "start": 0.0001, "end": 10, "label": "dig"}]
    options: dict[str, Any] = {"thresholds": [0.5], "split": "test"}
    guess = Events.from_frames(GUESS[:3])
    cleaned = evaluate_events(truth(rows), guess, **options)
    assert cleaned.left_out["annotations_short_or_repeated"] == 1
    kept = evaluate_events(truth(rows), guess, clean=False, **options)
    assert cleaned.per_class()["support"][0] == 2 and kept.per_class()["support"][0] == 3


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({"video": "a.mp4", "start": 3, "end": 2, "label": "dig", "score": 1}, "prediction 5 in"),
        ({"video": "a.mp4", "label": "dig", "score": 1}, "has no times"),
        ({"video": "a.mp4", "start": 1, "end": 2, "label": "dig"}, "has no score"),
        ({"video": "a.mp4", "start": 1, "end": 2, "score": 0.5}, "has no label in 'label'"),
    ],
)
def test_predictions_that_make_no_sense(row: dict[str, Any], words: str) -> None:
    with pytest.raises(DataError, match=words):
        measured([*GUESS, row])


def test_an_event_may_be_labelled_in_another_column() -> None:
    rows = [
        {"video": "a.mp4", "start": 0, "end": 10, "verb": "wash", "noun": "cup"},
        {"video": "a.mp4", "start": 20, "end": 30, "verb": "walk"},
    ]
    guess = [{"video": "a.mp4", "start": 0, "end": 10, "noun": "cup", "score": 0.5}]
    annotated = Events.from_frames(rows, heads=("verb", "noun"))
    said = Events.from_frames(guess, heads=("noun",))
    assert evaluate_events(annotated, said, [0.5], head="noun").metrics()["map"] == 1


def test_annotations_that_make_no_sense() -> None:
    for row, words in (
        ({"video": "a.mp4", "start": 3, "end": 2, "label": "dig"}, "annotation 5 in 'a.mp4' ends"),
        ({"video": "a.mp4", "label": "dig"}, "has no times"),
        ({"video": "a.mp4", "start": 1, "end": 2}, "has no label"),
    ):
        with pytest.raises(DataError, match=words):
            evaluate_events(truth([*TRUTH, row]), Events.from_frames(GUESS), [0.5])
    nothing = Events.from_frames([{"video": "a.mp4", "label": None}])
    with pytest.raises(DataError, match="Nothing is annotated"):
        evaluate_events(nothing, Events.from_frames(GUESS[:1]), [0.5])


def test_nothing_predicted() -> None:
    none = Events.from_frames([], [{"video": "a.mp4"}])
    found = evaluate_events(truth(), none, THRESHOLDS["thumos14"], split="test")
    assert set(found.metrics().values()) == {0.0}
    assert found.errors()["false_positives"]["detections"] == 0
    assert set(found.intervals(20)) == set(found.metrics())


def test_intervals_resample_the_groups() -> None:
    low, high = measured().intervals(200)["map@0.50"]
    assert low < measured().metrics()["map@0.50"] <= high
    alone = evaluate_events(truth(TRUTH[:2], VIDEOS[:1]), Events.from_frames(GUESS[:2]), [0.5])
    assert all(math.isnan(x) for x in alone.intervals(20)["map"])


def test_kinds_of_false_detections() -> None:
    rows = [
        ("a.mp4", 0, 10, "dig", 0.9),  # true
        ("a.mp4", 0, 9, "dig", 0.8),  # once more
        ("a.mp4", 0, 9, "groom", 0.7),  # of another class
        ("a.mp4", 6, 14, "dig", 0.6),  # beside it
        ("a.mp4", 6, 14, "groom", 0.5),
        ("a.mp4", 12, 14, "dig", 0.4),  # nowhere
        ("d.mp4", 0, 9, "dig", 0.3),  # nothing is annotated there
    ]
    names = ("video", "start", "end", "label", "score")
    found = evaluate_events(
        truth(), Events.from_frames([dict(zip(names, r, strict=True)) for r in rows]), [0.5],
        split="test",
    )  # fmt: skip
    profile = false_positives(found.result)
    by_score = np.argsort(-found.result.guess.scores[profile.rows])
    kinds = [KINDS[k] for k in profile.kinds[by_score, 0]]
    assert kinds == [*KINDS, "background"]
    errors = found.errors("thumos14")
    assert errors["false_positives"]["groups"][0] == pytest.approx([1 / 3, 1 / 3, 1 / 3, 0, 0, 0])
    assert set(errors["missed"]) == {"coverage", "length", "instances"}
    assert errors["missed"]["length"]["M"] == {"share": 1.0, "missed": 0.75, "missed_at": [0.75]}
    assert errors["sensitivity"]["length"]["M"] == errors["sensitivity"]["base"]
    json.dumps(errors)


def test_found_among_too_many_false_ones_is_missed() -> None:
    """At a normalised precision of 1 / 20 a detection finds nothing, at 1 / 19 it does."""
    right = {"video": "a.mp4", "start": 0, "end": 10, "label": "dig", "score": 0.1}
    false = {"video": "a.mp4", "start": 30, "end": 31, "label": "dig", "score": 0.9}
    for count, share in ((19, 1.0), (18, 0.0)):
        found = evaluate_events(
            truth(TRUTH[:1], VIDEOS[:1]), Events.from_frames([right, *[false] * count]), [0.5]
        )
        assert found.errors("thumos14")["missed"]["length"]["M"]["missed"] == share


def test_bins() -> None:
    bins = sort_into([0, 3, 3.1, 18, 99, -1, np.nan], (0, 3, 6, 12, 18, math.inf))
    assert bins.member.tolist() == [0, 0, 1, 3, 4, -1, -1]
    assert [name for name, _ in bins.each()] == ["XS", "S", "L", "XL"]
    found = measured()
    values = characteristics(found.result.truth, found.durations)
    assert values["coverage"].tolist() == pytest.approx([0.25, 0.25, 0.25, 1 / 6])
    assert values["instances"].tolist() == [3, 3, 3, 1]
    assert usual_bins({"length": values["length"]})["length"].each()[0][1].all()
    even = usual_bins({"length": np.arange(100.0)})["length"]
    assert np.bincount(even.member).tolist() == [20] * 5
    with pytest.raises(UsageError, match="Did you mean 'thumos14'"):
        found.bins("thumos")
    with pytest.raises(UsageError, match="must rise"):
        sort_into([1.0], (3, 2))
