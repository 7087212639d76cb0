"""Suppression of segments: every move of the published operator, written as plain loops."""

from __future__ import annotations

import math
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
import torch
from hypothesis import given, settings

from actionspace.errors import UsageError
from actionspace.events import nms
from actionspace.events.nms import Groups, Picks, hard_nms, soft_nms

F = np.float32
DECAYS = ("gaussian", "linear", "vanilla")


def overlap(a: np.ndarray, b: np.ndarray) -> np.float32:
    shared = max(F(0), min(a[1], b[1]) - max(a[0], b[0]))
    return F(shared / ((a[1] - a[0] + F(1e-6)) + (b[1] - b[0] + F(1e-6)) - shared))


def weight(iou: np.float32, decay: str, sigma: float, threshold: float) -> np.float32:
    if decay == "gaussian":
        return F(np.exp(F(-(iou * iou) / F(sigma))))
    if iou < F(threshold):
        return F(1)
    return F(1) - iou if decay == "linear" else F(0)


def by_loops(
    spans: np.ndarray,
    scores: np.ndarray,
    decay: str,
    sigma: float = 0.5,
    iou_threshold: float = 0.1,
    min_score: float = 0.001,
) -> tuple[list[int], list[np.float32]]:
    """One group, one pair at a time, moving segments about as the operator in C++ does."""
    order, left, n, i = list(range(len(spans))), list(scores), len(spans), 0
    while i < n:
        best = i
        for k in range(i + 1, n):
            if left[k] > left[best]:
                best = k
        order[i], order[best] = order[best], order[i]
        left[i], left[best] = left[best], left[i]
        k = i + 1
        while k < n:
            iou = overlap(spans[order[i]], spans[order[k]])
            left[k] = left[k] * weight(iou, decay, sigma, iou_threshold)
            if left[k] < F(min_score):
                n -= 1
                order[k], left[k] = order[n], left[n]
            else:
                k += 1
        i += 1
    return order[:n], left[:n]


def hard_by_loops(
    spans: np.ndarray, scores: np.ndarray, threshold: float, min_score: float
) -> list[int]:
    order = [
        i for i in np.argsort(-scores, kind="stable") if min_score <= 0 or scores[i] > min_score
    ]
    kept: list[int] = []
    for i in order:
        if all(overlap(spans[j], spans[i]) < F(threshold) for j in kept):
            kept.append(int(i))
    return kept


@st.composite
def segments(draw: st.DrawFn, least: int = 0, most: int = 30) -> tuple[np.ndarray, np.ndarray]:
    """Segments on a coarse grid, so that many coincide, with few distinct scores (many ties)."""
    n = draw(st.integers(least, most))
    rng = np.random.default_rng(draw(st.integers(0, 2**31)))
    start = rng.integers(0, 40, n) / 2
    spans = np.stack([start, start + rng.integers(0, 12, n) / 2], axis=1).astype(F)
    levels = draw(st.sampled_from([2, 5, 1000]))
    return spans, (rng.integers(0, levels, n) / levels).astype(F)


def pad(many: list[tuple[np.ndarray, np.ndarray]], video: list[int] | None = None) -> Groups:
    """Rows of different lengths; the padding would win every round if it were looked at."""
    longest = max(len(s) for _, s in many)
    spans = np.zeros((len(many), longest, 2), F)
    scores = np.full((len(many), longest), 9, F)
    for row, (a, s) in enumerate(many):
        spans[row, : len(a)], scores[row, : len(s)] = a, s
    sizes = np.array([len(s) for _, s in many])
    return Groups(spans, scores, sizes, None if video is None else np.array(video))


def rows(picks: Picks) -> list[tuple[list[int], np.ndarray]]:
    numbers, scores = np.asarray(picks.numbers), np.asarray(picks.scores)
    return [(numbers[i, :k].tolist(), scores[i, :k]) for i, k in enumerate(np.asarray(picks.sizes))]


def tensors(groups: Groups) -> Groups:
    video = None if groups.video is None else torch.from_numpy(groups.video)
    parts = (torch.from_numpy(a) for a in (groups.spans, groups.scores, groups.sizes))
    return Groups(*parts, video)


