"""Kinetics as csv files, lists and folders; clips that are gone, clips listed twice."""

from __future__ import annotations

from pathlib import Path

import pytest

from actionspace.datasets.kinetics import youtube_id
from actionspace.datasets.prepare import dataset_events, prepare
from actionspace.errors import DataError

HEADER = "label,youtube_id,time_start,time_end,split\n"


def clips(folder: Path, *names: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


def test_csv_files_and_what_is_gone(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    clips(tmp_path, "val/-a_b_000001_000011.mp4", "train/plain.mp4")
    (tmp_path / "train.csv").write_text(
        HEADER + "air drumming,plain,3,13,train\nabseiling,gone,1,11,train\n"
    )
    (tmp_path / "val.csv").write_text(HEADER + "abseiling,-a_b,1,11,validate\n")
    (tmp_path / "other.csv").write_text("video,label\nx.mp4,y\n")  # none of ours
    events = dataset_events("kinetics", tmp_path)
    assert events.videos["video"].tolist() == ["train/plain.mp4", "val/-a_b_000001_000011.mp4"]
    assert events.videos["group"].tolist() == ["plain", "-a_b"]
    assert events.videos["split"].tolist() == ["train", "test"]
    assert events.rows["label"].tolist() == ["air drumming", "abseiling"]
    assert "1 of the 3 clips" in caplog.text
    kept = dataset_events("kinetics", tmp_path, val_as_test=False)
    assert kept.videos["split"].tolist() == ["train", "val"]


def test_a_labelled_test_split_leaves_validation_alone(tmp_path: Path) -> None:
    names = [f"{n}_000001_000011.mp4" for n in "abc"]
    clips(tmp_path, *names)
    rows = zip("abc", ("train", "val", "test"), strict=True)
    text = "".join(f"abseiling,{n},1,11,{s}\n" for n, s in rows)
    (tmp_path / "all.csv").write_text(HEADER + text)
    assert dataset_events("kinetics", tmp_path).videos["split"].tolist() == ["train", "val", "test"]


def test_lists_with_a_label_map(tmp_path: Path) -> None:
    clips(tmp_path, "videos_val/abseiling/x_000001_000011.mp4", "videos_train/air_drumming/y.mp4")
    (tmp_path / "kinetics400_train_list_videos.txt").write_text("air_drumming/y.mp4 1\n")
    (tmp_path / "kinetics400_val_list_videos.txt").write_text("abseiling/x_000001_000011.mp4 0\n")
    (tmp_path / "label_map.txt").write_text("abseiling\nair drumming\n")
    events = dataset_events("kinetics", tmp_path)
    assert events.rows["label"].tolist() == ["air drumming", "abseiling"]
    assert events.videos["split"].tolist() == ["train", "test"]
    (tmp_path / "kinetics400_val_list_videos.txt").write_text("abseiling/x_000001_000011.mp4 2\n")
    with pytest.raises(DataError, match="row 1: there is no name for the label id 2"):
        prepare("kinetics", tmp_path)


def test_folders(tmp_path: Path) -> None:
    clips(tmp_path, "train/abseiling/x_000001_000011.mp4", "val/air drumming/y_000001_000011.mp4")
    events = dataset_events("kinetics", tmp_path)
    assert events.rows["label"].tolist() == ["abseiling", "air drumming"]
    assert events.videos["group"].tolist() == ["x", "y"]
    assert youtube_id("some/x_y_000001_000011.mp4") == "x_y" and youtube_id("z.mp4") == "z"


def test_what_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no video"):
        prepare("kinetics", clips(tmp_path / "empty"))
    with pytest.raises(DataError, match=r"no Kinetics csv file, no list and no class folders"):
        prepare("kinetics", clips(tmp_path / "flat", "a.mp4"))
    source = clips(tmp_path / "renamed", "something.mp4")
    (source / "val.csv").write_text(HEADER + "abseiling,abc,1,11,val\n")
    with pytest.raises(DataError, match=r"None of the 1 clips .* abc_000001_000011\.mp4"):
        prepare("kinetics", source)
    source = clips(tmp_path / "two", "abc_000001_000011.mp4")
    (source / "k400_val.csv").write_text(HEADER + "abseiling,abc,1,11,val\n")
    (source / "k600_train.csv").write_text(HEADER + "abseiling,abc,1,11,train\n")
    with pytest.raises(DataError, match=r"listed twice, as 'abseiling' in val and .* in train"):
        prepare("kinetics", source)
    (source / "k600_train.csv").write_text(HEADER + "abseiling,abc,one,11,train\n")
    with pytest.raises(DataError, match=r"k600_train\.csv, row 2: 'time_start' is 'one'"):
        prepare("kinetics", source)


def test_the_published_validation_lists(shared_data: Path, tmp_path: Path) -> None:
    table = shared_data / "annotations" / "kinetics_csv" / "kinetics-400_val.csv"
    (tmp_path / "val.csv").write_bytes(table.read_bytes())
    clips(tmp_path, "val/0wR5jVB-WPk_000417_000427.mp4")
    events = dataset_events("kinetics", tmp_path)
    assert events.rows["label"].tolist() == ["abseiling"]
    assert events.videos["group"].tolist() == ["0wR5jVB-WPk"]
