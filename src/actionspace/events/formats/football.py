"""PaddleVideo's FootballAction JSON: ``{"fps", "gts": [{"url", "total_frames", "actions"}]}``.

Read only. Times are frame numbers; the last frame of an action is its ``end_id`` (exclusive).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from actionspace.errors import DataError
from actionspace.events.labels import join_labels
from actionspace.events.table import Events, Origin
from actionspace.paths import read_json


def matches(path: Path) -> bool:
    """Say whether the file is JSON with ``gts``."""
    if path.suffix.lower() != ".json" or not path.is_file():
        return False
    data = read_json(path)
    return isinstance(data, dict) and isinstance(data.get("gts"), list)


def read(path: Path, root: Path) -> Events:
    """Read the annotations; frame numbers are divided by ``fps``.

    Raises:
        DataError: a key is missing; the video is named.
    """
    data = read_json(path)
    rows: list[dict[str, Any]] = []
    videos = []
    for number, entry in enumerate(data["gts"]):
        try:
            fps = float(data["fps"])
            video, frames = entry["url"], int(entry["total_frames"])
            videos.append({"video": video, "fps": fps, "frames": frames, "duration": frames / fps})
            rows += [
                {
                    "video": video,
                    "start": action["start_id"] / fps,
                    "end": action["end_id"] / fps,
                    "label": join_labels(action["label_names"]),
                }
                for action in entry["actions"]
            ]
        except (KeyError, TypeError, ValueError) as e:
            raise DataError(f"{path}: entry {number} of 'gts' lacks or garbles {e}.") from e
    return Events.from_frames(rows, videos, root, origin=Origin(path))