@settings(max_examples=60)
@given(
    st.lists(segments(), min_size=1, max_size=5),
    st.sampled_from(DECAYS),
    st.sampled_from([0.1, 0.5]),
    st.sampled_from([0.0, 0.001, 0.3]),
    st.booleans(),
)
def test_equal_to_the_loops(
    many: list[Any], decay: Any, threshold: float, least: float, as_tensors: bool
) -> None:
    groups = pad(many)
    options = {"sigma": 0.4, "iou_threshold": threshold, "min_score": least}
    found = soft_nms(tensors(groups) if as_tensors else groups, decay=decay, **options)
    for (spans, scores), (numbers, lowered) in zip(many, rows(found), strict=True):
        expected, values = by_loops(spans, scores, decay, **options)
        np.testing.assert_allclose(lowered, np.array(values, F), rtol=2e-6, atol=1e-9)
        if decay != "gaussian" or (np.diff(sorted(values)) > 1e-5).all():
            assert numbers == expected  # exp rounds differently, which may break ties


def test_ties_of_the_gaussian_by_place() -> None:
    spans = np.array([[0, 1], [0, 1], [5, 6], [0, 1], [7, 8], [5, 6], [9, 9.5], [7, 8]], F)
    scores = np.array([0.9, 0.5, 0.5, 0.9, 0.5, 0.9, 0.5, 0.2], F)
    numbers, _ = rows(soft_nms(pad([(spans, scores)]), sigma=0.1, min_score=0.1))[0]
    assert (
        numbers == by_loops(spans, scores, "gaussian", 0.1, 0.1, 0.1)[0] == [0, 5, 6, 4]
    )  # 6 took the place of 3


@settings(max_examples=60)
@given(
    st.lists(segments(), min_size=1, max_size=5),
    st.sampled_from([0.1, 0.5, 1.0]),
    st.sampled_from([0.0, 0.3]),
    st.booleans(),
)
def test_hard_is_equal_to_the_loops(
    many: list[Any], threshold: float, least: float, as_tensors: bool
) -> None:
    groups = pad(many)
    groups = tensors(groups) if as_tensors else groups
    found = hard_nms(groups, iou_threshold=threshold, min_score=least)
    for (spans, scores), (numbers, values) in zip(many, rows(found), strict=True):
        assert numbers == hard_by_loops(spans, scores, threshold, least)
        assert values.tolist() == scores[numbers].tolist()


