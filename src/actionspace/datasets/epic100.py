"""EPIC-KITCHENS-100: segments with a verb and a noun, from the official annotation files.

The heads are ``verb`` (97 classes), ``noun`` (300) and ``action`` (the pair, as "take plate").
Times come from the annotated time stamps where videos are used, and from the annotated frame
numbers where extracted frames are. Those numbers count at 60 frames per second in the videos of
2018 (``P01_01``) and at 50 in those of 2020 (``P01_101``), whatever the video's own rate is: four
of 2018 have 29.97, four 47.95 and one 90. Used as numbers of a video's own frames they miss the
action by up to 118 frames, in those nine videos by thousands.

Segments of validation by participants whom training has not seen, and of the tail classes (the
rarest, a fifth of training), are marked in ``modifiers``: ``unseen``, ``tail_verb``,
``tail_noun``, joined by ``|``. The annotation is CC BY-NC 4.0 and no part of it is in here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from actionspace.datasets.sources import find_videos, need_table, only_file
from actionspace.errors import DataError, UsageError, VideoError
from actionspace.events import columns as col
from actionspace.events.formats.manifest import load_csv
from actionspace.events.labels import join_labels
from actionspace.events.table import Events
from actionspace.paths import write_text
from actionspace.progress import bar
from actionspace.video.frame_folder import RATE_FILE, picture_count

HEADS = ("verb", "noun", "action")
_VIDEO = re.compile(r"^P\d{2}_(\d{2,3})$")
_SLACK = 0.5  # seconds that segments may end after the last frame: rounding of what is annotated
_SEGMENT = ("narration_id", "participant_id", "video_id")
_TIMES = {
    "videos": ("start_timestamp", "stop_timestamp"),
    "rgb": ("start_frame", "stop_frame"),
    "flow": ("start_frame", "stop_frame"),
}


@dataclass(frozen=True)
class Classes:
    """Names of verbs and nouns by official id, which are of the tail, and who is unseen."""

    verbs: tuple[str, ...]
    nouns: tuple[str, ...]
    tail_verbs: frozenset[int]
    tail_nouns: frozenset[int]
    unseen: frozenset[str]


def manifest(
    source: Path,
    *,
    inputs: str = "videos",
    participants: str = "",
    challenge: bool = False,
    val_as_test: bool = True,
) -> Events:
    """Return the manifest of the training and validation segments.

    Args:
        source: the folder with ``EPIC_100_*.csv`` and the videos or frames, anywhere under it.
        inputs: ``videos`` = ``P01_01.MP4`` and so on; ``rgb`` = the published folders
            ``rgb_frames/P01_01/frame_0000000001.jpg``; ``flow`` = ``flow_frames/P01_01/u/`` and
            ``v/`` with such names. ``fps.txt`` with their rate is put into each ``P01_01``, see
            :mod:`actionspace.video.frame_folder` and :mod:`actionspace.video.flow_folder`.
        participants: only these, as ``"P01,P02"``; empty = all.
        challenge: the unlabelled segments of the test server instead, split ``test``.
        val_as_test: call the validation split ``test``; published figures are given on it.

    Raises:
        DataError: a file or column is missing, a class id is unknown, frames are missing in a
            folder or fewer than annotated; file and row are named.
        UsageError: an option has another value.
    """
    if inputs not in _TIMES:
        raise UsageError(f"inputs={inputs}: use videos, rgb or flow.")
    files = {"train": "EPIC_100_train.csv", "val": "EPIC_100_validation.csv"}
    if challenge:
        files = {"test": "EPIC_100_test_timestamps.csv"}
    classes = read_classes(source)
    wanted = {p.strip() for p in participants.split(",") if p.strip()}
    rows: list[dict[str, Any]] = []
    split_of: dict[str, str] = {}
    for split, name in files.items():
        labels = () if challenge else ("verb_class", "noun_class")
        file, table = need_table(source, name, (*_SEGMENT, *_TIMES[inputs], *labels))
        if wanted:
            table = table[table["participant_id"].isin(wanted)].reset_index(drop=True)
        segments = _segments(file, table, inputs, None if challenge else classes)
        shown = "test" if split == "val" and val_as_test else split
        split_of |= {row["video"]: shown for row in segments}
        rows += segments
    if not rows:
        raise DataError(f"{source}: no segment is by any of the participants {participants}.")
    videos = _videos(source, split_of) if inputs == "videos" else _frames(source, rows, inputs)
    for name, video in videos.items():
        video |= {"split": split_of[name], "group": name}
    rows = [{**row, "video": videos[row["video"]]["video"]} for row in rows]
    return Events.from_frames(rows, list(videos.values()), source, HEADS)


def nominal_fps(video_id: str) -> int:
    """Return the rate at which the annotated frame numbers of a video count.

    Raises:
        DataError: the id has another form.
    """
    match = _VIDEO.match(video_id)
    if match is None:
        raise DataError(f"'{video_id}' is no video id such as P01_01 or P01_101.")
    return 60 if len(match[1]) == 2 else 50


def read_classes(source: Path) -> Classes:
    """Read the official lists of classes, tail classes and unseen participants.

    Raises:
        DataError: a file or column is missing, or ids are not 0, 1, 2 and so on.
    """
    return Classes(
        _names(source, "EPIC_100_verb_classes.csv"),
        _names(source, "EPIC_100_noun_classes.csv"),
        _tail(source, "verb"),
        _tail(source, "noun"),
        _unseen(source),
    )


def _names(source: Path, name: str) -> tuple[str, ...]:
    file, table = need_table(source, name, ("id", "key"))
    names = dict(zip(_whole(file, table, "id"), table["key"], strict=True))
    if sorted(names) != list(range(len(names))) or None in names.values():
        raise DataError(f"{file}: the ids must be 0, 1, 2 and so on, each with a key.")
    return tuple(names[i] for i in range(len(names)))


def _tail(source: Path, what: str) -> frozenset[int]:
    file, table = need_table(source, f"EPIC_100_tail_{what}s.csv", (what,))
    return frozenset(_whole(file, table, what))


def _unseen(source: Path) -> frozenset[str]:
    name = "EPIC_100_unseen_participant_ids_validation.csv"
    _, table = need_table(source, name, ("participant_id",))
    return frozenset(table["participant_id"])


def _whole(file: Path, table: pd.DataFrame, column: str) -> list[int]:
    def where(i: int) -> str:
        return f"{file}, row {table['_row'].iloc[i]}"

    numbers = col.count_column(table[column], column, where)
    if numbers.isna().any():
        raise DataError(f"{where(int(numbers.isna().argmax()))}: '{column}' is empty.")
    return [int(n) for n in numbers]


def _segments(
    file: Path, table: pd.DataFrame, inputs: str, classes: Classes | None
) -> list[dict[str, Any]]:
    """Return the events of a table, ``video`` being the video's id; without classes no labels."""
    times = _times(file, table, inputs)
    rows: list[dict[str, Any]] = [
        {"id": i, "video": v, "subject": p, "start": start, "end": end, **dict.fromkeys(HEADS)}
        for i, p, v, (start, end) in zip(*(table[c] for c in _SEGMENT), times, strict=True)
    ]
    if classes is None:
        return rows
    verbs = _classes(file, table, "verb_class", len(classes.verbs))
    nouns = _classes(file, table, "noun_class", len(classes.nouns))
    for row, v, n in zip(rows, verbs, nouns, strict=True):
        verb, noun = classes.verbs[v], classes.nouns[n]
        subsets = {
            "unseen": row["subject"] in classes.unseen,
            "tail_verb": v in classes.tail_verbs,
            "tail_noun": n in classes.tail_nouns,
        }
        row["modifiers"] = "|".join(name for name, inside in subsets.items() if inside)
        for head, label in zip(HEADS, (verb, noun, f"{verb} {noun}"), strict=True):
            row[head] = join_labels([label])
    return rows


