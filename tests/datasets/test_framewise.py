"""Pouring, Penn Action, FineGym and own phases: published lists, originals, what is refused."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import numpy as np
import pytest

from actionspace.datasets import finegym, finegym_events, pennaction
from actionspace.datasets.check import check_manifest
from actionspace.datasets.class_order import class_order
from actionspace.datasets.prepare import dataset_events, list_datasets, prepare
from actionspace.errors import DataError, UsageError
from actionspace.events.frames import to_frames
from actionspace.events.io import read
from actionspace.events.table import Events
from actionspace.video.index import frame_index
from actionspace.video.sweep import sweep
from actionspace.video.transform import FrameTransform
from tests.datasets import framewise_layouts as made

LABELS = [0, 0, 0, 1, 1, 2, 3, 3, 4, 4]


def of_frames(events: Events, video: str) -> list[int]:
    """Return the phase of each frame, -1 = none."""
    rows = events.for_video(video).assign(label=lambda t: t["phase"])
    found = to_frames(rows, frame_index(events.path(video)).times, background="-1")
    return [int(label) for label in found]


def published_pouring(folder: Path) -> Path:
    for split, names in (("train", ("a", "b")), ("val", ("c",))):
        made.write_pickle(folder / f"{split}.pkl", [made.entry(folder, n, LABELS) for n in names])
    return folder


def test_pouring_as_carl_publishes_it(tmp_path: Path) -> None:
    path = prepare("pouring", published_pouring(tmp_path))
    events = read(path)
    assert events.heads == ("phase",) and check_manifest(events) == []
    assert events.videos["split"].tolist() == ["train", "train", "test"]
    assert np.allclose(events.videos[["frames", "fps"]].to_numpy(float), [10, 25])
    assert of_frames(events, "videos/c.mp4") == LABELS
    rows = events.for_video("videos/a.mp4")
    assert rows["start"].tolist() == [0, *rows["end"][:-1]]  # phases touch
    assert class_order(events, "phase") == ["0", "1", "2", "3", "4"]
    kept = dataset_events("pouring", tmp_path, val_as_test=False)
    assert set(kept.videos["split"]) == {"train", "val"}


def test_pouring_from_tfrecords(tmp_path: Path) -> None:
    for shard, name in enumerate(("creamsoda_1", "milk_2")):
        file = tmp_path / "tcc" / f"pouring_train-{shard}-of-2.tfrecord"
        made.write_records(file, [made.sequence(name, LABELS, shard)])
    val = tmp_path / "tcc" / "pouring_val-0-of-1.tfrecord"
    made.write_records(val, [made.sequence("cola_3", LABELS[::-1], 2)])
    events = read(prepare("pouring", tmp_path))
    assert events.videos["split"].tolist() == ["train", "train", "test"]
    assert of_frames(events, "videos/cola_3.mp4") == LABELS[::-1]
    shown = dict(sweep(events.path("videos/milk_2.mp4"), [0, 9], transform=FrameTransform()))
    difference = shown[9].astype(int) - shown[0]
    assert abs(difference.mean() - 45) < 3  # the frames are those of the record, in its order
    before = events.path("videos/milk_2.mp4").stat().st_mtime_ns
    assert prepare("pouring", tmp_path).is_file()  # a second time: what is there is kept
    assert events.path("videos/milk_2.mp4").stat().st_mtime_ns == before


@pytest.mark.parametrize(
    ("record", "said"),
    [
        (made.example({"name": [b"a"]}, {}), "no pictures in 'video'"),
        (made.example({"id": [1]}, {}), "no 'name' in its context"),
        (made.example({"name": [b"../a"]}, {}), "cannot be a file's name"),
        (made.example({"name": [b"a"]}, {"video": [[b"not a jpeg"]]}), "frame 0 is no picture"),
    ],
)
def test_records_of_another_kind(tmp_path: Path, record: bytes, said: str) -> None:
    made.write_records(tmp_path / "pouring_train-0-of-1.tfrecord", [record])
    with pytest.raises(DataError, match=f"tfrecord, record 0.*{said}"):
        dataset_events("pouring", tmp_path)
    assert not list(tmp_path.rglob("*.mp4"))


def test_missing_videos_and_labels_that_do_not_fit(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    source = published_pouring(tmp_path)
    (source / "videos" / "b.mp4").unlink()
    with pytest.raises(DataError, match=r"b\.mp4.*missing=skip"):
        dataset_events("pouring", source)
    made.video(source / "videos" / "a.mp4", 20)
    with pytest.raises(DataError, match=r"20 frames, but 10 labels.*mismatch=resample"):
        dataset_events("pouring", source, missing="skip")
    with caplog.at_level(logging.WARNING, "actionspace"):
        events = dataset_events("pouring", source, missing="skip", mismatch="resample")
    assert "1 of 3 videos are not there" in caplog.text and "10 labels stretched" in caplog.text
    assert of_frames(events, "videos/a.mp4") == [label for label in LABELS for _ in range(2)]
    with pytest.raises(UsageError, match="missing is raise or skip"):
        dataset_events("pouring", source, missing="no")
    entry = made.entry(source, "a", LABELS) | {"seq_len": 11}
    made.write_pickle(source / "train.pkl", [entry])
    with pytest.raises(DataError, match="a has 10 labels for a length of 11 frames"):
        dataset_events("pouring", source)
    made.write_pickle(source / "train.pkl", {"a": 1})
    with pytest.raises(DataError, match="expected a list of videos with name, seq_len"):
        dataset_events("pouring", source)


@pytest.mark.parametrize("name", made.FRAMEWISE)
def test_an_empty_folder_says_what_belongs_into_it(name: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"hold"):
        dataset_events(name, tmp_path)
    [info] = list_datasets(name)
    for option in info.options.split():
        key, _, value = option.partition("=")
        plain: object = {"true": True, "false": False}.get(value, value)
        with pytest.raises(DataError, match=r"hold"):  # the option is known
            dataset_events(name, tmp_path, **{key: plain})


def test_penn_action_as_carl_publishes_it(tmp_path: Path) -> None:
    entries = [
        made.entry(tmp_path, f"000{k}_{action}", LABELS) | {"action_label": number}
        for k, (number, action) in enumerate(((0, "baseball_pitch"), (10, "squat")))
    ]
    indices = [[0], *([[]] * 9), [1], [], []]
    made.write_pickle(tmp_path / "train.pkl", (entries, indices))
    events = read(prepare("pennaction", tmp_path))
    assert events.heads == ("phase", "action") and check_manifest(events) == []
    assert class_order(events, "action") == list(pennaction.ACTIONS)
    assert set(events.for_video("videos/0001_squat.mp4")["action"]) == {"squat"}
    one = dataset_events("pennaction", tmp_path, action="squat")
    assert one.videos["video"].tolist() == ["videos/0001_squat.mp4"]
    with pytest.raises(UsageError, match="Did you mean 'squat'"):
        dataset_events("pennaction", tmp_path, action="squats")


def test_penn_action_from_the_original_frames(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "actionspace"):
        events = read(prepare("pennaction", made.penn_action(tmp_path)))
    assert "1 folders of frames have no phase labels" in caplog.text
    table = events.videos.set_index("video")
    assert table["split"].to_dict() == {
        "videos/0001_squat.mp4": "train", "videos/0002_bowl.mp4": "test",
    }  # fmt: skip
    assert table["frames"].tolist() == [12, 8]  # of ten pictures, eight with a label
    assert of_frames(events, "videos/0002_bowl.mp4") == [0] * 4 + [1] * 4
    index = frame_index(events.path("videos/0002_bowl.mp4"))
    assert (index.width, index.height, index.fps) == (224, 224, 25.0)
    shown = dict(sweep(index.path, range(8), transform=FrameTransform()))
    steps = np.diff([shown[k].mean() for k in range(8)])
    assert np.allclose(steps, [5, 5, 5, 10, 5, 5, 5], atol=2)  # picture floor(j 10 / 8)
    (tmp_path / "Penn_Action/labels/0001.mat").write_bytes(b"not a mat file" * 20)
    with pytest.raises(DataError, match=r"0001\.mat has no text 'action'"):
        dataset_events("pennaction", tmp_path)


def test_penn_action_from_tfrecords_keeps_the_thirteen(tmp_path: Path) -> None:
    names = ("0001_pullups", "0002_jump_rope", "0003_bowl")
    file = tmp_path / "penn_action_train-0.tfrecord"
    made.write_records(file, [made.sequence(name, [0, 0, 1, 1]) for name in names])
    events = dataset_events("pennaction", tmp_path)
    assert events.rows["action"].tolist() == ["pullup", "pullup", "bowl", "bowl"]


def test_finegym_cut_from_the_raw_videos(tmp_path: Path) -> None:
    source = made.finegym(tmp_path)
    events = read(prepare("finegym99", source))
    first = "processed_videos/abc_-1_E_000001_000003.mp4"
    second = "processed_videos/xyz_E_000000_000002.mp4"
    table = events.videos.set_index("video")
    assert table["split"].to_dict() == {first: "train", second: "test"}
    assert table["group"].tolist() == ["abc_-1", "xyz"] and table["frames"].tolist() == [30, 20]
    # element 93 from 0.2 to 0.4 s, element 7 by its last part from 0.6 to 0.9 s, ends included
    expected = np.full(30, -1)
    expected[5:11], expected[15:23] = 93, 7
    assert of_frames(events, first) == expected.tolist()
    assert set(events.for_video(second)["event"]) == {"2"}
    index = frame_index(events.path(first))
    assert (index.width, index.height, index.fps) == (640, 360, 25.0)
    shown = dict(sweep(index.path, [0, 1, 17, 29], transform=FrameTransform()))
    raw = frame_index(source / "raw" / "abc_-1.mp4")
    larger = FrameTransform(short_side=360)
    light = [frame.mean() for _, frame in sweep(raw.path, range(70), transform=larger)]
    for k, frame in shown.items():  # exactly from the event's start, not from a key frame
        near = raw.frame_at(1.0 + k / 25) + np.arange(-3, 4)
        assert near[np.argmin([abs(light[n] - frame.mean()) for n in near])] == near[3]
    assert class_order(events, "phase") == [str(k) for k in range(99)]


def test_finegym_without_elements_and_without_videos(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    source = made.finegym(tmp_path)
    more = dataset_events("finegym99", source, additional=True)
    extra = "additional_processed_videos/abc_-1_E_000004_000005.mp4"
    assert more.videos["video"].tolist()[-1] == extra and more.for_video(extra).empty
    (source / "raw" / "xyz.mkv").unlink()
    (source / "processed_videos" / "xyz_E_000000_000002.mp4").unlink()
    with pytest.raises(DataError, match=r"no video xyz\.mp4.*missing=skip"):
        dataset_events("finegym99", source)
    with caplog.at_level(logging.WARNING, "actionspace"):
        assert len(dataset_events("finegym99", source, missing="skip").videos) == 1
    assert "1 of 2 events cannot be cut" in caplog.text
    file = source / "gym99_val_element.txt"
    for line, said in (
        ("xyz_E_000000_000002_A_0009_0010 7", "is not there as the lists"),
        ("xyz_E_000000_000002 7", "row 1: .* is not '<video>_E_"),
    ):
        file.write_text(line)
        with pytest.raises(DataError, match=said):
            dataset_events("finegym99", source)


def test_finegym_as_carl_publishes_it(tmp_path: Path) -> None:
    for file, name in (("gym288_train_v1.0", "a_E_1_2"), ("gym288_val", "b_E_1_2")):
        entry = made.entry(tmp_path, name, LABELS, "processed_videos") | {"event_label": 4}
        labels = [-1.0, -1.0, *[200.0] * 8]
        made.write_pickle(
            tmp_path / f"{file}.pkl", [entry | {"frame_label": made.tensor(labels, "float32")}]
        )
    extra = made.entry(tmp_path, "c_E_1_2", LABELS, "additional_processed_videos")
    with pytest.raises(DataError, match="additional_v1"):
        dataset_events("finegym288", tmp_path, additional=True)
    made.write_pickle(tmp_path / "additional_v1.0.pkl", [extra | {"event_label": 1}])
    events = dataset_events("finegym288", tmp_path, additional=True)
    assert events.videos["split"].tolist() == ["train", "test", "train"]
    assert of_frames(events, "processed_videos/b_E_1_2.mp4") == [-1, -1, *[200] * 8]
    assert events.videos["group"].tolist() == ["a", "b", "c"] and len(events) == 2
    with pytest.raises(DataError, match="finegym_annotation_info"):
        dataset_events("finegym99", tmp_path)


def test_the_real_lists_of_gym99(shared_data: Path, tmp_path: Path) -> None:
    folder = shared_data / "annotations" / "finegym"
    for name, elements, events in (
        ("gym99_train_element_v1.1.txt", 26320, 3791), ("gym99_val_element.txt", 8521, 1442),
    ):  # fmt: skip
        found = [match for _, match in finegym_events.element_lines(folder / name)]
        assert len(found) == elements and len({m[1] for m in found}) == events
        assert {int(m[5]) for m in found} <= set(range(99))
        assert all(len(m[2]) == 11 for m in found)  # identifiers hold _ and - themselves
    names = finegym.class_names(99, folder)
    assert list(names) == list(range(99)) and len(set(names.values())) == 99
    assert names[98].startswith("(UB)")
    official = tmp_path / "gym99_categories.txt"
    official.write_text(
        "".join(f"Clabel: {n}; set: 1; Glabel: {n}; {t}\n" for n, t in names.items())
    )
    assert finegym.class_names(99, tmp_path) == names
    official.write_text("one\n")
    with pytest.raises(DataError, match="names 1 elements; expected 99"):
        finegym.class_names(99, tmp_path)


def test_own_videos_with_phases_of_two_annotators(tmp_path: Path) -> None:
    made.video(tmp_path / "clips" / "nest.mp4", 50)
    marked = {"p0": {"0": [[200000, 700000]], "1": [[900000, 1500000]]}}
    marked["p1"] = {"0": [[200000, 900000]], "1": [[1100000, 1500000]]}
    (tmp_path / "labels.json").write_text(json.dumps({"nest": marked}))
    events = read(prepare("phases", tmp_path))
    assert events.rows[["phase", "start", "end"]].to_numpy().tolist() == [
        ["0", 0, 0.92],
        ["1", 0.92, 2],
    ]
    seconds = {
        p: {k: [[a / 1e6, b / 1e6] for a, b in v] for k, v in m.items()} for p, m in marked.items()
    }
    (tmp_path / "s.json").write_text(json.dumps({"nest": seconds}))
    assert dataset_events("phases", tmp_path, labels="s.json", unit=1).equals(events)
    for content, said in (
        ({"best": marked}, "Did you mean 'nest'"),
        ({"nest": {"p0": marked["p0"], "p1": {"0": [[0, 1]]}}}, "no segment of phase 1"),
        ({"nest": [1]}, "nest is not"),
        ([], "expected an object"),
    ):
        (tmp_path / "labels.json").write_text(json.dumps(content))
        with pytest.raises(DataError, match=said):
            dataset_events("phases", tmp_path)


def test_kinetics_as_carl_lists_it(tmp_path: Path) -> None:
    place = tmp_path / "Kinetics400" / "train" / "blowing out candles"
    made.video(place / "abcdefghijk_000000_000010.mp4", 5)
    (tmp_path / "Kinetics400" / "train.csv").write_text(
        "Kinetics400/train/blowing out candles/abcdefghijk_000000_000010.mp4,3\n"
        "Kinetics400/train/marching/gone_000002_000012.mp4,5\n"
    )
    events = dataset_events("kinetics", tmp_path)
    assert events.videos[["split", "group"]].to_numpy().tolist() == [["train", "abcdefghijk"]]
    assert events.rows["label"].tolist() == ["3"]


def test_a_folder_of_videos_without_labels_is_a_manifest(tmp_path: Path) -> None:
    for name in ("a", "b"):
        made.video(tmp_path / "videos" / f"{name}.mp4", 5)
    events = read(tmp_path / "videos")
    assert events.videos["video"].tolist() == ["a.mp4", "b.mp4"] and events.rows.empty
    events.to_csv(tmp_path / "videos" / "manifest.csv")
    assert read(tmp_path / "videos" / "manifest.csv").equals(events)
