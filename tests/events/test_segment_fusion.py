"""Fused segments: where models agree they are averaged, alone they count less."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from actionspace.events.segment_fusion import fuse_segments

EQUAL = np.ones(2)


def test_agreement_is_averaged_and_a_lone_find_scores_less() -> None:
    segments = np.array([[0.0, 10.0], [1.0, 12.0], [50.0, 60.0]])
    scores, models = np.array([0.6, 0.2, 0.7]), np.array([0, 1, 1])
    fused, told = fuse_segments(segments, scores, models, EQUAL)
    np.testing.assert_allclose(fused, [[0.25, 10.5], [50, 60]])
    np.testing.assert_allclose(told, [0.4, 0.35])
    heavy = fuse_segments(segments, scores, models, np.array([3.0, 1.0]))
    np.testing.assert_allclose(heavy[0][0], [0.0 + 1 * 0.2 / 2.0, 10 + 2 * 0.2 / 2.0])
    np.testing.assert_allclose(heavy[1], [0.75 * 0.6 + 0.25 * 0.2, 0.25 * 0.7])
    only = fuse_segments(segments, scores, models, np.array([1.0, 0.0]))
    np.testing.assert_allclose(only[0], segments[:1])


def test_moments_agree_within_a_radius() -> None:
    segments, models = np.array([[1.0, 1.0], [1.2, 1.2], [4.0, 4.0]]), np.array([0, 1, 0])
    apart = fuse_segments(segments, np.full(3, 0.5), models, EQUAL)
    assert len(apart[1]) == 3
    fused, scores = fuse_segments(segments, np.full(3, 0.5), models, EQUAL, radius=0.5)
    np.testing.assert_allclose(fused, [[1.1, 1.1], [4, 4]])
    np.testing.assert_allclose(scores, [0.5, 0.25])


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 1000), st.integers(1, 20))
def test_a_model_fused_with_itself_says_the_same(seed: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    starts = 10.0 * np.arange(n)
    segments = np.stack([starts, starts + rng.uniform(1, 9, n)], axis=1)
    scores = np.sort(rng.uniform(0.01, 1, n))[::-1]
    both = np.tile(segments, (2, 1)), np.tile(scores, 2), np.repeat([0, 1], n)
    fused, told = fuse_segments(*both, EQUAL, iou_threshold=0.6)
    np.testing.assert_allclose(fused, segments)
    np.testing.assert_allclose(told, scores)
