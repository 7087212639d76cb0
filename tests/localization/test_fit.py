"""Training end to end: what a run holds, evaluation again, resuming, and bad input."""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from actionspace.errors import DataError, Interrupted, RunError, StoreError, UsageError
from actionspace.events.table import Events
from actionspace.localization.evaluate import evaluate
from actionspace.localization.fit import train
from actionspace.training.predictions import read_predictions
from actionspace.training.run import Run
from tests.localization import untrimmed


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("untrimmed")
    untrimmed.make(folder)
    return folder


@pytest.fixture(scope="module")
def run(folder: Path) -> Run:
    data, features = folder / "events.csv", folder / "features"
    return train(untrimmed.recipe(), out=folder / "run", data=data, features=features)


def test_it_learns(run: Run) -> None:
    assert run.metrics["map@0.50"] > 0.7
    assert run.metrics["recall5x@0.50"] > 0.8
    assert run.metrics["protocol"]["videos"] == 4
    assert run.metrics["protocol"]["classes"] == ["dig", "rear"]
    low, high = run.metrics["map_ci"]
    assert low <= run.metrics["map"] <= high


def test_a_run_holds_what_is_needed_to_use_it(run: Run, folder: Path) -> None:
    assert run.finished
    labels = run.labels
    assert labels["task"] == "localization"
    assert labels["heads"]["label"]["classes"] == ["dig", "rear"]
    assert labels["encoder"]["dim"] == untrimmed.DIM
    assert labels["encoder"]["fingerprint"]["stride"] == untrimmed.STRIDE
    assert 0 < labels["threshold"] < 1
    assert run.config["features"] == str(folder / "features")
    assert "module." not in "".join(run.weights())
    assert "backbone.embd.0.conv.weight" in run.weights()
    assert run.environment["trainable_parameters"] > 1000
    found = read_predictions(run.predictions_dir / "test")
    assert found.labels["split"] == "test" and found.truth is not None


def test_the_report_shows_measures_timelines_and_errors(run: Run) -> None:
    page = run.report_path.read_text()
    for text in ("Mean average precision", "mAP at overlap 0.50", "Detections by kind"):
        assert text in page
    assert "Which classes are found" in page and "Timeline of v04" in page


def test_evaluating_again_gives_the_same_numbers(run: Run) -> None:
    before = run.metrics
    again = evaluate(run)
    assert again == json.loads(json.dumps(again))
    assert again["map"] == before["map"] == evaluate(run.predictions_dir / "test")["map"]
    assert again["protocol"]["hash"] == before["protocol"]["hash"]


def test_a_published_protocol_and_other_splits(run: Run, folder: Path, tmp_path: Path) -> None:
    found = evaluate(run.predictions_dir / "test", protocol="activitynet13", bootstrap=0)
    assert len(found["protocol"]["thresholds"]) == 10 and "map_ci" not in found
    with pytest.raises(UsageError, match="thumos14"):
        evaluate(run.predictions_dir / "test", protocol="thumos")


def test_anybodys_detections_are_measured(run: Run, folder: Path, tmp_path: Path) -> None:
    rows = read_predictions(run.predictions_dir / "test").events.rows
    columns = {"video-id": "video", "t-start": "start", "t-end": "end", "label": "label"}
    theirs = {name: rows[ours].tolist() for name, ours in columns.items()}
    file = tmp_path / "eval_results.json"
    file.write_text(json.dumps(theirs | {"score": rows["score"].tolist()}))
    found = evaluate(file, folder / "events.csv", split="test", bootstrap=0)
    assert found["map"] == pytest.approx(run.metrics["map"], abs=1e-9)
    numbers = theirs | {"label": [untrimmed.CLASSES.index(n) for n in theirs["label"]]}
    file.write_text(json.dumps(numbers | {"score": rows["score"].tolist()}))
    again = evaluate(file, folder / "events.csv", split="test", bootstrap=0)
    assert again["map"] == found["map"]
    with pytest.raises(UsageError, match="data=MANIFEST"):
        evaluate(file)


