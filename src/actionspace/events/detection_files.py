"""Anyone's predicted segments as events with scores.

Read are ActivityNet's results (``{"results": {video: [{"label", "score", "segment"}]}}``), the
columns that ActionFormer writes, as JSON (``{"video-id": [...], "t-start": [...], ...}``), and
tables (CSV, TSV, Parquet) whose columns go by usual names.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import pandas as pd

from actionspace.errors import DataError
from actionspace.events.formats import activitynet, manifest
from actionspace.events.table import VIDEO_SUFFIXES, Events
from actionspace.paths import read_json

_COLUMNS = {
    "video": ("video-id", "video_id", "video_name", "vid"),
    "start": ("t-start", "t_start", "start_time", "start_seconds"),
    "end": ("t-end", "t_end", "end_time", "end_seconds", "stop"),
    "label": ("label_id", "class", "class_name", "action", "category"),
    "score": ("confidence", "conf", "probability"),
}
_PICKLES = (".pkl", ".pickle", ".pth", ".pt")
_CONVERT = (
    "python -c \"import json, pickle; d = pickle.load(open('{name}', 'rb')); "
    "json.dump({{k: v.tolist() if hasattr(v, 'tolist') else v for k, v in d.items()}}, "
    "open('{stem}.json', 'w'))\""
)


def read_detections(
    path: str | Path,
    truth: Events | None = None,
    classes: Mapping[int, str] | None = None,
) -> Events:
    """Read predicted segments.

    Args:
        path: the file.
        truth: annotations whose names of videos are meant: ``v_abc`` or ``abc`` becomes
            ``val/v_abc.mp4`` where that is the only such video.
        classes: names of classes that the file gives by number.

    Raises:
        DataError: a pickle (they can run code, so they are not opened; the message says how to
            convert one), an unknown layout, a row without a score, a number without a name.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix in _PICKLES:
        raise DataError(
            f"{path} is a pickle, which can run code when it is opened; it is not read. Where you "
            f"trust it, convert it with\n  "
            + _CONVERT.format(name=path.name, stem=path.stem)
            + f"\nand give {path.stem}.json."
        )
    if not path.is_file():
        raise DataError(f"{path} does not exist.")
    if suffix == ".json":
        events = _from_json(path)
    elif suffix in manifest.SUFFIXES:
        events = _from_table(path)
    else:
        raise DataError(f"{path}: predictions are read from JSON, CSV, TSV or Parquet.")
    missing = events.rows["score"].isna().to_numpy()
    if missing.any():
        raise DataError(
            f"{path}: {int(missing.sum())} of {len(missing)} rows have no score, the first in "
            f"'{events.rows['video'][missing].iloc[0]}'; predictions need one each."
        )
    if classes is not None:
        events = _named(events, classes, path)
    return events if truth is None else with_videos_of(events, truth)


def _from_json(path: Path) -> Events:
    content = read_json(path)
    if isinstance(content, dict) and "results" not in content and "database" not in content:
        columns = {ours: _first(content, (ours, *theirs)) for ours, theirs in _COLUMNS.items()}
        lists = {ours: content[theirs] for ours, theirs in columns.items() if theirs is not None}
        if len({len(v) if isinstance(v, list) else -1 for v in lists.values()}) != 1:
            found = ", ".join(map(str, list(content)[:6])) or "nothing"
            raise DataError(
                f"{path}: expected 'results' by video, or lists of one length as 'video-id', "
                f"'t-start', 't-end', 'label' and 'score'; found {found}."
            )
        _need(lists, path)
        return Events.from_frames(pd.DataFrame(lists), root=path.parent)
    if isinstance(content, dict) and content.get("challenge") == "action_detection":
        raise DataError(
            f"{path} is a submission to EPIC-KITCHENS-100, with verbs and nouns instead of labels; "
            f"read it with actionspace.metrics.epic_detection.submitted_events."
        )
    return activitynet.read(path, path.parent)


def _from_table(path: Path) -> Events:
    names = manifest.load_csv(path).columns if path.suffix.lower() != ".parquet" else None
    if names is None:
        names = pd.read_parquet(path).columns
    found = {ours: _first(names, (ours, *theirs)) for ours, theirs in _COLUMNS.items()}
    _need({ours: theirs for ours, theirs in found.items() if theirs is not None}, path)
    renamed = {theirs: ours for ours, theirs in found.items() if theirs and theirs != ours}
    return manifest.read(path, path.parent, columns=renamed)


def _first(names: Any, wanted: tuple[str, ...]) -> str | None:
    return next((name for name in wanted if name in names), None)


def _need(found: Mapping[str, Any], path: Path) -> None:
    for name, others in _COLUMNS.items():
        if name not in found:
            raise DataError(f"{path}: there is no column '{name}' (nor {', '.join(others)}).")


def _named(events: Events, classes: Mapping[int, str], path: Path) -> Events:
    known = {str(number): name for number, name in classes.items()}
    texts = events.rows["label"]
    strange = [t for t in texts.unique() if t not in known and t not in known.values()]
    if strange:
        raise DataError(
            f"{path}: class {strange[0]} has no name; there are names for {len(known)} classes, "
            f"{json.dumps(dict(list(known.items())[:3]))} ..."
        )
    rows = events.rows.assign(label=texts.map(lambda t: known.get(t, t)).astype(object))
    return Events.from_frames(rows, events.videos, events.root, events.heads)


def with_videos_of(events: Events, truth: Events) -> Events:
    """Return events whose videos are called as in ``truth``.

    A name that is not in ``truth`` stands for the only video there of the same file name, without
    folder, suffix, a leading ``v_`` and regard to case; if there is none, it stays.
    """
    listed = set(truth.videos["video"])
    by_stem: dict[str, list[str]] = {}
    for name in truth.videos["video"]:
        by_stem.setdefault(_stem(name), []).append(name)
    names = {}
    for name in events.videos["video"]:
        same = by_stem.get(_stem(name), [])
        names[name] = same[0] if name not in listed and len(same) == 1 else name
    if len(set(names.values())) < len(names):
        twice = pd.Series(names).duplicated(keep=False)
        raise DataError(f"{', '.join(twice.index[twice][:2])} mean one video of the annotations.")
    rows = events.rows.assign(video=events.rows["video"].map(names).astype(object))
    videos = events.videos.assign(video=events.videos["video"].map(names).astype(object))
    return Events.from_frames(rows, videos, truth.root, events.heads)


def _stem(name: str) -> str:
    path = PurePosixPath(name)
    stem = path.stem if path.suffix.lower() in VIDEO_SUFFIXES else path.name
    return stem.lower().removeprefix("v_")
