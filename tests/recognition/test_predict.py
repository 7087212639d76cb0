"""Prediction: clips and untrimmed videos, what nothing happening means, bad and odd input."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from actionspace.errors import RunError, UsageError, VideoError
from actionspace.events.table import Events
from actionspace.recognition.fit import train
from actionspace.recognition.predict import predict, predictions, summary
from actionspace.training.inputs import resolve, video_files
from actionspace.training.predictions import read_predictions
from actionspace.training.run import Run
from actionspace.video.write import write_video
from tests.recognition import tiny
from tests.recognition.conftest import recipe


def test_clips_get_a_label_and_a_score(run: Run, clips: Events, work: Path):
    events = predict(run, work / "clips")
    rows = events.rows
    assert (rows["label"] == [v.split("/")[0] for v in rows["video"]]).all()
    assert rows["start"].isna().all() and rows["score"].between(0.5, 1).all()
    assert events.videos["duration"].eq(0.8).all()


def test_untrimmed_videos_become_events(long_run: Run, long: Events):
    found = predictions(long_run, long.root)
    assert found.labels["untrimmed"] == sorted(long.videos["video"])
    for video, true in long.by_video():
        guess = found.events.for_video(video["video"])
        assert guess["label"].tolist() == merged(true)["label"].tolist()
        np.testing.assert_allclose(guess["start"], merged(true)["start"], atol=0.35)
        np.testing.assert_allclose(guess["end"], merged(true)["end"], atol=0.35)
    assert found.scores["label"].shape == (len(found.events), 3)
    assert "background: trained" in summary(found)


def merged(rows: pd.DataFrame) -> pd.DataFrame:
    """Neighbouring bouts of one label are one."""
    new = (rows["label"] != rows["label"].shift()) | (rows["start"] > rows["end"].shift() + 1e-6)
    groups = rows.groupby(new.cumsum())
    return groups.agg({"start": "first", "end": "last", "label": "first"}).reset_index(drop=True)


def test_without_annotated_gaps_a_threshold_tells_nothing(clips: Events, tmp_path: Path):
    """Only moving clips are labelled: stillness is unlike both and scores too little for either."""
    moving = clips.select(mask=clips.rows["label"] != "still")
    run = train(recipe("folds=3"), data=moving, out=tmp_path / "run", report=False)
    assert run.labels["background"]["kind"] == "threshold"
    (least,) = run.labels["heads"]["label"]["thresholds"]
    assert 0.5 <= least < 1
    plan = [("right", 60), ("still", 60), ("left", 60)]
    write_video(tmp_path / "v.mp4", tiny.frames(plan, 5), tiny.FPS)
    found = predictions(run, tmp_path / "v.mp4", smooth=0)
    rows = found.events.rows
    assert rows["label"].iloc[0] == "right" and rows["label"].iloc[-1] == "left"
    covered = (rows["end"] - rows["start"]).sum()
    assert 3.5 < covered < 6.2
    assert "background: threshold" in summary(found)
    everything = predictions(run, tmp_path / "v.mp4", threshold=0.0)
    assert (everything.events.rows["end"] - everything.events.rows["start"]).sum() > 7
    always = train(
        recipe("predict.background=none"), data=moving, out=tmp_path / "none", report=False
    )
    assert predictions(always, tmp_path / "v.mp4").labels["background"]["kind"] == "none"


def test_the_mode_follows_duration_events_and_will(
    run: Run, long_run: Run, long: Events, work: Path
):
    assert predictions(run, work / "clips" / "left").labels["untrimmed"] == []
    assert len(predictions(run, long.root / "0.mp4").labels["untrimmed"]) == 1
    as_clip = predictions(run, long.root / "0.mp4", mode="clip").events.rows
    assert len(as_clip) == 1 and as_clip["start"].isna().all()
    forced = predictions(run, work / "clips" / "left", mode="untrimmed")
    assert len(forced.labels["untrimmed"]) == 6
    assert forced.events.rows["start"].notna().all()
    given = predictions(long_run, long, mode="clip").events.rows  # the annotated events as clips
    assert given["label"].tolist() == given["label_true"].tolist()
    assert len(given) == len(long)


def test_bad_videos_are_listed_not_fatal(run: Run, clips: Events, tmp_path: Path):
    write_video(tmp_path / "good.mp4", tiny.frames([("left", 20)], 3), tiny.FPS)
    (tmp_path / "empty.mp4").write_bytes(b"")
    (tmp_path / "junk.avi").write_bytes(b"junk" * 100)
    found = predictions(run, tmp_path, out=tmp_path / "out")
    assert found.events.rows["video"].tolist() == ["good.mp4"]
    assert set(found.skipped) == {"empty.mp4", "junk.avi"}
    assert all(found.skipped.values()) and "empty.mp4: skipped" in summary(found)
    assert read_predictions(tmp_path / "out").skipped == found.skipped
    with pytest.raises(VideoError):
        predictions(run, tmp_path / "junk.avi", policy="raise")
    nothing = predictions(run, tmp_path / "junk.avi", out=tmp_path / "none")
    assert len(nothing.events) == 0
    assert len(read_predictions(tmp_path / "none").events) == 0


def test_outputs(run: Run, work: Path, tmp_path: Path):
    source = work / "clips" / "left"
    predictions(run, source, out=tmp_path / "folder")
    assert len(read_predictions(tmp_path / "folder").events) == 6
    predictions(run, source, out=tmp_path / "p.csv")
    assert pd.read_csv(tmp_path / "p.csv")["label"].eq("left").all()
    predictions(run, source, out=tmp_path / "p.json")
    assert len(json.loads((tmp_path / "p.json").read_text())["results"]) == 6
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("")
    with pytest.raises(RunError, match="not a predictions folder"):
        predictions(run, source, out=tmp_path / "mine")
    assert [p.name for p in (tmp_path / "mine").iterdir()] == ["notes.txt"]


def test_untrimmed_events_reach_boris(long_run: Run, long: Events, tmp_path: Path):
    found = predictions(long_run, long.root / "0.mp4", out=tmp_path / "p.boris")
    from actionspace.events import io

    back = io.read(tmp_path / "p.boris")
    assert back.rows["label"].tolist() == found.events.rows["label"].tolist()


def test_crops_of_the_manifest_are_used(clips: Events, work: Path, run: Run, tmp_path: Path):
    """Two animals side by side: each half of the picture is one video of its own."""
    left, right = (tiny.frames([(m, 20)], 7) for m in ("left", "right"))
    both = np.concatenate([left, right], axis=2)
    for name in ("a.mp4", "b.mp4"):
        write_video(tmp_path / name, both, tiny.FPS, crf=12)
    size = f"{tiny.WIDTH},{tiny.HEIGHT}"
    videos = pd.DataFrame({"video": ["a.mp4", "b.mp4"], "crop": [f"0,0,{size}", f"48,0,{size}"]})
    events = Events.from_frames([], videos, tmp_path)
    assert predict(run, events).rows["label"].tolist() == ["left", "right"]


def test_inputs(work: Path, clips: Events, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    root = work / "clips"
    assert len(resolve(root / "left").videos) == 6
    assert len(resolve([root / "left", str(root / "right" / "*.mp4")]).videos) == 12
    one = resolve(root / "left" / "g0_0.mp4")
    assert one.videos["video"].tolist() == ["g0_0.mp4"] and one.root == root / "left"
    assert len(resolve(root / "clips.csv")) == 18
    monkeypatch.chdir(root)
    assert video_files(["left", "left/g0_0.mp4"])[0] == Path("left/g0_0.mp4")
    assert len(video_files("left")) == 6
    with pytest.raises(UsageError, match="does not exist"):
        resolve(root / "nowhere.mp4")
    with pytest.raises(UsageError, match="Nothing matches"):
        resolve(str(root / "*.nothing"))
    with pytest.raises(UsageError, match="give it alone"):
        resolve([root / "clips.csv", root / "left"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match=r"no video in .*fps\.txt"):
        resolve(tmp_path / "empty")
    for name in ("P01_01", "P01_02"):  # folders of pictures are videos as well
        (tmp_path / "frames" / name).mkdir(parents=True)
        (tmp_path / "frames" / name / "fps.txt").write_text("60")
    for given in (tmp_path / "frames", list((tmp_path / "frames").iterdir())):
        assert set(resolve(given).videos["video"]) == {"P01_01", "P01_02"}
    with pytest.raises(UsageError, match="at least one"):
        resolve([])


def test_a_folder_of_two_runs_is_noticed(run: Run, work: Path, tmp_path: Path):
    import shutil

    shutil.copytree(run.path, tmp_path / "run")
    labels = json.loads((tmp_path / "run" / "labels.json").read_text())
    labels["heads"]["label"]["classes"].append("more")
    (tmp_path / "run" / "labels.json").write_text(json.dumps(labels))
    with pytest.raises(RunError, match="4 classes in"):
        predict(tmp_path / "run", work / "clips" / "left")
    (tmp_path / "run" / "labels.json").write_text('{"heads": {}}')
    with pytest.raises(RunError, match="not a probe's run"):
        predict(tmp_path / "run", work / "clips" / "left")


def test_partial_videos_count_where_asked(run: Run, clips: Events, tmp_path: Path):
    path = write_video(tmp_path / "v.mkv", tiny.frames([("left", 20)] * 10, 3), tiny.FPS, gop=10)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    found = predictions(run, tmp_path / "v.mkv", policy="partial")
    assert set(found.events.rows["label"]) == {"left"}


def test_background_needs_gaps_when_asked_for(clips: Events, tmp_path: Path):
    from actionspace.errors import DataError

    with pytest.raises(DataError, match="manifest has none"):
        train(recipe("predict.background=trained"), data=clips, out=tmp_path / "run")


def test_one_class_and_time_without_it_are_two_classes(long: Events, tmp_path: Path):
    alone = replace(long, rows=long.rows.assign(label="moves"))
    run = train(recipe(), data=alone, out=tmp_path / "run", report=False)
    assert set(run.labels["heads"]["label"]["classes"]) == {"background", "moves"}


def test_a_class_called_background_is_the_background(long: Events, tmp_path: Path):
    """Somebody annotated nothing happening as events: no gaps are needed."""
    rows = long.rows.copy()
    gaps = []
    for video, events in long.by_video():
        at = 0.0
        for start, end in zip(events["start"], events["end"], strict=True):
            if start > at + 0.01:
                gaps.append({"video": video["video"], "start": at, "end": start})
            at = end
        if at < video["duration"] - 0.01:
            gaps.append({"video": video["video"], "start": at, "end": video["duration"]})
    named = pd.DataFrame(gaps).assign(label="background")
    table = pd.concat([rows.drop(columns="id"), named], ignore_index=True)
    events = Events.from_frames(table, long.videos, long.root)
    run = train(recipe(), data=events, out=tmp_path / "run", report=False)
    assert run.labels["background"]["kind"] == "trained"
    assert "background" in run.metrics["protocol"]["classes"]
    found = predictions(run, events.select(videos=["0.mp4"]))
    assert set(found.events.rows["label"]) == {"left", "right"}
    assert replace(found).truth is not None
