"""UCF50 and UCF101: splits by recording, lists, spellings, fetching; what is refused."""

from __future__ import annotations

import importlib
import os
import sys
from collections import Counter
from pathlib import Path

import pytest

from actionspace.datasets import ucf50, ucf101
from actionspace.datasets.prepare import dataset_events, prepare
from actionspace.datasets.ucf import clip_of
from actionspace.errors import DataError, UsageError


def touch(folder: Path, *paths: str) -> Path:
    for path in paths:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).touch()
    return folder


def some_clips(folder: Path, groups: int = 12) -> Path:
    names = ("Billiards/v_Billards", "JumpRope/v_JumpRope", "JumpingJack/v_JumpingJack")
    return touch(
        folder,
        *(
            f"{n}_g{g:02d}_c{c:02d}.avi"
            for n in names
            for g in range(1, groups + 1)
            for c in (1, 2)
        ),
    )


def test_what_a_path_says() -> None:
    clip = clip_of("UCF50/Billiards/v_Billards_g07_c11.avi")
    assert (clip.label, clip.number, clip.group) == ("Billiards", 7, "Billiards_g07")
    for wrong in ("v_Billards_g07_c11.avi", "Billiards/Billards_7.avi", "Billiards/v_g07_c11.mp4"):
        with pytest.raises(DataError, match="is not a clip of the form"):
            clip_of(wrong)


def test_orders_of_the_classes() -> None:
    assert ucf50.CLASSES.index("JumpingJack") == 17 and ucf50.CLASSES.index("JumpRope") == 18
    jack, rope = (ucf50.SORTED_CLASSES.index(n) for n in ("JumpingJack", "JumpRope"))
    assert rope == jack - 1 and set(ucf50.SORTED_CLASSES) == set(ucf50.CLASSES)
    assert ucf101.CLASSES[36] == "HandstandPushups" and len(set(ucf101.CLASSES)) == 101
    assert list(ucf101.CLASSES) == sorted(ucf101.CLASSES, key=str.casefold)


def test_the_class_list_is_the_known_one(shared_data: Path) -> None:
    known = shared_data / "annotations" / "label_maps" / "ucf101.txt"
    assert list(ucf101.CLASSES) == known.read_text().split()


def test_ucf50_splits(tmp_path: Path) -> None:
    source = some_clips(tmp_path)
    events = dataset_events("ucf50", source)
    assert events.videos.groupby("group")["split"].nunique().max() == 1
    assert {len(events.select(split=s).classes()) for s in ("train", "val", "test")} == {3}
    other = dataset_events("ucf50", source, seed=7)
    assert other.videos["split"].tolist() != events.videos["split"].tolist()
    numbers = dataset_events("ucf50", source, split="numbers").videos
    assert set(zip(numbers["group"].str[-2:].astype(int), numbers["split"], strict=True)) == {
        (g, "test" if g < 8 else "val" if g < 11 else "train") for g in range(1, 13)
    }
    one = dataset_events("ucf50", source, split="leave-one-out", fold=5).videos
    assert set(one["group"][one["split"] == "test"].str[-3:]) == {"g05"}
    assert Counter(one["split"]) == {"train": 66, "test": 6}


def test_ucf50_refuses(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"holds no clips of UCF50.*download=true"):
        prepare("ucf50", tmp_path)
    source = some_clips(tmp_path / "some")
    with pytest.raises(DataError, match=r"72 clips.*all 6,681.*BaseballPitch has 0 of 150"):
        prepare("ucf50", source, split="published")
    with pytest.raises(UsageError, match="numbered 1 to 12"):
        prepare("ucf50", source, split="leave-one-out", fold=26)
    for wrong in ({"split": "random"}, {"order": "windows"}):
        with pytest.raises(UsageError, match="split is groups, published"):
            prepare("ucf50", source, **wrong)
    touch(source, "Jumprobe/v_JumpRope_g01_c03.avi")
    with pytest.raises(DataError, match=r"Jumprobe.*no class of UCF50\. Did you mean 'JumpRope'"):
        prepare("ucf50", source)


