"""Detection figures and error analysis, as the published evaluations compute them."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from actionspace.events.table import Events
from actionspace.metrics.detection import distinct, evaluate_detections
from actionspace.metrics.detection_bins import characteristics, sort_into
from actionspace.metrics.detection_errors import KINDS, false_positives, missed, sensitivity
from actionspace.metrics.detection_matching import Instances
from actionspace.metrics.epic_detection import (
    check_detection_submission,
    epic_detection,
    epic_detection_metrics,
    submitted_events,
)
from tests.golden.tal import Case, cases
from tests.golden.x3d import folders

EVALUATION = cases("evaluation", "gt", "pred")
DUPLICATES = cases("remove_duplicate_annotations")
DETAD = cases("detad", "ground_truth", "predictions", "expected", area="tridet")
TOLERANCE = 1e-12


def load(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def instances(rows: list[Any]) -> Instances:
    """From (video number, start, end, label[, score])."""
    table = np.array(rows, dtype=np.float64)
    scores = table[:, 4] if table.shape[1] > 4 else np.zeros(0)
    return Instances(table[:, 0].astype(int), table[:, 1:3], table[:, 3].astype(int), scores)


@pytest.mark.skipif(not EVALUATION, reason="no golden/tal evaluation cases here")
@pytest.mark.parametrize("drop", [False, True], ids=["reference", "drop_unknown_labels"])
@pytest.mark.parametrize("case", EVALUATION, ids=lambda c: c.id)
def test_evaluation(case: Case, drop: bool) -> None:
    database, pred = load(case.file("gt"))["database"], load(case.file("pred"))
    number = {video: i for i, video in enumerate(sorted({*database, *pred["video-id"]}))}
    truth = instances(
        [
            (number[video], *a["segment"], a["label_id"])
            for video, entry in database.items()
            if entry["subset"] == case.entry["split"]
            for a in entry["annotations"]
        ]
    )
    videos = [number[v] for v in pred["video-id"]]
    columns = [pred[name] for name in ("t-start", "t-end", "label", "score")]
    guess = instances(list(zip(videos, *columns, strict=True)))
    truth = truth.at(distinct(truth))
    for expected in case.entry["expected"].values():
        figures = expected["drop_unknown_labels"] if drop else expected
        result = evaluate_detections(
            truth, guess, expected["tiou"], recalls=expected["top_k"], drop_unknown_labels=drop
        )
        index = {str(c): i for i, c in enumerate(result.classes)}
        assert index == expected["activity_index"]
        assert abs(result.ap - figures["ap_per_tiou_class"]).max() <= TOLERANCE
        assert abs(result.ap.mean(axis=1) - figures["mAP"]).max() <= TOLERANCE
        assert result.metrics()["map"] == pytest.approx(figures["average_mAP"], abs=TOLERANCE)
        assert abs(result.recall.mean(axis=2) - figures["mRecall_tiou_k"]).max() <= TOLERANCE
        if "recall_tiou_k_class" in figures:
            assert abs(result.recall - figures["recall_tiou_k_class"]).max() <= TOLERANCE
        if drop:
            assert len(guess) - len(result.guess) == figures["n_dropped"]


@pytest.mark.skipif(not DUPLICATES, reason="no golden/tal duplicates here")
@pytest.mark.parametrize("case", DUPLICATES, ids=lambda c: c.id)
def test_repeated_annotations(case: Case) -> None:
    given = case.entry["input"]
    rows = instances([(0, *a["segment"], a["label_id"]) for a in given])
    kept = distinct(rows, case.entry["tol"])
    assert [a for a, keep in zip(given, kept, strict=True) if keep] == case.entry["expected"]


def detad(case: Case) -> tuple[Any, list[Any], Any]:
    """The case's result, its annotations as written, and what is expected of them."""
    database, expected = load(case.file("ground_truth"))["database"], load(case.file("expected"))
    predictions = load(case.file("predictions"))["results"]
    number = {video: i for i, video in enumerate(sorted({*database, *predictions}))}
    label = expected["activity_index"]
    written = [
        (number[video], a)
        for video, entry in database.items()
        if entry["subset"] == case.entry["subset"]
        for a in entry["annotations"]
        if a["coverage"] <= 1 and a["segment"][0] < a["segment"][1]
    ]
    truth = instances([(v, *a["segment"], label[a["label"]]) for v, a in written])
    guess = instances(
        [
            (number[video], *p["segment"], label[p["label"]], p["score"])
            for video, found in predictions.items()
            for p in found
        ]
    )
    assert len(truth) == expected["n_ground_truth"]
    result = evaluate_detections(truth, guess, case.entry["tiou_thresholds"])
    return result, [a for _, a in written], expected


