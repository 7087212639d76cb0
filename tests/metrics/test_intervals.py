"""Intervals: the vectorised equal the plain loop, coverage, none from one group."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from actionspace.errors import DataError, UsageError
from actionspace.metrics import classification as C
from actionspace.metrics import framewise as F
from actionspace.metrics import intervals as I


def _case(
    rows: int = 120, classes: int = 6, groups: int = 9, seed: int = 0
) -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, rows)
    scores = rng.normal(size=(rows, classes)).round(1)  # ties included
    scores[np.arange(rows), labels] += 1
    return scores, labels, rng.integers(0, groups, rows)


def _loop(
    measure: Callable[..., dict[str, float]], *arrays: np.ndarray, **options: Any
) -> dict[str, tuple[float, float]]:
    """The plain bootstrap of every measure; the draws of a seed are the same, and measured once."""
    drawn: list[dict[str, float]] = []

    def keep(*draw: np.ndarray) -> float:
        drawn.append(measure(*draw))
        return 0.0

    I.bootstrap(keep, *arrays, **options)
    found = {}
    for name in drawn[0]:
        values = iter([replicate[name] for replicate in drawn])
        found[name] = I.bootstrap(lambda *_, values=values: next(values), *arrays, **options)
    return found


@pytest.mark.parametrize("grouped", [True, False])
def test_single_label_intervals_equal_the_loop(grouped: bool) -> None:
    scores, labels, groups = _case()
    names = [str(i) for i in range(scores.shape[1])]
    options = {"groups": groups if grouped else None, "n": 60, "seed": 3}
    fast = I.single_label_intervals(scores, labels, **options)  # type: ignore[arg-type]
    assert fast.keys() == C.single_label_metrics(scores, labels, names).keys()
    slow = _loop(lambda s, y: C.single_label_metrics(s, y, names), scores, labels, **options)
    for name, interval in fast.items():
        assert interval == pytest.approx(slow[name], abs=1e-12), name


def test_a_class_missed_by_a_draw_does_not_count_as_zero() -> None:
    # Class 2 lives in group 0 and is always found there; elsewhere it is predicted once per group.
    labels = np.array([2, 2, 0, 1] + [0, 0, 0, 1] * 5)
    guess = np.array([2, 2, 0, 1] + [0, 0, 2, 1] * 5)
    groups = np.repeat(np.arange(6), 4)
    scores = np.eye(3)[guess]
    low, high = I.single_label_intervals(scores, labels, groups=groups, n=400)[
        "mean_class_accuracy"
    ]
    estimate = C.mean_class_accuracy(scores, labels)
    assert (2 / 3 + 1) / 2 - 0.05 < low <= estimate <= high


def test_multi_label_intervals_equal_the_loop() -> None:
    scores, labels, groups = _case(rows=60, classes=4)
    targets = (np.arange(4) == labels[:, None]) | (scores > 1.5)
    targets[:, 2] = False  # a class without positives
    names = [str(i) for i in range(4)]
    fast = I.multi_label_intervals(scores, targets, groups=groups, n=40)
    slow = _loop(
        lambda s, y: C.multi_label_metrics(s, y, names), scores, targets, groups=groups, n=40
    )
    for name, interval in fast.items():
        assert interval == pytest.approx(slow[name], abs=1e-12), name


def test_framewise_intervals_equal_the_loop() -> None:
    rng = np.random.default_rng(0)
    truths = [np.repeat(rng.integers(0, 4, 12), 5) for _ in range(10)]
    guesses = [np.where(rng.random(60) < 0.8, t, 0) for t in truths]
    groups = np.arange(10) // 2
    fast = I.framewise_intervals(
        F.tally(truths, guesses, background=0), groups=groups, n=50, seed=2
    )
    slow = _loop(
        lambda rows: F.framewise_metrics(
            [truths[i] for i in rows], [guesses[i] for i in rows], background=0
        ),
        np.arange(10),
        groups=groups,
        n=50,
        seed=2,
    )
    for name, interval in fast.items():
        assert interval == pytest.approx(slow[name], abs=1e-9), name


def test_a_behaviour_missed_by_a_draw_does_not_count_as_zero() -> None:
    truths = [np.array([0, 1, 2, 2])] + [np.array([0, 0, 1, 1])] * 5
    guesses = [np.array([0, 1, 2, 2])] + [np.array([0, 2, 1, 1])] * 5
    tallies = F.tally(truths, guesses)
    without_first = [[0, 1, 1, 1, 1, 1]]
    drawn = tallies.measures(without_first, resampled=True)["frame_f1"][0]
    assert drawn == pytest.approx((2 / 3 + 1) / 2)
    assert tallies.measures(without_first)["frame_f1"][0] == pytest.approx((2 / 3 + 1 + 0) / 3)


def test_deterministic_by_seed_and_ordered() -> None:
    scores, labels, groups = _case()
    first = I.single_label_intervals(scores, labels, groups=groups, n=200)
    assert first == I.single_label_intervals(scores, labels, groups=groups, n=200)
    assert first != I.single_label_intervals(scores, labels, groups=groups, n=200, seed=1)
    for low, high in first.values():
        assert 0 <= low <= high <= 1


def test_whole_groups_are_drawn() -> None:
    """Rows of a group are copies of each other, so grouping must widen the interval."""
    rng = np.random.default_rng(0)
    hit = np.repeat(rng.random(20) < 0.5, 30)
    groups = np.repeat(np.arange(20), 30)
    by_group = I.bootstrap(np.mean, hit, groups=groups, n=400)
    by_row = I.bootstrap(np.mean, hit, n=400)
    ratio = (by_group[1] - by_group[0]) / (by_row[1] - by_row[0])
    assert ratio == pytest.approx(np.sqrt(30), rel=0.3)


def test_covers_the_truth_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(1)
    inside = 0
    for seed in range(80):
        hit = np.repeat(rng.random(40) < 0.7, 2)
        low, high = I.bootstrap(
            np.mean, hit, groups=np.repeat(np.arange(40), 2), n=100, level=0.9, seed=seed
        )
        inside += low <= 0.7 <= high
    assert 0.75 < inside / 80 < 0.99


def test_undefined_replicates_are_left_out() -> None:
    values = np.array([1.0, np.nan, 3.0])
    low, high = I.bootstrap(lambda v: v.mean(), values, n=300)
    assert 1 <= low <= high <= 3
    assert np.isnan(I.bootstrap(lambda v: np.nan, values, n=10)).all()


def test_one_group_has_no_interval() -> None:
    scores, labels, _ = _case(rows=30)
    same = np.zeros(30)
    assert np.isnan(I.bootstrap(np.mean, labels, groups=same)).all()
    for interval in I.single_label_intervals(scores, labels, groups=same, n=20).values():
        assert np.isnan(interval).all()


def test_mistakes_are_named() -> None:
    with pytest.raises(DataError, match="one group per row"):
        I.bootstrap(np.mean, np.arange(4), groups=[0, 1])
    with pytest.raises(DataError, match="differ in length"):
        I.bootstrap(lambda a, b: 0.0, np.arange(4), np.arange(3))
    with pytest.raises(UsageError, match="between 0 and 1"):
        I.bootstrap(np.mean, np.arange(4), level=95, n=5)
