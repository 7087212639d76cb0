"""Average precision of moments: properties, a plain loop, tolerances, timing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actionspace.errors import DataError, UsageError
from actionspace.metrics.detection_matching import Instances
from actionspace.metrics.point_detection import evaluate_points

Row = tuple[int, int, int]  # video, quarter of a second, class

TRUTH = st.lists(
    st.tuples(st.integers(0, 2), st.integers(0, 40), st.integers(0, 2)),
    min_size=1,
    max_size=12,
    unique=True,
)
GUESS = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 40), st.integers(0, 2)), max_size=16)


def instances(rows: list[Row], scores: list[float] | None = None, shift: float = 0) -> Instances:
    table = np.array(rows, dtype=np.float64).reshape(-1, 3)
    times = table[:, 1] / 4 + shift
    return Instances(
        table[:, 0].astype(np.int64),
        np.stack([times, times], 1),
        table[:, 2].astype(np.int64),
        np.array(scores if scores is not None else []),
    )


def scores(n: int, seed: int = 0) -> list[float]:
    return list(np.random.default_rng(seed).permutation(n) / 7 + 0.01)


def plain(truth: list[Row], guess: list[Row], score: list[float], most: float) -> float:
    """Mean AP of one tolerance in seconds, step by step."""
    each = []
    for c in sorted({row[2] for row in truth}):
        mine = [row for row in truth if row[2] == c]
        free, hits = set(range(len(mine))), []
        for i in sorted(range(len(guess)), key=lambda i: -score[i]):
            if guess[i][2] != c:
                continue
            near = [
                (abs(mine[t][1] - guess[i][1]) / 4, -t)
                for t in free
                if mine[t][0] == guess[i][0] and abs(mine[t][1] - guess[i][1]) / 4 <= most
            ]
            hits.append(bool(near))
            if near:
                free.discard(-min(near)[1])
        precision = np.cumsum(hits) / np.arange(1, len(hits) + 1)
        best = [max(precision[k:]) for k in range(len(hits)) if hits[k]]
        each.append(sum(best) / len(mine))
    return float(np.mean(each))


@given(TRUTH, GUESS)
@settings(deadline=None, max_examples=80)
def test_it_is_what_a_plain_loop_finds(truth: list[Row], guess: list[Row]) -> None:
    found = evaluate_points(
        instances(truth), instances(guess, scores(len(guess))), (0, 0.25, 1, 3)
    ).metrics()
    for most in (0, 0.25, 1, 3):
        assert found[f"point_ap@{most:g}s"] == pytest.approx(
            plain(truth, guess, scores(len(guess)), most)
        )
    each = [found[f"point_ap@{most:g}s"] for most in (0, 0.25, 1, 3)]
    assert found["point_map"] == pytest.approx(np.mean(each))


@given(TRUTH)
@settings(deadline=None, max_examples=30)
def test_perfect_is_one(truth: list[Row]) -> None:
    found = evaluate_points(instances(truth), instances(truth, scores(len(truth))), (0, 0.5))
    assert found.metrics() == {"point_map": 1, "point_ap@0s": 1, "point_ap@0.5s": 1}
    assert set(found.timing().values()) == {0.0}


@given(TRUTH, GUESS, st.integers(-20, 20))
@settings(deadline=None, max_examples=30)
def test_time_has_no_origin(truth: list[Row], guess: list[Row], shift: int) -> None:
    some = scores(len(guess))
    here = evaluate_points(instances(truth), instances(guess, some), (0.25, 1))
    there = evaluate_points(
        instances(truth, shift=shift), instances(guess, some, shift=shift), (0.25, 1)
    )
    assert here.metrics() == there.metrics()
    assert here.timing() == pytest.approx(there.timing(), nan_ok=True)


@given(TRUTH, GUESS)
@settings(deadline=None, max_examples=40)
def test_a_false_moment_more_and_a_right_one_less_are_never_better(
    truth: list[Row], guess: list[Row]
) -> None:
    some = scores(len(guess))
    before = evaluate_points(instances(truth), instances(guess, some), (0.5,)).metrics()
    more = evaluate_points(
        instances(truth), instances([*guess, (7, 0, truth[0][2])], [*some, 99.0]), (0.5,)
    )
    assert more.metrics()["point_map"] <= before["point_map"] + 1e-12
    right = [row in truth for row in guess]
    exact = [row for row, good in zip(guess, right, strict=True) if good]
    those = [s for s, good in zip(some, right, strict=True) if good]
    all_right = evaluate_points(instances(truth), instances(exact, those), (0,)).metrics()
    less = evaluate_points(instances(truth), instances(exact[1:], those[1:]), (0,)).metrics()
    assert less["point_map"] <= all_right["point_map"] + 1e-12


def test_wider_tolerances_find_as_much_for_single_moments() -> None:
    truth, guess = [(0, 10, 0), (1, 10, 0)], [(0, 11, 0), (1, 14, 0)]
    found = evaluate_points(instances(truth), instances(guess, [0.9, 0.8]), (0.2, 0.25, 0.5, 1))
    assert list(found.metrics().values())[1:] == [0, 0.5, 0.5, 1]


def test_rounding_does_not_push_a_moment_out() -> None:
    truth, guess = instances([(0, 0, 0)], shift=1.0), instances([(0, 0, 0)], [1.0], shift=1.1)
    assert evaluate_points(truth, guess, (0.1,)).metrics()["point_map"] == 1


def test_tolerances_in_frames_are_those_of_each_video() -> None:
    truth, guess = [(0, 10, 0), (1, 10, 0)], [(0, 11, 0), (1, 11, 0)]
    given: Any = (instances(truth), instances(guess, [0.9, 0.8]))
    found = evaluate_points(*given, (1.0,), (1, 2), np.array([4.0, 8.0]))
    assert found.names == ("1s", "1f", "2f")
    assert found.metrics() == {
        **{"point_map": 1, "point_ap@1s": 1},
        **{"point_ap@1f": 0.5, "point_ap@2f": 1},
    }
    only = evaluate_points(*given, (), (1, 2), np.array([4.0, 8.0])).metrics()
    assert only["point_map"] == 0.75
    with pytest.raises(DataError, match="fps"):
        evaluate_points(*given, (), (1,), np.array([4.0, np.nan]))


def test_how_far_off_times_are() -> None:
    truth = [(0, 10, 0), (0, 30, 0), (0, 10, 1), (0, 40, 1)]
    guess = [(0, 12, 0), (0, 29, 0), (0, 11, 1), (0, 20, 1)]
    found = evaluate_points(instances(truth), instances(guess, [0.9, 0.8, 0.7, 0.6]), (0.1, 1))
    late = np.array([0.5, -0.25, 0.25])
    assert found.timing() == pytest.approx(
        {
            "timing_bias": late.mean(),
            "timing_error": np.abs(late).mean(),
            "timing_median": 0.25,
            "timing_std": late.std(),
        }
    )
    assert found.timing(1)["timing_bias"] == 0.25
    none = evaluate_points(instances(truth), instances([(0, 20, 0)], [1.0]), (0.1,))
    assert np.isnan(list(none.timing().values())).all()


def test_what_cannot_be_measured_is_said() -> None:
    with pytest.raises(UsageError, match="Tolerances"):
        evaluate_points(instances([(0, 1, 0)]), instances([], []), ())
    with pytest.raises(UsageError, match="Tolerances"):
        evaluate_points(instances([(0, 1, 0)]), instances([], []), (-1,))
    with pytest.raises(DataError, match="Nothing is annotated"):
        evaluate_points(instances([]), instances([], []))
