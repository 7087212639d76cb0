"""Findings about times: events outside their video or the labelled spans, inverted, doubled."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from actionspace.datasets.finding import Finding, of_event, of_video
from actionspace.events.columns import parse_spans
from actionspace.events.table import Events

Spans = list[tuple[float, float]]

_SLACK = 0.1  # seconds an event may end after its video: rounding of times and of durations


def check(events: Events, durations: Mapping[str, float]) -> list[Finding]:
    """Return the findings; ``durations`` (s) of the files go before those of the manifest."""
    found: list[Finding] = []
    for video, rows in events.by_video():
        name = str(video["video"])
        length = durations.get(name, video["duration"])
        spans = parse_spans(video["labelled"])
        found += _spans(events, name, spans or [], length)
        if len(rows):
            found += _outside(events, name, rows, spans, length)
            found += _doubled(events, rows)
    return found + list(_zero_length(events))


def _spans(events: Events, name: str, spans: Spans, length: float) -> Iterator[Finding]:
    if spans and spans[-1][1] > length + _SLACK:
        yield Finding(
            "warning",
            "labelled-outside",
            f"the labelled span {spans[-1][0]:g}-{spans[-1][1]:g} s of {name} goes beyond its end "
            f"({length:.2f} s).",
            *of_video(events, name),
        )


def _outside(
    events: Events, name: str, rows: pd.DataFrame, spans: Spans | None, length: float
) -> Iterator[Finding]:
    for event, start, end, label in _times(events, rows):
        text = f"'{label}' from {start:g} to {end:g} s"
        place = of_event(events, event)
        if end < start:
            message = f"{text} ends before it starts: swap the two, or correct one."
            yield Finding("error", "inverted", message, *place)
        elif start < 0:
            yield Finding("error", "outside-video", f"{text} starts before the video.", *place)
        elif start >= length + _SLACK or (start >= length and end > start):
            message = f"{text} lies after the end of {name} ({length:.2f} s)."
            yield Finding("error", "outside-video", message, *place)
        elif end > length + _SLACK:
            message = f"{text} goes beyond the end of {name} ({length:.2f} s)."
            yield Finding("warning", "outside-video", message, *place)
        elif spans is not None and not _touches(spans, start, end):
            message = f"{text} lies in no labelled span of {name}."
            yield Finding("warning", "outside-labelled", message, *place)


def _touches(spans: Spans, start: float, end: float) -> bool:
    return any(start == a or (start < b and end > a) for a, b in spans)


def _times(events: Events, rows: pd.DataFrame) -> Iterator[tuple[str, float, float, str]]:
    timed = rows[rows["start"].notna()]
    for row in timed.to_dict("records"):
        label = " ".join(row[head] for head in events.heads if row[head] is not None)
        yield row["id"], row["start"], row["end"], label


def _doubled(events: Events, rows: pd.DataFrame) -> Iterator[Finding]:
    """Yield rows that are there twice, and events that overlap another of their kind."""
    kind = [*events.heads, "subject", "modifiers", "annotator", "status"]
    keys: dict[tuple[Any, ...], list[tuple[float, float, str]]] = {}
    whole = {"start": -np.inf, "end": np.inf}
    for record in rows.fillna(whole).to_dict("records"):
        key = tuple(None if pd.isna(record[k]) else record[k] for k in kind)
        span = (record["start"], record["end"], record["id"])
        keys.setdefault(key, []).append(span)
    for key, spans in keys.items():
        spans.sort(key=lambda s: s[:2])
        label = " ".join(str(k) for k in key[: len(events.heads)] if k is not None)
        reach, before = -np.inf, spans[0]
        for k, span in enumerate(spans):
            place = of_event(events, span[2])
            if k and span[:2] == before[:2]:
                first = of_event(events, before[2])[1]
                where = f" (row {first})" if first is not None else ""
                message = f"'{label}' is there twice with the same times{where}: remove one."
                yield Finding("warning", "duplicate", message, *place)
            elif k and span[0] < reach:
                message = (
                    f"'{label}' from {span[0]:g} s overlaps another '{label}' that lasts to "
                    f"{reach:g} s: merge them, or tell their subjects apart."
                )
                yield Finding("warning", "overlap", message, *place)
            if span[1] >= reach:
                reach, before = span[1], span


def _zero_length(events: Events) -> Iterator[Finding]:
    """Yield point events of classes that otherwise last."""
    timed = events.rows[events.rows["start"].notna()]
    for label, rows in timed.groupby(events.heads[0], sort=False):
        points = rows[rows["start"] == rows["end"]]
        if 0 < len(points) < len(rows) / 2:
            for event, start in zip(points["id"], points["start"], strict=True):
                message = f"'{label}' at {start:g} s has no duration, unlike most of its kind."
                yield Finding("warning", "zero-length", message, *of_event(events, event))
