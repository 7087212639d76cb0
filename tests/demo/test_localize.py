"""The videos of the demo of localization: exact truth, sessions apart."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from actionspace.demo import copy_clips, run
from actionspace.demo.localize import SETTINGS, untrimmed_videos
from actionspace.demo.untrimmed import FPS, Bout, join
from actionspace.errors import ActionspaceError, UsageError
from actionspace.events import io
from actionspace.events.table import Events
from actionspace.localization.recipe import LocalizationRecipe
from actionspace.recipes.loader import load_recipe
from actionspace.video.index import frame_index
from actionspace.video.sweep import sweep
from actionspace.video.transform import FrameTransform
from actionspace.video.write import write_video


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> Events:
    """Eight packaged clips, two of each of two classes in each split."""
    clips = io.read(copy_clips(tmp_path_factory.mktemp("demo") / "clips"))
    table = clips.rows.merge(clips.videos[["video", "group", "split"]], on="video")
    groups = table.groupby(["split", "group", "label"])["video"]
    pairs = [list(v.head(2)) for _, v in groups if len(v) >= 2]
    kept = {s: [p for p in pairs if table.set_index("video")["split"][p[0]] == s][:2]
            for s in ("train", "test")}  # fmt: skip
    return clips.select(videos=[v for some in kept.values() for pair in some for v in pair])


def test_each_split_shows_its_own_sessions_and_the_truth_is_exact(
    few: Events, tmp_path: Path
) -> None:
    made = untrimmed_videos(few, tmp_path / "videos", {"train": 2, "test": 1})
    assert made.videos["split"].tolist() == ["train", "train", "test"]
    assert made.videos["group"].nunique() == 3, "videos are resampled one by one"
    for video, rows in made.by_video():
        index = frame_index(made.path(str(video["video"])))
        assert len(index) == round(video["duration"] * FPS) == 4 * 16
        assert rows["start"].iloc[0] == 0 and rows["end"].iloc[-1] == video["duration"]
        assert (rows["start"].to_numpy()[1:] == rows["end"].to_numpy()[:-1]).all()
        assert np.allclose(rows["end"] - rows["start"], 2 * 16 / FPS)
    labels = {split: set(few.select(split=split).rows["label"]) for split in ("train", "test")}
    for split, names in labels.items():
        assert set(made.select(split=split).rows["label"]) == names
    path = made.to_csv(tmp_path / "videos" / "events.csv")
    assert len(io.read(path)) == len(made)


def test_its_settings_are_those_of_a_small_network() -> None:
    recipe = load_recipe("localize", SETTINGS)
    assert isinstance(recipe, LocalizationRecipe)
    assert recipe.model.width == 64 and recipe.rows.hop == 4
    assert recipe.model.input_dropout == 0.5, "few clips: chosen on validation videos"


def test_other_peoples_files_are_not_overwritten(few: Events, tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("mine")
    with pytest.raises(ActionspaceError, match="holds other files"):
        untrimmed_videos(few, tmp_path, {"test": 1})


def test_clips_of_other_rates_and_sizes_are_joined_in_time(tmp_path: Path) -> None:
    for name, rate, size, grey in (("a", 50, 64, 40), ("b", 10, 96, 200)):
        frames = [np.full((48, size, 3), grey, np.uint8)] * (2 * rate)
        write_video(tmp_path / f"{name}.mp4", frames, rate)
    plan = [Bout(None, (tmp_path / "a.mp4",)), Bout("x", (tmp_path / "b.mp4",))]
    made = join(plan, tmp_path, "joined.mp4", size=32)
    assert made.rows[["start", "end", "label"]].values.tolist() == [[2.0, 4.0, "x"]]
    index = frame_index(tmp_path / "joined.mp4")
    assert len(index) == 100 and (index.width, index.height) == (32, 32)
    frames_ = sweep(index.path, range(100), transform=FrameTransform(), index=index)
    bright = [float(f.mean()) > 120 for _, f in frames_]
    assert bright == [False] * 50 + [True] * 50


def test_an_unknown_tour_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="Did you mean 'localize'"):
        run("localise", tmp_path)
