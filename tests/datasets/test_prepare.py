"""The published data sets: their real lists, and small videos in their layouts."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from actionspace.datasets import chimpbehave, kinetics700_diff, mammalnet
from actionspace.datasets.check import check_manifest
from actionspace.datasets.prepare import class_names, dataset_events, list_datasets, prepare
from actionspace.errors import DataError, UsageError
from actionspace.events.io import read
from tests.conftest import golden_dirs
from tests.datasets.framewise_layouts import FRAMEWISE
from tests.datasets.layouts import LAYOUTS, PER_SPLIT, make
from tests.datasets.test_untrimmed import UNTRIMMED


@pytest.mark.parametrize("name", sorted(LAYOUTS))
def test_small_videos_in_each_layout(name: str, tmp_path: Path) -> None:
    source = make(name, tmp_path)
    if name == "class-folders":
        events = read(source)
    else:
        events = read(prepare(name, source))
        assert set(events.classes(events.heads[0])) <= set(class_names(name)) or not class_names(
            name
        )
    assert check_manifest(events) == []
    per_class = Counter(events.select(split="train").rows[events.heads[0]])
    held = {8} if name == "ucf50" else {PER_SPLIT["train"]}  # UCF50 has no lists of its own
    assert set(per_class.values()) == held and len(per_class) in (3, 4)
    assert {"train", "test"} <= set(events.videos["split"])
    assert all(events.path(v).is_file() for v in events.videos["video"])


@pytest.mark.parametrize("area", golden_dirs() or [None])
def test_class_ids_are_the_known_ones(area: Path | None) -> None:
    path = area / "uas" / "classes.json" if area else None
    if path is None or not path.is_file():
        pytest.skip("no uas/classes.json among the golden cases")
    known = json.loads(path.read_text())
    assert list(mammalnet.CLASSES) == known["mammalnet_behaviors"]["classes"]
    assert list(chimpbehave.CLASSES) == known["chimpbehave"]["classes"]
    assert list(kinetics700_diff.CLASSES) == known["k700_diff"]["classes"]


def test_the_103_classes_follow_from_the_label_maps(shared_data: Path) -> None:
    maps = shared_data / "annotations" / "label_maps"
    names = {k: (maps / f"kinetics{k}.txt").read_text().splitlines() for k in (600, 700)}
    old = {kinetics700_diff.plain_name(n) for n in names[600]}
    new = [n for n in names[700] if kinetics700_diff.plain_name(n) not in old]
    plain = kinetics700_diff.plain_name
    assert {plain(n) for n in new} == {plain(n) for n in kinetics700_diff.CLASSES}
    assert len(kinetics700_diff.CLASSES) == 103


@pytest.mark.parametrize("fold", [1, 2])
@pytest.mark.parametrize(("subset", "train", "test"), [
    ("chimpbehave", 7352, 1835), ("panaf", 6727, 1677),
])  # fmt: skip
def test_chimpbehave_folds(
    shared_data: Path, fold: int, subset: str, train: int, test: int
) -> None:
    lists = shared_data / "annotations" / "chimpbehave"
    events = dataset_events("chimpbehave", lists, fold=fold, subset=subset)
    splits = Counter(events.videos["split"])
    assert (splits["train"], splits["test"]) == (train, test)
    assert len(events.classes()) == 7
    if subset == "chimpbehave":
        test_labels = Counter(events.select(split="test").rows["label"])
        assert [test_labels[c] for c in chimpbehave.CLASSES] == [1418, 198, 181, 20, 9, 4, 5]


def test_chimpbehave_groups_are_sequences(shared_data: Path) -> None:
    lists = shared_data / "annotations" / "chimpbehave"
    everything = dataset_events("chimpbehave", lists, fold="ood")
    assert len(everything) == 9187 and set(everything.videos["split"]) == {"test"}
    assert Counter(everything.rows["label"])["sitting"] == 7090
    assert everything.videos["group"].nunique() == 895
    assert chimpbehave.sequence("Benga1_364_778_sitting_clip_0_19.mp4") == "Benga1_364_778"
    leaks = check_manifest(dataset_events("chimpbehave", lists), files=False)
    assert 4 <= sum(f.code == "group-leak" for f in leaks) <= 11  # the folds are nearly grouped
    head = dataset_events("chimpbehave", lists, classes="head")
    assert set(Counter(head.rows["label"]).values()) == {726 + 181}


def test_chimpbehave_says_what_is_wrong(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"CB_train_cv1\.txt"):
        prepare("chimpbehave", tmp_path)
    for wrong in ({"fold": 9}, {"subset": "zoo"}, {"classes": "tail"}):
        with pytest.raises(UsageError):
            prepare("chimpbehave", tmp_path, **wrong)  # type: ignore[arg-type]
    (tmp_path / "CB_test_cv1.txt").write_text("")
    for line, said in (
        ("a_1_2_sitting_clip_0_19.mp4 9", "row 1: the id 9"),
        ("a_1_2_sitting_clip_0_19.mp4 1", "means standing, the name says sitting"),
    ):
        (tmp_path / "CB_train_cv1.txt").write_text(line)
        with pytest.raises(DataError, match=said):
            prepare("chimpbehave", tmp_path)
    (tmp_path / "chimpbehave_train.txt").write_text("a_1_2_sitting_clip_0_19.mp4 0\n")
    (tmp_path / "chimpbehave_val.txt").write_text("b_1_2_running_clip_0_19.mp4 6\n")
    uas = dataset_events("chimpbehave", tmp_path, fold="uas")
    assert uas.videos["split"].tolist() == ["train", "test"]


def annotation(folder: Path, line: str) -> None:
    (folder / "composition").mkdir(exist_ok=True)
    (folder / "composition" / "train.csv").write_text(line)


def test_mammalnet_columns_and_groups(tmp_path: Path) -> None:
    annotation(
        tmp_path, "trimmed_videos/-a_b-c_d-e_2.mp4 6 170\n\ntrimmed_videos/xyzxyzxyzxy.mp4 0 3"
    )
    events = dataset_events("mammalnet", tmp_path)
    assert events.heads == ("label", "genus")
    assert events.rows["label"].tolist() == ["grooms/cleans itself or other animal", "drinks water"]
    assert events.rows["genus"].tolist() == ["170", "3"]
    assert events.videos["group"].tolist() == ["-a_b-c_d-e_", "xyzxyzxyzxy"]
    (tmp_path / "genus_to_id.txt").write_text("Pan\t170\nBos\t3\n")
    assert dataset_events("mammalnet", tmp_path).rows["genus"].tolist() == ["Pan", "Bos"]
    for line, said in (
        ("trimmed_videos/a.mp4 170 6\n", "row 1: there is no behaviour 170.*second column"),
        ("trimmed_videos/a.mp4\n", "row 1: .* is not 'clip behaviour"),
    ):
        annotation(tmp_path, line)
        with pytest.raises(DataError, match=said):
            dataset_events("mammalnet", tmp_path)
    with pytest.raises(DataError, match="composition_zeroshot"):
        dataset_events("mammalnet", tmp_path, shots="zero")
    with pytest.raises(UsageError, match="shots"):
        dataset_events("mammalnet", tmp_path, shots="two")


def test_mammalnet_lists_without_the_genus(tmp_path: Path) -> None:
    for split in ("train", "val", "test"):
        (tmp_path / f"{split}_base.txt").write_text(f"{split}abcdefgh.mp4 11\n")
    events = dataset_events("mammalnet", tmp_path)
    assert events.heads == ("label",)
    assert events.classes() == ["gives birth to a baby"]
    assert events.videos["split"].tolist() == ["train", "val", "test"]


def kinetics(folder: Path) -> Path:
    for name in ("train/arresting", "val/High-Fiving", "val/abseiling"):
        (folder / name).mkdir(parents=True)
    (folder / "train/arresting/AAAAAAAAAAA_000001_000011.mp4").write_bytes(b"1")
    (folder / "val/High-Fiving/BBB_BBBBBBB_000001_000011.mp4").write_bytes(b"2")
    (folder / "val/abseiling/CCCCCCCCCCC_000001_000011.mp4").write_bytes(b"3")
    return folder


def test_kinetics_folders(tmp_path: Path) -> None:
    events = dataset_events("kinetics700-diff", kinetics(tmp_path))
    assert events.classes() == ["arresting", "high fiving"]  # abseiling is in Kinetics-600
    assert events.videos["split"].tolist() == ["train", "test"]
    assert events.videos["group"].tolist() == ["AAAAAAAAAAA", "BBB_BBBBBBB"]
    kept = dataset_events("kinetics700-diff", tmp_path, val_as_test=False)
    assert kept.videos["split"].tolist() == ["train", "val"]


def test_kinetics_csv_files(tmp_path: Path) -> None:
    kinetics(tmp_path)
    (tmp_path / "k700_train.csv").write_text(
        "label,youtube_id,time_start,time_end,split\narresting,AAAAAAAAAAA,1,11,train\n"
        "arresting,gone,1,11,train\nabseiling,CCCCCCCCCCC,1,11,train\n"
    )
    (tmp_path / "k700_val.csv").write_text(
        "label,youtube_id,time_start,time_end,split\nhigh fiving,BBB_BBBBBBB,1,11,validate\n"
    )
    events = dataset_events("kinetics700-diff", tmp_path, val_as_test=False)
    assert events.rows["label"].tolist() == ["arresting", "high fiving"]
    assert events.videos["split"].tolist() == ["train", "val"]


def test_kinetics_lists(tmp_path: Path) -> None:
    kinetics(tmp_path)
    (tmp_path / "k700_diff_train.txt").write_text("arresting/AAAAAAAAAAA_000001_000011.mp4 77\n")
    (tmp_path / "k700_diff_val.txt").write_text("BBB_BBBBBBB_000001_000011.mp4 33\n")
    events = dataset_events("kinetics700-diff", tmp_path)
    assert events.rows["label"].tolist() == ["arresting", kinetics700_diff.CLASSES[33]]
    (tmp_path / "k700_diff_val.txt").write_text("BBB_BBBBBBB_000001_000011.mp4 103\n")
    with pytest.raises(DataError, match="row 1: there is no class '103'"):
        dataset_events("kinetics700-diff", tmp_path)
    shutil.rmtree(tmp_path / "train")
    with pytest.raises(DataError, match="103 classes"):
        dataset_events("kinetics700-diff", tmp_path / "val" / "abseiling")


def test_every_data_set_is_listed_and_wrong_names_are_helped(tmp_path: Path) -> None:
    names = [info.name for info in list_datasets()]
    assert {info.classes for info in list_datasets("mammal*")} == {12}
    told = {info.name: info.classes for info in list_datasets()}
    own = {name: len(class_names(name)) for name in names}
    in_their_files = {"kinetics", "epic100", *UNTRIMMED, *FRAMEWISE}
    assert {n for n, count in own.items() if count == 0} == in_their_files
    assert all(told[name] == count for name, count in own.items() if count)
    with pytest.raises(UsageError, match="Did you mean 'mammalnet'"):
        prepare("mamalnet", tmp_path)
    with pytest.raises(UsageError, match="Did you mean 'fold'"):
        prepare("chimpbehave", tmp_path, folds=1)
    with pytest.raises(DataError, match="not a folder"):
        prepare("chimpbehave", tmp_path / "none")


def test_a_manifest_elsewhere_is_read_with_the_source_as_root(tmp_path: Path) -> None:
    source = kinetics(tmp_path / "data")
    path = prepare("kinetics700-diff", source, tmp_path / "lists" / "m.csv")
    with pytest.raises(DataError, match="root="):
        read(path)
    events: Any = read(path, root=source)
    assert events.videos["video"][0] == "train/arresting/AAAAAAAAAAA_000001_000011.mp4"
