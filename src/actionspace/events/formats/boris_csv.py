"""BORIS's exports as CSV or TSV: "tabular events" (read) and "aggregated events" (read, written).

Carries every column but ids: those of the videos as independent variables, score, status and
annotator as JSON in the comment. Written out: one row per label, whole-video events as 0 to the
duration. Observations that play several files are read if the export says how long each is.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from actionspace.errors import DataError
from actionspace.events import columns as col
from actionspace.events.formats.boris_marks import Mark, pack, pair, place
from actionspace.events.formats.carry import with_times
from actionspace.events.formats.manifest import read_lines
from actionspace.events.formats.media import local_name, written_name
from actionspace.events.labels import split_labels
from actionspace.events.table import Events, Origin
from actionspace.paths import write_text

ROWS = ("start", "end", "label", "subject", "modifiers", "status", "annotator", "score")
VIDEOS = ("split", "group", "duration", "fps", "frames", "labelled", "crop", "features")

_VARIABLES = ("split", "group", "frames", "labelled", "crop", "features")
_NOBODY = "no focal subject"
_UNKNOWN = ("", "na", "not found")


def matches(path: Path) -> bool:
    """Say whether the file is CSV or TSV with BORIS's columns (perhaps after a preamble)."""
    if path.suffix.lower() not in (".csv", ".tsv", ".txt") or not path.is_file():
        return False
    lines = read_lines(path)[:60]
    return any(_is_header(line) for line in lines)


def _is_header(line: str) -> bool:
    cells = {cell.strip(' "\r\n').lower() for cell in re.split(r"[,;\t]", line)}
    timed = "start (s)" in cells or "time" in cells
    return {"subject", "behavior"} <= cells and timed and "video" not in cells


def read(path: Path, root: Path, unpaired: str = "error") -> Events:
    """Read an export; ``unpaired`` as for ``.boris`` projects.

    Raises:
        DataError: a column is missing, a time is no number, a state never stops, or an
            observation plays several files of unknown length.
    """
    header, records = _records(path)
    aggregated = "start (s)" in header
    needed = ("start (s)", "stop (s)") if aggregated else ("time",)
    for name in ("behavior", "subject", *needed):
        if name not in header:
            raise DataError(f"{path}: a BORIS export needs the column '{name}'.")
    by_observation: dict[str, list[dict[str, str]]] = {}
    for record in records:
        by_observation.setdefault(record.get("observation id", ""), []).append(record)
    rows: list[dict[str, Any]] = []
    videos: dict[str, dict[str, Any]] = {}
    for name, group in by_observation.items():
        where = f"{path}, observation '{name}'"
        files = _files(group)
        lengths = _per_file(group[0], files, ("media duration (s)", "total length"))
        rates = _per_file(group[0], files, ("fps",))
        names = [local_name(file, path.parent, root) for file in files]
        for video, length, rate in zip(names, lengths, rates, strict=True):
            facts = {v: group[0].get(v) or None for v in _VARIABLES}
            videos.setdefault(video, {**facts, "video": video, "duration": length, "fps": rate})
        rows += place(
            _spans(group, aggregated, sum(lengths), unpaired, path), names, lengths, where
        )
    return Events.from_frames(rows, list(videos.values()), root, origin=Origin(path))


def _records(path: Path) -> tuple[list[str], list[dict[str, str]]]:
    """Return the lower-case header and the rows under it, each with its row number."""
    lines = [line + "\n" for line in read_lines(path)]
    at = next((i for i, line in enumerate(lines) if _is_header(line)), None)
    if at is None:
        raise DataError(f"{path} is not a BORIS export: no row names Subject and Behavior.")
    delimiter = max(",;\t", key=lines[at].count)
    body = list(csv.reader(io.StringIO("".join(lines[at:]), newline=""), delimiter=delimiter))
    header = [name.strip().lower() for name in body[0]]
    preamble = {}
    for line in csv.reader(lines[:at], delimiter=delimiter):
        if len(line) > 1 and line[1].strip():
            preamble[line[0].strip().lower()] = line[1].strip()
    records = []
    for number, cells in enumerate(body[1:], start=at + 2):
        if any(cell.strip() for cell in cells):
            named = dict(zip(header, (cell.strip() for cell in cells), strict=False))
            records.append({**preamble, **named, "_row": str(number)})
    return header, records