def test_an_interrupted_training_goes_on_as_if_nothing_happened(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = untrimmed.recipe(
        training={"epochs": 4, "evaluate_every": 2, "checkpoint": {"minutes": 0}}
    )
    given: dict[str, Any] = {"data": folder / "events.csv", "features": folder / "features"}
    whole = train(recipe, out=tmp_path / "whole", report=False, **given)

    from actionspace.training import loop

    stop = loop._Loop._tell
    steps = []

    def stopping(self: Any, *args: Any) -> None:
        stop(self, *args)
        steps.append(1)
        if len(steps) == 5:
            self._stop()

    monkeypatch.setattr(loop._Loop, "_tell", stopping)
    with pytest.raises(Interrupted):
        train(recipe, out=tmp_path / "part", report=False, **given)
    monkeypatch.setattr(loop._Loop, "_tell", stop)
    loss = recipe.loss.model_copy(update={"center_radius": 9})
    other = recipe.model_copy(update={"loss": loss})
    with pytest.raises(RunError, match="center_radius"):
        train(other, out=tmp_path / "part", resume=True, report=False, **given)
    again = train(recipe, out=tmp_path / "part", resume=True, report=False, **given)
    for name, value in whole.weights().items():
        np.testing.assert_array_equal(value, again.weights()[name])
    assert whole.metrics["map"] == again.metrics["map"]


def fit(tmp_path: Path, events: Events, **changes: Any) -> Run:
    recipe = untrimmed.recipe(training={"epochs": 1}, **changes)
    features = Path(str(events.root)) / "features"
    return train(recipe, out=tmp_path / "run", data=events, features=features, report=False)


def test_wrong_stride_or_fps_stops_before_training(folder: Path, tmp_path: Path) -> None:
    events = untrimmed.make(tmp_path, videos=6)
    with pytest.raises(DataError, match="stride or fps are wrong"):
        fit(tmp_path, events, files={"stride": 4})


def test_nan_features_are_left_out_and_named(tmp_path: Path) -> None:
    events = untrimmed.make(tmp_path, videos=8)
    np.save(tmp_path / "features" / "v01.npy", np.full((70, untrimmed.DIM), np.nan, np.float32))
    run = fit(tmp_path, events)
    assert "v01" in str(run.environment["skipped"])
    with pytest.raises(DataError, match="v01"):
        train(
            untrimmed.recipe(training={"epochs": 1, "policy": "raise"}),
            out=tmp_path / "strict",
            data=events,
            features=tmp_path / "features",
        )


def test_missing_features_are_named(tmp_path: Path) -> None:
    events = untrimmed.make(tmp_path, videos=6)
    (tmp_path / "features" / "v02.npy").unlink()
    with pytest.raises(StoreError, match="v02"):
        fit(tmp_path, events)


def test_features_of_another_width_are_named(tmp_path: Path) -> None:
    events = untrimmed.make(tmp_path, videos=6)
    np.save(tmp_path / "features" / "v01.npy", np.zeros((70, 5), np.float32))
    run = fit(tmp_path, events)
    assert "5 numbers in a row" in run.environment["skipped"]["v01"]


def changed(events: Events, **columns: Any) -> Events:
    rows = events.rows.copy()
    for name, value in columns.items():
        rows.loc[rows.index[0], name] = value
    return replace(events, rows=rows)


def test_an_event_that_ends_before_it_starts_is_named(tmp_path: Path) -> None:
    events = changed(untrimmed.make(tmp_path, videos=6), end=0.1)
    with pytest.raises(DataError, match="ends before it starts"):
        fit(tmp_path, events)


def test_odd_events_are_said_and_training_goes_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    events = untrimmed.make(tmp_path, videos=8)
    first = events.rows.iloc[0]
    events = changed(events, end=float(first["start"]))  # no extent
    late = events.rows.copy()
    late.loc[late.index[1], "end"] = 1000.0
    test = late["video"] == "v04"
    late.loc[late.index[test][0], "label"] = "unseen"
    late = late[late["video"] != "v02"]  # a video without events
    with caplog.at_level(logging.WARNING, logger="actionspace"):
        run = fit(tmp_path, replace(events, rows=late.reset_index(drop=True)))
    notes = " ".join(run.environment["notes"])
    assert "No training event of: unseen" in notes
    assert "or end after their video: 1" in notes
    assert "Classes without a training event: unseen" in notes
    assert "without extent" in caplog.text
    assert "unseen" in run.metrics["protocol"]["classes"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"split": "test"}, "No video of the manifest has the split 'train'"),
        ({"events": "none"}, "no events with a label"),
        ({"events": "clips"}, "labels of whole clips"),
        ({"events": "elsewhere"}, "nothing to learn"),
    ],
)
def test_nothing_to_learn_is_said(tmp_path: Path, change: dict[str, str], message: str) -> None:
    events = untrimmed.make(tmp_path, videos=6)
    rows, videos = events.rows, events.videos
    if "split" in change:
        videos = videos.assign(split="test")
    elif change["events"] == "none":
        rows = rows.iloc[:0]
    elif change["events"] == "clips":
        rows = rows.assign(start=np.nan, end=np.nan)
    else:
        rows = rows[rows["video"] == "v05"].reset_index(drop=True)
    with pytest.raises(DataError, match=message):
        fit(tmp_path, replace(events, rows=rows, videos=videos))
    assert not (tmp_path / "run").exists()


