"""Kinetics-400, -600 and -700, as csv files, lists or class folders.

The official csv files name a clip by its YouTube id and seconds; the usual downloaders write
``<id>_<start>_<end>.mp4`` with six digits each, some ``<id>.mp4``. Videos vanish from YouTube, so
clips that are listed but not there are left out and counted. Clips of one YouTube video are one
group. The labels of the test split were never published with the first editions, and figures are
given on validation: ``val`` becomes ``test`` where no test clip has a label.
"""

from __future__ import annotations

import csv
import logging
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from actionspace.datasets.sources import find_videos
from actionspace.errors import DataError
from actionspace.events.formats import class_folders, kinetics_csv, video_list
from actionspace.events.formats.manifest import read_lines
from actionspace.events.labels import join_labels
from actionspace.events.table import VIDEO_SUFFIXES, Events

log = logging.getLogger("actionspace")

_CLIP = re.compile(r"^(.+)_\d{6}_\d{6}$")


@dataclass(frozen=True)
class Clip:
    """A clip: its path or listed name, its class (as a label field) and split."""

    video: str
    label: str
    split: str | None

    @property
    def group(self) -> str:
        """The YouTube video it was cut from."""
        return youtube_id(self.video)


def manifest(source: Path, *, val_as_test: bool = True) -> Events:
    """Return the manifest of the clips under ``source``, from the first of these that is there.

    The official csv files; lists ``<name with train, val or test>.txt`` of ``path id`` lines,
    their class names in ``label_map.txt`` (or ``labels.txt``, ``classes.txt``) beside them;
    ``{train,val,test}.csv`` of ``path,label`` rows without a header (CARL); folders
    ``{train,val,test}/<class>/``.

    Args:
        source: the folder with the clips and, if there are any, the csv files or lists.
        val_as_test: call the validation split ``test`` where there is no labelled test split.

    Raises:
        DataError: none of these layouts, no clip of the lists is there, or a clip has two
            splits or classes.
    """
    tables = csv_files(source)
    lists = {} if tables else _lists(source)
    if tables:
        clips = present(source, listed_in_csv(source, tables))
    elif lists:
        clips = present(source, _listed(source, lists))
    elif pairs := _pairs(source):
        clips = present(source, pairs)
    else:
        clips = in_folders(source)
    if not clips:
        raise DataError(
            f"{source} has videos but no Kinetics csv file, no list and no class folders. Put the "
            f"official csv files there, or the clips into train/<class>/ and val/<class>/."
        )
    return events_of(clips, source, val_as_test)


def youtube_id(name: str) -> str:
    """Return the YouTube id in a clip's file name (the whole stem if it holds no times)."""
    stem = Path(name).stem
    match = _CLIP.match(stem)
    return match[1] if match else stem


def events_of(clips: list[Clip], source: Path, val_as_test: bool) -> Events:
    """Return the manifest of clips.

    Raises:
        DataError: one clip has two classes or splits.
    """
    seen: dict[str, Clip] = {}
    for clip in clips:
        before = seen.setdefault(clip.video, clip)
        if before != clip:
            raise DataError(
                f"{source}: {clip.video} is listed twice, as '{before.label}' in {before.split} "
                f"and '{clip.label}' in {clip.split}. Keep the lists of one edition only."
            )
    rename = val_as_test and all(c.split != "test" for c in clips)
    videos: list[dict[str, Any]] = [
        {
            "video": c.video,
            "split": "test" if rename and c.split == "val" else c.split,
            "group": c.group,
        }
        for c in seen.values()
    ]
    rows = [{"video": c.video, "label": c.label} for c in seen.values()]
    return Events.from_frames(rows, videos, source)


def csv_files(source: Path) -> list[Path]:
    """Return the official csv files under ``source``."""
    return [f for f in sorted(source.rglob("*.csv")) if kinetics_csv.matches(f)]


def listed_in_csv(source: Path, tables: list[Path]) -> list[Clip]:
    """Return the labelled clips of official csv files, by name: ``<id>_<start>_<end>``."""
    clips: list[Clip] = []
    for table in tables:
        events = kinetics_csv.read(table, source)
        splits = dict(zip(events.videos["video"], events.videos["split"], strict=True))
        for name, label in zip(events.rows["video"], events.rows["label"], strict=True):
            clips.append(Clip(name, label, splits[name]))
    return clips


def _lists(source: Path) -> dict[Path, str]:
    """Return the lists under ``source`` with the split that each one's name tells."""
    named = {path: video_list.split_of_name(path.stem) for path in sorted(source.rglob("*.txt"))}
    return {path: split for path, split in named.items() if split is not None}


def _listed(source: Path, lists: dict[Path, str]) -> list[Clip]:
    clips: list[Clip] = []
    for path, split in lists.items():
        events = video_list.read(path, source)
        for video, label in zip(events.rows["video"], events.rows["label"], strict=True):
            clips.append(Clip(video, label, split))
    return clips


def _pairs(source: Path) -> list[Clip]:
    """Return the clips of csv files without a header: rows of a video's path and its class."""
    clips: list[Clip] = []
    for path in sorted(source.rglob("*.csv")):
        rows = [row for row in csv.reader(read_lines(path)) if row]
        if all(len(row) == 2 and row[0].lower().endswith(VIDEO_SUFFIXES) for row in rows):
            split = video_list.split_of_name(path.stem)
            clips += [Clip(video.strip(), join_labels([label]), split) for video, label in rows]
    return clips


def present(source: Path, clips: list[Clip]) -> list[Clip]:
    """Return those of the listed clips that are under ``source``, with their paths; log the rest.

    Raises:
        DataError: not one of them is there.
    """
    there = {Path(p).stem: p for p in find_videos(source).values()}
    found: list[Clip] = []
    for clip in clips:
        name = Path(clip.video)
        path = there.get(name.stem if name.suffix in VIDEO_SUFFIXES else name.name)
        path = path or there.get(clip.group)
        if path is not None:
            found.append(replace(clip, video=path))
    if clips and not found:
        raise DataError(
            f"None of the {len(clips):,} clips of the lists is under {source}; expected files such "
            f"as {Path(clips[0].video).name.removesuffix('.mp4')}.mp4."
        )
    if len(found) < len(clips):
        missing = len(clips) - len(found)
        log.warning(
            "%d of the %d clips that the lists name are not under %s; they are left out.",
            missing,
            len(clips),
            source,
        )
    return found


def in_folders(source: Path) -> list[Clip]:
    """Return the clips of ``{train,val,test}/<class>/`` folders.

    Raises:
        DataError: there is no video.
    """
    events = class_folders.read(source, source)
    splits = dict(zip(events.videos["video"], events.videos["split"], strict=True))
    return [
        Clip(video, label, splits[video])
        for video, label in zip(events.rows["video"], events.rows["label"], strict=True)
    ]
