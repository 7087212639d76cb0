"""Scores that are made probabilities on the validation split, and back."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from actionspace import api
from actionspace.cli import main
from actionspace.errors import DataError, RunError, UsageError
from actionspace.events.table import Events
from actionspace.heads.calibrate import fit_platt
from actionspace.localization.calibrate import calibrate
from actionspace.localization.calibration import calibrated
from actionspace.localization.evaluate import evaluate, recipe_of, threshold_of
from actionspace.localization.fit import train
from actionspace.metrics.calibration import log_loss, reliability
from actionspace.training.predictions import read_predictions
from actionspace.training.run import Run
from tests.localization import untrimmed


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of little training, with half of its videos for validation."""
    folder = tmp_path_factory.mktemp("calibrate")
    made = untrimmed.make(folder, videos=12)
    videos = made.videos.assign(split=["train", "val", "val", "train", "val", "test"] * 2)
    Events.from_frames(made.rows, videos, folder).to_csv(folder / "events.csv")
    recipe = untrimmed.recipe(training={"evaluate_every": 9})
    train(
        recipe,
        out=folder / "run",
        data=folder / "events.csv",
        features=folder / "features",
        report=False,
    )
    return folder


@pytest.fixture
def run(trained: Path, tmp_path: Path) -> Run:
    return Run(Path(shutil.copytree(trained / "run", tmp_path / "run")))


def call(*words: str | Path) -> None:
    with pytest.raises(SystemExit) as stop:
        main([str(word) for word in words])
    assert not stop.value.code


def scores(run: Run) -> np.ndarray:
    evaluate(run, split="val", bootstrap=0)
    found = read_predictions(run.predictions_dir / "val")
    return np.asarray(found.events.rows["score"], dtype=float)


@pytest.mark.parametrize("offset", [False, True])
def test_scores_become_probabilities_and_find_what_they_found(run: Run, offset: bool) -> None:
    raw, told = scores(run), threshold_of(run, recipe_of(run))
    reached = run.metrics
    found = calibrate(run, offset=offset)
    before, after = found["before"], found["after"]
    assert found["temperature"] != 1.0 and bool(found["offset"]) == offset
    assert after["log_loss"] < before["log_loss"]
    assert found["detections"] == len(raw) and found["right"] >= 20
    threshold = threshold_of(run, recipe_of(run))
    assert threshold == found["threshold"] != told
    now = scores(run)
    assert (np.diff(now[np.argsort(raw)]) >= 0).all()
    assert (now >= threshold).sum() == (raw >= told).sum() > 0
    assert run.metrics["map"] == pytest.approx(reached["map"], abs=1e-12)
    again = calibrate(run, offset=offset)  # of the scores as trained, not once more
    assert again["temperature"] == pytest.approx(found["temperature"])

    page = run.report_path.read_text()
    assert "Calibration</h2>" in page and f"{before['ece']:.3f} and is {after['ece']:.3f}" in page
    assert calibrate(run, remove=True)["threshold"] == told
    assert not (run.path / "calibration.json").exists()
    np.testing.assert_array_equal(scores(run), raw)
    assert "Calibration</h2>" not in run.report_path.read_text()


def test_from_the_command_line(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    call("calibrate", run.path)
    said = capsys.readouterr().out
    assert "calibration error" in said and "Temperature" in said and "report.html" in said
    call("calibrate", run.path, "--json")
    found = json.loads(capsys.readouterr().out)
    rows = found["after"]["bins"]
    total = sum(row["count"] for row in rows)
    assert total == found["detections"]
    gaps = sum(row["count"] * abs(row["right"] - row["score"]) for row in rows)
    assert gaps / total == pytest.approx(found["after"]["ece"])
    call("calibrate", run.path, "--remove")


def test_without_validation_videos_nothing_is_fitted(
    trained: Path, run: Run, tmp_path: Path
) -> None:
    from actionspace.events import io

    made = io.read(trained / "events.csv")
    for splits, words in (("test", "there is: test"), (None, "there is: none")):
        table = made.videos.assign(split=splits)
        other = Events.from_frames(made.rows, table, trained)
        with pytest.raises(DataError, match=f"no validation split .{words}"):
            calibrate(run, other)
    few = made.videos.assign(split=["val", *["train"] * 11])
    with pytest.raises(DataError, match="at least 20 of both"):
        calibrate(run, Events.from_frames(made.rows, few, trained), features=trained / "features")
    assert not (run.path / "calibration.json").exists()


def test_a_damaged_file_is_named(run: Run) -> None:
    (run.path / "calibration.json").write_text('{"temperature": 0}')
    with pytest.raises(RunError, match=r"calibration\.json is damaged"):
        evaluate(run)


def test_recognition_is_calibrated_while_it_is_trained(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("task: recognition\n")
    with pytest.raises(UsageError, match=r"head\.calibrate"):
        api.calibrate(tmp_path)


def test_reliability() -> None:
    """Of two detections that score .7 one is right, both that score .2 are wrong."""
    found = reliability([0.7, 0.7, 0.2, 0.2], [1, 0, 0, 0], bins=10)
    assert found.ece == pytest.approx((0.4 + 0.4) / 4)
    assert [row["count"] for row in found.rows()] == [2, 2]
    assert found.rows()[1]["right"] == 0.5
    assert np.isnan(reliability([], []).ece)
    assert reliability([0.0, 1.0], [0, 1]).ece == 0
    assert log_loss([0.5, 0.5], [1, 0]) == pytest.approx(np.log(2))


def test_what_made_scores_wrong_is_found() -> None:
    random = np.random.default_rng(0)
    logits = random.normal(0, 2, 4000)
    right = random.uniform(size=4000) < calibrated(1 / (1 + np.exp(-logits)), 0.5, -1.0)
    temperature, offset = fit_platt(logits, right)
    assert temperature == pytest.approx(0.5, rel=0.1) and offset == pytest.approx(-1, abs=0.15)
    scores = np.linspace(0, 1, 9)
    assert calibrated(scores, 1.0, 0.0) is scores
    assert calibrated([0.5], 3.0, 0.0) == 0.5
