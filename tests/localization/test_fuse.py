"""Detections of several runs become one folder that is measured like any other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from actionspace import api
from actionspace.cli import main
from actionspace.config import write_yaml
from actionspace.errors import DataError, RunError, UsageError
from actionspace.events.table import Events
from actionspace.localization.fuse import fuse
from actionspace.training.predictions import (
    ROW_COLUMNS,
    Predictions,
    predicted_events,
    read_predictions,
    write_predictions,
)

Row = tuple[str, float, float, str, float]
TRUTH = (("v", 2.0, 6.0, "dig"), ("v", 10.0, 15.0, "rear"), ("w", 1.0, 4.0, "dig"))
LEFT: list[Row] = [("v", 1.0, 6.0, "dig", 0.8), ("v", 10.0, 14.0, "rear", 0.6)]
RIGHT: list[Row] = [
    ("v", 3.0, 6.0, "dig", 0.4), ("w", 1.0, 4.0, "dig", 0.9), ("v", 17.0, 18.0, "rear", 0.7),
]  # fmt: skip


def folder(
    path: Path,
    rows: list[Row],
    classes: tuple[str, ...] = ("dig", "rear"),
    videos: tuple[str, ...] = ("v", "w"),
    column: str = "label",
    **about: Any,
) -> Path:
    """Write a folder of detections."""
    columns = ["video", "start", "end", column, "score"]
    frame = pd.DataFrame(rows, columns=columns).assign(id=[f"d{i}" for i in range(len(rows))])
    table = pd.DataFrame({"video": list(videos), "duration": 20.0})
    truth = Events.from_frames(pd.DataFrame(TRUTH, columns=columns[:4]), heads=(column,)).rows
    found = Predictions(
        events=predicted_events(frame, table, path, (column,)),
        scores={column: frame["score"].to_numpy(np.float32)},
        labels={
            "task": "localization",
            "heads": {column: {"classes": list(classes), "multi_label": True}},
            "untrimmed": list(videos),
            "threshold": 0.3,
            "split": "test",
            "encoder": {"name": path.name},
            "evaluation": {"bootstrap": 0},
            **about,
        },
        rows=pd.DataFrame(columns=list(ROW_COLUMNS)),
        truth=truth[truth["video"].isin(videos)],
    )
    return write_predictions(found, path)


def rows(found: Predictions) -> list[tuple[Any, ...]]:
    table = found.events.rows.round(4)
    return list(table[["video", "start", "end", "label", "score"]].itertuples(index=False))


def test_segments_that_agree_are_averaged(tmp_path: Path) -> None:
    left, right = folder(tmp_path / "a", LEFT), folder(tmp_path / "b", RIGHT)
    found = fuse([left, right], tmp_path / "out")
    assert rows(found) == [
        ("v", 1.6667, 6.0, "dig", 0.6),
        ("v", 17.0, 18.0, "rear", 0.35),
        ("v", 10.0, 14.0, "rear", 0.3),
        ("w", 1.0, 4.0, "dig", 0.45),
    ]
    again = read_predictions(tmp_path / "out")
    assert again.labels["fused"]["weights"] == [0.5, 0.5] and again.labels["threshold"] == 0.3
    metrics = api.evaluate(tmp_path / "out")
    assert metrics["map@0.50"] == pytest.approx(0.75)  # one false rear before the true one
    assert (tmp_path / "out" / "metrics.json").is_file()
    assert api.summary(again).startswith("v: 3 events (1 x dig, 2 x rear)")


def test_weights_pool_and_suppression(tmp_path: Path) -> None:
    paths = [folder(tmp_path / "a", LEFT), folder(tmp_path / "b", RIGHT)]
    heavy = fuse(paths, weights=[3, 1])
    assert rows(heavy)[0] == ("v", round(1 + 2 * 0.1 / 0.7, 4), 6.0, "dig", 0.7)
    soft = fuse(paths, method="soft", sigma=0.5, weights=[2, 1])
    told = {(r[0], r[1], r[3]): r[4] for r in rows(soft)}
    assert told["v", 1.0, "dig"] == 0.8 and told["w", 1.0, "dig"] == 0.45
    assert told["v", 3.0, "dig"] == pytest.approx(0.2 * np.exp(-(0.6**2) / 0.5), abs=1e-4)
    hard = fuse(paths, method="hard", iou_threshold=0.5)
    assert [r[:2] for r in rows(hard) if r[3] == "dig"] == [("v", 1.0), ("w", 1.0)]
    assert len(fuse(paths, max_segments=1).events) == 2
    assert len(fuse(paths, min_score=0.4).events) == 2


def test_runs_and_videos_of_one_model_only(tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    write_yaml(run / "config.yaml", {"task": "localization"})
    with pytest.raises(RunError, match=r"actionspace evaluate .*--split val"):
        fuse([run, run], split="val")
    folder(run / "predictions" / "test", LEFT, videos=("v",))
    other = folder(tmp_path / "b", RIGHT)
    found = fuse([run, other])
    assert found.labels["fused"]["missing"] == {str(run): ["w"]}
    assert set(found.events.rows["video"]) == {"v", "w"}
    assert found.truth is not None and len(found.truth) == 3


def test_moments_agree_within_half_a_second(tmp_path: Path) -> None:
    first = folder(tmp_path / "a", [("v", 3.0, 3.0, "dig", 0.5)], points="center")
    second = folder(tmp_path / "b", [("v", 3.2, 3.2, "dig", 0.5)], points="center")
    assert rows(fuse([first, second])) == [("v", 3.1, 3.1, "dig", 0.5)]
    assert len(fuse([first, second], radius=0.05).events) == 2
    assert len(fuse([first, second], method="hard").events) == 1


def test_the_verb_finds_localization(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    left, right = folder(tmp_path / "a", LEFT), folder(tmp_path / "b", RIGHT)
    out = tmp_path / "out"
    with pytest.raises(SystemExit) as stop:
        main(["fuse", str(left), str(right), "--weights", "3:1", "--out", str(out)])
    assert stop.value.code == 0 and f"0.750  {left}" in capsys.readouterr().out
    assert read_predictions(out).labels["fused"]["method"] == "average"


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"method": "avrage"}, "Did you mean 'average'"),
        ({"average": "score"}, "take weights=2:1"),
        ({"weights": [1, 2, 3]}, "2 numbers are needed"),
        ({"weights": [0, 0]}, "not all 0"),
        ({"smooth": 2}, "Unknown option 'smooth'"),
    ],
)
def test_wrong_options_are_named(tmp_path: Path, options: dict[str, Any], text: str) -> None:
    paths = [folder(tmp_path / "a", LEFT), folder(tmp_path / "b", RIGHT)]
    with pytest.raises(UsageError, match=text):
        api.fuse(paths, None, **options)


def test_what_does_not_go_together_is_named(tmp_path: Path) -> None:
    left = folder(tmp_path / "a", LEFT)
    with pytest.raises(UsageError, match="nothing to fuse"):
        fuse([left])
    verbs = folder(tmp_path / "verbs", [], column="verb")
    with pytest.raises(DataError, match="tells of 'verb'"):
        fuse([left, verbs])
    elsewhere = folder(tmp_path / "else", [], videos=("x",))
    with pytest.raises(DataError, match="no video in common"):
        fuse([left, elsewhere])
    more = folder(tmp_path / "more", [("v", 0.0, 1.0, "groom", 0.9)], classes=("groom",))
    assert fuse([left, more]).classes() == ["dig", "rear", "groom"]