def test_what_macos_leaves_beside_files_is_not_a_clip(tmp_path: Path) -> None:
    touch(tmp_path, "YoYo/v_YoYo_g01_c01.avi", "YoYo/._v_YoYo_g01_c01.avi")
    assert [c.path for c in ucf50.find_clips(tmp_path)] == ["YoYo/v_YoYo_g01_c01.avi"]


def test_fetching_from_kaggle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    packages, source = tmp_path / "packages", tmp_path / "source"
    source.mkdir()
    packages.mkdir()
    monkeypatch.syspath_prepend(packages)
    if os.environ.get("KAGGLEHUB_CACHE"):
        monkeypatch.delenv("KAGGLEHUB_CACHE")
    with pytest.raises(UsageError, match=r"pip install kagglehub.*unpack it into"):
        prepare("ucf50", source, download=True)
    # A package of that name that "downloads" as the real one does: below its cache folder.
    (packages / "kagglehub.py").write_text(
        "import os, pathlib\n"
        "def dataset_download(handle):\n"
        "    root = pathlib.Path(os.environ['KAGGLEHUB_CACHE'], 'datasets', handle, 'versions/1')\n"
        "    if os.environ.get('OFFLINE'):\n"
        "        raise ConnectionError('no route to host')\n"
        "    for g in range(1, 8):\n"
        "        file = root / 'UCF50' / 'YoYo' / f'v_YoYo_g{g:02d}_c01.avi'\n"
        "        file.parent.mkdir(parents=True, exist_ok=True)\n"
        "        file.touch()\n"
    )
    importlib.invalidate_caches()
    monkeypatch.setenv("OFFLINE", "1")
    with pytest.raises(DataError, match=r"no route to host.*Download .* yourself"):
        prepare("ucf50", source, download=True)
    monkeypatch.delenv("OFFLINE")
    events = dataset_events("ucf50", source, download=True)
    assert len(events) == 7 and events.path(events.videos["video"][0]).is_file()
    assert "KAGGLEHUB_CACHE" not in os.environ
    monkeypatch.delitem(sys.modules, "kagglehub")
    (packages / "kagglehub.py").write_text("raise AssertionError('fetched again')\n")
    assert len(dataset_events("ucf50", source, download=True)) == 7


def lists(folder: Path, train: str, test: str) -> Path:
    touch(folder, "UCF-101/HandstandPushups/v_HandStandPushups_g08_c01.avi")
    (folder / "trainlist02.txt").write_text(train)
    (folder / "testlist02.txt").write_text(test)
    return folder


def test_ucf101_lists(tmp_path: Path) -> None:
    source = lists(
        tmp_path,
        "HandstandPushups/v_HandstandPushups_g08_c01.avi 37\r\nArchery/v_Archery_g09_c02.avi 3\r\n",
        "Archery/v_Archery_g01_c01.avi\r\n",
    )
    events = dataset_events("ucf101", source, fold=2)
    assert events.rows["label"].tolist() == ["HandstandPushups", "Archery", "Archery"]
    assert events.videos["video"][0] == "UCF-101/HandstandPushups/v_HandStandPushups_g08_c01.avi"
    assert events.videos["video"][1] == "Archery/v_Archery_g09_c02.avi"  # check says it is missing
    assert events.videos["group"].tolist() == ["HandstandPushups_g08", "Archery_g09", "Archery_g01"]
    assert events.videos["split"].tolist() == ["train", "train", "test"]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("Archery/v_Archery_g09_c02.avi 4", r"row 1: the id of Archery is 3, the list says 4"),
        ("Archary/v_Archery_g09_c02.avi 3", r"row 1: 'Archary' is no class.*mean 'Archery'"),
        ("v_Archery_g09_c02.avi 3", "row 1: .* is not a clip of the form"),
    ],
)
def test_ucf101_refuses(tmp_path: Path, line: str, said: str) -> None:
    source = lists(tmp_path, line, "Archery/v_Archery_g01_c01.avi\n")
    with pytest.raises(DataError, match=r"trainlist02\.txt, " + said):
        prepare("ucf101", source, fold=2)
    with pytest.raises(DataError, match=r"does not hold trainlist03\.txt"):
        prepare("ucf101", source, fold=3)
    with pytest.raises(UsageError, match="fold=4"):
        prepare("ucf101", source, fold=4)
