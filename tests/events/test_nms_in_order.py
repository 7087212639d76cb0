"""Suppression by distance-IoU: as plain loops write it, in both orders."""

from __future__ import annotations

import math
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

from actionspace.errors import UsageError
from actionspace.events import nms_in_order
from actionspace.events.nms import Picks, soft_nms
from actionspace.events.nms_in_order import diou_in_order
from actionspace.events.nms_videos import Detections, NmsOptions, suppress
from tests.events.test_nms import pad, rows, segments, tensors

F = np.float32
Segments = tuple[np.ndarray, np.ndarray]


def diou(a: np.ndarray, b: np.ndarray) -> float:
    """Of two segments, 0 where it is negative; 0 of two points in one place."""
    shared = max(0.0, min(a[1], b[1]) - max(a[0], b[0]))
    union = a[1] - a[0] + b[1] - b[0] - shared
    hull = max(a[1], b[1]) - min(a[0], b[0])
    if shared == 0:
        return 0.0
    return float(max(0.0, shared / union - ((a.sum() - b.sum()) / 2) ** 2 / hull**2))


def by_loops(
    spans: np.ndarray, scores: np.ndarray, sigma: float, min_score: float
) -> tuple[list[int], list[float]]:
    """One pair at a time, in the order of the scores."""
    order = [int(i) for i in np.argsort(-scores, kind="stable")]
    left = {i: float(scores[i]) for i in order}
    for k, i in enumerate(order):
        if left[i] > min_score:
            for j in order[k + 1 :]:
                left[j] *= math.exp(-(diou(spans[i], spans[j]) ** 2) / sigma)
    kept = [i for i in order if left[i] > min_score]
    return kept, [left[i] for i in kept]


@settings(max_examples=60, deadline=None)
@given(
    many=st.lists(segments(1), min_size=1, max_size=5),
    least=st.sampled_from([0.0, 0.0013, 0.3071]),
    turns=st.sampled_from([(1, 1), (2, 4), (8, 32)]),
    as_tensors=st.booleans(),
)
def test_equal_to_the_loops(
    many: list[Segments], least: float, turns: tuple[int, int], as_tensors: bool
) -> None:
    groups = pad(many)
    sigma = np.linspace(0.2, 0.9, len(many)).astype(F)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(nms_in_order, "_TURNS", turns)
        if as_tensors:
            import torch

            wide: Any = torch.from_numpy(sigma)
            found = diou_in_order(tensors(groups), sigma=wide, min_score=least)
        else:
            found = diou_in_order(groups, sigma=sigma, min_score=least)
    for (spans, scores), width, (numbers, lowered) in zip(many, sigma, rows(found), strict=True):
        expected, values = by_loops(spans.astype(float), scores, float(width), least)
        assert numbers == expected
        np.testing.assert_allclose(lowered, values, rtol=2e-4)  # float32 exponents add up


@settings(max_examples=40, deadline=None)
@given(st.lists(segments(1), min_size=1, max_size=6), st.integers(1, 12), st.booleans())
def test_a_limit_keeps_the_best_of_each_video(
    many: list[Segments], most: int, one_video: bool
) -> None:
    """Stopping early must not cost a pick that belongs to the ``most`` best of its video."""
    video = [0 if one_video else i % 2 for i in range(len(many))]
    every = rows(diou_in_order(pad(many), most=most))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(nms_in_order, "_TURNS", (1, 1))
        some = rows(diou_in_order(pad(many, video), most=most))
    for v in set(video):
        mine = [i for i in range(len(many)) if video[i] == v]
        best = sorted((s for i in mine for s in every[i][1]), reverse=True)[:most]
        found = sorted((s for i in mine for s in some[i][1]), reverse=True)[:most]
        np.testing.assert_allclose(found, best, rtol=2e-6)


def picked(one: Segments, method: str) -> Picks:
    groups = pad([one])
    return soft_nms(groups, decay="diou") if method == "diou" else diou_in_order(groups)


@pytest.mark.parametrize("method", ["diou", "diou_in_order"])
@settings(max_examples=30, deadline=None)
@given(one=segments(1), shift=st.sampled_from([-16, 0.5, 1024]))
def test_moving_all_segments_moves_nothing_else(method: str, one: Segments, shift: float) -> None:
    here, there = picked(one, method), picked((one[0] + F(shift), one[1]), method)
    np.testing.assert_array_equal(here.numbers, there.numbers)
    np.testing.assert_array_equal(here.scores, there.scores)


