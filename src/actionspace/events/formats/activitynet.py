"""ActivityNet JSON: ``{"database": {video: {"subset", "duration", "annotations": [...]}}}``.

Carries every column of both tables but ids; what ActivityNet has no key for is written under the
column's own name, which other readers pass over. Read as well: the layout without ``database``
(``duration_second``, ``duration_frame``), predictions (``results`` with scores), a list of labels
per annotation, annotations without a segment (the whole video), times as text. Subsets become
train, val and test. ``taxonomy`` and other keys are passed over.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from actionspace.errors import DataError
from actionspace.events import columns as col
from actionspace.events.labels import join_labels, split_labels
from actionspace.events.table import Events, Origin
from actionspace.paths import read_json, write_json

ROWS = (
    *("start", "end", "label", "subject", "modifiers", "status", "annotator", "score"),
    *col.UNCERTAINTY,
)
VIDEOS = ("split", "group", "duration", "fps", "frames", "labelled", "crop", "features")

_SUBSETS = {"train": "training", "val": "validation", "test": "testing"}
_ROW_KEYS = ("subject", "modifiers", "status", "annotator", "score", *col.UNCERTAINTY)
_VIDEO_KEYS = ("group", "fps", "frames", "labelled", "crop", "features")


def matches(path: Path) -> bool:
    """Say whether the file is JSON with videos that have annotations."""
    if path.suffix.lower() != ".json" or not path.is_file():
        return False
    data = read_json(path)
    return isinstance(data, dict) and (
        isinstance(data.get("database"), dict)
        or isinstance(data.get("results"), dict)
        or (bool(data) and all(isinstance(v, dict) and "annotations" in v for v in data.values()))
    )


def read(path: Path, root: Path) -> Events:
    """Read ActivityNet, THUMOS or ActionFormer JSON.

    Raises:
        DataError: a video without annotations, an annotation without a label, a segment that is
            not two numbers; the video is named.
    """
    data = read_json(path)
    database = data.get("database", data.get("results", data)) if isinstance(data, dict) else None
    if not isinstance(database, dict):
        raise DataError(f"{path} is not ActivityNet JSON: there is no 'database' of videos.")
    rows: list[dict[str, Any]] = []
    videos = []
    for video, entry in database.items():
        facts = entry if isinstance(entry, dict) else {"annotations": entry}
        annotations = facts.get("annotations", [])
        if not isinstance(annotations, list):
            raise DataError(f"{path}: 'annotations' of video '{video}' is not a list.")
        videos.append({"video": video, **_video_facts(facts)})
        for k, annotation in enumerate(annotations):
            rows.append({"video": video, **_row(annotation, f"{path}: {video}, annotation {k}")})
    return Events.from_frames(rows, videos, root, origin=Origin(path))


def _video_facts(entry: Mapping[str, Any]) -> dict[str, Any]:
    subset = entry.get("subset")
    duration = entry.get("duration", entry.get("duration_second"))
    facts = {key: entry.get(key) for key in _VIDEO_KEYS}
    if facts["frames"] is None:
        facts["frames"] = entry.get("duration_frame")
    if subset is not None:
        facts["split"] = col.split_name(str(subset)) or str(subset)
    return {**facts, "duration": duration}


def _row(annotation: Any, where: str) -> dict[str, Any]:
    if not isinstance(annotation, dict) or "label" not in annotation:
        raise DataError(f"{where}: expected an object with 'label' and 'segment'.")
    label = annotation["label"]
    names = label if isinstance(label, list) else [label]
    row = {key: annotation[key] for key in _ROW_KEYS if key in annotation}
    row["label"] = None if label is None else join_labels(str(name).strip() for name in names)
    segment = annotation.get("segment")
    if segment is not None:
        if not isinstance(segment, list) or len(segment) != 2:
            raise DataError(f"{where}: the segment {segment!r} is not [start, end].")
        try:
            row["start"], row["end"] = float(segment[0]), float(segment[1])
        except (TypeError, ValueError) as e:
            raise DataError(f"{where}: the segment {segment!r} is not two numbers.") from e
    return row


def write(events: Events, path: Path) -> None:
    """Write ActivityNet JSON."""
    write_database(events, path, "actionspace", lambda video, row: {})


def write_database(
    events: Events,
    path: Path,
    version: str,
    more: Callable[[Mapping[Any, Any], Mapping[Any, Any]], dict[str, Any]],
) -> None:
    """Write the database; ``more(video, row)`` adds keys to an annotation."""
    database = {}
    for facts, rows in events.by_video():
        video = facts.to_dict()
        entry = _used(video, _VIDEO_KEYS)
        if video["split"] is not None:
            entry["subset"] = _SUBSETS.get(video["split"], video["split"])
        if video["duration"] == video["duration"]:
            entry["duration"] = video["duration"]
        annotations = []
        for row in rows.to_dict("records"):
            names = split_labels(row["label"])
            label = names if len(names) > 1 else next(iter(names), None)
            annotation: dict[str, Any] = {"label": label}
            if row["start"] == row["start"]:
                annotation["segment"] = [row["start"], row["end"]]
            extra = _used(row, _ROW_KEYS)
            if row["status"] == "event":
                extra.pop("status")
            annotations.append({**annotation, **more(video, row), **extra})
        database[video["video"]] = {**entry, "annotations": annotations}
    write_json(path, {"version": version, "database": database})


def _used(record: Mapping[Any, Any], keys: tuple[str, ...]) -> dict[str, Any]:
    import pandas as pd

    return {key: record[key] for key in keys if key in record and not pd.isna(record[key])}
