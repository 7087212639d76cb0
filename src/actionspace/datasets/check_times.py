"""Findings about times: events outside their video or the labelled spans, inverted, doubled."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from actionspace.datasets.finding import Finding, of_event, of_video
from actionspace.events.columns import parse_spans
from actionspace.events.table import Events

Row = dict[Any, Any]
Spans = list[tuple[float, float]]

_SLACK = 0.1  # seconds an event may end after its video: rounding of times and of durations


def check(events: Events, durations: Mapping[str, float]) -> list[Finding]:
    """Return the findings; ``durations`` (s) of the files go before those of the manifest."""
    found: list[Finding] = []
    by_video: dict[str, list[Row]] = {}
    for row in events.rows.to_dict("records"):
        by_video.setdefault(row["video"], []).append(row)
    for video in events.videos.to_dict("records"):
        name = video["video"]
        length = durations.get(name, video["duration"])
        spans = parse_spans(video["labelled"])
        found += _spans(events, name, spans or [], length)
        found += _outside(events, by_video.get(name, []), spans, length)
        found += _doubled(events, by_video.get(name, []))
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
    events: Events, rows: list[Row], spans: Spans | None, length: float
) -> Iterator[Finding]:
    for row in rows:
        name, start, end = row["video"], row["start"], row["end"]
        text = f"'{_label(events, row)}' of {name} from {start:g} to {end:g} s"
        place = of_event(events, row["id"])
        if end < start:
            message = f"{text} ends before it starts: swap the two, or correct one."
            yield Finding("error", "inverted", message, *place)
        elif start < 0:
            yield Finding("error", "outside-video", f"{text} starts before the video.", *place)
        elif start >= length + _SLACK or (start >= length and end > start):
            message = f"{text} lies after its end ({length:.2f} s)."
            yield Finding("error", "outside-video", message, *place)
        elif end > length + _SLACK:
            message = f"{text} goes beyond its end ({length:.2f} s)."
            yield Finding("warning", "outside-video", message, *place)
        elif spans is not None and start == start and not _touches(spans, start, end):
            message = f"{text} lies in no labelled span."
            yield Finding("warning", "outside-labelled", message, *place)


def _touches(spans: Spans, start: float, end: float) -> bool:
    return any(start == a or (start < b and end > a) for a, b in spans)


def _label(events: Events, row: Row) -> str:
    return " ".join(row[head] for head in events.heads if row[head] is not None)


def _doubled(events: Events, rows: list[Row]) -> Iterator[Finding]:
    """Yield rows that are there twice, and events that overlap another of their kind."""
    kind = (*events.heads, "subject", "modifiers", "annotator", "status")
    alike: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        alike.setdefault(tuple(row[k] for k in kind), []).append(row)
    for same in alike.values():
        reach, before = -math.inf, same[0]
        for k, row in enumerate(sorted(same, key=_span)):
            start, end = _span(row)
            label, place = _label(events, row), of_event(events, row["id"])
            if k and (start, end) == _span(before):
                first = of_event(events, before["id"])[1]
                where = f" (row {first})" if first is not None else ""
                what = f"'{label}' of {row['video']}"
                message = f"{what} is there twice with equal times{where}: remove one."
                yield Finding("warning", "duplicate", message, *place)
            elif k and start < reach:
                message = (
                    f"'{label}' of {row['video']} from {max(start, 0):g} s overlaps another that "
                    f"lasts to {reach:g} s: merge them, or tell their subjects apart."
                )
                yield Finding("warning", "overlap", message, *place)
            if end >= reach:
                reach, before = end, row


def _span(row: Row) -> tuple[float, float]:
    whole = row["start"] != row["start"]
    return (-math.inf, math.inf) if whole else (row["start"], row["end"])


def _zero_length(events: Events) -> Iterator[Finding]:
    """Yield point events of classes that otherwise last."""
    timed = events.rows[events.rows["start"].notna()]
    for label, rows in timed.groupby(events.heads[0], sort=False):
        points = rows[rows["start"] == rows["end"]]
        if 0 < len(points) < len(rows) / 2:
            for row in points.to_dict("records"):
                message = (
                    f"'{label}' of {row['video']} at {row['start']:g} s has no duration, unlike "
                    f"most of its kind."
                )
                yield Finding("warning", "zero-length", message, *of_event(events, row["id"]))
