from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actionspace.errors import UsageError
from actionspace.events.postprocess import scores_to_events, smooth_scores, time_cells

CLASSES = ["groom", "rear", "rest"]


def grid(n: int, step: float = 1.0, span: float = 1.0) -> np.ndarray:
    start = np.arange(n) * step
    return np.stack([start, start + span], axis=1)


def one_hot(text: str, sure: float = 0.9) -> np.ndarray:
    """``"ggr-"`` = two rows of groom, one of rear, one where nothing is likely."""
    scores = np.full((len(text), 3), (1 - sure) / 2)
    for i, letter in enumerate(text):
        if letter == "-":
            scores[i] = 1 / 3
        else:
            scores[i, ["g", "r", "s"].index(letter)] = sure
    return scores


def found(text: str, **options: object) -> list[tuple[str, float, float]]:
    rows = scores_to_events(grid(len(text)), one_hot(text), CLASSES, video="v", **options)  # type: ignore[arg-type]
    assert (rows["video"] == "v").all()
    return list(zip(rows["label"], rows["start"], rows["end"], strict=True))


def test_the_best_class_wins() -> None:
    assert found("ggrrrg") == [("groom", 0, 2), ("rear", 2, 5), ("groom", 5, 6)]


def test_nothing_happening_is_a_background_class_or_a_threshold() -> None:
    assert found("gssr", background="rest") == [("groom", 0, 1), ("rear", 3, 4)]
    assert found("g--r", threshold=0.5) == [("groom", 0, 1), ("rear", 3, 4)]
    only_rear = {"rear": 0.5}
    assert found("g--r", threshold=only_rear) == [("rear", 3, 4)]


def test_gaps_close_and_short_events_go() -> None:
    assert found("gg-gg", threshold=0.5, merge_gap=1) == [("groom", 0, 5)]
    assert found("gg-gg", threshold=0.5, merge_gap=0.5) == [("groom", 0, 2), ("groom", 3, 5)]
    assert found("ggrgg", min_duration=2) == [("groom", 0, 2), ("groom", 3, 5)]
    assert found("ggrgg", min_duration=2, merge_gap=1) == [("groom", 0, 5)]
    assert found("ggrgg", min_duration={"groom": 3}) == [("rear", 2, 3)]
    assert found("gg--rr--gg", threshold=0.5, merge_gap=9)[0] == ("groom", 0, 2)  # rear between


def test_hysteresis_holds_an_event_but_does_not_open_one() -> None:
    scores = np.array([[0.5, 0, 0], [0.9, 0, 0], [0.5, 0, 0], [0.3, 0, 0], [0.5, 0, 0]])
    rows = scores_to_events(grid(5), scores, CLASSES, threshold=0.8, hysteresis=0.4)
    assert rows[["start", "end"]].to_numpy().tolist() == [[0, 3]]
    rows = scores_to_events(grid(5), scores, CLASSES, threshold=0.8)
    assert rows[["start", "end"]].to_numpy().tolist() == [[1, 2]]


def test_several_labels_overlap() -> None:
    scores = np.array([[0.9, 0.9, 0], [0.9, 0.1, 0], [0.1, 0.9, 0.0]])
    rows = scores_to_events(grid(3), scores, CLASSES, threshold=0.5, multi_label=True)
    spans = sorted(zip(rows["label"], rows["start"], rows["end"], strict=True))
    assert spans == [("groom", 0, 2), ("rear", 0, 1), ("rear", 2, 3)]
    with pytest.raises(UsageError, match="threshold"):
        scores_to_events(grid(3), scores, CLASSES, multi_label=True)


def test_the_score_is_the_mean_over_time() -> None:
    times = np.array([[0.0, 1.0], [1.0, 4.0]])
    rows = scores_to_events(times, np.array([[0.6, 0, 0], [0.8, 0, 0]]), CLASSES)
    assert rows["score"].tolist() == pytest.approx([(0.6 + 3 * 0.8) / 4])


def test_overlapping_windows_meet_half_way() -> None:
    times = grid(3, step=2.0, span=4.0)
    assert time_cells(times).tolist() == [[0, 3], [3, 5], [5, 8]]
    apart = np.array([[0.0, 1.0], [2.0, 3.0]])
    assert time_cells(apart).tolist() == apart.tolist()
    rows = scores_to_events(times[::-1], one_hot("rgg"), CLASSES)  # rows in any order
    assert rows[["start", "end"]].to_numpy().tolist() == [[0, 5], [5, 8]]


def test_an_event_does_not_bridge_what_was_not_scored() -> None:
    times = np.array([[0.0, 1.0], [1.0, 2.0], [7.0, 8.0]])
    rows = scores_to_events(times, one_hot("ggg"), CLASSES)
    assert rows[["start", "end"]].to_numpy().tolist() == [[0, 2], [7, 8]]
    holes = one_hot("ggg")
    holes[1] = np.nan
    rows = scores_to_events(grid(3), holes, CLASSES)
    assert rows[["start", "end"]].to_numpy().tolist() == [[0, 1], [2, 3]]


def test_smoothing_swallows_a_flicker_and_keeps_sums() -> None:
    scores = one_hot("gggrggg")
    smooth = smooth_scores(np.arange(7.0), scores, 1.0)
    assert smooth.sum(axis=1) == pytest.approx(scores.sum(axis=1))
    rows = scores_to_events(grid(7), scores, CLASSES, smooth=1.0)
    assert rows["label"].tolist() == ["groom"]
    assert (smooth_scores(np.arange(7.0), scores, 0.0) == scores).all()


@given(
    st.lists(st.floats(0.05, 2), min_size=2, max_size=30),
    st.integers(0, 10**6),
    st.floats(0.1, 3),
)
def test_smoothing_equals_its_definition(steps: list[float], seed: int, sigma: float) -> None:
    centres = np.cumsum(steps)
    scores = np.random.default_rng(seed).random((len(steps), 2))
    distance = np.abs(centres[:, None] - centres[None])
    weight = np.exp(-0.5 * (distance / sigma) ** 2) * (distance <= 3 * sigma)
    expected = weight @ scores / weight.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(smooth_scores(centres, scores, sigma), expected, rtol=1e-9)


@given(st.text("grs-", max_size=30), st.floats(0, 3), st.floats(0, 3))
def test_events_never_overlap_and_keep_their_bounds(text: str, least: float, gap: float) -> None:
    spans = found(text, threshold=0.5, min_duration=least, merge_gap=gap) if text else []
    for (_, _, end), (_, start, _) in pairwise(spans):
        assert end <= start
    assert all(end - start >= least for _, start, end in spans)


def test_wrong_use() -> None:
    with pytest.raises(UsageError, match="do not fit"):
        scores_to_events(grid(2), one_hot("g"), CLASSES)
    with pytest.raises(UsageError, match="Did you mean 'groom'"):
        scores_to_events(grid(1), one_hot("g"), CLASSES, background="grom")
    assert len(scores_to_events(np.zeros((0, 2)), np.zeros((0, 3)), CLASSES)) == 0
