"""EPIC-KITCHENS-100: heads, subsets, the two clocks, frames that are missing, bad tables."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from actionspace.datasets import epic100
from actionspace.datasets.check import check_manifest
from actionspace.datasets.prepare import dataset_events, prepare
from actionspace.errors import DataError, UsageError
from actionspace.events.io import read
from actionspace.metrics.epic import subsets_of
from actionspace.video.clips import iter_clips
from actionspace.video.index import FrameIndex, frame_index
from actionspace.video.views import Views
from tests.datasets.layouts import (
    EPIC_VIDEOS,
    epic100_annotations,
    epic100_flow,
    epic100_frames,
)

SHOWN = (("train", "train"), ("val", "test"))


@pytest.fixture
def lists(tmp_path: Path) -> Path:
    epic100_annotations(tmp_path, 1.6)
    return tmp_path


def edit(folder: Path, name: str, old: str, new: str) -> None:
    path = folder / "annotations" / f"EPIC_100_{name}.csv"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def test_heads_splits_and_subsets(lists: Path) -> None:
    events = dataset_events("epic100", lists)
    assert events.heads == ("verb", "noun", "action")
    row = events.rows[events.rows["id"] == "P01_01_2"].iloc[0]
    assert (row["verb"], row["noun"], row["action"]) == ("verb3", "noun:56", "verb3 noun:56")
    assert (row["video"], row["subject"]) == ("P01/videos/P01_01.MP4", "P01")
    assert (row["start"], row["end"]) == (3.2, 4.8)
    split = dict(zip(events.videos["group"], events.videos["split"], strict=True))
    train, test = (dict.fromkeys(EPIC_VIDEOS[s], as_) for s, as_ in SHOWN)
    assert split == train | test
    kept = dataset_events("epic100", lists, val_as_test=False)
    assert set(kept.videos["split"]) == {"train", "val"}
    tested = events.select(split="test").rows
    subsets = subsets_of(tested["modifiers"])
    assert subsets.unseen.tolist() == [p == "P18" for p in tested["subject"]]
    assert subsets.tail_verb.tolist() == [v == "verb12" for v in tested["verb"]]
    assert subsets.tail_noun.tolist() == [n in ("noun:56", "noun:60") for n in tested["noun"]]


def test_a_manifest_keeps_all_of_it(lists: Path) -> None:
    (lists / "out").mkdir()
    path = prepare("epic100", lists, lists / "manifest.csv")
    assert read(path).equals(dataset_events("epic100", lists))


def test_some_participants_and_the_challenge(lists: Path) -> None:
    some = dataset_events("epic100", lists, participants="P02, P18")
    assert set(some.rows["subject"]) == {"P02", "P18"} and len(some.videos) == 4
    with pytest.raises(DataError, match="no segment is by any of the participants P77"):
        prepare("epic100", lists, participants="P77")
    test = dataset_events("epic100", lists, challenge=True)
    assert test.rows["id"].tolist() == [f"P33_101_{i}" for i in range(4)]
    assert test.rows[["verb", "noun", "action"]].isna().all(axis=None)
    assert set(test.videos["split"]) == {"test"} and test.heads == epic100.HEADS


def test_frame_numbers_count_at_60_and_at_50(tmp_path: Path) -> None:
    source = epic100_frames(tmp_path)
    assert epic100.nominal_fps("P01_01") == 60 and epic100.nominal_fps("P01_101") == 50
    path = prepare("epic100", source, source / "manifest.csv", inputs="rgb")
    events = read(path)
    for video, fps in (("P01_01", 60), ("P02_101", 50)):
        row = events.videos[events.videos["group"] == video].iloc[0]
        assert row["video"] == f"{video[:3]}/rgb_frames/{video}"
        assert (row["fps"], row["frames"], row["duration"]) == (fps, 2 * fps, 2.0)
        mine = events.for_video(row["video"])
        # start_frame is at least 1, so the first segment starts one frame late
        assert mine["start"].tolist() == pytest.approx([1 / fps, 0.5, 1.0, 1.5])
        assert mine["end"].tolist() == pytest.approx([0.5, 1.0, 1.5, 2.0])
    assert check_manifest(events) == []
    prepare("epic100", source, inputs="rgb")  # a second time: fps.txt is there already

    check_pixels(source / "P02" / "rgb_frames" / "P02_101")


def check_pixels(folder: Path) -> None:
    """A segment's clip shows the pictures whose numbers its annotation speaks of."""
    from PIL import Image

    index = frame_index(folder)
    views = Views(frames=4, stride=6, size=64, short_side=64, resize="exact")
    requests = views.requests_for_interval(index, 0.5, 1.0, "second")  # start_frame 25 to 50
    (clip,) = iter_clips(folder, requests, views.transform(), index=index)
    assert requests[0].frames.tolist() == [26, 32, 38, 44]  # one frame of room on either side
    for number, picture in zip(requests[0].frames, clip.frames, strict=True):
        with Image.open(folder / f"frame_{number + 1:010d}.jpg") as image:
            assert np.abs(np.asarray(image).astype(int) - picture).mean() < 3


