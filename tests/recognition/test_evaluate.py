"""Evaluation: the same numbers whichever way they are asked for, and ethograms frame by frame."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from actionspace.errors import DataError, RunError
from actionspace.events.table import Events
from actionspace.recognition.evaluate import evaluate
from actionspace.recognition.measure import frame_pairs, measure
from actionspace.recognition.predict import predictions
from actionspace.training.predictions import read_predictions, write_predictions
from actionspace.training.run import Run


@pytest.mark.parametrize("kind", ["clips", "long"])
def test_predict_then_evaluate_equals_evaluate_run(
    kind: str, run: Run, long_run: Run, work: Path, tmp_path: Path
):
    trained = run if kind == "clips" else long_run
    source = work / kind / ("clips.csv" if kind == "clips" else "events.csv")
    whole = evaluate(trained, split="test")
    predictions(trained, source, split="test", out=tmp_path / "p")
    again = evaluate(tmp_path / "p")
    assert again == whole
    assert json.loads((tmp_path / "p" / "metrics.json").read_text()) == json.loads(
        (trained.path / "metrics.json").read_text()
    )
    assert evaluate(tmp_path / "p", source) == whole
    rescored = evaluate(tmp_path / "p", average="score")
    assert rescored["protocol"]["hash"] != whole["protocol"]["hash"]
    assert rescored["ece"] != whole["ece"]


def test_training_reports_what_evaluating_finds(run: Run, long_run: Run):
    for trained in (run, long_run):
        told = trained.metrics
        assert json.loads(json.dumps(evaluate(trained))) == told


def test_a_copied_run_evaluates_and_predicts(run: Run, work: Path, tmp_path: Path):
    shutil.copytree(run.path, tmp_path / "elsewhere")
    before = evaluate(run, bootstrap=0)
    after = evaluate(tmp_path / "elsewhere", work / "clips" / "clips.csv", bootstrap=0)
    assert after == before
    found = predictions(tmp_path / "elsewhere", work / "clips" / "left")
    assert set(found.events.rows["label"]) == {"left"}


def test_other_weights_are_refused(run: Run, work: Path, tmp_path: Path):
    shutil.copytree(run.path, tmp_path / "run")
    labels = json.loads((tmp_path / "run" / "labels.json").read_text())
    labels["encoder"]["weights_hash"] = "0" * 64
    (tmp_path / "run" / "labels.json").write_text(json.dumps(labels))
    with pytest.raises(RunError, match="was trained with 000"):
        predictions(tmp_path / "run", work / "clips" / "left")
    config = (tmp_path / "run" / "config.yaml").read_text()
    (tmp_path / "run" / "config.yaml").write_text(
        config.replace("weights: null", "weights: old/machine.pth")
    )
    with pytest.raises(RunError, match="not here"):
        predictions(tmp_path / "run", work / "clips" / "left")


def test_an_ethogram_is_compared_frame_by_frame(long_run: Run):
    metrics = long_run.metrics
    assert metrics["frame_accuracy"] > 0.9 and metrics["cohen_kappa"] > 0.85
    assert metrics["segmental_f1@0.50"] == 1.0 and metrics["edit_score"] == 100.0
    assert metrics["protocol"]["rules"]["background"] == "trained"
    assert metrics["protocol"]["untrimmed_videos"] == 1
    assert metrics["protocol"]["classes"] == ["left", "right"]  # background is no event's label
    for line in metrics["time_budget"]:
        assert line["predicted_seconds"] == pytest.approx(line["true_seconds"], abs=0.4)
        assert line["predicted_bouts"] == line["true_bouts"]


def test_only_annotated_time_counts(long_run: Run):
    """Spans that were not annotated, and events to ignore, are left out of the comparison."""
    found = read_predictions(long_run.predictions_dir / "test")
    all_frames = frame_pairs(found, _truth(found), "label").masks[0]
    assert all_frames.all()
    videos = found.events.videos.assign(labelled="1-2;4-5")
    marked = replace(_truth(found), videos=videos)
    mask = frame_pairs(found, marked, "label").masks[0]
    assert mask.sum() == pytest.approx(2 * 25, abs=2)
    rows = _truth(found).rows.copy()
    rows.loc[0, "status"] = "ignore"
    ignored = replace(_truth(found), rows=rows)
    mask = frame_pairs(found, ignored, "label").masks[0]
    length = rows.loc[0, "end"] - rows.loc[0, "start"]
    assert (~mask).sum() == pytest.approx(25 * length, abs=1)


def test_intervals_come_from_several_videos(long_run: Run, work: Path):
    found = predictions(long_run, work / "long" / "events.csv")
    metrics = measure(found, bootstrap=20)
    for name in ("top1_accuracy", "frame_accuracy", "segmental_f1@0.10"):
        low, high = metrics[f"{name}_ci"]
        assert low <= metrics[name] <= high
    assert measure(found, bootstrap=20) == metrics
    assert not any(name.endswith("_ci") for name in measure(found, bootstrap=0))


def test_a_corrected_truth_changes_the_figures(run: Run, work: Path, clips: Events):
    found = predictions(run, work / "clips" / "clips.csv")
    wrong = replace(clips, rows=clips.rows.assign(label="still"))
    metrics = measure(found, wrong, bootstrap=0)
    assert metrics["top1_accuracy"] == pytest.approx(1 / 3)
    assert metrics["mean_class_accuracy"] == pytest.approx(1 / 9)  # two classes never true


def test_truth_that_does_not_fit(run: Run, work: Path, clips: Events, tmp_path: Path):
    found = predictions(run, work / "clips" / "still", out=tmp_path / "p")
    assert found.truth is None
    with pytest.raises(DataError, match="without annotations; give the truth"):
        evaluate(tmp_path / "p")
    with pytest.raises(DataError, match="18 videos of the truth were not predicted"):
        evaluate(tmp_path / "p", clips)
    found = predictions(run, clips)
    odd = replace(clips, rows=clips.rows.assign(label=["jump", *clips.rows["label"][1:]]))
    with pytest.raises(DataError, match="does not know: jump"):
        measure(found, odd)
    with pytest.raises(DataError, match="No video has the split 'holdout'"):
        evaluate(run, split="holdout")
    with pytest.raises(RunError, match="no run"):
        evaluate(tmp_path)


def test_predictions_without_raw_scores_are_matched_by_id(run: Run, clips: Events, tmp_path: Path):
    """A folder of another program's scores has one row per event and nothing below it."""
    found = predictions(run, clips)
    bare = replace(found, raw={}, rows=pd.DataFrame())
    shuffled = np.random.default_rng(0).permutation(len(bare.events))
    rows = bare.events.rows.iloc[shuffled].reset_index(drop=True)
    bare = replace(
        bare,
        events=replace(bare.events, rows=rows),
        scores={"label": bare.scores["label"][shuffled]},
    )
    write_predictions(bare, tmp_path / "p")
    metrics = evaluate(tmp_path / "p", clips, bootstrap=0)
    whole = measure(found, bootstrap=0)
    assert metrics["top1_accuracy"] == whole["top1_accuracy"]
    assert metrics["ece"] == pytest.approx(whole["ece"], abs=1e-6)


def _truth(found) -> Events:
    return Events.from_frames(found.truth, found.events.videos, found.events.root)
