"""Embedding by a run: what its network says of each row, as a store that other verbs read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import actionspace as A
from actionspace.alignment.data import FeatureVideos
from actionspace.alignment.embed import embed
from actionspace.alignment.infer import embed_video
from actionspace.alignment.recipe import AlignmentRecipe
from actionspace.alignment.saved import load_network
from actionspace.config import parse, write_yaml
from actionspace.errors import RunError, StoreError
from actionspace.events.table import Events
from actionspace.features.foreign import open_features
from actionspace.features.store import FeatureStore
from actionspace.training.run import Run
from tests.alignment import phased


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("embed")
    phased.make(folder, videos=8)
    return folder


@pytest.fixture(scope="module")
def run(folder: Path) -> Run:
    write_yaml(folder / "tiny.yaml", phased.recipe(training={"epochs": 1, "evaluate_every": 1}))
    given = {"data": str(folder / "events.csv"), "features": str(folder / "features")}
    return A.train(folder / "tiny.yaml", out=folder / "run", **given)


@pytest.fixture(scope="module")
def store(run: Run, folder: Path) -> FeatureStore:
    return A.embed(run, folder / "events.csv", folder / "store", features=folder / "features")


def test_every_row_is_embedded(run: Run, store: FeatureStore, folder: Path) -> None:
    events = A.read_events(folder / "events.csv")
    assert store.videos() == sorted(events.videos["video"])
    assert (store.dim, store.rows, store.skipped()) == (16, "dense", {})
    recipe = parse(AlignmentRecipe, run.config, "config.yaml")
    source = open_features(folder / "features", stride=1.0, fps=phased.FPS)
    videos = FeatureVideos(events, source)
    rows = embed_video(load_network(run, recipe), videos, 3, recipe)
    found = store.get(videos.names[3])
    np.testing.assert_array_equal(found.features, rows)
    np.testing.assert_array_equal(found.times, videos.times(3))


def test_the_store_is_aligned_and_searched(store: FeatureStore, folder: Path) -> None:
    first, *others = store.videos()[:3]
    labels = folder / "events.csv"
    A.align(store, [first, *others], folder / "out", labels=labels, side_by_side=False)
    phases = A.read_events(folder / "out" / "phases.csv", allow_outside=True)
    assert len(phases.videos) == 2
    assert set(phases.rows["phase"]) <= set(phased.PHASES)
    assert len(A.search(store, f"{first}@1", 3, apart=0.5)) == 3


def test_a_store_of_the_same_run_is_added_to(run: Run, folder: Path) -> None:
    events = A.read_events(folder / "events.csv")
    parts = [events.select(videos=[name]) for name in events.videos["video"][:2]]
    for part in parts:
        found = embed(run, part, folder / "grown", features=folder / "features")
    assert len(found) == 2
    (folder / "other").mkdir()
    (folder / "other" / "x").write_text("x", encoding="utf-8")
    with pytest.raises(StoreError):
        embed(run, parts[0], folder / "other", features=folder / "features")


def test_what_is_missing_is_said(run: Run, folder: Path) -> None:
    nobody = Events.from_frames([], [{"video": "nobody", "fps": phased.FPS}], root=folder)
    with pytest.raises(StoreError, match="nobody"):
        embed(run, nobody, folder / "none", features=folder / "features")
    assert not (folder / "none").exists()
    with pytest.raises(RunError):
        embed(folder, nobody, folder / "none")
