"""A protocol's hash: the same where figures compare, another where they do not."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from actionspace.metrics.protocol import Protocol

BASE = Protocol(
    "recognition",
    videos=("a.mp4", "b.mp4"),
    classes=("rest", "walk"),
    thresholds=(0.5,),
    truth=(["a.mp4", None, None, "rest"], ["b.mp4", 0.0, 1.5, "walk"]),
    rules={"split": "test"},
)


def test_order_of_videos_and_rows_does_not_matter() -> None:
    other = replace(BASE, videos=BASE.videos[::-1], truth=BASE.truth[::-1])
    assert other.hash == BASE.hash


@pytest.mark.parametrize(
    "change",
    [
        {"name": "framewise"},
        {"videos": ("a.mp4",)},
        {"classes": ("walk", "rest")},
        {"thresholds": (0.25,)},
        {"truth": (["a.mp4", None, None, "walk"], BASE.truth[1])},
        {"rules": {"split": "val"}},
    ],
)
def test_any_difference_shows(change: dict[str, object]) -> None:
    assert replace(BASE, **change).hash != BASE.hash  # type: ignore[arg-type]


def test_what_metrics_json_says() -> None:
    entry = BASE.as_dict()
    assert (entry["videos"], entry["rows"], entry["classes"]) == (2, 2, ["rest", "walk"])
    assert entry["hash"] == BASE.hash
    assert json.loads(json.dumps(entry)) == entry
