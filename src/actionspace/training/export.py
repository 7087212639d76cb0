"""Predictions in the formats of other programs, and the JSON schema of ours."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from actionspace.errors import UsageError
from actionspace.paths import write_json

if TYPE_CHECKING:
    from actionspace.events.table import Events

SCHEMA_ID = "actionspace/events/1"
_ENDS = ("start", "end")
_STD = "Standard deviation of the {}, in seconds, where it is known."
_LOW = "Second before which the {} lies with a probability of 10 %."
_HIGH = "Second after which the {} lies with a probability of 10 %."


def export(events: Events, path: str | os.PathLike[str], format: str | None = None) -> Path:
    """Write predicted events to one file.

    How uncertain their boundaries are goes along where the format has room for it.

    Args:
        events: what was predicted.
        path: ``.csv``, ``.json`` (ActivityNet results) or ``.boris``, or any ending that
            ``actionspace events`` writes.
        format: ``activitynet``, ``json`` (plain list of our schema), ``csv``, ``boris`` or another
            format name of ``actionspace events``; None goes by the ending.

    Raises:
        UsageError: nothing writes this ending.
    """
    path = Path(path)
    if format is None and path.suffix == "":
        raise UsageError(f"{path} has no ending; use .csv, .json, .boris, or name a format.")
    if format == "activitynet" or (format is None and path.suffix.lower() == ".json"):
        write_json(path, activitynet_results(events))
    elif format == "json":
        write_json(path, events_json(events))
    else:
        from actionspace.events import io

        io.write(_without_truth(events), path, format)
    return path


def _without_truth(events: Events) -> Events:
    beside = [name for name in events.rows.columns if name.endswith(("_true", "_score"))]
    return replace(events, rows=events.rows.drop(columns=beside))


def activitynet_results(events: Events) -> dict[str, Any]:
    """Return ActivityNet's result format: per video a list of label, score and segment (s).

    How uncertain boundaries are goes along under the columns' names; other readers pass over it.
    """
    from actionspace.events.columns import UNCERTAINTY

    results: dict[str, list[dict[str, Any]]] = {str(v): [] for v in events.videos["video"]}
    for event in events_json(events):
        if event.get("label") is None:
            continue
        segment = [event.get("start"), event.get("end")]
        result = {"label": event["label"], "score": event.get("score"), "segment": segment}
        result |= {name: event[name] for name in UNCERTAINTY if name in event}
        results.setdefault(event["video"], []).append(result)
    return {"version": "VERSION 1.3", "results": results, "external_data": {}}


def events_json(events: Events) -> list[dict[str, Any]]:
    """Return the events as plain JSON objects that fit :func:`events_schema`.

    Empty cells are left out; the times of a whole-video event are therefore absent.
    """
    import pandas as pd

    records = _without_truth(events).rows.to_dict("records")
    return [
        {str(k): _plain(v) for k, v in record.items() if not pd.isna(v) and v != ""}
        for record in records
    ]


def _plain(value: Any) -> Any:
    return value.item() if hasattr(value, "item") else value


def events_schema() -> dict[str, Any]:
    """Return the JSON schema (draft 2020-12) of a list of events."""
    text = {"type": "string"}
    seconds = {"type": "number", "minimum": 0}
    properties = {
        "id": {**text, "description": "Unique within the file."},
        "video": {**text, "description": "Path relative to the manifest's root, / between parts."},
        "start": {**seconds, "description": "Seconds from the first presented frame."},
        "end": {**seconds, "description": "Seconds; the interval is half-open."},
        "label": {**text, "description": "Class name; several joined by |, a literal one is \\|."},
        "score": {"type": "number", "description": "Probability of the label."},
        **{f"{end}_std": {**seconds, "description": _STD.format(end)} for end in _ENDS},
        **{f"{end}_low": {**seconds, "description": _LOW.format(end)} for end in _ENDS},
        **{f"{end}_high": {**seconds, "description": _HIGH.format(end)} for end in _ENDS},
        "status": {"enum": ["event", "ignore"]},
        "subject": text,
        "modifiers": text,
        "annotator": text,
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": SCHEMA_ID,
        "title": "actionspace events",
        "type": "array",
        "items": {
            "type": "object",
            "required": ["id", "video"],
            "properties": properties,
            "additionalProperties": {"type": ["string", "number", "integer", "boolean"]},
        },
    }