def test_flow_is_of_every_other_frame_in_2018(tmp_path: Path) -> None:
    source = epic100_flow(tmp_path)
    events = read(prepare("epic100", source, source / "manifest.csv", inputs="flow"))
    assert check_manifest(events) == []
    for video, fps in (("P01_01", 30), ("P02_101", 50)):
        row = events.videos[events.videos["group"] == video].iloc[0]
        assert row["video"] == f"{video[:3]}/flow_frames/{video}"
        assert (row["fps"], row["frames"]) == (fps, 2 * fps)
        # 1 s is frame 60 (or 50) of the video, so flow picture 30 (or 50), counted from 0.
        index = frame_index(events.path(row["video"]))
        views = Views(frames=2, stride=1, size=32, short_side=32, flow="dis-fast")
        requests = views.requests_for_interval(index, 1.0, 1.0 + 2.5 / fps, "flow")
        (clip,) = iter_clips(index.path, requests, views.transform(), index=index)
        assert clip.frames.shape == (2, 32, 32, 2)
        assert np.abs(clip.frames[0, 5, 5] - np.array([fps, 200 - fps])).max() <= 1
    (source / "P01" / "flow_frames" / "P01_02" / "v" / "frame_0000000060.jpg").unlink()
    with pytest.raises(DataError, match="P01_02: there are 60 pictures in u and 59 in v"):
        prepare("epic100", source, inputs="flow")


@pytest.mark.parametrize(("video", "stride"), [("P01_01", 2), ("P01_101", 1)])
def test_the_first_flow_picture_is_that_of_the_first_frame(video: str, stride: int) -> None:
    """flow_idx = (rgb_idx - 1) // stride + 1, where files count from 1 and annotation from 0."""
    fps, pictures = epic100.picture_fps(video, "flow"), 100
    edges = np.arange(pictures + 1) / fps
    times = np.stack([edges[:-1], edges[1:]], axis=1)
    index = FrameIndex(
        Path(video), times, np.arange(pictures), np.arange(pictures), False, fps, 8, 8
    )
    for start_frame in range(1, 90):
        rgb_idx = start_frame + 1
        first, _ = index.frames_between(start_frame / epic100.nominal_fps(video), times[-1, 1])
        assert first + 1 == (rgb_idx - 1) // stride + 1


def test_missing_frames_are_named(tmp_path: Path) -> None:
    source = epic100_frames(tmp_path)
    folder = source / "P01" / "rgb_frames" / "P01_02"
    (folder / "frame_0000000030.jpg").unlink()
    with pytest.raises(DataError, match=r"P01_02: 1 of 120 pictures are missing, first frame_0+30"):
        prepare("epic100", source, inputs="rgb")
    for number in range(31, 121):
        (folder / f"frame_{number:010d}.jpg").unlink()
    with pytest.raises(DataError, match="there are 29 frames, but segments reach to frame 120"):
        prepare("epic100", source, inputs="rgb")
    for file in folder.iterdir():
        file.unlink()
    with pytest.raises(DataError, match="no numbered pictures"):
        prepare("epic100", source, inputs="rgb")
    folder.rmdir()
    with pytest.raises(DataError, match=r"no frames of P01_02; expected the folder .*participants"):
        prepare("epic100", source, inputs="rgb")
    dataset_events("epic100", source, inputs="rgb", participants="P02,P18")
    (source / "P18" / "rgb_frames" / "P18_01" / "fps.txt").write_text("25\n")
    with pytest.raises(DataError, match=r"fps\.txt says '25'.*at 60 per second"):
        prepare("epic100", source, inputs="rgb", participants="P18")


