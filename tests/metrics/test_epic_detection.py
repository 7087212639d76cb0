"""EPIC-KITCHENS-100 detection: three measures of one list, and the file to send in."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest

from actionspace.errors import DataError
from actionspace.events.table import Events
from actionspace.metrics.epic_detection import (
    check_detection_submission,
    detection_submission,
    epic_detection,
    epic_detection_metrics,
    submitted_events,
)
from actionspace.metrics.epic_submission import Supervision, read_submission, write_submission

VERBS = ["take", "put", "wash", *(f"verb {i}" for i in range(94))]
NOUNS = ["tap", "plate", *(f"noun {i}" for i in range(298))]


def events(rows: list[tuple[Any, ...]], scored: bool = True) -> Events:
    names = ("video", "start", "end", "verb", "noun", "score")
    table = [dict(zip(names, row, strict=False)) for row in rows]
    videos = [{"video": f"P01/videos/P01_0{i}.MP4", "split": "test"} for i in (1, 2)]
    return Events.from_frames(table, videos, heads=("verb", "noun"))


ONE, TWO = "P01/videos/P01_01.MP4", "P01/videos/P01_02.MP4"
TRUTH = [(ONE, 0, 4, "take", "plate"), (ONE, 0, 4, "take", "plate"), (ONE, 6, 8, "put", "plate")]
GUESS = [
    (ONE, 0, 4, "take", "plate", 0.9),
    (ONE, 0, 4, "take", "tap", 0.8),
    (ONE, 6, 8, "put", "plate", 0.7),
    (ONE, 6, 8, "wash", "plate", 0.95),
]


def test_three_measures_of_one_list() -> None:
    found = epic_detection(events(TRUTH), events(GUESS), split="test")
    metrics = epic_detection_metrics(found)
    assert len(metrics) == 18
    assert metrics["verb_map@0.50"] == 1  # repeated annotations stay, a third verb is not annotated
    assert metrics["noun_map@0.50"] == pytest.approx(2 / 3)
    assert metrics["action_map"] == pytest.approx((0.5 + 1) / 2)
    assert found["action"].protocol.name == "epic100-detection-action"
    assert found["action"].classes == ("put + plate", "take + plate")


def test_a_head_is_missing() -> None:
    with pytest.raises(DataError, match="needs the head 'verb'"):
        epic_detection(Events.from_frames([{"video": "a", "label": "x"}]), events(GUESS))


def test_written_and_read_back(tmp_path: Path) -> None:
    content = detection_submission(events(GUESS), VERBS, NOUNS, supervision=Supervision(2, 3, 3))
    assert list(content["results"]) == ["P01_01", "P01_02"] and not content["results"]["P01_02"]
    assert content["results"]["P01_01"][1] == {
        "verb": 0, "noun": 0, "action": "0,0", "score": 0.8, "segment": [0.0, 4.0],
    }  # fmt: skip
    path = write_submission(content, tmp_path / "run.zip")
    assert read_submission(path) == content
    back = submitted_events(content, VERBS, NOUNS)
    assert back.rows[["verb", "noun", "score"]].to_numpy().tolist() == [
        [verb, noun, score] for _, _, _, verb, noun, score in GUESS
    ]
    assert submitted_events(content).rows["verb"].tolist() == ["0", "0", "1", "2"]
    with pytest.raises(DataError, match=r"'tke' is no verb of the challenge\. Did you mean 'take'"):
        detection_submission(events([(ONE, 0, 1, "tke", "tap", 1)]), VERBS, NOUNS)


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"verb": 97}, "expected an id from 0 to 96"),
    ({"verb": True}, "expected an id"),
    ({"noun": "1"}, "expected an id from 0 to 299"),
    ({"action": "1,0"}, "expected '0,1'"),
    ({"score": float("nan")}, "'score' is nan"),
    ({"score": "0.5"}, "'score' is '0.5'"),
    ({"segment": [1]}, r"'segment' is \[1\]"),
    ({"segment": [2, 1]}, "expected .start, end."),
    ({"segment": None}, "'segment' is None"),
]


@pytest.mark.parametrize(("change", "words"), WRONG)
def test_segments_that_are_refused(change: dict[str, Any], words: str) -> None:
    content = detection_submission(events(GUESS), VERBS, NOUNS)
    content["results"]["P01_01"][0].update(change)
    with pytest.raises(DataError, match=words) as error:
        check_detection_submission(content, content["results"])
    assert "P01_01, segment 0" in str(error.value)


def test_heads_and_videos_that_are_refused() -> None:
    good = detection_submission(events(GUESS), VERBS, NOUNS)
    for key, value, words in (
        ("version", "0.1", "version"),
        ("challenge", "action_recognition", "it is action_detection"),
        ("sls_pt", 9, "sls_pt"),
        ("results", [], "no JSON object"),
    ):
        with pytest.raises(DataError, match=words):
            check_detection_submission(dict(good, **{key: value}), good["results"])
    with pytest.raises(DataError, match="'P09_09' has no list"):
        check_detection_submission(good, ["P01_01", "P01_02", "P09_09"])
    with pytest.raises(DataError, match="'P01_02' should not be there"):
        check_detection_submission(good, ["P01_01"])
    broken = copy.deepcopy(good)
    broken["results"]["P01_02"] = None
    with pytest.raises(DataError, match="no list of segments"):
        check_detection_submission(broken, good["results"])
