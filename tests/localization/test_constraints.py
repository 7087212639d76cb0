"""Constraints of a recipe act on predictions and evaluations, and can be changed for each."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pandas as pd
import pytest

from actionspace import api
from actionspace.cli import main
from actionspace.errors import ConfigError
from actionspace.events import io
from actionspace.localization.fit import train
from actionspace.localization.predict import predictions
from actionspace.training.predictions import read_predictions
from actionspace.training.run import Run
from tests.localization import untrimmed


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("untrimmed")
    untrimmed.make(folder, videos=6)
    return folder


@pytest.fixture(scope="module")
def run(folder: Path) -> Run:
    recipe = untrimmed.recipe(
        training={"epochs": 6},
        evaluation={"bootstrap": 0},
        constraints={"min_gap": {"dig": 2.0}, "order": {"rear": ["dig", "rear"]}},
    )
    data, features = folder / "events.csv", folder / "features"
    return train(recipe, out=folder / "run", data=data, features=features, report=False)


def gaps(rows: pd.DataFrame, label: str) -> list[float]:
    """Seconds between neighbouring events of a class."""
    found = []
    for _, mine in rows[rows["label"] == label].sort_values("start").groupby("video"):
        times = list(zip(mine["start"], mine["end"], strict=True))
        found += [b[0] - a[1] for a, b in pairwise(times)]
    return found


def test_the_recipe_s_rules_hold_in_what_is_measured(run: Run) -> None:
    rows = read_predictions(run.predictions_dir / "test").events.rows
    assert len(rows) and all(gap >= 2 for gap in gaps(rows, "dig"))
    told = run.metrics["protocol"]["constraints"]
    assert told == {"min_gap": {"dig": 2.0}, "order": {"rear": ["dig", "rear"]}}


def test_predictions_take_other_rules(run: Run, folder: Path, tmp_path: Path) -> None:
    given = {"features": folder / "features", "threshold": 0.0}
    events = io.read(folder / "events.csv").select(videos=["v04"])
    mine = predictions(run, events, **given).events  # type: ignore[arg-type]
    rules = {"min_gap": {"dig": 8.0}, "order": {}}
    other = predictions(run, events, constraints=rules, **given).events  # type: ignore[arg-type]
    assert min(gaps(mine.rows, "dig")) < 8 <= min(gaps(other.rows, "dig"), default=8)
    assert len(other.rows[other.rows["label"] == "rear"]) > len(mine.rows)
    with pytest.raises(SystemExit) as stop:
        main([
            *("predict", str(run.path), str(folder / "events.csv")),
            *("--set", f"features={folder / 'features'}", "--set", "threshold=0"),
            *("--set", "constraints.min_gap.dig=8", "--out", str(tmp_path / "out")),
        ])  # fmt: skip
    assert stop.value.code == 0
    rows = read_predictions(tmp_path / "out").events.rows
    assert all(gap >= 8 for gap in gaps(rows, "dig"))


def test_detections_are_measured_under_other_rules(run: Run) -> None:
    place = run.predictions_dir / "test"
    free = api.evaluate(place)
    strict = api.evaluate(place, constraints={"score_threshold": 1.0})
    assert free["map"] > strict["map"] == 0
    assert strict["protocol"]["constraints"] == {"score_threshold": 1.0}
    with pytest.raises(ConfigError, match="Did you mean 'dig'"):
        api.evaluate(run, constraints={"min_gap": {"digg": 1}})
    with pytest.raises(ConfigError, match="unknown class 'digs'"):
        api.evaluate(place, constraints={"min_gap": {"digs": 1}})
