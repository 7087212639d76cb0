"""Data sets of untrimmed videos: their layouts, splits, class ids, features, what is refused."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from actionspace.datasets import ego4d_mq, untrimmed
from actionspace.datasets.check import check_manifest
from actionspace.datasets.class_order import class_order, empty_classes, file_of
from actionspace.datasets.prepare import dataset_events, list_datasets, prepare
from actionspace.errors import DataError, UsageError
from actionspace.events.io import read
from actionspace.features.joined import listed_features
from tests.datasets.layouts import epic100_annotations

UNTRIMMED = ("thumos14", "activitynet13", "hacs", "epic100-detection", "ego4d-mq", "multithumos")


def annotation(label: str, start: float, end: float, number: int | None = None) -> dict[str, Any]:
    found: dict[str, Any] = {"label": label, "segment": [start, end]}
    return found if number is None else {**found, "label_id": number}


def database(path: Path, videos: dict[str, Any]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"version": "x", "database": videos}))
    return path


def entry(subset: str, *annotations: dict[str, Any], duration: float = 20.0) -> dict[str, Any]:
    return {"subset": subset, "duration": duration, "fps": 25.0, "annotations": list(annotations)}


def features(folder: Path, *names: str, rows: int = 30, dim: int = 4) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        np.save(folder / f"{name}.npy", np.full((rows, dim), len(name), np.float32))


def thumos(folder: Path) -> Path:
    videos = {
        "video_validation_0000051": entry("Validation", annotation("Diving", 1, 3, 1)),
        "video_test_0000004": entry(
            "Test", annotation("Diving", 2, 4, 1), annotation("CliffDiving", 2, 4, 0)
        ),
        "video_test_0000270": entry("Test", annotation("CliffDiving", 5, 6, 0)),
    }
    return database(folder / "annotations" / "thumos14.json", videos)


def test_thumos14_trains_on_validation_and_skips_what_has_no_features(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    thumos(tmp_path)
    features(tmp_path / "i3d_features", "video_validation_0000051", "video_test_0000004")
    with caplog.at_level(logging.INFO, "actionspace"):
        events = dataset_events("thumos14", tmp_path, features="i3d_features")
    assert dict(zip(events.videos["video"], events.videos["split"], strict=True)) == {
        "video_validation_0000051": "train",
        "video_test_0000004": "test",
    }
    assert "1 videos have no file in i3d_features, left out: video_test_0000270" in caplog.text
    assert "1 videos train, 1 videos test; 3 events" in caplog.text
    assert events.videos["features"][0] == "i3d_features/video_validation_0000051.npy"
    assert events.videos[["duration", "fps"]].to_numpy().tolist() == [[20.0, 25.0]] * 2
    both = events.for_video("video_test_0000004")  # one moment, two classes
    assert sorted(both["label"]) == ["CliffDiving", "Diving"]
    with pytest.raises(DataError, match="1 videos have no file in i3d_features"):
        dataset_events("thumos14", tmp_path, features="i3d_features", missing="raise")
    fewer = dataset_events("thumos14", tmp_path, leave_out="270, 1292,1496")
    assert set(fewer.select(split="test").videos["video"]) == {"video_test_0000004"}


def test_class_ids_are_kept_beside_the_manifest(tmp_path: Path) -> None:
    videos = {
        "video_validation_0000001": entry("Validation", annotation("B", 1, 3, 0)),
        "video_test_0000002": entry("Test", annotation("A", 1, 3, 2)),
    }
    database(tmp_path / "multithumos.json", videos)
    path = prepare("multithumos", tmp_path)
    assert json.loads(file_of(path).read_text()) == {"label": ["B", "class 1", "A"]}
    events = read(path)
    assert class_order(events) == ["B", "class 1", "A"] != events.classes()
    assert empty_classes(events, class_order(events)) == [1]
    file_of(path).write_text('{"label": ["Bb"]}')
    with pytest.raises(DataError, match=r"does not list the label 'A'"):
        class_order(events)
    file_of(path).unlink()
    assert class_order(events) == ["A", "B"]
    for name in ("x/manifest", "x/manifest/events.csv"):
        assert file_of(Path(name)) == Path("x/manifest/classes.json")


def test_label_ids_that_contradict_themselves(tmp_path: Path) -> None:
    videos = {"a": entry("train", annotation("A", 1, 3, 0), annotation("A", 4, 5, 1))}
    with pytest.raises(DataError, match="'A' has the ids 0 and 1"):
        untrimmed.class_ids(database(tmp_path / "x.json", videos))
    videos = {"a": entry("train", annotation("A", 1, 3, 0), annotation("B", 4, 5, 0))}
    with pytest.raises(DataError, match="share one label_id"):
        untrimmed.class_ids(database(tmp_path / "x.json", videos))


def test_official_folders_of_thumos14(tmp_path: Path) -> None:
    for split, word in (("val", "validation"), ("test", "test")):
        folder = tmp_path / split / "annotation"
        folder.mkdir(parents=True)
        (folder / f"Diving_{split}.txt").write_text(f"video_{word}_0000007  1.0 2.5\n")
        (folder / f"Billiards_{split}.txt").write_text(f"video_{word}_0000008 3 4\n\n")
        (folder / f"Ambiguous_{split}.txt").write_text(f"video_{word}_0000008 6 7\n")
    events = read(prepare("thumos14", tmp_path))
    assert len(events) == 6 and events.classes() == ["Billiards", "Diving"]
    assert (events.rows["status"] == "ignore").sum() == 2
    assert set(events.select(split="train").videos["video"]) == {
        "video_validation_0000007", "video_validation_0000008",
    }  # fmt: skip
    (tmp_path / "val/annotation/Diving_val.txt").write_text("video_validation_0000007 1.0\n")
    with pytest.raises(DataError, match=r"Diving_val.txt, row 1: .* is not 'video start end'"):
        dataset_events("thumos14", tmp_path)


def test_official_folder_of_multithumos(tmp_path: Path) -> None:
    (tmp_path / "annotations").mkdir()
    (tmp_path / "class_list.txt").write_text("1 Throw\n2 Catch\n")
    (tmp_path / "annotations/Throw.txt").write_text("video_test_0000007 1.0 2.5\n")
    with pytest.raises(DataError, match=r"Catch.txt is not there"):
        dataset_events("multithumos", tmp_path)
    (tmp_path / "annotations/Catch.txt").write_text("video_validation_0000009 1.0 2.5\n")
    path = prepare("multithumos", tmp_path)
    assert class_order(read(path)) == ["Throw", "Catch"]
    assert Path(read(path).rows["video"][0]).name == "video_test_0000007"


def test_activitynet_drops_doubles_and_the_unlabelled_test_split(tmp_path: Path) -> None:
    videos = {
        "a_b": entry(
            "training",
            annotation("X", 1, 3),
            annotation("X", 1.0005, 3.0005),
            annotation("Y", 1, 3),
            annotation("X", 4, 4.0005),
        ),
        "v_2": entry("validation", annotation("Y", 1, 3)),
        "c": entry("testing"),
    }
    database(tmp_path / "activity_net.v1-3.min.json", videos)
    events = dataset_events("activitynet13", tmp_path)
    assert events.for_video("a_b")[["label", "start"]].to_numpy().tolist() == [["X", 1], ["Y", 1]]
    assert set(events.videos["split"]) == {"train", "test"} and len(events.videos) == 2
    kept = dataset_events("activitynet13", tmp_path, val_as_test=False)
    assert kept.videos["split"].tolist() == ["train", "val", "test"]
    features(tmp_path / "tsp", "v_a_b", "v_2")
    found = dataset_events("activitynet13", tmp_path, features="tsp")
    assert found.videos["features"].tolist() == ["tsp/v_a_b.npy"]  # v_2 has no v_v_2
    with pytest.raises(UsageError, match="annotation=x: use one of official, tsp, i3d, bsn"):
        dataset_events("activitynet13", tmp_path, annotation="x")
    with pytest.raises(DataError, match=r"does not hold anet1\.3_tsp_filtered\.json"):
        dataset_events("activitynet13", tmp_path, annotation="tsp")


def test_videos_that_are_there_are_used(tmp_path: Path) -> None:
    database(
        tmp_path / "activity_net.v1-3.min.json", {"x1": entry("training", annotation("A", 0, 1))}
    )
    (tmp_path / "videos").mkdir()
    (tmp_path / "videos/v_x1.mp4").write_bytes(b"")
    features(tmp_path / "tsp", "v_x1")
    events = dataset_events("activitynet13", tmp_path, features="tsp")
    assert events.rows["video"].tolist() == ["videos/v_x1.mp4"] == events.videos["video"].tolist()
    assert events.videos["group"].tolist() == ["x1"]
    one = listed_features(events, stride=16, fps=15).get("videos/v_x1.mp4")
    assert one.features.shape == (30, 4)


def test_epic_verbs_and_nouns_of_two_files(tmp_path: Path) -> None:
    def write(head: str, *labels: tuple[str, int]) -> None:
        found = [annotation(name, k, k + 1, number) for k, (name, number) in enumerate(labels)]
        database(tmp_path / f"epic_kitchens_100_{head}.json", {"P01_01": entry("training", *found)})

    write("verb", ("take", 0), ("put", 1))
    write("noun", ("plate", 2), ("knife", 4))
    path = prepare("epic100-detection", tmp_path)
    events = read(path)
    assert events.heads == ("verb", "noun", "action")
    assert events.rows["action"].tolist() == ["take plate", "put knife"]
    verbs, nouns = (class_order(events, h) for h in ("verb", "noun"))
    assert (len(verbs), len(nouns)) == (97, 300) and nouns[:3] == ["class 0", "class 1", "plate"]
    assert len(empty_classes(events, verbs, "verb")) == 95
    alone = dataset_events("epic100-detection", tmp_path, head="noun")
    assert alone.heads == ("noun",)
    write("noun", ("plate", 2))
    with pytest.raises(DataError, match="do not hold the same segments"):
        dataset_events("epic100-detection", tmp_path)
    with pytest.raises(DataError, match="1 videos have no file in f"):
        features(tmp_path / "f", "P01_02")
        (tmp_path / "f/P01_01.npy").unlink(missing_ok=True)
        both = {"P01_01": entry("training"), "P01_02": entry("training")}
        database(tmp_path / "epic_kitchens_100_verb.json", both)
        dataset_events("epic100-detection", tmp_path, head="verb", features="f")


def test_epic_from_the_official_tables(tmp_path: Path) -> None:
    epic100_annotations(tmp_path, 1.6)
    path = prepare("epic100-detection", tmp_path, head="verb")
    events = read(path)
    assert events.heads == ("verb",) and set(events.videos["split"]) == {"train", "test"}
    assert len(class_order(events, "verb")) == 97
    with pytest.raises(UsageError, match="head=verbs: use verb or noun"):
        dataset_events("epic100-detection", tmp_path, head="verbs")


def moments(
    folder: Path, *, start: int = 1005, stop: int = 4003, split: str = "train", fps: float = 30.0
) -> None:
    label = {"primary": True, "label": "wash", "video_start_time": start / fps + 2.0,
             "video_end_time": start / fps + 5.123}  # fmt: skip
    short = {**label, "video_end_time": label["video_start_time"] + 0.2}
    clip = {
        "clip_uid": f"clip-{split}",
        "video_start_sec": start / fps, "video_end_sec": stop / fps,
        "video_start_frame": start, "video_end_frame": stop,
        "annotations": [
            {"annotator_uid": "one", "labels": [label, {**label, "primary": False}, short]},
            {"annotator_uid": "two", "labels": [{**label, "label": "dry"}]},
        ],
    }  # fmt: skip
    broken = {**clip, "clip_uid": "broken", "video_end_frame": start + 5}
    video = {"video_uid": "v", "split": split, "clips": [clip, broken]}
    (folder / f"moments_{split}.json").write_text(json.dumps({"videos": [video]}))


def test_ego4d_clips_lie_on_the_grid_of_their_videos_features(tmp_path: Path) -> None:
    moments(tmp_path)
    moments(tmp_path, split="val", start=0, stop=3200)
    (tmp_path / "raw").mkdir()
    whole = torch.arange(260 * 3).reshape(260, 3).half()
    torch.save(whole, tmp_path / "raw/v.pt")
    events = dataset_events("ego4d-mq", tmp_path, raw="raw")
    assert events.videos[["video", "split", "group"]].to_numpy().tolist() == [
        ["clip-train", "train", "v"],
        ["clip-val", "test", "v"],
    ]
    # 1005 = 62 * 16 + 13: 13 frames in front, and 13 behind for (3011 - 32 + 13) % 16 == 0.
    lead, tail = 13 / 30, -(2998 + 13 - 32) % 16 / 30
    first = events.videos.iloc[0]
    assert first["duration"] == round(2998 / 30 + lead + tail, 2) and first["fps"] == 30.0
    rows = events.for_video("clip-train")
    assert rows["label"].tolist() == ["wash", "dry"] and rows["annotator"].tolist() == [
        "one",
        "two",
    ]
    assert rows[["start", "end"]].iloc[0].tolist() == [round(2 + lead, 2), round(5.123 + lead, 2)]
    cut = np.load(tmp_path / "raw_clips/clip-train.npy")
    np.testing.assert_array_equal(cut, whole[62 : 62 + len(cut)].float().numpy())
    assert cut.dtype == np.float32 and len(cut) == (2998 + 13 + tail * 30 - 32) / 16
    assert first["features"] == "raw_clips/clip-train.npy"
    (tmp_path / "ego4d_label_map.txt").write_text("0\twash\n1\tdry\n2\tfold\n")
    assert ego4d_mq.classes(tmp_path) == {"label": ["wash", "dry", "fold"]}


def test_ego4d_features_that_end_too_early(tmp_path: Path) -> None:
    moments(tmp_path)
    (tmp_path / "raw").mkdir()
    torch.save(torch.zeros(100, 3), tmp_path / "raw/v.pt")
    with pytest.raises(DataError, match=r"has 100 rows, but the clip clip-train takes rows 62 to"):
        dataset_events("ego4d-mq", tmp_path, raw="raw")
    assert not list((tmp_path / "raw_clips").glob("*"))
    with pytest.raises(DataError, match="no folder of features 'nothing'"):
        dataset_events("ego4d-mq", tmp_path, raw="nothing")


def test_ego4d_converted_by_actionformer(tmp_path: Path) -> None:
    videos = {"c1": entry("training", annotation("x", 1, 2, 7)), "c2": entry("test")}
    database(tmp_path / "ego4d.json", videos)
    features(tmp_path / "s", "c1", "c2")
    features(tmp_path / "e", "c1", "c3", dim=2)
    events = dataset_events("ego4d-mq", tmp_path, features="s, e")
    assert events.videos["features"].tolist() == ["s/c1.npy;e/c1.npy"]
    joined = listed_features(events, stride=16, window=32, fps=30)
    assert joined.dim == 6 and joined.get("c1").features.shape == (30, 6)


@pytest.mark.parametrize("name", UNTRIMMED)
def test_an_empty_folder_says_what_belongs_there(name: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"\.(json|csv|txt)"):
        prepare(name, tmp_path)
    [info] = list_datasets(name)
    assert info.classes and info.licence and info.download and info.options


def test_a_manifest_above_its_source_finds_the_features(tmp_path: Path) -> None:
    thumos(tmp_path / "th")
    features(tmp_path / "th/f", "video_test_0000004", "video_validation_0000051")
    path = prepare("thumos14", tmp_path / "th", tmp_path / "all.csv", features="f")
    events = read(path)
    assert events.videos["features"][0] == "th/f/video_validation_0000051.npy"
    assert listed_features(events, stride=4, window=16).dim == 4
    assert [f for f in check_manifest(events) if f.severity == "error"] == []
    (tmp_path / "th/f/video_test_0000004.npy").unlink()
    [finding] = [f for f in check_manifest(events) if f.code == "missing-features"]
    assert finding.row is not None and "video_test_0000004" in finding.message
    beside = prepare("thumos14", tmp_path / "th", tmp_path / "out/all.csv", features="f")
    again = read(beside, root=tmp_path / "th")
    assert again.videos["features"][0] == "f/video_validation_0000051.npy"


def test_doubles_are_found_as_in_the_original() -> None:
    rows = [(0, 1, "1"), (0.0005, 1.0005, "1"), (0, 1, "2"), (3, 3.0005, "1"), (3, 4, "1")]
    table = pd.DataFrame(rows, columns=["start", "end", "label"]).assign(video="v")
    kept = untrimmed.without_doubles(table)
    assert kept[["start", "end", "label"]].to_numpy().tolist() == [
        [0, 1, "1"],
        [0, 1, "2"],
        [3, 4, "1"],
    ]


@pytest.mark.parametrize(
    ("name", "videos", "events", "classes"),
    [("thumos14", (200, 212), 6365, 20), ("multithumos", (200, 212), 38668, 65)],
)
def test_the_real_lists(
    shared_data: Path, name: str, videos: tuple[int, int], events: int, classes: int
) -> None:
    found = dataset_events(name, shared_data / "annotations" / name)
    splits = found.videos["split"].value_counts()
    assert (splits["train"], splits["test"]) == videos and len(found) == events
    ids = untrimmed.class_ids(shared_data / "annotations" / name / f"{name}.json")
    assert len(ids) == classes and sorted(ids.values()) == list(range(classes))


def test_hacs_has_a_folder_of_features_for_each_split(tmp_path: Path) -> None:
    from tests.datasets.untrimmed_layouts import CLASSES, hacs

    hacs(tmp_path)
    events = dataset_events("hacs", tmp_path, features="slowfast_feature", annotation="slowfast")
    assert events.videos["split"].value_counts().to_dict() == {"train": 4, "test": 2}
    assert events.videos["duration"].tolist() == [40.0] * 6  # text in the file
    assert events.videos["features"][0] == "slowfast_feature/training/xyz0.npy"
    path = prepare("hacs", tmp_path, tmp_path / "hacs.csv", features="i3d_feature")
    assert class_order(read(path), "label") == [CLASSES[1], CLASSES[0]]  # by their ids
    with pytest.raises(UsageError, match="one of i3d, slowfast"):
        dataset_events("hacs", tmp_path, annotation="tsp")


def test_hacs_pickles_are_refused_with_what_to_do(tmp_path: Path) -> None:
    from tests.datasets.untrimmed_layouts import hacs

    hacs(tmp_path)
    for file in sorted((tmp_path / "slowfast_feature").rglob("*.npy")):
        file.rename(file.with_suffix(".pkl"))
    with pytest.raises(DataError, match=r"can run code.*\n(.*\n)*.*slow_feature"):
        dataset_events("hacs", tmp_path, features="slowfast_feature")


def test_what_makes_arrays_of_hacs_pickles_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import pickle

    import torch

    from actionspace.datasets.hacs import CONVERT

    both = {"slow_feature": torch.ones(1, 5, 3), "fast_feature": torch.zeros(1, 2, 3)}
    place = tmp_path / "slowfast_feature" / "training" / "a.pkl"
    place.parent.mkdir(parents=True)
    place.write_bytes(pickle.dumps(both))
    monkeypatch.chdir(tmp_path)
    exec(CONVERT, {})
    assert np.load(place.with_suffix(".npy")).tolist() == [[1.0] * 5 + [0.0] * 2] * 3
