"""Detection figures, counted slowly, and what must hold whatever is predicted."""

from __future__ import annotations

from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

from actionspace.errors import DataError, UsageError
from actionspace.metrics import detection_matching
from actionspace.metrics.detection import (
    DetectionResult,
    average_precision,
    distinct,
    evaluate_detections,
)
from actionspace.metrics.detection_intervals import detection_intervals
from actionspace.metrics.detection_matching import Instances, iou
from actionspace.metrics.intervals import draws

LEVELS = (0.3, 0.5, 0.7)


def instances(rows: Any, *, scored: bool = False) -> Instances:
    table = np.asarray(rows, dtype=np.float64).reshape(-1, 5 if scored else 4)
    whole = table[:, [0, 3]].astype(np.int64)
    scores = table[:, 4] if scored else np.zeros(0)
    return Instances(whole[:, 0], table[:, 1:3], whole[:, 1], scores)


@st.composite
def sets(draw: st.DrawFn, n: int = 40) -> tuple[Instances, Instances]:
    """Annotations, and predictions half of which lie near one; scores without ties."""
    rng = np.random.default_rng(draw(st.integers(0, 2**31)))
    videos, classes = draw(st.integers(1, 4)), draw(st.integers(1, 3))
    many, guesses = draw(st.integers(1, 12)), draw(st.integers(0, n))
    start = rng.uniform(0, 40, many)
    spans = np.stack([start, start + rng.uniform(1, 9, many)], axis=1)
    truth = Instances(
        rng.integers(0, videos, many), spans, rng.integers(0, classes, many) * 3, np.zeros(0)
    )
    near = rng.integers(0, many, guesses)
    moved = np.sort(spans[near] + rng.normal(0, 1.5, (guesses, 2)), axis=1)
    right = rng.uniform(size=guesses) < 0.7
    guess = Instances(
        np.where(right, truth.video[near], rng.integers(0, videos + 1, guesses)),
        moved,
        np.where(right, truth.labels[near], rng.integers(0, 7, guesses)),
        rng.permutation(np.linspace(0.05, 1, guesses)),
    )
    return truth, guess


def slowly(truth: Instances, guess: Instances, level: float, label: int) -> float:
    """AP of one class: prediction by prediction, the curve corner by corner."""
    wanted = [i for i in range(len(truth)) if truth.labels[i] == label]
    order = sorted(
        (i for i in range(len(guess)) if guess.labels[i] == label), key=lambda i: -guess.scores[i]
    )
    free, hits = set(wanted), []
    for i in order:
        options = [
            (float(iou(guess.spans[i], truth.spans[j])), j)
            for j in sorted(free)
            if truth.video[j] == guess.video[i]
        ]
        best = max(options, default=(0.0, -1))
        hits.append(best[0] >= level)
        free.discard(best[1] if hits[-1] else -1)
    area, reached = 0.0, 0
    for rank, hit in enumerate(hits):
        reached += hit
        if hit:
            later = [sum(hits[: r + 1]) / (r + 1) for r in range(rank, len(hits))]
            area += max(later) / len(wanted)
    return area


@settings(max_examples=50)
@given(sets())
def test_equal_to_counting_slowly(pair: tuple[Instances, Instances]) -> None:
    truth, guess = pair
    result = evaluate_detections(truth, guess, LEVELS)
    assert result.classes.tolist() == sorted(set(truth.labels.tolist()))
    for t, level in enumerate(LEVELS):
        for c, label in enumerate(result.classes):
            assert result.ap[t, c] == pytest.approx(slowly(truth, guess, level, label), abs=1e-12)
    metrics = result.metrics()
    assert metrics["map"] == pytest.approx(np.mean([metrics[f"map@{t:.2f}"] for t in LEVELS]))


@settings(max_examples=50)
@given(sets(), st.integers(1, 3))
def test_recall_is_equal_to_counting_slowly(pair: tuple[Instances, Instances], k: int) -> None:
    truth, guess = pair
    result = evaluate_detections(truth, guess, LEVELS, recalls=(k,))
    shares: dict[int, list[bool]] = {}
    for video, label in sorted({(v, c) for v, c in zip(truth.video, truth.labels, strict=True)}):
        mine = np.flatnonzero((truth.video == video) & (truth.labels == label))
        theirs = np.flatnonzero((guess.video == video) & (guess.labels == label))
        best = theirs[np.argsort(-guess.scores[theirs])][: k * len(mine)]
        for j in mine:
            found = any(iou(guess.spans[i], truth.spans[j]) >= 0.5 for i in best)
            shares.setdefault(int(label), []).append(found)
    expected = [np.mean(shares[int(c)]) for c in result.classes]
    np.testing.assert_allclose(result.recall[1, 0], expected, atol=1e-12)