def bins_of(case: Case, written: list[Any]) -> dict[str, Any]:
    manifest = load(case.folder / "manifest_detad.json")["bins"][case.entry["bins"]]
    return {
        name: sort_into([a[name] for a in written], about["edges"], about["labels"])
        for name, about in manifest.items()
    }


@pytest.mark.skipif(not DETAD, reason="no golden/tridet error analysis here")
@pytest.mark.parametrize("case", DETAD, ids=lambda c: c.id)
def test_false_positives(case: Case) -> None:
    result, _, expected = detad(case)
    profile, figures = false_positives(result), expected["false_positive"]
    assert profile.average_map == pytest.approx(figures["average_mAP_N"], abs=TOLERANCE)
    gains = list(figures["removing_error_gain"].values())
    assert [profile.gains[k] for k in KINDS[1:]] == pytest.approx(gains, abs=TOLERANCE)
    groups = figures["per_group_counts"].values()
    levels = [str(t) for t in case.entry["tiou_thresholds"]]
    counts = [[[kind[t] for kind in group.values()] for t in levels] for group in groups]
    np.testing.assert_array_equal(profile.counts, counts)
    order = np.lexsort((-result.guess.scores[profile.rows], result.guess.labels[profile.rows]))
    kinds = [p["error_type"] for p in figures["predictions"]]
    np.testing.assert_array_equal(profile.kinds[order], kinds)


@pytest.mark.skipif(not DETAD, reason="no golden/tridet error analysis here")
@pytest.mark.parametrize("case", DETAD, ids=lambda c: c.id)
def test_missed_and_sensitivity(case: Case) -> None:
    """Where the original stops with an error (a class without detections) there is no figure."""
    result, written, expected = detad(case)
    bins = bins_of(case, written)
    ours = missed(result, bins)
    for name, theirs in expected["false_negative"]["rates"].items():
        assert set(ours[name]) == set(theirs["avg"])
        for label, rates in theirs["avg"].items():
            assert ours[name][label]["share"] == pytest.approx(rates["all"], abs=TOLERANCE)
            assert ours[name][label]["missed"] == pytest.approx(rates["unmatched"], abs=TOLERANCE)
    figures = sensitivity(result, bins)
    assert figures["base"] == pytest.approx(expected["sensitivity"]["base"], abs=TOLERANCE)
    for name in bins:
        theirs = expected["sensitivity"][name]
        if "reference_error" not in theirs:
            for label, value in theirs.items():
                assert figures[name][label] == pytest.approx(value, abs=TOLERANCE)
    values = characteristics(result.truth)
    assert values["length"].tolist() == pytest.approx([a["length"] for a in written])
    assert values["instances"].tolist() == [a["num-instances"] for a in written]


def test_epic_detection(shared_data: Path) -> None:
    """The annotations are CC BY-NC and not among the copies; see tests/metrics too."""
    found = [f for f in folders() if (f / "ek100_detection_submission.json").is_file()]
    table = shared_data / "annotations" / "epic100" / "EPIC_100_validation.csv"
    if not found or not table.is_file():
        pytest.skip("no golden/x3d EPIC detection case, or no EPIC-KITCHENS annotations, here")
    case = load(found[0] / "metrics.json")["ek100_detection"]
    content = load(found[0] / "ek100_detection_submission.json")
    check_detection_submission(content, case["videos"])

    def seconds(clock: str) -> float:
        hours, minutes, rest = clock.split(":")
        return int(hours) * 3600 + int(minutes) * 60 + float(rest)

    with table.open(encoding="utf-8") as file:
        rows = [
            {
                "video": row["video_id"],
                "start": seconds(row["start_timestamp"]),
                "end": seconds(row["stop_timestamp"]),
                "verb": row["verb_class"],
                "noun": row["noun_class"],
            }
            for row in csv.DictReader(file)
            if row["video_id"] in case["videos"]
        ]
    truth = Events.from_frames(rows, heads=("verb", "noun"))
    evaluations = epic_detection(truth, submitted_events(content), thresholds=case["tiou"])
    ours = epic_detection_metrics(evaluations)
    for task, figures in case["result"].items():
        assert ours[f"{task}_map"] == pytest.approx(figures["avg"], abs=TOLERANCE)
        for level, value in zip(case["tiou"], figures["map"], strict=True):
            assert ours[f"{task}_map@{level:.2f}"] == pytest.approx(value, abs=TOLERANCE)
