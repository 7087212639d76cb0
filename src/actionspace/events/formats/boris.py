"""BORIS projects (``.boris``): point and state events, subjects, modifiers, several observations.

Carries every column but ids: score, status and annotator as JSON in the event's comment, the
columns of the videos as independent variables. Written out: one observation per video, several
labels of an event as one event each, whole-video events as 0 to the duration; events come back in
the order of their starts. Read as well: observations that play several files one after another,
time offsets, several observations of one video (the observation's name becomes the annotator).
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from actionspace.errors import DataError
from actionspace.events.formats.boris_marks import Mark, pack, pair, place
from actionspace.events.formats.carry import with_times
from actionspace.events.formats.media import local_name, written_name
from actionspace.events.labels import split_labels
from actionspace.events.table import Events, Origin
from actionspace.paths import read_json, write_json

ROWS = ("start", "end", "label", "subject", "modifiers", "status", "annotator", "score")
VIDEOS = ("split", "group", "duration", "fps", "frames", "labelled", "crop", "features")

_VARIABLES = ("split", "group", "frames", "labelled", "crop", "features")


def matches(path: Path) -> bool:
    """Say whether the path ends in ``.boris``."""
    return path.suffix.lower() == ".boris" and path.is_file()


def read(path: Path, root: Path, unpaired: str = "error") -> Events:
    """Read a project.

    Args:
        path: the ``.boris`` file.
        root: the folder of the videos.
        unpaired: what to do with a state that starts and never stops: ``"error"``, or ``"end"`` to
            let it last to the end of its video.

    Raises:
        DataError: not a project, no observation of a video, an unknown behaviour, an unpaired
            state; the observation is named.
    """
    project = read_json(path)
    if not isinstance(project, dict) or not isinstance(project.get("observations"), dict):
        raise DataError(f"{path} is not a BORIS project: it has no 'observations'.")
    states = {
        str(b.get("code")): str(b.get("type", "")).lower().startswith("state")
        for b in project.get("behaviors_conf", {}).values()
    }
    rows: list[tuple[str, dict[str, Any]]] = []
    videos: dict[str, dict[str, Any]] = {}
    seen_in: dict[str, set[str]] = {}
    without = 0
    for name, observation in project["observations"].items():
        where = f"{path}, observation '{name}'"
        files = _files(observation)
        if not files:
            without += 1
            continue
        info = observation.get("media_info") or {}
        lengths = [_number(info.get("length"), f) for f in files]
        names = [local_name(f, path.parent, root) for f in files]
        variables = observation.get("independent_variables") or {}
        for file, video, length in zip(files, names, lengths, strict=True):
            facts = {key: variables.get(key) or None for key in _VARIABLES}
            facts.update(video=video, duration=length, fps=_number(info.get("fps"), file))
            videos.setdefault(video, facts)
            seen_in.setdefault(video, set()).add(name)
        offset = float(observation.get("time offset") or 0)
        marks = [_mark(event, states, offset, where) for event in observation.get("events", [])]
        spans = pair(marks, sum(lengths), unpaired, where)
        rows += [(name, row) for row in place(spans, names, lengths, where)]
    if without:
        warnings.warn(
            f"{path}: {without} observations have no video and are left out.", stacklevel=2
        )
    if not videos:
        raise DataError(f"{path}: no observation has a video.")
    for name, row in rows:
        if len(seen_in[row["video"]]) > 1:
            row.setdefault("annotator", name)
    return Events.from_frames(
        [row for _, row in rows], list(videos.values()), root, origin=Origin(path)
    )


def _files(observation: Mapping[str, Any]) -> list[str]:
    """Return the files of the first player, which play one after another."""
    players = observation.get("file")
    if not isinstance(players, dict) or observation.get("type", "MEDIA") != "MEDIA":
        return []
    return [str(f) for f in players.get("1", [])]


def _number(table: Any, key: str) -> float:
    value = table.get(key) if isinstance(table, dict) else None
    return float("nan") if value is None else float(value)


def _mark(event: Any, states: Mapping[str, bool], offset: float, where: str) -> Mark:
    try:
        time, subject, code, modifiers = float(event[0]), event[1], str(event[2]), event[3]
    except (TypeError, ValueError, IndexError) as e:
        raise DataError(f"{where}: {event!r} is not an event.") from e
    if code not in states:
        raise DataError(
            f"{where}: the behaviour '{code}' is not in the project's ethogram; add it in BORIS."
        )
    comment = str(event[4]) if len(event) > 4 and event[4] else ""
    return Mark(time - offset, subject or "", code, modifiers or "", comment, states[code])


def write(events: Events, path: Path) -> None:
    """Write a project.

    Raises:
        DataError: an event without a label, a whole-video event of unknown duration, or two
            overlapping events of one subject, label and modifiers, which BORIS cannot tell apart.
    """
    events = with_times(events, "boris")
    labelled = events.rows[events.rows["label"].notna()]
    if len(labelled) < len(events):
        raise DataError("A BORIS event needs a label; some of these events have none.")
    lasting = labelled["label"][labelled["end"] != labelled["start"]]
    states = {name for text in lasting for name in split_labels(text)}
    everything = sorted({name for text in labelled["label"] for name in split_labels(text)})
    subjects = sorted(set(labelled["subject"]) - {None})
    used = [v for v in _VARIABLES if events.videos[v].notna().any()]
    observations = {
        video["video"]: _observation(events, video, rows, states, used, path.parent)
        for video, rows in events.by_video()
    }
    write_json(
        path,
        {
            "time_format": "s",
            "project_date": "1970-01-01T00:00:00",
            "project_name": path.stem,
            "project_description": "written by actionspace",
            "project_format_version": "7.0",
            "subjects_conf": {
                str(i): {"key": "", "name": name, "description": ""}
                for i, name in enumerate(subjects)
            },
            "behaviors_conf": {
                str(i): {
                    "type": "State event" if name in states else "Point event",
                    "key": "",
                    "code": name,
                    "description": "",
                    "color": "",
                    "category": "",
                    "modifiers": "",
                    "excluded": "",
                    "coding map": "",
                }
                for i, name in enumerate(everything)
            },
            "observations": observations,
            "behavioral_categories": [],
            "independent_variables": {
                str(i): {
                    "label": name,
                    "description": "",
                    "type": "text",
                    "default value": "",
                    "possible values": "",
                }
                for i, name in enumerate(used)
            },
            "coding_map": {},
            "behaviors_coding_map": [],
            "converters": {},
        },
    )


def _observation(
    events: Events,
    video: pd.Series[Any],
    rows: pd.DataFrame,
    states: set[str],
    variables: list[str],
    folder: Path,
) -> dict[str, Any]:
    file = written_name(events, video["video"], folder)
    known = {
        name: {file: float(video[column])}
        for name, column in (("length", "duration"), ("fps", "fps"))
        if not pd.isna(video[column])
    }
    return {
        "file": {"1": [file], **{str(i): [] for i in range(2, 9)}},
        "type": "MEDIA",
        "date": "1970-01-01T00:00:00",
        "description": "",
        "time offset": 0.0,
        "events": _presses(rows, states, str(video["video"])),
        "observation time interval": [0, 0],
        "independent_variables": {v: "" if pd.isna(video[v]) else str(video[v]) for v in variables},
        "visualize_spectrogram": False,
        "close_behaviors_between_videos": False,
        "media_info": {"length": {}, "fps": {}, **known, "offset": {"1": 0.0}},
    }


def _presses(rows: pd.DataFrame, states: set[str], video: str) -> list[list[Any]]:
    """Return BORIS's list of key presses in order of time, states as start and stop."""
    presses: list[list[Any]] = []
    until: dict[tuple[str, str, str], float] = {}
    for row in rows.sort_values(["start", "end"], kind="stable").to_dict("records"):
        for code in split_labels(row["label"]):
            key = (row["subject"] or "", code, row["modifiers"] or "")
            if code not in states:
                presses.append([row["start"], *key, pack(row)])
                continue
            if row["start"] < until.get(key, row["start"]) or row["end"] < row["start"]:
                raise DataError(
                    f"{video}: two events '{code}' of one subject overlap at {row['start']:g} s "
                    f"(or one ends before it starts); BORIS cannot hold that. Merge them first."
                )
            until[key] = row["end"]
            presses += [[row["start"], *key, pack(row)], [row["end"], *key, ""]]
    return sorted(presses, key=lambda press: float(press[0]))
