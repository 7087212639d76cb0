"""From features to detections: batches, long videos, bad features, classes of videos."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from actionspace.errors import DataError, StoreError
from actionspace.events import io
from actionspace.events.table import Events
from actionspace.features.joined import Source
from actionspace.localization.data.source import FeatureFiles, open_source
from actionspace.localization.detection.class_scores import with_video_classes
from actionspace.localization.detection.windows import plan
from actionspace.localization.infer import infer
from actionspace.localization.network.model import ActionFormer
from actionspace.localization.options import SuppressionConfig
from actionspace.localization.recipe import LocalizationRecipe
from tests.localization import untrimmed


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("untrimmed")
    untrimmed.make(folder, videos=6)
    return folder


def network(recipe: LocalizationRecipe) -> ActionFormer:
    torch.manual_seed(0)
    made = ActionFormer(recipe.model, untrimmed.DIM, 2).eval()
    with torch.no_grad():  # scores differ from place to place, and segments have some length
        made.cls_head.cls_head.conv.weight.mul_(20)
        made.reg_head.offset_head.conv.bias.fill_(1.5)
    return made


def source(folder: Path, events: Events) -> Source:
    return open_source(events, [folder / "features"], FeatureFiles(stride=untrimmed.STRIDE))


def test_a_batch_gives_what_each_video_gives_alone(folder: Path) -> None:
    events, recipe = io.read(folder / "events.csv"), untrimmed.recipe()
    made, features = network(recipe), source(folder, events)
    together = infer(made, features, events, recipe, untrimmed.CLASSES)
    assert len(together.events) > 100
    for video in list(events.videos["video"])[:3]:
        alone = infer(made, features, events.select(videos=[video]), recipe, untrimmed.CLASSES)
        rows = together.events.for_video(video)
        assert len(rows) == len(alone.events)
        mine = rows.sort_values(["score", "start"])[["start", "end", "score"]].to_numpy()
        its = alone.events.rows.sort_values(["score", "start"])[["start", "end", "score"]]
        np.testing.assert_allclose(mine, its.to_numpy(), atol=2e-4)


def test_detections_are_best_first_and_within_their_video(folder: Path) -> None:
    events, recipe = io.read(folder / "events.csv"), untrimmed.recipe()
    found = infer(network(recipe), source(folder, events), events, recipe, untrimmed.CLASSES)
    for video, duration in zip(events.videos["video"], events.videos["duration"], strict=True):
        rows = found.events.for_video(video)
        assert (np.diff(rows["score"]) <= 0).all()
        assert rows["start"].min() >= 0 and rows["end"].max() <= duration
        assert len(rows) <= recipe.suppression.max_segments
    assert found.labels["untrimmed"] == list(events.videos["video"])
    assert found.scores["label"].shape == (len(found.events),)
    assert found.truth is not None


def test_memory_is_bounded_by_reading_some_videos_at_a_time(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from actionspace.localization import infer as module
    from actionspace.localization.detection import detector

    events = io.read(folder / "events.csv")
    recipe = untrimmed.recipe(predict={"batch_size": 1})
    sizes: list[int] = []
    whole = detector.Detector.__call__

    def counted(self: detector.Detector, samples: list) -> list:  # type: ignore[type-arg]
        sizes.append(len(samples))
        return whole(self, samples)

    monkeypatch.setattr(detector.Detector, "__call__", counted)
    infer(network(recipe), source(folder, events), events, recipe, untrimmed.CLASSES)
    assert sum(sizes) == 6 and max(sizes) <= module.AT_ONCE


def test_features_that_cannot_be_read_are_left_out_or_stop(folder: Path, tmp_path: Path) -> None:
    events = untrimmed.make(tmp_path, videos=3)
    bad = tmp_path / "features" / "v01.npy"
    values = np.load(bad)
    values[3] = np.nan
    np.save(bad, values)
    recipe = untrimmed.recipe()
    made, features = network(recipe), source(tmp_path, events)
    found = infer(made, features, events, recipe, untrimmed.CLASSES)
    assert set(found.skipped) == {"v01"}
    assert set(found.events.rows["video"]) == {"v00", "v02"}
    strict = untrimmed.recipe(rows={"policy": "raise"})
    with pytest.raises(StoreError, match="v01"):
        infer(made, features, events, strict, untrimmed.CLASSES)


@pytest.mark.parametrize("rows", [1, 2, 193, 400])
def test_any_length_is_taken(tmp_path: Path, rows: int) -> None:
    (tmp_path / "features").mkdir()
    random = np.random.default_rng(0)
    values = random.standard_normal((rows, untrimmed.DIM)).astype(np.float32)
    np.save(tmp_path / "features" / "odd.npy", values)
    events = Events.from_frames([], [{"video": "odd", "fps": untrimmed.FPS}], tmp_path)
    recipe = untrimmed.recipe()
    assert recipe.model.longest == 192
    found = infer(network(recipe), source(tmp_path, events), events, recipe, untrimmed.CLASSES)
    assert found.labels["untrimmed"] == ["odd"]
    if rows > 100:
        middles = (found.events.rows["start"] + found.events.rows["end"]) / 2
        assert middles.max() > 0.8 * rows * untrimmed.STRIDE / untrimmed.FPS


def test_of_a_longer_video_more_is_kept(tmp_path: Path) -> None:
    (tmp_path / "features").mkdir()
    random = np.random.default_rng(0)
    for name, rows in (("short", 190), ("long", 600)):
        values = random.standard_normal((rows, untrimmed.DIM)).astype(np.float32)
        np.save(tmp_path / "features" / f"{name}.npy", values)
    videos = [{"video": name, "fps": untrimmed.FPS} for name in ("short", "long")]
    events = Events.from_frames([], videos, tmp_path)
    recipe = untrimmed.recipe(suppression={"max_segments": 7, "min_score": 0.0})
    found = infer(network(recipe), source(tmp_path, events), events, recipe, untrimmed.CLASSES)
    counts = found.events.rows["video"].value_counts()
    assert counts["short"] == 7
    windows = plan(600, recipe.model.longest, recipe.model.longest // 4, recipe.model.strides[-1])
    assert counts["long"] == 7 * len(windows) > 7


def proposals() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "id": ["a", "b"],
            "video": ["v_one.mp4", "v_one.mp4"],
            "start": [0.0, 5.0],
            "end": [4.0, 9.0],
            "label": ["action", "action"],
            "score": [0.64, 0.04],
        }
    )


def test_proposals_get_the_classes_of_their_video(tmp_path: Path) -> None:
    file = tmp_path / "scores.json"
    file.write_text(json.dumps({"results": {"one": [0.25, 0.5, 0.01]}, "class": ["x", "y", "z"]}))
    config = SuppressionConfig(class_scores=str(file))
    found = with_video_classes(proposals(), config, (), "label")
    assert found["label"].tolist() == ["y", "y", "x", "x"]
    np.testing.assert_allclose(found["score"][:2], np.sqrt([0.32, 0.02]))
    assert found["id"].is_unique


def test_a_video_without_class_scores_is_named(tmp_path: Path) -> None:
    file = tmp_path / "scores.json"
    file.write_text(json.dumps({"results": {"two": [1.0]}}))
    with pytest.raises(DataError, match="v_one"):
        with_video_classes(proposals(), SuppressionConfig(class_scores=str(file)), ["x"], "label")