@pytest.mark.parametrize(
    ("file", "old", "new", "said"),
    [
        ("train", "verb_class", "verbclass", r"row 1: .*'verb_class'\. Did you mean 'verbclass'"),
        ("train", ",0,thing", ",97,thing", "row 2: verb_class 97 is none of 0 to 96"),
        ("train", ",thing,2,", ",thing,,", "row 2: 'noun_class' is empty"),
        ("validation", "00:00:01.60", "soon", "row 2: 'end' is 'soon'|'stop_timestamp' is 'soon'"),
        ("verb_classes", "\n5,", "\n500,", "the ids must be 0, 1, 2"),
        ("tail_nouns", "noun", "nuon", r"row 1: .*no column 'noun'\. Did you mean 'nuon'"),
    ],
)
def test_tables_that_are_wrong(lists: Path, file: str, old: str, new: str, said: str) -> None:
    edit(lists, file, old, new)
    with pytest.raises(DataError, match=rf"EPIC_100_{file}\.csv.*({said})"):
        prepare("epic100", lists)


def test_what_is_missing_is_named(lists: Path) -> None:
    (lists / "annotations" / "EPIC_100_noun_classes.csv").unlink()
    with pytest.raises(DataError, match=r"does not hold EPIC_100_noun_classes\.csv"):
        prepare("epic100", lists)
    with pytest.raises(UsageError, match="videos, rgb or flow"):
        prepare("epic100", lists, inputs="depth")
    for name in ("P1_01", "Q01_01", "P01_1001"):
        with pytest.raises(DataError, match="no video id"):
            epic100.nominal_fps(name)


def test_the_real_annotation(shared_data: Path, tmp_path: Path) -> None:
    real = shared_data / "annotations" / "epic100"
    for path in real.glob("EPIC_100_*.csv"):
        (tmp_path / path.name).symlink_to(path)
    # The official training list is not here: a row of validation under another name stands in.
    header, row = (real / "EPIC_100_validation.csv").read_text().splitlines()[:2]
    row = row.replace("P01_11", "P01_01")
    (tmp_path / "EPIC_100_train.csv").write_text(f"{header}\n{row}\n")
    events = dataset_events("epic100", tmp_path)
    test = events.select(split="test")
    assert (len(test), len(test.videos), test.rows["subject"].nunique()) == (9668, 138, 32)
    assert [len(test.classes(h)) for h in epic100.HEADS] == [78, 211, 1352]
    subsets = subsets_of(test.rows["modifiers"])
    found = [subsets.unseen, subsets.tail_verb, subsets.tail_noun, subsets.tail_action]
    assert [int(s.sum()) for s in found] == [1065, 1760, 1900, 3105]
    # The nominal clock agrees with the time stamps; the videos' own rates do not.
    table = read_table(real / "EPIC_100_validation.csv")
    rates = np.array([epic100.nominal_fps(v) for v in table["video_id"]])
    off = np.abs(table["start_frame"].astype(int) / rates - test.rows["start"].to_numpy())
    assert np.quantile(off, 0.99) < 0.02 and off.max() < 0.04
    native = dict(zip(events.videos["video"], events.videos["fps"], strict=True))
    own = np.array([native[v] for v in test.rows["video"]])
    wrong = np.abs(table["start_frame"].astype(int) - own * test.rows["start"].to_numpy())
    assert (wrong > 1000).sum() > 90 and np.median(wrong) > 2


def read_table(path: Path) -> dict[str, np.ndarray]:
    import pandas as pd

    return {str(k): v.to_numpy() for k, v in pd.read_csv(path).items()}
