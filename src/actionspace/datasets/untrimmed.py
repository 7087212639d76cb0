"""What the data sets of untrimmed videos share: their JSON database, folders of features, splits.

A video is called by its id, or by the path of its file where that lies under the source. Features
are found by name: ``<id>.npy`` or ``v_<id>.npy``, also ``.npz``, ``.pt``, ``.h5``, in each of the
folders that ``features=`` lists, or in the folders of splits (``training``) within.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from actionspace.datasets.sources import find_videos
from actionspace.errors import DataError
from actionspace.events.columns import split_name
from actionspace.events.formats import activitynet
from actionspace.events.formats.manifest import read_lines
from actionspace.events.table import Events
from actionspace.paths import read_json

log = logging.getLogger("actionspace")

#: File endings that count as features.
FEATURE_SUFFIXES = (".npy", ".npz", ".pt", ".pth", ".h5", ".hdf5")
PREFIX = "v_"  # what ActivityNet puts before its ids in file names


def database(file: Path, source: Path, splits: Mapping[str, str]) -> Events:
    """Read a database of ActivityNet's or ActionFormer's layout.

    Args:
        file: the JSON file.
        source: root of the manifest.
        splits: what the splits of the file (train, val, test) are called; others are left out.

    Raises:
        DataError: the file has another layout.
    """
    found = activitynet.read(file, source)
    return in_splits(found, splits)


def in_splits(events: Events, splits: Mapping[str, str]) -> Events:
    """Return the videos of the named splits, renamed."""
    videos = events.videos.assign(split=events.videos["split"].map(splits.get))
    videos = videos[videos["split"].notna()]
    rows = events.rows[events.rows["video"].isin(videos["video"])]
    return Events.from_frames(rows, videos, events.root, events.heads, events.origin)


def finish(
    events: Events, source: Path, *, features: str = "", missing: str = "skip", what: str = "videos"
) -> Events:
    """Return the manifest with files, groups and features, and say how many videos there are.

    Args:
        events: videos called by their ids.
        source: the folder of the data set.
        features: folders of features under it (or anywhere), ``"slowfast,omnivore"``; empty =
            training names them. A video needs a file in each.
        missing: leave videos without features out and say so (``skip``), or ``raise``.
        what: what the videos are called in messages.

    Raises:
        DataError: there is no such folder, no features of any video, or (``raise``) of one.
    """
    listed: dict[str, str] = {}
    if features:
        folders = [feature_folder(source, name) for name in features.split(",")]
        listed = _listed(list(events.videos["video"]), folders, source)
        events = _with_features(events, listed, features, missing, what)
    files = {_bare(Path(name).stem): path for name, path in find_videos(source).items()}
    ids, groups = events.videos["video"], events.videos["group"]
    videos = events.videos.assign(
        video=[files.get(v, v) for v in ids],
        group=groups.where(groups.notna(), ids),
        features=ids.map(listed.get),
    )
    rows = events.rows.assign(video=[files.get(v, v) for v in events.rows["video"]])
    counts = videos["split"].value_counts()
    log.info(
        ", ".join(f"{counts[name]} {what} {name}" for name in counts.index)
        + f"; {len(rows)} events."
    )
    return Events.from_frames(rows, videos, source, events.heads)


def _with_features(
    events: Events, listed: Mapping[str, str], folders: str, missing: str, what: str
) -> Events:
    lost = [v for v in events.videos["video"] if v not in listed]
    if len(lost) == len(events.videos):
        raise DataError(
            f"{folders} holds features of none of the {len(lost)} {what}; the first is '{lost[0]}'."
        )
    if lost and missing == "raise":
        raise DataError(
            f"{len(lost)} {what} have no file in {folders}: {_some(lost)}. Unpack the features "
            f"again, or leave these out with missing=skip."
        )
    if lost:
        log.warning(f"{len(lost)} {what} have no file in {folders}, left out: {_some(lost)}.")
        events = events.select(videos=[v for v in events.videos["video"] if v in listed])
    return events


def _some(names: list[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


def feature_folder(source: Path, name: str) -> Path:
    """Return the folder of features of that name, under the source or as it is written.

    Raises:
        DataError: it is not there.
    """
    name = name.strip()
    for path in (source / name, Path(name)):
        if path.is_dir():
            return path
    raise DataError(
        f"There is no folder of features '{name}' under {source}. (One .h5 file for all videos is "
        f"given when training: features=FILE.)"
    )


def _listed(ids: Iterable[str], folders: list[Path], source: Path) -> dict[str, str]:
    """Return the ``features`` field of each id that has a file in every folder."""
    tables = [feature_files(folder) for folder in folders]
    base = source.resolve()
    fields = {}
    for name in ids:
        found = [table[name] for table in tables if name in table]
        if len(found) == len(tables):
            fields[name] = ";".join(_relative(path, base) for path in found)
    return fields


def feature_files(folder: Path) -> dict[str, Path]:
    """Return id -> file of a folder of features, which may have a folder for each split."""
    folders = [folder, *(p for p in folder.iterdir() if p.is_dir() and split_name(p.name))]
    files = sorted(p for f in folders for p in f.iterdir() if p.suffix.lower() in FEATURE_SUFFIXES)
    return {_bare(p.stem): p for p in files}


def _bare(stem: str) -> str:
    return stem.removeprefix(PREFIX)


def _relative(path: Path, base: Path) -> str:
    path = path.resolve()
    return (path.relative_to(base) if path.is_relative_to(base) else path).as_posix()


def class_ids(file: Path) -> dict[str, int]:
    """Return the ``label_id`` of each label of a database, {} where it has none.

    Raises:
        DataError: two labels share an id, or a label has two.
    """
    data = read_json(file)
    ids: dict[str, int] = {}
    for video, entry in data.get("database", {}).items():
        for annotation in entry.get("annotations") or ():
            label, number = str(annotation["label"]).strip(), annotation.get("label_id")
            if number is None:
                return {}
            if ids.setdefault(label, int(number)) != int(number):
                raise DataError(
                    f"{file}: '{label}' has the ids {ids[label]} and {number} ({video})."
                )
    twice = len(set(ids.values())) < len(ids)
    if twice:
        raise DataError(f"{file}: several labels share one label_id.")
    return ids


def in_order(
    ids: Mapping[str, int], total: int = 0, names: Mapping[int, str] | None = None
) -> list[str]:
    """Return class names by id; an id that no label has gets its name, or ``class 83``.

    Args:
        ids: id of each label.
        total: classes there are at least.
        names: names of ids that have no label.
    """
    known = dict(names or {}) | {number: label for label, number in ids.items()}
    count = max(total, *(number + 1 for number in known)) if known else total
    return [known.get(number, f"class {number}") for number in range(count)]


def text_annotations(
    files: Mapping[str, Path], split_of: Mapping[str, str]
) -> list[dict[str, Any]]:
    """Read files of lines ``video start end``, one file per class.

    Args:
        files: class -> file.
        split_of: word in the video's name -> split.

    Raises:
        DataError: a line of another form; file and row are named.
    """
    rows = []
    for label, file in files.items():
        for number, line in enumerate(read_lines(file), start=1):
            words = line.split()
            if not words:
                continue
            try:
                video, start, end = words[0], float(words[1]), float(words[2])
            except (IndexError, ValueError):
                raise DataError(
                    f"{file}, row {number}: {line!r} is not 'video start end' in seconds."
                ) from None
            split = next((s for word, s in split_of.items() if word in video), None)
            rows.append(
                {"video": video, "start": start, "end": end, "label": label, "split": split}
            )
    return rows


def without_doubles(rows: pd.DataFrame, tolerance: float = 1e-3) -> pd.DataFrame:
    """Return the events without those shorter than ``tolerance`` (s) and without repetitions.

    An event repeats an earlier one of its video and label if both ends lie within ``tolerance``.
    """
    kept: dict[tuple[Any, Any], list[tuple[float, float]]] = {}
    keep = []
    for video, label, start, end in zip(
        rows["video"], rows["label"], rows["start"], rows["end"], strict=True
    ):
        before = kept.setdefault((video, label), [])
        new = math.isnan(start) or (
            end - start >= tolerance
            and not any(
                abs(start - s) <= tolerance and abs(end - e) <= tolerance for s, e in before
            )
        )
        if new:
            before.append((start, end))
        keep.append(new)
    return rows[keep].reset_index(drop=True)