def _times(file: Path, table: pd.DataFrame, inputs: str) -> list[tuple[Any, Any]]:
    """Return start and end of each segment in seconds."""
    start, end = _TIMES[inputs]
    if inputs == "videos":

        def where(i: int) -> str:
            return f"{file}, row {table['_row'].iloc[i]}"

        both = (col.number_column(table[name], name, where) for name in (start, end))
        return list(zip(*both, strict=True))
    frames = zip(_whole(file, table, start), _whole(file, table, end), strict=True)
    rates = (nominal_fps(video) for video in table["video_id"])
    return [(a / fps, b / fps) for (a, b), fps in zip(frames, rates, strict=True)]


def _classes(file: Path, table: pd.DataFrame, column: str, count: int) -> list[int]:
    numbers = _whole(file, table, column)
    for number, row in zip(numbers, table["_row"], strict=True):
        if number >= count:
            raise DataError(f"{file}, row {row}: {column} {number} is none of 0 to {count - 1}.")
    return numbers


def _videos(source: Path, split_of: dict[str, str]) -> dict[str, dict[str, Any]]:
    """Return the video row of each id; one that is not there gets its official place."""
    there = {Path(name).stem: path for name, path in find_videos(source).items()}
    info = only_file(source, "EPIC_100_video_info.csv")
    known = load_csv(info).set_index("video_id").to_dict("index") if info else {}
    return {
        name: {
            "video": there.get(name, f"{name.partition('_')[0]}/videos/{name}.MP4"),
            "duration": known.get(name, {}).get("duration"),
            "fps": known.get(name, {}).get("fps"),
        }
        for name in split_of
    }


