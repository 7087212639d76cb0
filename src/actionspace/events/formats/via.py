"""VIA 3 projects (JSON): temporal segments of video files with their attributes.

Carries every column but ids. Label is a selection (a set of boxes where events have several),
other columns are texts; the columns of a video are attributes of the whole file. Read as well:
foreign projects, whose attribute named label, behaviour, class, action or activity (else the first
for temporal segments) is the label and whose other segment attributes become heads.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from actionspace.errors import DataError
from actionspace.events.columns import EVENT_COLUMNS, VIDEO_COLUMNS
from actionspace.events.formats.media import local_name, written_name
from actionspace.events.labels import join_labels, split_labels
from actionspace.events.table import Events, Origin
from actionspace.paths import read_json, write_json

ROWS = ("start", "end", "label", "subject", "modifiers", "status", "annotator", "score")
VIDEOS = ("split", "group", "duration", "fps", "frames", "labelled", "crop", "features")

_TEXT, _CHECKBOX, _SELECT = 1, 2, 4
_SEGMENT, _FILE = "FILE1_Z2_XY0", "FILE1_Z0_XY0"
_LABELS = ("label", "behaviour", "behavior", "class", "action", "activity")
_NOTES = ("subject", "modifiers", "status", "annotator", "score")


def matches(path: Path) -> bool:
    """Say whether the file is JSON with VIA's parts."""
    if path.suffix.lower() != ".json" or not path.is_file():
        return False
    data = read_json(path)
    return isinstance(data, dict) and {"attribute", "file", "metadata"} <= set(data)


def read(path: Path, root: Path) -> Events:
    """Read a VIA 3 project; spatial regions are passed over.

    Raises:
        DataError: no attribute for temporal segments, a segment of an unknown file, times that
            are not numbers.
    """
    data = read_json(path)
    attributes = data["attribute"]
    names = _names(attributes)
    label = next((k for k, name in names.items() if name == "label"), None)
    if label is None:
        raise DataError(f"{path} defines no attribute for temporal segments ({_SEGMENT}).")
    views = {v: str(view["fid_list"][0]) for v, view in data.get("view", {}).items()}
    videos: dict[str, dict[str, Any]] = {
        str(fid): {"video": local_name(_address(file), path.parent, root)}
        for fid, file in data["file"].items()
    }
    rows: list[dict[str, Any]] = []
    for key, item in data["metadata"].items():
        view = str(item.get("vid"))
        video = videos.get(views.get(view, view))
        if video is None:
            raise DataError(f"{path}: the metadata '{key}' belongs to no file.")
        times = item.get("z") or []
        if item.get("xy") or len(times) > 2:
            continue
        if not all(isinstance(t, (int, float)) for t in times):
            raise DataError(f"{path}: the times {times!r} of '{key}' are not numbers.")
        values = {
            names[a]: _value(value, attributes[a], names[a] == "label")
            for a, value in item.get("av", {}).items()
            if a in names
        }
        if not times and "label" not in values:
            video.update(values)
        else:
            span = {"start": float(times[0]), "end": float(times[-1])} if times else {}
            rows.append({"video": video["video"], "label": None, **span, **values})
    heads = [n for n in names.values() if n not in (*EVENT_COLUMNS, *VIDEO_COLUMNS)]
    return Events.from_frames(
        rows, list(videos.values()), root, ["label", *heads], origin=Origin(path)
    )


def _names(attributes: Mapping[str, Any]) -> dict[str, str]:
    """Return, per attribute id, the column it fills."""
    segment = {k: a for k, a in attributes.items() if a.get("anchor_id") == _SEGMENT}
    label = next(
        (k for w in _LABELS for k, a in segment.items() if str(a.get("aname")).lower() == w),
        next(iter(segment), None),
    )
    names = {}
    for key, attribute in attributes.items():
        name = str(attribute.get("aname"))
        if key == label:
            names[key] = "label"
        elif attribute.get("anchor_id") == _SEGMENT:
            names[key] = (
                f"{name} (VIA)" if name in ("label", *VIDEO_COLUMNS, "start", "end") else name
            )
        elif attribute.get("anchor_id") == _FILE and name in VIDEOS:
            names[key] = name
    return names


