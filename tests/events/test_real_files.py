"""Published annotation files, read as they are (from the shared folder; never committed)."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from actionspace.errors import DataError
from actionspace.events.io import read, sniff, write


@pytest.fixture(scope="module")
def annotations(shared_data: Path) -> Path:
    return shared_data / "annotations"


@pytest.mark.parametrize(
    ("file", "form", "events", "videos", "classes"),
    [
        ("thumos14/thumos14.json", "actionformer", 6365, 412, 20),
        ("thumos14/thumos_gt.json", "activitynet", 6318, 410, 20),
        ("multithumos/multithumos.json", "actionformer", 38668, 412, 65),
        ("football_eurocup2016/label_cls8_train.json", "football", 2626, 44, 7),
        ("football_eurocup2016/label_cls8_val.json", "football", 312, 5, 6),
        ("activitynet13/anet_anno_action.json", "activitynet", 22152, 19228, 200),
        ("activitynet13/sample_detection_prediction.json", "activitynet", 7654, 4926, 200),
        ("kinetics_csv/kinetics-400_val.csv", "kinetics", 19906, 19906, 400),
        ("finegym/gym99_val_element.txt", "list", 8521, 8521, 99),
        ("chimpbehave/chimpbehave/CB_train_cv1.txt", "list", 7352, 7352, 7),
        ("chimpbehave/panaf/PANAF_test_cv1.txt", "list", 1677, 1677, 7),
    ],
)
def test_counts(
    annotations: Path, file: str, form: str, events: int, videos: int, classes: int
) -> None:
    path = annotations / file
    assert sniff(path) == form
    found = read(path, form)
    assert (len(found), len(found.videos), len(found.classes())) == (events, videos, classes)


def test_thumos_keeps_its_first_segment_and_survives_both_json_layouts(
    annotations: Path, tmp_path: Path
) -> None:
    events = read(annotations / "thumos14" / "thumos14.json")
    first = events.rows.iloc[0]
    assert (first["start"], first["end"], first["label"]) == (0.2, 1.1, "CricketBowling")
    video = events.videos.iloc[0]
    assert (video["split"], video["duration"], video["fps"]) == ("test", 33.83, 30.0)
    for form in ("actionformer", "activitynet"):
        assert read(write(events, tmp_path / f"{form}.json", form)).equals(events)
    by_csv = read(annotations / "thumos14" / "val_Annotation.csv", columns={"type": "label"})
    in_val = events.select(split="val")
    names = set(by_csv.classes()) - {"Ambiguous"}
    assert names == set(in_val.classes())


def test_football_frames_become_seconds(annotations: Path) -> None:
    events = read(annotations / "football_eurocup2016" / "label_cls8_train.json")
    assert (events.rows["start"][0], events.rows["end"][0]) == (395 / 5, 399 / 5)
    assert events.videos["duration"][0] == 6128 / 5
    assert (events.rows["end"] <= events.rows["video"].map(
        events.videos.set_index("video")["duration"]
    )).all()  # fmt: skip


def test_predictions_carry_scores(annotations: Path) -> None:
    events = read(annotations / "activitynet13" / "sample_classification_prediction.json")
    assert events.rows["start"].isna().all()
    assert events.rows["score"].notna().all()


def test_chimpbehave_counts_are_the_published_ones(annotations: Path) -> None:
    test = read(annotations / "chimpbehave" / "chimpbehave" / "CB_test_cv1.txt")
    assert test.videos["split"].unique().tolist() == ["test"]
    counts = Counter(test.rows["label"])
    assert [counts[str(i)] for i in range(7)] == [1418, 198, 181, 20, 9, 4, 5]


def test_lists_that_lead_out_of_their_folder_say_so(annotations: Path) -> None:
    path = annotations / "chimpbehave" / "chimpbehave" / "CB_OOD_all_cls.txt"
    with pytest.raises(DataError, match=r"row 1: .*cropped_chimpBehave.* outside"):
        read(path)
    assert len(read(path, allow_outside=True)) == 9187


def test_single_clips_with_their_groups(shared_data: Path, tmp_path: Path) -> None:
    names = {
        "path": "video",
        "session": "group",
        "cage": "",
        "start_frame": "",
        "original_name": "",
    }
    events = read(shared_data / "rat_behaviour" / "public.csv", columns=names)
    assert len(events) == 168 and len(events.classes()) == 7
    assert all(events.path(v).is_file() for v in events.videos["video"])
    assert read(write(events, tmp_path / "m.csv"), root=events.root).equals(events)
