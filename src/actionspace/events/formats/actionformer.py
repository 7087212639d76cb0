"""THUMOS14 JSON as ActionFormer reads it: ActivityNet's layout with ``fps`` and ``label_id``.

Carries what ActivityNet JSON carries. Label ids are the places of the sorted names. A video's
``fps`` is needed for writing, and every event needs times and one label.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from actionspace.errors import DataError
from actionspace.events.formats import activitynet
from actionspace.events.labels import split_labels
from actionspace.events.table import Events
from actionspace.paths import read_json

ROWS = activitynet.ROWS
VIDEOS = activitynet.VIDEOS
read = activitynet.read


def matches(path: Path) -> bool:
    """Say whether the file is ActivityNet-like JSON whose annotations have ``label_id``."""
    if not activitynet.matches(path):
        return False
    database = read_json(path).get("database", {})
    lists = (v.get("annotations", []) for v in database.values() if isinstance(v, dict))
    return "label_id" in next((a for annotations in lists for a in annotations), ())


def write(events: Events, path: Path) -> None:
    """Write ActionFormer JSON.

    Raises:
        DataError: a video without ``fps``, an event without times, or with several labels.
    """
    ids = {name: i for i, name in enumerate(events.classes())}

    def more(video: Mapping[Any, Any], row: Mapping[Any, Any]) -> dict[str, Any]:
        names = split_labels(row["label"])
        if len(names) != 1 or row["start"] != row["start"]:
            raise DataError(f"Event {row['id']} of {row['video']} needs times and one label.")
        if not video["fps"] > 0:
            raise DataError(f"{video['video']}: ActionFormer JSON needs 'fps'; fill it in.")
        frames = [round(row[t] * video["fps"], 3) for t in ("start", "end")]
        return {"segment(frames)": frames, "label_id": ids.get(names[0], -1)}

    activitynet.write_database(events, path, "actionspace", more)
