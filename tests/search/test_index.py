from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest

from actionspace.errors import UsageError
from actionspace.features.store import FeatureStore, VideoFeatures
from actionspace.search import index as module
from actionspace.search.index import row_index, rows_of
from actionspace.search.nearest import Query, nearest

needs_faiss = pytest.mark.skipif(not module.available(), reason="needs faiss")


def add(store: FeatureStore, name: str, seed: int, rows: int = 40) -> None:
    """A video that dwells on one of many scenes, with a row of zeros and one of NaN."""
    rng = np.random.default_rng(seed)
    features = rng.normal(size=16) + 0.3 * rng.normal(size=(rows, 16))
    features[3], features[4] = 0, np.nan
    times = np.stack([np.arange(rows), np.arange(rows) + 1.0], axis=1)
    store.put(name, f"{seed:032x}", VideoFeatures(features.astype(np.float32), times))
    store.save_index()


@pytest.fixture
def store(tmp_path: Path) -> FeatureStore:
    made = FeatureStore.create(tmp_path / "store", {"encoder": "x", "dim": 16, "rows": "dense"})
    for seed in range(100):
        add(made, f"v{seed:03d}.mp4", seed)
    return made


@needs_faiss
def test_answers_are_those_of_searching_everything(store: FeatureStore) -> None:
    for number in (0, 17, 99):
        query = Query(f"v{number:03d}.mp4", 20.5)
        found = nearest(store, query, 5, index=True)
        assert found == nearest(store, query, 5, index=False)
    about = row_index(store)
    assert about.recall > 0.9
    assert about.starts[-1] == rows_of(store) == 4000
    direction = np.eye(16, dtype=np.float32)[0]
    assert sorted(about.videos(direction, 1000)) == store.videos()


@needs_faiss
def test_it_follows_the_store_and_only_one_is_kept(store: FeatureStore) -> None:
    before = row_index(store)
    made = sorted((store.path / "search").iterdir())
    assert row_index(store).names == before.names
    assert sorted((store.path / "search").iterdir()) == made
    add(store, "late.mp4", 7)  # the same scene as v007.mp4
    found = nearest(store, Query("v007.mp4", 20.5), 1, apart=0, elsewhere=True, index=True)
    assert found[0].video == "late.mp4"
    assert found[0].similarity == pytest.approx(1)
    left = sorted((store.path / "search").iterdir())
    assert len(left) == 2
    assert not set(left) & set(made)


@needs_faiss
def test_a_large_store_is_indexed_unasked(
    store: FeatureStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    nearest(store, Query("v000.mp4", 1))
    assert not (store.path / "search").exists()
    monkeypatch.setattr(module, "LARGE", 4000)
    nearest(store, Query("v000.mp4", 1))
    assert (store.path / "search").is_dir()


def test_without_faiss_everything_is_searched(
    store: FeatureStore, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "available", lambda: False)
    monkeypatch.setattr(module, "LARGE", 4000)
    with caplog.at_level(logging.WARNING, "actionspace"):
        found = nearest(store, Query("v000.mp4", 1), 3)
    assert "actionspace[index]" in caplog.text
    assert found == nearest(store, Query("v000.mp4", 1), 3, index=False)
    with pytest.raises(UsageError, match=r"actionspace\[index\]"):
        nearest(store, Query("v000.mp4", 1), 3, index=True)
