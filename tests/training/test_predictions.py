"""Prediction folders: they come back as they were, and other programs can read the exports."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from actionspace.errors import RunError, UsageError
from actionspace.training.export import events_json, events_schema, export
from actionspace.training.predictions import (
    Predictions,
    predicted_events,
    read_predictions,
    write_predictions,
)


@pytest.fixture
def made() -> Predictions:
    rows = pd.DataFrame(
        {
            "id": ["a", "b", "c"],
            "video": ["x.mp4", "x.mp4", "sub/y.mp4"],
            "start": [0.0, 1.5, np.nan],
            "end": [1.5, 4.0, np.nan],
            "label": ["run", None, "sit"],
            "score": [0.9, 0.4, 0.6],
            "label_true": ["run", "sit", None],
        }
    )
    videos = pd.DataFrame({"video": ["x.mp4", "sub/y.mp4"], "group": ["g", None], "fps": [25, 30]})
    events = predicted_events(rows, videos, "data", ("label",))
    scores = np.array([[0.9, 0.1], [0.4, 0.6], [0.4, 0.6]], np.float32)
    spans = pd.DataFrame(
        {
            "video": ["x.mp4"] * 2,
            "start": [0.0, 1.0],
            "end": [1.0, 2.0],
            "view": 0,
            "anchored": False,
        }
    )
    return Predictions(
        events,
        {"label": scores},
        {
            "heads": {"label": {"classes": ["run", "sit"], "multi_label": False}},
            "skipped": {"z": "!"},
        },
        spans,
        {"label": np.ones((2, 2), np.float32)},
        events.rows[["id", "video", "start", "end"]].assign(label="run", status="event"),
    )


def test_round_trip(made: Predictions, tmp_path: Path):
    back = read_predictions(write_predictions(made, tmp_path / "p"))
    pd.testing.assert_frame_equal(back.events.rows, made.events.rows)
    pd.testing.assert_frame_equal(back.events.videos, made.events.videos)
    assert back.events.rows["label"].tolist() == ["run", None, "sit"]
    np.testing.assert_array_equal(back.scores["label"], made.scores["label"])
    np.testing.assert_array_equal(back.raw["label"], made.raw["label"])
    assert back.classes() == ["run", "sit"] and back.skipped == {"z": "!"}
    assert back.truth is not None and len(back.truth) == 3
    with pytest.raises(RunError, match="no head 'verb'"):
        back.classes("verb")


def test_replaced_whole_but_never_something_else(made: Predictions, tmp_path: Path):
    write_predictions(made, tmp_path / "p")
    write_predictions(made, tmp_path / "p")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "notes.txt").write_text("mine")
    with pytest.raises(RunError, match="not a predictions folder"):
        write_predictions(made, tmp_path / "other")
    broken = replace(made, scores={"label": np.array([["x"]])})
    with pytest.raises(ValueError, match="could not convert"):
        write_predictions(broken, tmp_path / "new")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["other", "p"]


def test_damage_is_named(made: Predictions, tmp_path: Path):
    with pytest.raises(RunError, match="no predictions folder"):
        read_predictions(tmp_path)
    wrong = replace(made, scores={"label": made.scores["label"][:2]})
    with pytest.raises(RunError, match=r"should be \[3, 2\], found \[2, 2\]"):
        read_predictions(write_predictions(wrong, tmp_path / "wrong"))
    path = write_predictions(made, tmp_path / "p")
    (path / "scores.safetensors").write_bytes(b"junk")
    with pytest.raises(RunError, match="damaged"):
        read_predictions(path)
    path = write_predictions(made, tmp_path / "p")
    labels = json.loads((path / "labels.json").read_text())
    (path / "labels.json").write_text(json.dumps({**labels, "format_version": 99}))
    with pytest.raises(RunError, match="format 99"):
        read_predictions(path)


def test_exports(made: Predictions, tmp_path: Path):
    events = made.events.select(mask=made.events.rows["label"].notna())
    result = json.loads(export(events, tmp_path / "r.json").read_text())
    assert result["results"]["x.mp4"] == [{"label": "run", "score": 0.9, "segment": [0.0, 1.5]}]
    assert result["results"]["sub/y.mp4"][0]["segment"] == [None, None]
    with export(events, tmp_path / "r.csv").open() as f:
        first = next(csv.DictReader(f))
    assert (first["label"], float(first["end"])) == ("run", 1.5)
    assert (tmp_path / first["video"]).resolve() == events.path("x.mp4").resolve()
    assert "label_true" not in first
    with pytest.raises(UsageError, match="no ending"):
        export(events, tmp_path / "r")


def test_json_fits_its_schema(made: Predictions, tmp_path: Path):
    path = export(made.events, tmp_path / "r.json", "json")
    found = json.loads(path.read_text())
    assert found == events_json(made.events)
    schema = events_schema()
    for event in found:
        check(event, schema["items"])
    assert "label" not in found[1] and "start" not in found[2]


def check(value: dict[str, Any], schema: dict[str, Any]) -> None:
    """The part of JSON schema that ours uses."""
    kinds = {"string": str, "number": (int, float), "integer": int, "boolean": bool}
    assert set(schema["required"]) <= set(value)
    for name, item in value.items():
        rule = schema["properties"].get(name, schema["additionalProperties"])
        if "enum" in rule:
            assert item in rule["enum"]
            continue
        names = rule["type"] if isinstance(rule["type"], list) else [rule["type"]]
        assert any(isinstance(item, kinds[n]) for n in names), (name, item)
        assert item >= rule.get("minimum", item)