@pytest.mark.parametrize("method", ["diou", "diou_in_order"])
@settings(max_examples=30, deadline=None)
@given(n=st.integers(1, 40), seed=st.integers(0, 1000))
def test_order_does_not_matter_without_ties(method: str, n: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    start = rng.uniform(0, 30, n)
    spans = np.stack([start, start + rng.uniform(0.5, 9, n)], axis=1).astype(F)
    scores = rng.permutation(np.linspace(0.1, 1, n)).astype(F)
    order = rng.permutation(n)
    here = rows(picked((spans, scores), method))[0]
    there = rows(picked((spans[order], scores[order]), method))[0]
    np.testing.assert_array_equal(here[0], order[there[0]])
    np.testing.assert_allclose(here[1], there[1], rtol=2e-6)


@settings(max_examples=30, deadline=None)
@given(segments(1))
def test_distance_lowers_no_score_more_than_overlap_does(one: Segments) -> None:
    """DIoU is at most IoU, so the first pick lowers every score by no more."""
    spans, scores = one
    apart, plain = (
        soft_nms(pad([(spans, scores)]), decay=decay, min_score=0.0)
        for decay in ("diou", "gaussian")
    )
    assert apart.numbers[0, 0] == plain.numbers[0, 0]
    assert apart.scores[0, :2].sum() >= plain.scores[0, :2].sum() - 1e-6


def test_the_two_orders_differ_where_a_lowered_segment_overlaps_a_third() -> None:
    """The second is lowered below the third; in order, it lowers the third all the same."""
    spans = np.array([[0, 10], [0, 10], [4, 14]], F)
    scores = np.array([0.9, 0.8, 0.7], F)
    ((numbers, _),) = rows(picked((spans, scores), "diou"))
    assert numbers == [0, 2, 1]
    ((numbers, lowered),) = rows(picked((spans, scores), "diou_in_order"))
    assert numbers == [0, 1, 2]
    once = math.exp(-(diou(spans[0], spans[2]) ** 2) / 0.5)
    assert lowered[2] == pytest.approx(0.7 * once * once, rel=1e-5)


def test_nothing_to_do() -> None:
    empty = pad([(np.zeros((0, 2), F), np.zeros(0, F))])
    assert diou_in_order(empty).sizes.tolist() == [0]
    point = np.zeros((2, 2), F), np.array([0.5, 0.6], F)
    assert diou_in_order(pad([point])).scores.tolist() == [[F(0.6), F(0.5)]]
    assert diou_in_order(pad([point]), min_score=0.9).sizes.tolist() == [0]
    with pytest.raises(UsageError, match="sigma is 0"):
        diou_in_order(pad([point]), sigma=0.0)


@pytest.mark.parametrize("method", ["soft", "diou", "diou_in_order"])
def test_classes_have_a_sigma_of_their_own(method: Any) -> None:
    """Class 2 with another sigma is suppressed as with that one for all; the others as before."""
    rng = np.random.default_rng(0)
    start = rng.uniform(0, 30, 60)
    spans = np.stack([start, start + rng.uniform(2, 9, 60)], axis=1).astype(F)
    labels = np.repeat([0, 1, 2, 3], [5, 5, 20, 30])  # the small ones are done first
    found = Detections(spans, rng.permutation(np.linspace(0.1, 1, 60)).astype(F), labels)

    def kept(**more: Any) -> Detections:
        options = NmsOptions(method, voting_threshold=0, min_score=0.0, **more)
        return suppress([found], options)[0]

    mixed, plain, wide = kept(class_sigma={2: 2.0}), kept(), kept(sigma=2.0)
    for label in range(4):
        same = wide if label == 2 else plain
        np.testing.assert_array_equal(
            mixed.scores[mixed.labels == label], same.scores[same.labels == label]
        )
    agnostic = kept(multiclass=False, class_sigma={2: 2.0})
    np.testing.assert_array_equal(agnostic.scores, kept(multiclass=False).scores)


def test_a_hopeless_group_stops_early() -> None:
    far = np.arange(40, dtype=F)[:, None] * 10 + np.array([0, 1], F)
    good, poor = np.linspace(0.9, 0.8, 40).astype(F), np.linspace(0.5, 0.4, 40).astype(F)
    groups = pad([(far, good), (far, poor)], [0, 0])
    assert diou_in_order(groups, most=12).sizes.tolist() == [12, 8]  # 8 turns come first
    assert diou_in_order(groups).sizes.tolist() == [40, 40]


@pytest.mark.gpu
@pytest.mark.parametrize("method", ["diou", "diou_in_order"])
def test_on_a_gpu(method: Any) -> None:
    import torch

    rng = np.random.default_rng(0)
    start = rng.uniform(0, 300, 400)
    spans = np.stack([start, start + rng.uniform(1, 30, 400)], axis=1).astype(F)
    parts = spans, rng.permutation(np.linspace(0.1, 1, 400)).astype(F), np.arange(400) % 3
    options = NmsOptions(method, max_segments=50, class_sigma={1: 0.9})
    (here,) = suppress([Detections(*parts)], options)
    (there,) = suppress([Detections(*(torch.from_numpy(p).cuda() for p in parts))], options)
    assert there.scores.is_cuda
    np.testing.assert_array_equal(there.segments.cpu(), here.segments)
    np.testing.assert_allclose(there.scores.cpu(), here.scores, rtol=1e-5)