def _files(group: list[dict[str, str]]) -> list[str]:
    """Return the files of the first player in the order in which they play."""
    source = group[0].get("source", "")
    if source.lower().startswith("player #1:"):
        return source.partition(":")[2].split("|")[0].split(";")
    named = [_file(record) for record in group]
    return list(dict.fromkeys(name for name in named if name)) or [group[0]["observation id"]]


def _file(record: Mapping[str, str]) -> str:
    for column in ("media file name", "media file path", "media file"):
        if record.get(column, "").lower() not in _UNKNOWN:
            return record[column]
    return ""


def _per_file(record: Mapping[str, str], files: list[str], names: tuple[str, ...]) -> list[float]:
    """Return a number per file from ``"1.5;2.5|3"`` (players by |), NaN where it is not said."""
    text = next((record[n] for n in names if record.get(n, "").lower() not in _UNKNOWN), "")
    parts = text.split("|")[0].split(";")
    if len(parts) != len(files):
        return [float("nan")] * len(files)
    try:
        return [float(part) for part in parts]
    except ValueError:
        return [float("nan")] * len(files)


def _spans(
    group: list[dict[str, str]], aggregated: bool, length: float, unpaired: str, path: Path
) -> list[tuple[float, float, Mark]]:
    def time(record: Mapping[str, str], column: str) -> float:
        value = record.get(column, "")
        where = f"{path}, row {record['_row']}"
        number = float(col.number_column([value or None], column, lambda i: where)[0])
        if number != number:
            raise DataError(f"{where}: '{column}' is empty.")
        return number - float(record.get("time offset (s)") or 0)

    if aggregated:
        return [
            (time(r, "start (s)"), time(r, "stop (s)"), _mark(r, 0.0, "comment start"))
            for r in group
        ]
    marks = [_mark(record, time(record, "time"), "comment") for record in group]
    return pair(marks, length, unpaired, f"{path}, observation '{group[0]['observation id']}'")


def _mark(record: Mapping[str, str], time: float, comment: str) -> Mark:
    subject = record["subject"]
    numbered = [v for k, v in record.items() if k.startswith("modifier #") and v]
    return Mark(
        time,
        "" if subject.lower() == _NOBODY else subject,
        record["behavior"],
        record.get("modifiers", "") or "|".join(numbered),
        record.get(comment, ""),
        (record.get("status") or record.get("behavior type", "")).upper() in ("START", "STOP"),
    )


def write(events: Events, path: Path) -> None:
    """Write aggregated events.

    Raises:
        DataError: an event without a label, a whole-video event of unknown duration, or a video
            without events, which an export has no row for.
    """
    events = with_times(events, "boris-csv")
    variables = [v for v in _VARIABLES if events.videos[v].notna().any()]
    header = [
        "Observation id", "Observation date", "Description", "Observation type", "Source",
        "Time offset (s)", "Media duration (s)", "FPS", *variables, "Subject", "Behavior",
        "Behavioral category", "Modifiers", "Behavior type", "Start (s)", "Stop (s)",
        "Duration (s)", "Media file name", "Comment start", "Comment stop",
    ]  # fmt: skip
    out = io.StringIO(newline="")
    delimiter = "\t" if path.suffix.lower() == ".tsv" else ","
    writer = csv.writer(out, delimiter=delimiter, lineterminator="\n")
    writer.writerow(header)
    for video, rows in events.by_video():
        name = video["video"]
        file = written_name(events, name, path.parent)
        if rows.empty or rows["label"].isna().any():
            raise DataError(f"{name}: a BORIS export holds videos with labelled events only.")
        source = "" if set(";|") & set(file) else f"player #1:{file}"
        first = [name, "", "", "Media file", source, "0"]
        facts = [_text(video[c]) or "NA" for c in ("duration", "fps")]
        facts += [_text(video[v]) for v in variables]
        for row in rows.to_dict("records"):
            kind = "POINT" if row["start"] == row["end"] else "STATE"
            times = [repr(row["start"]), repr(row["end"]), repr(row["end"] - row["start"])]
            for code in split_labels(row["label"]):
                subject, modifiers = row["subject"] or "No focal subject", row["modifiers"] or ""
                event = [subject, code, "", modifiers, kind, *times, file, pack(row), ""]
                writer.writerow([*first, *facts, *event])
    write_text(path, out.getvalue())


def _text(value: Any) -> str:
    return "" if pd.isna(value) else str(value)