def _address(file: Mapping[str, Any]) -> str:
    source = str(file.get("src") or "")
    return str(file["fname"]) if not source or source.startswith(("blob:", "data:")) else source


def _value(value: Any, attribute: Mapping[str, Any], label: bool) -> str | None:
    """Return a value's text; ids of options become their names."""
    text = str(value)
    options = attribute.get("options") or {}
    if attribute.get("type") == _TEXT or not options:
        chosen = [text] if text.strip() else []
    else:
        ids = text.split(",") if attribute.get("type") == _CHECKBOX else [text]
        chosen = [str(options.get(i, i)) for i in ids if i.strip()]
    if not chosen:
        return None
    return join_labels(c.strip() for c in chosen) if label else "|".join(chosen)


def write(events: Events, path: Path) -> None:
    """Write a VIA 3 project; videos are referred to by paths relative to it."""
    classes = sorted({name for text in events.rows["label"] for name in split_labels(text)})
    several = any(len(split_labels(text)) > 1 for text in events.rows["label"])
    attributes: dict[str, dict[str, Any]] = {
        "label": {
            "aname": "label",
            "anchor_id": _SEGMENT,
            "type": _CHECKBOX if several else _SELECT,
            "desc": "",
            "options": {str(i): name for i, name in enumerate(classes)},
            "default_option_id": "",
        }
    }
    for names, anchor in ((_NOTES, _SEGMENT), (VIDEOS, _FILE)):
        for name in names:
            attributes[name] = {
                "aname": name,
                "anchor_id": anchor,
                "type": _TEXT,
                "desc": "",
                "options": {},
                "default_option_id": "",
            }
    ids = {name: str(i) for i, name in enumerate(classes)}
    views = {video: str(i + 1) for i, video in enumerate(events.videos["video"])}
    metadata: dict[str, Any] = {}
    for video in events.videos.to_dict("records"):
        view = views[video["video"]]
        values = {name: str(video[name]) for name in VIDEOS if not pd.isna(video[name])}
        if values:
            metadata[f"{view}_file"] = _item(view, [], values)
    for number, row in enumerate(events.rows.to_dict("records")):
        values = {name: str(row[name]) for name in _NOTES if not pd.isna(row[name])}
        if values["status"] == "event":
            values.pop("status")
        chosen = [ids[name] for name in split_labels(row["label"])]
        values = {"label": ",".join(chosen), **values}
        times = [] if pd.isna(row["start"]) else [row["start"], row["end"]]
        view = views[row["video"]]
        metadata[f"{view}_{number}"] = _item(view, times, values)
    files = {}
    for video, view in views.items():
        source = written_name(events, video, path.parent)
        name = source.rpartition("/")[2]
        files[view] = {"fid": view, "fname": name, "type": 4, "loc": 3, "src": source}
    write_json(
        path,
        {
            "project": {
                "pid": "__VIA_PROJECT_ID__",
                "rev": "__VIA_PROJECT_REV_ID__",
                "rev_timestamp": "__VIA_PROJECT_REV_TIMESTAMP__",
                "pname": path.stem,
                "creator": "actionspace",
                "created": 0,
                "data_format_version": "3.1.1",
                "vid_list": list(views.values()),
            },
            "config": {
                "file": {"loc_prefix": {"1": "", "2": "", "3": "", "4": ""}},
                "ui": {
                    "file_content_align": "center",
                    "file_metadata_editor_visible": True,
                    "spatial_metadata_editor_visible": False,
                    "temporal_segment_metadata_editor_visible": True,
                    "spatial_region_label_attribute_id": "",
                    "gtimeline_visible_row_count": "4",
                },
            },
            "attribute": attributes,
            "file": files,
            "metadata": metadata,
            "view": {view: {"fid_list": [view]} for view in views.values()},
        },
    )


def _item(view: str, times: list[float], values: dict[str, str]) -> dict[str, Any]:
    return {"vid": view, "flg": 0, "z": times, "xy": [], "av": values}