def test_folds_and_missing_data_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="data=MANIFEST"):
        train(untrimmed.recipe(), out=tmp_path / "run")
    with pytest.raises(UsageError, match="no folds"):
        train(untrimmed.recipe(), out=tmp_path / "run", data=tmp_path, folds=3)


def test_a_recipe_without_features_or_encoder_says_so(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="names no encoder"):
        train(untrimmed.recipe(), out=tmp_path / "run", data=folder / "events.csv")


def test_lengths_are_chosen_and_kept(tmp_path: Path) -> None:
    events = untrimmed.make(tmp_path, videos=6, splits=False)
    run = fit(tmp_path, events, auto={"lengths": True})
    model = run.config["model"]
    assert model["max_length"] >= 80 and model["max_length"] % 16 == 0
    assert any("Regression ranges" in note for note in run.environment["notes"])
    assert any("made by group" in note for note in run.environment["notes"])
    assert evaluate(run.path, events, features=tmp_path / "features")["map"] == run.metrics["map"]


def test_one_class_takes_every_label(tmp_path: Path) -> None:
    events = untrimmed.make(tmp_path, videos=6)
    run = fit(tmp_path, events, classes=["action"])
    assert run.metrics["protocol"]["classes"] == ["action"]
    assert set(read_predictions(run.predictions_dir / "test").events.rows["label"]) == {"action"}
    again = evaluate(run.predictions_dir / "test", events, bootstrap=0)
    assert again["map"] == run.metrics["map"]


def test_proposals_are_evaluated_with_the_classes_of_their_videos(tmp_path: Path) -> None:
    events = untrimmed.make(tmp_path, videos=6)
    scores = {f"v{k:02d}": [0.9, 0.6] for k in range(6)}
    (tmp_path / "classes.json").write_text(json.dumps({"results": scores}))
    suppression = {"class_scores": str(tmp_path / "classes.json"), "class_scores_segments": 20}
    run = fit(tmp_path, events, classes=["action"], suppression=suppression)
    found = read_predictions(run.predictions_dir / "test")
    assert found.classes() == list(untrimmed.CLASSES)
    assert found.events.rows["label"].value_counts().to_dict() == {"dig": 40, "rear": 40}
    assert run.metrics["protocol"]["classes"] == list(untrimmed.CLASSES)
    again = evaluate(run.predictions_dir / "test", events, bootstrap=0)
    assert again["map"] == run.metrics["map"]
