"""BORIS's key presses turned into events: what its projects and exports have in common."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from actionspace.errors import DataError
from actionspace.events.labels import join_labels

_NOTES = ("status", "annotator", "score")


@dataclass(frozen=True)
class Mark:
    """One key press: a point event, or the start or stop of a state (seconds)."""

    time: float
    subject: str
    code: str
    modifiers: str
    comment: str
    state: bool


def pair(
    marks: Iterable[Mark], length: float, unpaired: str, where: str
) -> list[tuple[float, float, Mark]]:
    """Return ``(start, end, mark)`` in order of start: states paired by subject, code, modifiers.

    Raises:
        DataError: a state starts and never stops and ``unpaired`` is not ``"end"``, or the end is
            unknown.
    """
    spans: list[tuple[float, float, Mark]] = []
    open_at: dict[tuple[str, str, str], int] = {}
    for mark in sorted(marks, key=lambda m: m.time):
        key = (mark.subject, mark.code, mark.modifiers)
        if mark.state and key in open_at:
            i = open_at.pop(key)
            spans[i] = (spans[i][0], mark.time, spans[i][2])
            continue
        if mark.state:
            open_at[key] = len(spans)
        spans.append((mark.time, mark.time, mark))
    for i in open_at.values():
        start, _, mark = spans[i]
        if unpaired != "end" or not length >= start:
            who = f" of {mark.subject}" if mark.subject else ""
            raise DataError(
                f"{where}: '{mark.code}'{who} starts at {start:g} s and never stops. Close it in "
                f"BORIS, or read with unpaired='end' to let it last to the end of the video."
            )
        spans[i] = (start, length, mark)
    return spans


def place(
    spans: Iterable[tuple[float, float, Mark]], names: list[str], lengths: list[float], where: str
) -> list[dict[str, Any]]:
    """Return rows with times within each file, for files that play one after another.

    Raises:
        DataError: there are several files and the length of one before the last is unknown.
    """
    if len(names) > 1 and np.isnan(lengths[:-1]).any():
        raise DataError(
            f"{where}: it plays {len(names)} files one after another and does not say how long "
            f"each is; read the .boris project with its media information instead."
        )
    begins = np.concatenate([[0.0], np.cumsum(lengths[:-1])])
    rows = []
    for start, end, mark in spans:
        for k, video in enumerate(names):
            stop = begins[k + 1] if k + 1 < len(names) else np.inf
            a, b = max(start, begins[k]), min(end, stop)
            inside = begins[k] <= start < stop or (k == 0 and start < 0)
            if inside or (a < b and start < end):
                a = start if inside else a
                rows.append({"video": video, **_row(a - begins[k], b - begins[k], mark)})
    return rows


def _row(start: float, end: float, mark: Mark) -> dict[str, Any]:
    row: dict[str, Any] = {
        "start": float(start),
        "end": float(end),
        "label": join_labels([mark.code.strip()]),
        "subject": mark.subject or None,
        "modifiers": mark.modifiers or None,
    }
    return {**row, **unpack(mark.comment)}


def pack(row: Mapping[Any, Any]) -> str:
    """Return score, status and annotator as JSON for a comment, ``""`` if there is none."""
    notes = {k: row[k] for k in _NOTES if not pd.isna(row[k]) and row[k] != "event"}
    return json.dumps(notes, ensure_ascii=False) if notes else ""


def unpack(comment: str) -> dict[str, Any]:
    """Return what :func:`pack` wrote; a comment of a person gives nothing."""
    if not comment.startswith("{"):
        return {}
    try:
        notes = json.loads(comment)
    except ValueError:
        return {}
    return {k: v for k, v in notes.items() if k in _NOTES}
