"""ChimpBehave and PanAf500 mini-clips: 7 behaviours in clips of 20 frames, published folds.

Lists are ``CB_{train,test}_cv{1..5}.txt`` (``PANAF_...`` for PanAf) with ``clip id`` lines;
``..._head_cls_balanced.txt`` holds sitting, standing and walking only, balanced; ``..._OOD_...``
is a whole data set for testing a model of the other. A clip is named
``<sequence>_<class>_clip_<first>_<last>.mp4``; clips of one sequence are one group. The published
folds are not quite grouped: 4 to 11 test sequences of each also occur in training.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from actionspace.datasets.miniclips import cut_miniclips
from actionspace.datasets.sources import find_videos, need_file
from actionspace.errors import DataError, UsageError
from actionspace.events.formats import video_list
from actionspace.events.table import Events

CLASSES = (
    "sitting", "standing", "walking", "hanging", "climbing_up", "climbing_down", "running",
)  # fmt: skip
"""The behaviours in the order of their ids."""

HEAD_CLASSES = CLASSES[:3]
CLIP_FRAMES = 20
_PREFIX = {"chimpbehave": "CB", "panaf": "PANAF"}
_CLIP = re.compile(rf"^(.+)_({'|'.join(CLASSES)})_clip_(\d+)_(\d+)$")


def manifest(
    source: Path,
    *,
    fold: int | str = 1,
    subset: str = "chimpbehave",
    classes: str = "all",
    cut: bool = False,
) -> Events:
    """Return the manifest of one fold, splits train and test.

    Args:
        source: the folder with the lists and the mini-clips.
        fold: 1 to 5; ``"ood"`` = every clip as test; ``"uas"`` = the lists
            ``chimpbehave_{train,val}.txt`` of Universal Action Space (its val is its test).
        subset: ``chimpbehave`` or ``panaf``.
        classes: ``all``, or ``head`` for the balanced lists of the three frequent classes.
        cut: first cut mini-clips from ``labels.csv``, the boxes and the videos under ``source``
            into ``source/miniclips``; those that exist are kept.

    Raises:
        DataError: a list is missing, or a clip's id and name disagree; file and row are named.
        UsageError: an option has another value.
    """
    if cut:
        cut_miniclips(source, source / "miniclips", frames=CLIP_FRAMES)
    clips = find_videos(source)
    rows: list[dict[str, Any]] = []
    videos: list[dict[str, Any]] = []
    for split, name in list_names(fold, subset, classes).items():
        file = need_file(source, name)
        for number, path, labels in video_list.text_lines(file):
            label = _label(Path(path).stem, labels, f"{file}, row {number}")
            clip = Path(path.replace("\\", "/")).name
            video = clips.get(clip, clip)
            rows.append({"video": video, "label": label})
            videos.append({"video": video, "split": split, "group": sequence(clip)})
    return Events.from_frames(rows, videos, source)


def list_names(fold: int | str, subset: str, classes: str) -> dict[str, str]:
    """Return split -> name of the list file.

    Raises:
        UsageError: an option has a value it cannot have.
    """
    if subset not in _PREFIX or classes not in ("all", "head"):
        raise UsageError(
            f"subset={subset}, classes={classes}: subset is chimpbehave or panaf, classes is all "
            f"or head."
        )
    if fold == "uas":
        return {"train": "chimpbehave_train.txt", "test": "chimpbehave_val.txt"}
    if fold == "ood":
        return {"test": f"{_PREFIX[subset]}_OOD_{classes}_cls.txt"}
    if str(fold) not in ("1", "2", "3", "4", "5"):
        raise UsageError(f"fold={fold}: use 1 to 5, ood or uas.")
    tail = "_head_cls_balanced" if classes == "head" else ""
    return {s: f"{_PREFIX[subset]}_{s}_cv{fold}{tail}.txt" for s in ("train", "test")}


def _label(stem: str, labels: list[str], where: str) -> str:
    if len(labels) != 1 or int(labels[0]) >= len(CLASSES):
        raise DataError(f"{where}: the id {' '.join(labels)} is none of 0 to {len(CLASSES) - 1}.")
    label = CLASSES[int(labels[0])]
    match = _CLIP.match(stem)
    if match and match[2] != label:
        raise DataError(f"{where}: the id {labels[0]} means {label}, the name says {match[2]}.")
    return label


def sequence(clip: str) -> str:
    """Return the source sequence of a mini-clip's file name (the name itself if it is foreign)."""
    match = _CLIP.match(Path(clip).stem)
    return match[1] if match else Path(clip).stem
