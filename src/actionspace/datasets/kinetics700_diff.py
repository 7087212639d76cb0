"""Kinetics-700-diff: the 103 classes of Kinetics-700 that Kinetics-600 lacks.

The list is the difference of the public label maps with case, apostrophes and hyphens set aside
(104 names differ letter by letter). Three layouts are read: lists ``k700_diff_{train,val}.txt``,
class folders ``{train,val,test}/CLASS/``, and the official csv files with clips named
``<id>_<start>_<end>`` anywhere under the source. The original tests on the validation list, so
``val`` becomes ``test`` where the source has no labelled test split.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from actionspace.datasets.sources import find_videos, list_file, only_file
from actionspace.errors import DataError
from actionspace.events.formats import class_folders, kinetics_csv, video_list
from actionspace.events.labels import join_labels, split_labels
from actionspace.events.table import Events

CLASSES = (
    "arresting", "baby waking up", "being excited", "being in zero gravity", "blending fruit",
    "bouncing ball (not juggling)", "breaking glass", "brushing floor", "carrying weight",
    "carving marble", "carving wood with a knife", "chasing", "checking watch", "closing door",
    "cooking chicken", "coughing", "crocheting", "curling eyelashes", "cutting cake",
    "dealing cards", "decoupage", "digging", "doing sudoku", "eating nachos", "entering church",
    "exercising arm", "filling cake", "filling eyebrows", "flipping bottle", "gargling",
    "grooming cat", "helmet diving", "herding cattle", "high fiving", "jumping sofa",
    "laying decking", "letting go of balloon", "lighting candle", "listening with headphones",
    "looking in mirror", "making latte art", "making slime", "metal detecting", "milking goat",
    "mixing colours", "moving baby", "moving child", "opening coconuts", "peeling banana",
    "petting horse", "picking apples", "picking blueberries", "playing american football",
    "playing billiards", "playing cards", "playing checkers", "playing mahjong",
    "playing nose flute", "playing oboe", "playing piccolo", "playing road hockey",
    "playing rounders", "playing shuffleboard", "playing slot machine", "poaching eggs",
    "polishing furniture", "pouring milk", "pouring wine", "pretending to be a statue",
    "pulling espresso shot", "pulling rope (game)", "putting wallpaper on wall", "rolling eyes",
    "saluting", "sanding wood", "seasoning food", "shoot dance", "shooting off fireworks",
    "shouting", "shredding paper", "sieving", "silent disco", "ski ballet", "slicing onion",
    "spinning plates", "splashing water", "spraying", "squeezing orange", "stacking cups",
    "stacking dice", "steering car", "surveying", "swimming with dolphins", "swimming with sharks",
    "taking photo", "tossing salad", "treating wood", "uncorking champagne", "using megaphone",
    "vacuuming car", "walking on stilts", "walking with crutches", "waxing armpits",
)  # fmt: skip
"""The 103 names in alphabetical order; the order of ids in the original lists is unknown."""

_CLIP = re.compile(r"^(.+)_\d{6}_\d{6}$")


def plain_name(name: str) -> str:
    """Return a class name without case, spaces and punctuation, as label maps differ in them."""
    return "".join(c for c in name.casefold() if c.isalnum())


_BY_PLAIN = {plain_name(name): name for name in CLASSES}


def manifest(source: Path, *, val_as_test: bool = True) -> Events:
    """Return the manifest of the clips under ``source``.

    Args:
        source: the folder with the lists, the class folders or the csv files, and the clips.
        val_as_test: call the validation split ``test`` where there is no test split.

    Raises:
        DataError: none of the three layouts, or none of the 103 classes in it.
    """
    lists = {s: list_file(source, f"k700_diff_{s}.txt") for s in ("train", "val", "test")}
    tables = [f for f in sorted(source.rglob("*.csv")) if kinetics_csv.matches(f)]
    if lists["train"]:
        rows, videos = _from_lists(source, {s: f for s, f in lists.items() if f})
    elif tables:
        rows, videos = _from_csv(source, tables)
    else:
        rows, videos = _from_folders(source)
    if not rows:
        raise DataError(
            f"{source} has no clip of the 103 classes. Expected k700_diff_train.txt, Kinetics csv "
            f"files, or folders train/<class name>/."
        )
    used = {row["video"] for row in rows}
    videos = [v for v in videos if v["video"] in used]
    if val_as_test and "test" not in {v["split"] for v in videos}:
        for video in videos:
            video["split"] = "test" if video["split"] == "val" else video["split"]
    return Events.from_frames(rows, videos, source)


def _clip(name: str, split: str | None) -> dict[str, Any]:
    stem = Path(name).stem
    match = _CLIP.match(stem)
    return {"video": name, "split": split, "group": match[1] if match else stem}


def _from_folders(source: Path) -> tuple[list[Any], list[Any]]:
    events = class_folders.read(source, source)
    rows, videos = [], []
    for video, label in zip(events.rows["video"], events.rows["label"], strict=True):
        name = _BY_PLAIN.get(plain_name(split_labels(label)[0]))
        if name is not None:
            rows.append({"video": video, "label": name})
    for video, split in zip(events.videos["video"], events.videos["split"], strict=True):
        videos.append(_clip(video, split))
    return rows, videos


def _from_csv(source: Path, tables: list[Path]) -> tuple[list[Any], list[Any]]:
    clips = {Path(p).stem: p for p in find_videos(source).values()}
    rows, videos = [], []
    for table in tables:
        events = kinetics_csv.read(table, source)
        splits = dict(zip(events.videos["video"], events.videos["split"], strict=True))
        for video, label in zip(events.rows["video"], events.rows["label"], strict=True):
            name = _BY_PLAIN.get(plain_name(label))
            if name is not None and video in clips:
                rows.append({"video": clips[video], "label": name})
                videos.append(_clip(clips[video], splits[video]))
    return rows, videos


def _from_lists(source: Path, lists: dict[str, Path]) -> tuple[list[Any], list[Any]]:
    """Read ``path id`` lists; the class is told from the path's folder, else from the id."""
    clips = find_videos(source)
    named = video_list.read_names(only_file(source, "k700_diff_labels.txt"))
    names = named or {str(i): name for i, name in enumerate(CLASSES)}
    rows, videos = [], []
    for split, file in lists.items():
        for number, video, labels in video_list.text_lines(file):
            label = " ".join(labels)
            folder = _BY_PLAIN.get(plain_name(Path(video).parent.name))
            if folder is None and label not in names:
                raise DataError(f"{file}, row {number}: there is no class '{label}'.")
            path = clips.get(Path(video).name, video)
            rows.append({"video": path, "label": join_labels([folder or names[label]])})
            videos.append(_clip(path, split))
    return rows, videos