@settings(max_examples=40)
@given(st.lists(segments(1), min_size=1, max_size=6), st.integers(1, 12), st.booleans())
def test_a_limit_keeps_the_best_of_each_video(many: list[Any], most: int, one_video: bool) -> None:
    """Stopping early must not cost a pick that belongs to the ``most`` best of its video."""
    video = [0 if one_video else i % 2 for i in range(len(many))]
    every = rows(soft_nms(pad(many)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(nms, "_CHECK", 1)
        some = rows(soft_nms(pad(many, video), most=most))
    for v in set(video):
        mine = [i for i in range(len(many)) if video[i] == v]
        best = sorted((s for i in mine for s in every[i][1]), reverse=True)[:most]
        assert sorted((s for i in mine for s in some[i][1]), reverse=True)[:most] == best
    for (numbers, _), (all_numbers, _) in zip(some, every, strict=True):
        assert len(numbers) <= most and numbers == all_numbers[: len(numbers)]


def test_a_hopeless_group_stops_early() -> None:
    far = np.arange(40, dtype=F)[:, None] * 10 + np.array([0, 1], F)
    good, poor = np.linspace(0.9, 0.8, 40).astype(F), np.linspace(0.5, 0.4, 40).astype(F)
    groups = pad([(far, good), (far, poor)], [0, 0])
    assert soft_nms(groups, most=20).sizes.tolist() == [20, 16]  # it is looked at every 8 rounds
    assert soft_nms(groups, most=12).sizes.tolist() == [12, 8]
    assert soft_nms(groups, most=8).sizes.tolist() == [8, 8]
    assert soft_nms(pad([(far, good), (far, poor)], [0, 1]), most=20).sizes.tolist() == [20, 20]


def test_a_hopeless_group_that_is_taken_along_stays_as_it_is() -> None:
    """It is so while most of the others go on; what sinks among those makes them shorter."""
    apart = np.arange(30, dtype=F)[:, None] * 10 + np.array([0, 5], F)
    good, poor = np.linspace(0.9, 0.8, 30, dtype=F), np.linspace(0.3, 0.2, 30, dtype=F)
    piled = (np.concatenate([apart[:24], apart[[10] * 6]]), good)
    groups = pad([piled, piled, (apart, poor)], [0, 0, 0])
    assert soft_nms(groups, min_score=0.15, most=20).sizes.tolist() == [16, 16, 8]


@settings(max_examples=40)
@given(segments(1), st.sampled_from(DECAYS), st.sampled_from([-16, 0.5, 1024]))
def test_moving_all_segments_moves_nothing_else(
    one: tuple[np.ndarray, np.ndarray], decay: Any, shift: float
) -> None:
    spans, scores = one  # multiples of a half, which shifts leave exact
    here, there = (
        soft_nms(pad([one]), decay=decay),
        soft_nms(pad([(spans + F(shift), scores)]), decay=decay),
    )
    np.testing.assert_array_equal(here.numbers, there.numbers)
    np.testing.assert_array_equal(here.scores, there.scores)


@settings(max_examples=40)
@given(st.integers(1, 40), st.integers(0, 1000), st.sampled_from(DECAYS))
def test_order_does_not_matter_without_ties(n: int, seed: int, decay: Any) -> None:
    rng = np.random.default_rng(seed)
    start = rng.uniform(0, 30, n)
    spans = np.stack([start, start + rng.uniform(0.5, 9, n)], axis=1).astype(F)
    scores = rng.permutation(np.linspace(0.1, 1, n)).astype(F)
    order = rng.permutation(n)
    here = rows(soft_nms(pad([(spans, scores)]), decay=decay))[0]
    there = rows(soft_nms(pad([(spans[order], scores[order])]), decay=decay))[0]
    np.testing.assert_array_equal(here[0], order[there[0]])
    np.testing.assert_array_equal(here[1], there[1])


def test_scores_never_rise_and_the_best_is_kept_whatever_it_scores() -> None:
    spans, scores = np.array([[0, 4], [1, 5], [2, 6]], F), np.array([0.3, 0.5, 0.4], F)
    ((numbers, lowered),) = rows(soft_nms(pad([(spans, scores)]), min_score=2.0))
    assert numbers == [1] and lowered.tolist() == [0.5]
    assert rows(hard_nms(pad([(spans, scores)]), min_score=2.0)) == [([], pytest.approx([]))]
    lowered = rows(soft_nms(pad([(spans, scores)])))[0][1]
    assert lowered[0] == F(0.5) and (np.diff(lowered) <= 0).all()
    iou = 3 / (8 + 2e-6 - 3)
    assert math.isclose(lowered[1], 0.4 * math.exp(-(iou**2) / 0.5), rel_tol=1e-6)


def test_nothing_to_do() -> None:
    empty = Groups(np.zeros((0, 0, 2), F), np.zeros((0, 0), F), np.zeros(0, np.int64))
    assert soft_nms(empty).numbers.shape == (0, 0)
    assert soft_nms(pad([(np.zeros((2, 2), F), np.ones(2, F))]), most=0).sizes.tolist() == [0]


@pytest.mark.parametrize("wrong", [{"decay": "cubic"}, {"sigma": 0.0}, {"sigma": math.nan}])
def test_wrong_options(wrong: Any) -> None:
    with pytest.raises(UsageError):
        soft_nms(pad([(np.zeros((1, 2), F), np.ones(1, F))]), **wrong)


@pytest.mark.gpu
def test_on_a_gpu() -> None:
    rng = np.random.default_rng(0)
    start = rng.uniform(0, 300, (40, 200)).astype(F)
    spans = np.stack([start, start + rng.uniform(1, 30, start.shape).astype(F)], axis=-1)
    scores = rng.uniform(0, 1, start.shape).astype(F)
    groups = Groups(spans, scores, rng.integers(1, 200, 40), np.arange(40) // 10)
    here = tensors(groups)
    there = Groups(here.spans.cuda(), here.scores.cuda(), here.sizes.cuda(), here.video.cuda())
    for most in (None, 50):
        ours, theirs = soft_nms(here, most=most), soft_nms(there, most=most)
        assert theirs.scores.is_cuda
        for (a, s), (b, t) in zip(
            rows(ours),
            rows(Picks(*(x.cpu() for x in (theirs.numbers, theirs.scores, theirs.sizes)))),
            strict=True,
        ):
            assert a == b
            np.testing.assert_allclose(s, t, rtol=1e-5)
