from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actionspace.errors import StoreError
from actionspace.events.table import Events
from actionspace.features.bags import bags, select_rows
from actionspace.features.store import FeatureStore, VideoFeatures


def video(times: list[tuple[float, float]], views: int = 0, **meta: object) -> VideoFeatures:
    n = len(times)
    shape = (n, views, 2) if views else (n, 2)
    features = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    return VideoFeatures(features, np.array(times, dtype=np.float64).reshape(-1, 2), dict(meta))


def store_of(
    path: Path, rows: str = "dense", views: int = 1, **videos: VideoFeatures
) -> FeatureStore:
    store = FeatureStore.create(path / "store", {"dim": 2, "rows": rows, "views": views})
    for i, (name, found) in enumerate(videos.items()):
        store.put(f"{name}.mp4", f"{i:032x}", found)
    store.save_index()
    return store


def table(*rows: tuple[str, float, float, str | None]) -> Events:
    names = ("video", "start", "end", "label")
    return Events.from_frames([dict(zip(names, row, strict=True)) for row in rows])


GRID = [(i, i + 2.0) for i in range(5)]  # centres 1..5


def test_dense_rows_are_those_whose_centre_lies_inside(tmp_path: Path) -> None:
    store = store_of(tmp_path, a=video(GRID), b=video([(0, 4), (4, 8)], duration=8.0))
    events = table(
        ("b.mp4", float("nan"), float("nan"), "whole"),
        ("a.mp4", 2.0, 4.0, "half-open"),  # centres 2 and 3, not 4
        ("a.mp4", 1.2, 1.4, "between centres"),  # the row with the nearest centre
        ("b.mp4", 5.0, 5.0, "point"),
        ("a.mp4", 90.0, 91.0, "outside"),  # still the nearest one
        ("b.mp4", 0.0, 8.0, None),
    )
    found = bags(events, store, "label")
    assert found.size.tolist() == [2, 2, 1, 1, 1, 0]
    assert found.owner.tolist() == [0, 0, 1, 1, 2, 3, 4]
    a, b = store.get("a.mp4").features, store.get("b.mp4").features
    want = np.concatenate([b, a[[1, 2]], a[[0]], b[[1]], a[[4]]])
    np.testing.assert_array_equal(found.features, want)
    assert found.features.dtype == np.float32
    np.testing.assert_allclose(found.weight, [0.5, 0.5, 0.5, 0.5, 1, 1, 1])
    assert bags(events, store).size.tolist() == [2, 2, 1, 1, 1, 2]


def test_mean_over_bags() -> None:
    from actionspace.features.bags import Bags

    found = Bags(np.zeros((3, 1)), np.array([0, 0, 2]), np.array([2, 0, 1]), {})
    got = found.mean(np.array([[1.0, 0.0], [3.0, 1.0], [5.0, 5.0]]))
    np.testing.assert_array_equal(got, [[2.0, 0.5], [np.nan, np.nan], [5.0, 5.0]])


def test_views_are_rows_of_the_bag(tmp_path: Path) -> None:
    store = store_of(tmp_path, views=3, a=video(GRID, views=3))
    found = bags(table(("a.mp4", 2.0, 4.0, "x")), store)
    assert found.size.tolist() == [6] and found.features.shape == (6, 2)
    np.testing.assert_array_equal(found.features, store.get("a.mp4").features[1:3].reshape(6, 2))


def test_event_rows_are_found_by_their_times(tmp_path: Path) -> None:
    store = store_of(tmp_path, rows="events", a=video([(0, 9.5), (1, 2), (1.5, 2)], duration=9.5))
    events = table(
        ("a.mp4", 1.5, 2.0, "x"),
        ("a.mp4", 1.0, 2.0, "y"),
        ("a.mp4", float("nan"), float("nan"), "z"),
        ("a.mp4", 1.0, 2.0, "same interval, second annotator"),
    )
    found = bags(events, store)
    np.testing.assert_array_equal(found.features, store.get("a.mp4").features[[2, 1, 0, 1]])
    with pytest.raises(StoreError, match=r"'a\.mp4': the event 1-3 s has no features.*extract"):
        bags(table(("a.mp4", 1.0, 3.0, "moved")), store)


def test_ignored_events_and_skipped_videos_have_empty_bags(tmp_path: Path) -> None:
    store = store_of(tmp_path, a=video(GRID))
    store.save_skipped({"bad.mp4": "no frames"})
    rows = [
        {"video": "a.mp4", "start": 0.0, "end": 2.0, "label": "x", "status": "ignore"},
        {"video": "bad.mp4", "start": 0.0, "end": 2.0, "label": "x"},
    ]
    found = bags(Events.from_frames(rows), store)
    assert found.size.tolist() == [0, 0] and found.missing == {"bad.mp4": "no frames"}
    assert found.features.shape == (0, 2)
    with pytest.raises(StoreError, match=r"never\.mp4"):
        bags(table(("never.mp4", 0.0, 1.0, "x")), store)


@given(
    starts=st.lists(st.floats(0, 20, width=16), min_size=1, max_size=12),
    events=st.lists(
        st.tuples(st.floats(0, 25, width=16), st.floats(0, 5, width=16)), min_size=1, max_size=8
    ),
)
def test_dense_selection_equals_the_definition(
    starts: list[float], events: list[tuple[float, float]]
) -> None:
    found = video([(s, s + 2.0) for s in starts])
    start = np.array([s for s, _ in events])
    end = start + np.array([d for _, d in events])
    which, row = select_rows(found, start, end)
    centre = found.times.mean(axis=1)
    for i in range(len(events)):
        got = set(row[which == i].tolist())
        inside = set(np.flatnonzero((centre >= start[i]) & (centre < end[i])).tolist())
        if inside:
            assert got == inside
        else:
            overlap = np.minimum(found.times[:, 1], end[i]) - np.maximum(
                found.times[:, 0], start[i]
            )
            assert len(got) == 1 and overlap[got.pop()] == overlap.max()
