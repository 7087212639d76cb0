from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist

from actionspace.errors import DataError, UsageError
from actionspace.metrics.neighbours import DISTANCES, Pool


@st.composite
def videos(draw: st.DrawFn) -> list[np.ndarray]:
    """Videos of unlike lengths; small whole numbers make ties, the scale and offset rounding."""
    rng = np.random.default_rng(draw(st.integers(0, 10_000)))
    lengths = draw(st.lists(st.integers(1, 40), min_size=2, max_size=5))
    grain, scale = draw(st.sampled_from([2, 1000])), draw(st.sampled_from([1e-20, 1.0, 1e20]))
    offset = draw(st.sampled_from([0, 100]))
    return [scale * (offset + rng.integers(0, grain, (n, 3))) for n in lengths]


@given(videos(), st.integers(1, 20), st.sampled_from(["sqeuclidean", "cityblock"]))
@settings(max_examples=60)
def test_equal_to_measuring_every_pair(found: list[np.ndarray], k: int, distance: str) -> None:
    pool = Pool.of(found, distance)
    nearest = pool.nearest_in_each()
    for i, query in enumerate(found):
        for j, candidate in enumerate(found):
            expected = cdist(query, candidate, distance).argmin(axis=1)
            expected = np.arange(len(query)) if i == j else expected
            np.testing.assert_array_equal(nearest[pool.frames_of(i), j], expected)
        apart = cdist(query, np.concatenate(found), distance)
        own = pool.frames_of(i)
        inside = np.argsort(apart[:, own], axis=1, kind="stable")[:, :k] + own.start
        np.testing.assert_array_equal(pool.nearest_inside(i, k), inside)
        apart[:, own] = np.inf
        k_others = min(k, apart.shape[1] - len(query))
        outside = np.argsort(apart, axis=1, kind="stable")[:, :k_others]
        np.testing.assert_array_equal(pool.nearest_outside(i, k), outside)


def test_near_ties_of_many_frames(monkeypatch: pytest.MonkeyPatch) -> None:
    """Frames closer to one another than float32 can tell, in more than one tile."""
    monkeypatch.setattr("actionspace.metrics.neighbours.TILE", 2000)
    monkeypatch.setattr("actionspace.metrics.neighbours.BLOCK", 2000)
    rng = np.random.default_rng(0)
    found = [1 + 1e-6 * rng.normal(size=(n, 16)) for n in (50, 60, 7, 300)]
    found[0][0] += 1
    pool = Pool.of(found)
    nearest = pool.nearest_in_each()
    for i, j in permutations(range(len(found)), 2):
        expected = cdist(found[i], found[j], "sqeuclidean").argmin(axis=1)
        np.testing.assert_array_equal(nearest[pool.frames_of(i), j], expected)


def test_constant_embeddings_take_the_first_frame() -> None:
    pool = Pool.of([np.full((5, 2), 3.0), np.full((7, 2), 3.0)])
    assert not pool.nearest_in_each()[:5, 1].any()
    assert not pool.nearest_in_each()[5:, 0].any()
    assert pool.nearest_outside(0, 3).tolist() == [[5, 6, 7]] * 5


def test_refusals() -> None:
    with pytest.raises(DataError, match="no videos"):
        Pool.of([])
    with pytest.raises(DataError, match="video 1 have shape"):
        Pool.of([np.ones((2, 3)), np.ones((2, 4))])
    with pytest.raises(DataError, match="frame 1 of video 0 is NaN"):
        Pool.of([np.array([[1.0], [np.nan]])])
    with pytest.raises(UsageError, match="Did you mean 'sqeuclidean'"):
        Pool.of([np.ones((2, 3))], "squeclidean")
    assert all(Pool.of([np.eye(3)], name).nearest_in_each().shape == (3, 1) for name in DISTANCES)
