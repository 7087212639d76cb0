"""Kinetics-700-diff: the 103 classes of Kinetics-700 that Kinetics-600 lacks.

The list is the difference of the public label maps with case, apostrophes and hyphens set aside
(104 names differ letter by letter). Three layouts are read: lists ``k700_diff_{train,val}.txt``,
class folders ``{train,val,test}/CLASS/``, and the official csv files with clips named
``<id>_<start>_<end>`` anywhere under the source. The original tests on the validation list, so
``val`` becomes ``test`` where the source has no labelled test split.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from actionspace.datasets import kinetics
from actionspace.datasets.kinetics import Clip
from actionspace.datasets.sources import find_videos, list_file, only_file
from actionspace.errors import DataError
from actionspace.events.formats import video_list
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
    tables = kinetics.csv_files(source)
    if lists["train"]:
        clips = _from_lists(source, {s: f for s, f in lists.items() if f})
    elif tables:
        clips = kinetics.present(source, _known(kinetics.listed_in_csv(source, tables)))
    else:
        clips = _known(kinetics.in_folders(source))
    if not clips:
        raise DataError(
            f"{source} has no clip of the 103 classes. Expected k700_diff_train.txt, Kinetics csv "
            f"files, or folders train/<class name>/."
        )
    return kinetics.events_of(clips, source, val_as_test)


def _known(clips: list[Clip]) -> list[Clip]:
    """Return the clips of the 103 classes, their names as here."""
    named = [(clip, _BY_PLAIN.get(plain_name(split_labels(clip.label)[0]))) for clip in clips]
    return [replace(clip, label=name) for clip, name in named if name is not None]


def _from_lists(source: Path, lists: dict[str, Path]) -> list[Clip]:
    """Read ``path id`` lists; the class is told from the path's folder, else from the id."""
    there = find_videos(source)
    named = video_list.read_names(only_file(source, "k700_diff_labels.txt"))
    names = named or {str(i): name for i, name in enumerate(CLASSES)}
    clips = []
    for split, file in lists.items():
        for number, video, labels in video_list.text_lines(file):
            label = " ".join(labels)
            folder = _BY_PLAIN.get(plain_name(Path(video).parent.name))
            if folder is None and label not in names:
                raise DataError(f"{file}, row {number}: there is no class '{label}'.")
            path = there.get(Path(video).name, video)
            clips.append(Clip(path, join_labels([folder or names[label]]), split))
    return clips
