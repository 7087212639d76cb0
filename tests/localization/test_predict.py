"""Prediction: what goes in, what comes out, features of other makes, videos of any length."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from actionspace import api
from actionspace.config import write_yaml
from actionspace.errors import RunError, UsageError
from actionspace.events import io
from actionspace.localization.evaluate import recipe_of
from actionspace.localization.fit import train
from actionspace.localization.predict import predict, predictions, summary
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
    recipe = untrimmed.recipe(
        training={"checkpoint": {"every_epochs": 4}},
        evaluation={"bootstrap": 0},
    )
    data, features = folder / "events.csv", folder / "features"
    return train(recipe, out=folder / "run", data=data, features=features, report=False)


def test_events_come_out(run: Run, folder: Path, tmp_path: Path) -> None:
    found = predictions(
        run, folder / "events.csv", split="test", features=folder / "features", out=tmp_path / "out"
    )
    assert len(found.events) and found.events.rows["score"].min() >= run.labels["threshold"]
    assert set(found.events.rows["label"]) <= set(untrimmed.CLASSES)
    again = read_predictions(tmp_path / "out")
    assert again.events.equals(found.events)
    text = summary(found)
    assert "v04: " in text and "events (" in text and "or more" in text
    file = tmp_path / "events.json"
    every = predict(run, folder / "events.csv", features=folder / "features", threshold=0, out=file)
    assert len(io.read(file)) == len(every) > len(found.events)


def test_the_verbs_find_the_task(run: Run, folder: Path) -> None:
    found = api.predict(run.path, folder / "events.csv", features=folder / "features", mode="auto")
    assert "Told are detections" in api.summary(found)
    assert api.evaluate(run.path, bootstrap=0)["map"] == run.metrics["map"]
    with pytest.raises(UsageError, match="Unknown option 'smooth'"):
        api.predict(run, folder / "events.csv", smooth=1.0)


def test_weights_of_an_epoch_are_evaluated_beside_the_last(run: Run) -> None:
    before = run.metrics
    found = api.evaluate(run, checkpoint="epoch_004", bootstrap=0)
    assert run.metrics == before
    assert (run.predictions_dir / "test-epoch_004" / "metrics.json").is_file()
    assert found["protocol"]["hash"] == before["protocol"]["hash"]
    with pytest.raises(UsageError, match="epoch_004"):
        api.evaluate(run, checkpoint="epoch_04")


def test_videos_longer_than_the_network_takes(run: Run, tmp_path: Path) -> None:
    """Windows give what one pass over the whole video gives, where it could be made."""
    events = untrimmed.make(tmp_path, videos=1, rows=1500, seed=5)
    features = tmp_path / "features"
    recipe = recipe_of(run)
    assert recipe.model.longest == 192
    parts = predictions(run, events, features=features, threshold=0.1, window=128, overlap=48)
    larger = run.config
    larger["model"]["buffer_factor"] = 20.0
    whole_run = tmp_path / "whole"
    whole_run.mkdir()
    for file in ("weights.safetensors", "labels.json", "environment.json"):
        (whole_run / file).write_bytes((run.path / file).read_bytes())
    write_yaml(whole_run / "config.yaml", larger)
    whole = predictions(Run(whole_run), events, features=features, threshold=0.1)
    mine, its = parts.events.rows, whole.events.rows
    assert len(its) > 100
    matched = []
    for row in its.itertuples():
        near = mine[mine["label"] == row.label]
        inside = near["end"].clip(upper=row.end) - near["start"].clip(lower=row.start)
        union = (near["end"] - near["start"]) + (row.end - row.start) - inside.clip(lower=0)
        matched.append(float((inside.clip(lower=0) / union).max()))
    assert np.mean(np.array(matched) >= 0.9) >= 0.99


def test_features_of_another_make_are_refused(run: Run, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "features").mkdir()
    for file in (folder / "features").glob("*.npy"):
        np.save(tmp_path / "features" / file.name, np.load(file)[:, :6])
    with pytest.raises(RunError) as e:
        predictions(run, folder / "events.csv", features=tmp_path / "features")
    assert "another make" in str(e.value) and "features of 8 values per row" in str(e.value)


def test_raw_video_needs_an_encoder(run: Run, folder: Path) -> None:
    with pytest.raises(UsageError) as e:
        predictions(run, folder / "events.csv")
    assert "names no encoder" in str(e.value) and "8 values per row" in str(e.value)


def test_windows_that_do_not_fit_are_named(run: Run, folder: Path) -> None:
    given = {"features": folder / "features"}
    with pytest.raises(UsageError, match="takes 1 to 192 rows"):
        predictions(run, folder / "events.csv", window=193, **given)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="smaller than a window"):
        predictions(run, folder / "events.csv", window=64, overlap=64, **given)  # type: ignore[arg-type]