@given(sets())
def test_perfect_predictions_reach_one(pair: tuple[Instances, Instances]) -> None:
    truth = pair[0].at(distinct(pair[0]))
    scores = np.random.default_rng(0).uniform(size=len(truth))
    guess = Instances(truth.video, truth.spans, truth.labels, scores)
    result = evaluate_detections(truth, guess, (0.1, 1.0))
    assert set(result.metrics().values()) == {1.0}
    if len(truth) > 1:
        fewer = evaluate_detections(truth, guess.at(np.arange(1, len(truth))), (0.1, 1.0))
        assert all(v < 1 for name, v in fewer.metrics().items() if name.startswith("map"))


@settings(max_examples=50)
@given(sets(), st.integers(0, 10_000))
def test_never_better_for_worse_predictions(pair: tuple[Instances, Instances], seed: int) -> None:
    """More false predictions, or false ones that score higher, never help."""
    truth, guess = pair
    rng = np.random.default_rng(seed)
    before = evaluate_detections(truth, guess, LEVELS).metrics()
    n = 5
    elsewhere = Instances(
        np.full(n, 99),
        np.tile([0.0, 5.0], (n, 1)),
        rng.choice(truth.labels, n),
        rng.uniform(size=n),
    )
    after = evaluate_detections(truth, joined(guess, elsewhere), LEVELS).metrics()
    assert all(after[name] <= before[name] + 1e-12 for name in before)
    louder = Instances(elsewhere.video, elsewhere.spans, elsewhere.labels, elsewhere.scores + 1)
    worst = evaluate_detections(truth, joined(guess, louder), LEVELS).metrics()
    assert all(worst[name] <= after[name] + 1e-12 for name in before)


def joined(a: Instances, b: Instances) -> Instances:
    return Instances(
        *(
            np.concatenate([getattr(a, n), getattr(b, n)])
            for n in ("video", "spans", "labels", "scores")
        )
    )


@settings(max_examples=40)
@given(sets(), st.integers(0, 1000), st.sampled_from([-64.0, 1024.0]))
def test_neither_order_nor_a_shift_matters(
    pair: tuple[Instances, Instances], seed: int, shift: float
) -> None:
    truth, guess = pair
    rng = np.random.default_rng(seed)
    before = evaluate_detections(truth, guess, LEVELS).metrics()
    a, b = truth.at(rng.permutation(len(truth))), guess.at(rng.permutation(len(guess)))
    assert evaluate_detections(a, b, LEVELS).metrics() == pytest.approx(before, abs=1e-12)
    a = Instances(truth.video, truth.spans + shift, truth.labels, truth.scores)
    b = Instances(guess.video, guess.spans + shift, guess.labels, guess.scores)
    after = evaluate_detections(a, b, np.array(LEVELS) + 1e-7).metrics()  # rounding at a threshold
    assert list(after.values()) == pytest.approx(list(before.values()), abs=1e-12)


@given(sets())
def test_pairs_in_parts(pair: tuple[Instances, Instances]) -> None:
    truth, guess = pair
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(detection_matching, "_PAIRS", 3)
        parts = evaluate_detections(truth, guess, LEVELS)
    whole = evaluate_detections(truth, guess, LEVELS)
    np.testing.assert_array_equal(parts.found, whole.found)


def test_unknown_labels_collide_only_as_published() -> None:
    truth = instances([[0, 0, 10, 4], [0, 20, 30, 7]])
    guess = instances([[0, 0, 10, 1, 0.9], [0, 20, 30, 7, 0.8], [0, 0, 10, 4, 0.7]], scored=True)
    assert evaluate_detections(truth, guess, [0.5]).metrics()["map"] == 1
    published = evaluate_detections(truth, guess, [0.5], drop_unknown_labels=False)
    assert published.ap.tolist() == [[1.0, 0.5]]  # class 7 has the new id 1


def test_a_prediction_takes_the_free_annotation_it_overlaps_most() -> None:
    truth = instances([[0, 0, 10, 0], [0, 1, 11, 0], [0, 50, 60, 0]])
    guess = instances([[0, 0, 10, 0, 0.9], [0, 0, 10, 0, 0.8], [0, 0, 10, 0, 0.7]], scored=True)
    result = evaluate_detections(truth, guess, [0.5, 0.9])
    assert result.found.tolist() == [[0, 0], [1, -1], [-1, -1]]


def test_average_precision_by_hand() -> None:
    hits = np.array([[1, 0], [0, 1], [1, 1]], bool)
    np.testing.assert_allclose(average_precision(hits, 4), [(1 + 2 / 3) / 4, (2 / 3 + 2 / 3) / 4])
    assert average_precision(np.zeros((0, 2), bool), 3).tolist() == [0, 0]


