"""The official Kinetics lists: ``label,youtube_id,time_start,time_end,split``.

Read only. A clip is named ``<id>_<start>_<end>`` with six digits, as the usual downloaders name its
file; the label holds for the whole clip, and clips of one YouTube video are one group.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from actionspace.events import columns as col
from actionspace.events.formats.manifest import load_csv, read_text
from actionspace.events.labels import join_labels
from actionspace.events.table import Events, Origin

_COLUMNS = {"youtube_id", "time_start", "time_end", "split"}


def matches(path: Path) -> bool:
    """Say whether the file is CSV with the columns of the Kinetics lists."""
    if path.suffix.lower() != ".csv" or not path.is_file():
        return False
    return set(read_text(path).partition("\n")[0].strip().split(",")) >= _COLUMNS


def read(path: Path, root: Path) -> Events:
    """Read a Kinetics list (test lists may lack the label).

    Raises:
        DataError: a time is no number; the row is named.
    """
    table = load_csv(path)

    def where(i: int) -> str:
        return f"{path}, row {table['_row'].iloc[i]}"

    start = col.count_column(table["time_start"], "time_start", where)
    end = col.count_column(table["time_end"], "time_end", where)
    labels = table["label"] if "label" in table.columns else [None] * len(table)
    rows: list[dict[str, Any]] = []
    videos: dict[str, dict[str, Any]] = {}
    lines: dict[str, int] = {}
    for i, (clip, label) in enumerate(zip(table["youtube_id"], labels, strict=True)):
        name = f"{clip}_{start.iloc[i]:06d}_{end.iloc[i]:06d}"
        split = table["split"].iloc[i]
        videos[name] = {
            "video": name,
            "split": col.split_name(split) or split if split else None,
            "group": clip,
        }
        lines.setdefault(name, int(table["_row"].iloc[i]))
        if label is not None:
            rows.append({"video": name, "label": join_labels([label])})
    return Events.from_frames(
        rows, list(videos.values()), root, origin=Origin(path, None, {}, lines)
    )
