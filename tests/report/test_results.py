from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from actionspace.events.table import Events
from actionspace.report import results
from actionspace.report.measures import measures
from actionspace.training.predictions import Predictions
from tests.report import fake_run


def scored(truth, scores, classes=("a", "b", "c"), **about):
    rows = pd.DataFrame({"video": [f"{i}.mp4" for i in range(len(truth))], "label": "a"})
    events = Events.from_frames(rows)
    events.rows["label_true"] = truth
    labels = {"heads": {"label": {"classes": list(classes), **about}}}
    values = np.asarray(scores, np.float32)
    return results.scored(Predictions(events, {"label": values}, labels, pd.DataFrame()), "label")


def test_rows_without_known_truth_are_left_out():
    data = scored(["a", None, "zebra", "c"], np.eye(4, 3))
    assert list(data.rows["video"]) == ["0.mp4", "3.mp4"]
    assert scored([None, None], np.eye(2, 3)) is None


def over_time(truth, logits, classes, **about) -> Predictions:
    """One video of ten rows of one second, searched from beginning to end."""
    videos = [{"video": "v.mp4", "duration": 10}]
    start = np.arange(10.0)
    rows = pd.DataFrame({"video": "v.mp4", "start": start, "end": start + 1, "anchored": False})
    labels = {
        "heads": {"label": {"classes": list(classes), "multi_label": False}},
        "untrimmed": ["v.mp4"],
        **about,
    }
    known = Events.from_frames(truth).rows
    raw = {"label": np.asarray(logits, np.float32)}
    empty = {"label": np.zeros((0, len(classes)), np.float32)}
    return Predictions(Events.from_frames([], videos), empty, labels, rows, raw, known)


def test_annotated_events_of_untrimmed_videos_get_the_mean_score_of_their_time():
    truth = [
        {"video": "v.mp4", "start": 0, "end": 4, "label": "a"},
        {"video": "v.mp4", "start": 4, "end": 10, "label": "b"},
        {"video": "v.mp4", "start": 8, "end": 9, "label": "b", "status": "ignore"},
    ]
    logits = np.log(np.repeat([[0.8, 0.2], [0.4, 0.6]], [2, 8], axis=0))
    data = results.scored(over_time(truth, logits, "ab"), "label")
    assert data.scores[0].tolist() == pytest.approx([0.6, 0.4])
    assert data.scores[1].tolist() == pytest.approx([0.4, 0.6])
    assert data.truth.tolist() == [0, 1]
    by_score = results.scored(over_time(truth, logits, "ab", average="score"), "label")
    odds = (4 * (2 / 3)) ** 0.5
    assert by_score.scores[0, 0] == pytest.approx(odds / (1 + odds))


def test_a_trained_background_is_left_out_and_the_rest_adds_up_to_one():
    truth = [{"video": "v.mp4", "start": 0, "end": 10, "label": "a"}]
    logits = np.log(np.tile([0.3, 0.1, 0.6], (10, 1)))
    background = {"kind": "trained", "label": "nothing"}
    told = over_time(truth, logits, ("a", "b", "nothing"), background=background)
    data = results.scored(told, "label")
    assert data.classes == ("a", "b")
    assert data.scores[0].tolist() == pytest.approx([0.75, 0.25])


def test_chance_of_equal_classes():
    data = scored(list("abcabc"), np.ones((6, 3)) / 3)
    chance = results.chance_levels(data)
    third = pytest.approx(1 / 3)
    assert chance["top1_accuracy"] == third and chance["mean_class_accuracy"] == third
    assert chance["macro_f1"] == third and chance["map"] == third
    assert chance["top5_accuracy"] == 1.0