def test_short_and_repeated_annotations() -> None:
    rows = [
        [0, 5, 6, 1], [0, 5.0005, 6.0005, 1], [0, 5.0009, 6.0009, 1], [0, 5.0012, 6.0012, 1],
        [0, 5, 6, 2], [1, 5, 6, 1], [0, 9, 9.0005, 1], [0, 9, 9, 1], [0, 5, 6.01, 1],
    ]  # fmt: skip
    # the third is near the first and second; the fourth is near the third, but that is left out
    kept = [True, False, False, True, True, True, False, False, True]
    assert distinct(instances(rows)).tolist() == kept
    assert distinct(instances([])).tolist() == []


def test_zero_length_predictions_are_false() -> None:
    truth = instances([[0, 0, 10, 0], [0, 5, 5, 0]])
    guess = instances([[0, 5, 5, 0, 0.9], [0, 0, 10, 0, 0.8]], scored=True)
    assert evaluate_detections(truth, guess, [0.5]).found.tolist() == [[-1], [0]]


@pytest.mark.parametrize(
    ("rows", "scored", "words"),
    [
        ([[0, 3, 2, 1]], False, "goes from 3.0 to 2.0"),
        ([[0, np.nan, 2, 1]], False, "goes from nan"),
        ([[0, 1, 2, 1, np.nan]], True, "Segment 0 has no score"),
    ],
)
def test_segments_that_make_no_sense(rows: Any, scored: bool, words: str) -> None:
    with pytest.raises(DataError, match=words):
        instances(rows, scored=scored)


def test_calls_that_make_no_sense() -> None:
    truth, guess = instances([[0, 1, 2, 1]]), instances([[0, 1, 2, 1, 0.5]], scored=True)
    for thresholds in ([], [0.0], [1.5], [np.nan]):
        with pytest.raises(UsageError, match="thresholds"):
            evaluate_detections(truth, guess, thresholds)
    with pytest.raises(UsageError, match="Recall@kx"):
        evaluate_detections(truth, guess, [0.5], recalls=[0])
    with pytest.raises(DataError, match="Nothing is annotated"):
        evaluate_detections(instances([]), guess, [0.5])
    with pytest.raises(DataError, match="no scores"):
        evaluate_detections(truth, truth, [0.5])
    with pytest.raises(DataError, match="do not fit"):
        Instances(np.zeros(2, np.int64), np.zeros((1, 2)), np.zeros(2, np.int64), np.zeros(0))


def resampled(pair: tuple[Instances, Instances], groups: Any, times: Any) -> DetectionResult:
    """Evaluate as many copies of each video, under names of their own, as it is drawn."""
    sides = []
    for side in pair:
        parts = [
            Instances(s.video + 100 * copy, s.spans, s.labels, s.scores)
            for g, n in enumerate(times)
            for copy in range(n)
            for s in [side.at(groups[side.video] == g)]
        ]
        whole = parts[0]
        for part in parts[1:]:
            whole = joined(whole, part)
        sides.append(whole)
    return evaluate_detections(*sides, LEVELS)  # type: ignore[arg-type]


@settings(max_examples=15)
@given(sets())
def test_intervals_are_those_of_copied_videos(pair: tuple[Instances, Instances]) -> None:
    truth, guess = pair
    result = evaluate_detections(truth, guess, LEVELS)
    groups = np.array([0, 1, 1, 2, 0])
    videos = np.unique(np.concatenate([result.truth.video, result.guess.video]))
    member, counts = draws(groups[videos], len(videos), 12, seed=3)
    intervals = detection_intervals(result, groups, n=12, seed=3)
    if counts.shape[1] < 2:
        assert all(np.isnan(v).all() for v in intervals.values())
        return
    number = np.zeros(5, np.int64)
    number[videos] = member
    values: dict[str, list[float]] = {name: [] for name in intervals}
    for times in counts:
        if not times[number[truth.video]].any():
            continue
        for name, value in resampled(pair, number, times).metrics().items():
            values[name].append(value)
    for name, (low, high) in intervals.items():
        expected = np.quantile(values[name], [0.025, 0.975]) if values[name] else [np.nan] * 2
        assert (low, high) == pytest.approx(tuple(expected), abs=1e-9, nan_ok=True)


def test_intervals_need_a_group_for_each_video() -> None:
    truth, guess = instances([[4, 1, 2, 1]]), instances([[0, 1, 2, 1, 0.5]], scored=True)
    result = evaluate_detections(truth, guess, [0.5])
    with pytest.raises(DataError, match="2 groups for 5 videos"):
        detection_intervals(result, ["a", "b"])
