from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actionspace.errors import DataError, UsageError
from actionspace.features.store import VideoFeatures
from actionspace.search import nearest as module
from actionspace.search.nearest import Moment, Query, nearest, similarities


@dataclass
class InMemory:
    """Features that are not on disk."""

    of: dict[str, VideoFeatures]
    rows: str = "dense"
    dim: int = 4
    fingerprint: dict[str, Any] = field(default_factory=dict)

    def videos(self) -> list[str]:
        return sorted(self.of)

    def skipped(self) -> dict[str, str]:
        return {}

    def get(self, video: Any) -> VideoFeatures:
        return self.of[str(video)]

    def __contains__(self, video: object) -> bool:
        return video in self.of


def made_up(seed: int, ties: bool = False) -> InMemory:
    rng = np.random.default_rng(seed)
    videos = {}
    for name in ("a", "b", "c"):
        n = int(rng.integers(1, 20))
        rows = rng.integers(-1, 2, (n, 4)) if ties else rng.normal(size=(n, 4))
        rows[rng.random(n) < 0.1] = 0
        rows[0] = (1, 0, 0, 0)
        times = np.stack([np.arange(n), np.arange(n) + 1.0], axis=1)
        videos[name] = VideoFeatures(rows.astype(np.float32), times)
    return InMemory(videos)


def by_hand(store: InMemory, query: Query, k: int, apart: float) -> list[tuple[str, float]]:
    """All rows sorted; the best that is far enough from all that were taken, again and again."""
    vector = store.of[query.video].features[0].astype(float)
    rows = []
    for name, found in store.of.items():
        for row, (start, end) in zip(found.features.astype(float), found.times, strict=True):
            length = np.linalg.norm(row) * np.linalg.norm(vector)
            alike = round(float(row @ vector / length), 5) if length else 0.0
            rows.append((-alike, name, (start + end) / 2))
    taken = [(query.video, 0.5)]
    for _, name, time in sorted(rows):
        near = (n == name and (abs(t - time) < apart or t == time) for n, t in taken)
        if not any(near) and len(taken) <= k:
            taken.append((name, time))
    return taken[1:]


@given(st.integers(0, 10_000), st.integers(1, 12), st.sampled_from([0.0, 1.0, 2.5]), st.booleans())
@settings(max_examples=60, deadline=None)
def test_as_by_hand(seed: int, k: int, apart: float, ties: bool) -> None:
    store, query = made_up(seed, ties), Query("b", 0.2)
    found = nearest(store, query, k, apart=apart)
    assert [(m.video, m.time) for m in found] == by_hand(store, query, k, apart)
    assert [m.similarity for m in found] == sorted((m.similarity for m in found), reverse=True)


def test_elsewhere_and_what_a_row_covers() -> None:
    store = made_up(3)
    found = nearest(store, Query("a", 0.0), 50, apart=0, elsewhere=True)
    assert {m.video for m in found} == {"b", "c"}
    assert len(found) == len(store.of["b"]) + len(store.of["c"])
    assert found[0] == Moment("b", 0.5, 0.0, 1.0, 1.0)


def test_blocks_and_views_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(50, 3, 8)).astype(np.float16)
    direction = np.eye(8, dtype=np.float32)[0]
    whole = similarities(rows, direction)
    monkeypatch.setattr(module, "BLOCK", 7)
    np.testing.assert_allclose(similarities(rows, direction), whole, rtol=1e-6)
    mean = rows.astype(np.float64).mean(axis=1)
    np.testing.assert_allclose(whole, mean[:, 0] / np.linalg.norm(mean, axis=1), atol=1e-3)
    rows[4] = np.nan
    assert similarities(rows, direction)[4] == -np.inf


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("12.4", 12.4), ("12.4s", 12.4), ("0", 0), ("1:02.5", 62.5), ("1:00:03", 3603), (".5s", 0.5)],
)
def test_moments_are_read(text: str, seconds: float) -> None:
    assert Query.parse(f"a@b/x.mp4@{text}") == Query("a@b/x.mp4", seconds)


@pytest.mark.parametrize("text", ["x.mp4", "x.mp4@", "@3", "x.mp4@soon", "x.mp4@-3", "x.mp4@3m"])
def test_what_is_no_moment_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="VIDEO@SECONDS"):
        Query.parse(text)


def test_bad_queries_are_refused() -> None:
    store = made_up(0)
    with pytest.raises(DataError, match="outside"):
        nearest(store, Query("a", 999.0))
    with pytest.raises(UsageError):
        nearest(store, Query("a", 0.0), 0)
    store.of["a"].features[:] = 0
    with pytest.raises(DataError, match="zero"):
        nearest(store, Query("a", 0.0))