def picture_fps(video_id: str, inputs: str) -> int:
    """Return the published pictures per second: of the videos of 2018, flow of every other frame.

    Raises:
        DataError: the id has another form.
    """
    fps = nominal_fps(video_id)
    return 30 if inputs == "flow" and fps == 60 else fps


def _frames(source: Path, rows: list[dict[str, Any]], inputs: str) -> dict[str, dict[str, Any]]:
    """Return the video row of each id, whose folder of pictures is looked through."""
    last: dict[str, float] = {}
    for row in rows:
        last[row["video"]] = max(last.get(row["video"], 0.0), row["end"])
    found = {}
    for name, end in bar(last.items(), what="frames", unit="video"):
        folder, fps = _picture_folder(source, name, inputs), picture_fps(name, inputs)
        count = _count(folder, inputs)
        if count / fps < end - _SLACK:
            raise DataError(
                f"{folder}: there are {count} frames, but segments reach to frame "
                f"{round(end * fps)}. Extract them again from the whole video at {fps} per second."
            )
        _tell_rate(folder / RATE_FILE, fps)
        found[name] = {
            "video": folder.relative_to(source).as_posix(),
            "fps": fps,
            "frames": count,
            "duration": count / fps,
        }
    return found


def _picture_folder(source: Path, name: str, inputs: str) -> Path:
    person, kind = name.partition("_")[0], f"{inputs}_frames"
    ways = (f"{person}/{kind}/{name}", f"{kind}/{name}", f"{kind}/{person}/{name}")
    places = [source / top / way for top in ("", "EPIC-KITCHENS") for way in ways]
    for place in places:
        if place.is_dir():
            return place
    raise DataError(
        f"There are no frames of {name}; expected the folder {places[0]}. Unpack its tar file "
        f"there, or name those that you have by participants=P01,P02."
    )


def _count(folder: Path, inputs: str) -> int:
    """Return how many pictures a folder has, of flow in each direction."""
    parts = [folder / "u", folder / "v"] if inputs == "flow" else [folder]
    lacking = [part for part in parts if not part.is_dir()]
    if lacking:
        raise DataError(f"{lacking[0]} is not there; flow has pictures in the folders u and v.")
    try:
        counts = [picture_count(part) for part in parts]
    except VideoError as e:
        raise DataError(str(e)) from e
    if counts[0] != counts[-1]:
        raise DataError(f"{folder}: there are {counts[0]} pictures in u and {counts[1]} in v.")
    return counts[0]


def _tell_rate(file: Path, fps: int) -> None:
    if not file.is_file():
        write_text(file, f"{fps}\n")
    elif file.read_text(encoding="utf-8").strip() != str(fps):
        raise DataError(
            f"{file} says {file.read_text(encoding='utf-8').strip()!r}, but annotated frames of "
            f"{file.parent.name} count at {fps} per second. Remove it if the frames are the "
            f"published ones."
        )