def test_chance_of_unequal_classes_is_what_guessing_reaches():
    from actionspace.metrics.classification import single_label_metrics

    rng = np.random.default_rng(0)
    truth = rng.choice(3, 60_000, p=[0.7, 0.2, 0.1])
    chance = results.chance_levels(
        scored([("a", "b", "c")[t] for t in truth], np.ones((60_000, 3)))
    )
    reached = single_label_metrics(rng.random((60_000, 3)), truth, ("a", "b", "c"))
    for name in ("top1_accuracy", "mean_class_accuracy", "macro_f1", "weighted_f1", "map"):
        assert chance[name] == pytest.approx(reached[name], abs=0.01), name


def test_mistakes_are_the_surest_and_of_several_kinds():
    n = 20
    scores = np.full((n, 3), 0.1)
    scores[:, 1] = np.linspace(0.5, 0.9, n)  # all taken for b
    data = scored(["a"] * 10 + ["c"] * 8 + ["b"] * 2, scores)
    chosen, wrong = results.mistakes(data)
    assert wrong == 18
    assert [m.truth for m in chosen] == ["c"] * 3 + ["a"] * 3
    assert chosen[0].video == "17.mp4" and chosen[0].predicted == "b"
    assert chosen[0].score == pytest.approx(scores[17, 1], abs=1e-6)
    assert chosen[0].truth_score == pytest.approx(0.1)
    assert chosen[0].start is None


def test_confusion_counts_and_pairs():
    scores = np.eye(3)[[0, 1, 1, 2, 0]]
    found = results.confusion(scored(list("aabcc"), scores))
    assert found.counts.tolist() == [[1, 1, 0], [0, 1, 0], [1, 0, 1]]
    assert ("a", "b", 1, 2) in found.pairs and found.left_out == 0


def test_a_large_confusion_matrix_is_cut_to_the_classes_in_trouble():
    classes = [f"c{i:03d}" for i in range(100)]
    truth = np.arange(100)
    guess = truth.copy()
    guess[60:70] = 59
    found = results.confusion(scored([classes[i] for i in truth], np.eye(100)[guess], classes))
    assert len(found.classes) == results.MOST_CLASSES_DRAWN and found.left_out == 60
    assert {"c059", "c060", "c069"} <= set(found.classes)


def test_classes_nobody_saw_are_left_out():
    data = scored(["a", "b"], np.eye(2, 3))
    assert [r.name for r in results.class_rows(data)] == ["a", "b"]
    assert results.confusion(data).classes == ("a", "b")


def test_several_labels_have_no_confusion_matrix():
    data = scored(["a|b", "c", "a"], [[0.9, 0.8, 0.1], [0.2, 0.1, 0.3], [0.1, 0.7, 0.2]])
    assert data.multi
    assert results.confusion(data) is None
    a, b, _ = results.class_rows(data)
    assert (a.support, a.predicted, a.precision, a.recall) == (2, 1, 1.0, 0.5)
    assert (b.support, b.predicted) == (1, 2)
    chosen, wrong = results.mistakes(data)
    assert wrong == 1 and (chosen[0].truth, chosen[0].predicted) == ("a", "b")


def test_measures_read_both_spellings_of_intervals():
    metrics = {
        "macro_f1": 0.5,
        "intervals": {"macro_f1": {"low": 0.4, "high": 0.6}},
        "top1_accuracy": 0.7,
        "top1_accuracy_ci": [0.6, 0.8],
        "rows": 12,
        "refit": True,
        "edit_score": 61.25,
        "protocol": {"split": "test"},
    }
    found = measures(metrics, {"top1_accuracy": 0.25})
    assert [m.key for m in found] == ["top1_accuracy", "macro_f1", "edit_score"]
    top, f1, edit = found
    assert (top.low, top.high, top.chance, top.unit) == (0.6, 0.8, 0.25, "%")
    assert (f1.low, f1.high) == (0.4, 0.6)
    assert edit.show(edit.value) == "61.2" and edit.unit == "" and edit.top == 100


def test_the_fake_run_is_plausible():
    data = results.scored(fake_run.evaluated(fake_run.manifest(".")), "label")
    accuracy = (data.scores.argmax(1) == data.truth).mean()
    assert 0.4 < accuracy < 0.8
