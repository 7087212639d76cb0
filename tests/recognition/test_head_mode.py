"""Training the head in the loop: on clips, on stored views, and both alike."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import load_file

from actionspace.encoders.create import create_encoder
from actionspace.errors import DataError, Interrupted, RunError, UsageError
from actionspace.events.table import Events
from actionspace.features.extract import extract
from actionspace.heads.linear import LinearHead
from actionspace.paths import sha256_json
from actionspace.recipes.loader import load_recipe
from actionspace.recognition import head_task
from actionspace.recognition.fit import train
from actionspace.recognition.head_training import Trained
from actionspace.recognition.rows import Rows
from actionspace.training.predictions import read_predictions
from actionspace.training.run import Run
from tests.conftest import golden_dirs
from tests.recognition import tiny
from tests.recognition.conftest import recipe

QUICK = (
    "mode=head",
    "clips.rows=events",
    "head.dropout=0",
    "training.epochs=20",
    "training.batch_size=6",
    "training.optimizer={lr: 0.1, weight_decay: 0}",
    "training.evaluate_every=10",
    "training.tensorboard=false",
)
RANDOM = "clips.train={augment: 4, geometry: center, short_side: 40}"


def head(*overrides: str) -> Any:
    return recipe(*QUICK, *overrides)


def weights(run: Run) -> np.ndarray:
    arrays = run.weights()
    return np.concatenate([arrays["label.weight"], arrays["label.bias"][:, None]], axis=1)


@pytest.mark.parametrize("inputs", ["clips", "features"])
def test_it_learns(split: Events, tmp_path: Path, inputs: str):
    run = train(head(f"inputs={inputs}"), data=split, out=tmp_path / "run", report=False)
    assert run.metrics["top1_accuracy"] == run.metrics["protocol"]["rows"] / 3 == 1.0
    assert run.finished and not run.resumable
    environment = run.environment
    assert environment["trainable_parameters"] == 3 * tiny.Motion.dim + 3
    assert environment["total_parameters"] == environment["trainable_parameters"] + 1
    assert (environment["steps"], environment["epochs"], environment["sessions"]) == (40, 20, 1)
    assert environment["skipped"] == {}
    assert any("steps per epoch" in note for note in environment["training_notes"])
    rows = pd.read_csv(run.path / "metrics.csv")
    assert rows["train/loss"].dropna().iloc[-1] < rows["train/loss"].iloc[0]
    judged = rows[rows["val/loss"].notna()]
    assert list(judged["step"]) == [20, 40] and judged["val/top1_accuracy"].iloc[-1] == 1.0
    assert {"val/top5_accuracy", "val/mean_class_accuracy", "train/top1_accuracy"} <= set(rows)


@pytest.mark.parametrize(("average", "right"), [("prob", [True, True]), ("score", [True, False])])
def test_validation_averages_the_views_of_each_event(average: Any, right: list[bool]):
    """Of the second event two views say 'b' mildly, and the third one 'a' loudly."""
    logits = np.array([[3, 0], [2, 0], [9, 0], [0, 2], [0, 2]], np.float32)
    event, targets = np.array([1, 1, 4, 4, 4]), np.array([0, 0, 1, 1, 1])
    weight = np.array([1 / 2, 1 / 2, 1 / 3, 1 / 3, 1 / 3])
    none: Any = None
    rows = Rows(none, targets, weight, event, none, none, {}, {})
    validation = head_task.Validation(none, rows, ["a", "b"], average)
    order = np.array([3, 1, 4, 0, 2])  # whatever order they come in
    found = validation.judge(order, logits[order])
    assert found.metrics["top1_accuracy"] == np.mean(right)
    losses = np.log1p(np.exp(logits[np.arange(5), 1 - targets] - logits[np.arange(5), targets]))
    expected = (losses[:2].mean() + losses[2:].mean()) / 2
    assert found.metrics["loss"] == pytest.approx(expected, rel=1e-6)
    assert found.metrics["top5_accuracy"] == 1
    assert found.images["confusion"]().dtype == np.uint8


def test_every_view_of_every_validation_event_is_judged(split: Events, tmp_path: Path):
    seen: list[np.ndarray] = []

    class Spy(head_task.Validation):
        def judge(self, numbers: np.ndarray, logits: np.ndarray) -> Any:
            seen.append(numbers)
            assert logits.shape == (18, 3)
            return super().judge(numbers, logits)

    views = "clips.val={geometry: three, clips: 2, short_side: 32}"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("actionspace.recognition.head_training.Validation", Spy)
        train(head(views, "training.epochs=1"), data=split, out=tmp_path / "run", report=False)
    assert [list(numbers) for numbers in seen] == [list(range(3 * 6))]


@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-5), ("float16", 2e-3)])
def test_stored_views_teach_what_clips_teach(
    split: Events, tmp_path: Path, dtype: str, tolerance: float
):
    """Also where clips.train.augment is smaller: clips are always seen in new views."""
    same = (f"clips.dtype={dtype}", "training.epochs=4", "head.dropout=0.3")
    runs = [
        train(head(*same, *others), data=split, out=tmp_path / str(i), report=False)
        for i, others in enumerate(
            [
                (RANDOM, "inputs=features"),
                (RANDOM, "inputs=clips"),
                (RANDOM, "inputs=clips", "clips.train.augment=1"),
                (RANDOM, "inputs=features", "clips.train.augment=1"),
                (RANDOM, "inputs=features", "clips.seed=1"),
            ]
        )
    ]
    stored, *others = [weights(run) for run in runs]
    apart = [np.abs(other - stored).max() / np.abs(stored).max() for other in others]
    assert max(apart[:2]) < tolerance and min(apart[2:]) > 10 * tolerance


@pytest.mark.parametrize("inputs", ["clips", "features"])
def test_learning_rates_are_the_originals(split: Events, tmp_path: Path, inputs: str):
    paths = [d / "uas" / "lr_schedule.json" for d in golden_dirs()]
    path = next((p for p in paths if p.is_file()), None)
    if path is None:
        pytest.skip("the golden schedule is not here")
    case = json.loads(path.read_text())["cases"][0]
    assert (case["iters_per_epoch"], case["epochs"]) == (10, 30)
    names = ["train"] * 10 + ["val"] * 4 + ["test"] * 4
    videos = split.videos.assign(split=np.array(names, dtype=object))
    config = load_recipe(
        "mammalnet_k400_linear_probe",
        [
            *("mode=head", f"inputs={inputs}", "device=cpu", f"encoder={tiny.ENCODER}"),
            *("training.batch_size=1", "training.log_every=1", "training.tensorboard=false"),
            *("clips.train.augment=2", "evaluation.bootstrap=0"),
            *(f"clips.{part}.frames=4" for part in ("train", "val", "test")),
            *(f"clips.{part}.size=32" for part in ("train", "val", "test")),
            *(f"clips.{part}.short_side=32" for part in ("train", "val", "test")),
        ],
    )
    data = replace(split, videos=videos)
    run = train(config, data=data, out=tmp_path / "run", report=False)
    rows = pd.read_csv(run.path / "metrics.csv")
    rates = rows["lr"].dropna().to_numpy()
    assert len(rates) == 300
    at = [10 * epoch + step for epoch, step, *_ in case["values"]]
    np.testing.assert_allclose(rates[at], [row[2] for row in case["values"]], rtol=1e-9)
    assert list(rows["epoch"][rows["val/loss"].notna()]) == [5, 10, 15, 20, 25, 30]


class Stop:
    """Sends SIGTERM to this process in the n-th step."""

    def __init__(self, patch: pytest.MonkeyPatch, at: int) -> None:
        self.left = at
        step = head_task.HeadTask.step

        def stopping(task: Any, *args: Any) -> Any:
            self.left -= 1
            if self.left == 0:
                os.kill(os.getpid(), signal.SIGTERM)
            return step(task, *args)

        patch.setattr(head_task.HeadTask, "step", stopping)


@pytest.mark.parametrize("inputs", ["clips", "features"])
def test_resume_ends_where_an_unbroken_training_ends(
    split: Events, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, inputs: str
):
    config = head(RANDOM, "training.epochs=5", "head.dropout=0.5", f"inputs={inputs}")
    whole = train(config, data=split, out=tmp_path / "whole", report=False)
    with monkeypatch.context() as patch:
        Stop(patch, 5)
        with pytest.raises(Interrupted, match=r"after step 5 of 10.*--resume") as stopped:
            train(config, data=split, out=tmp_path / "run", report=False)
    assert stopped.value.exit_code == 143
    run = Run(tmp_path / "run")
    assert run.resumable
    with pytest.raises(RunError, match="Go on with it"):
        train(config, data=split, out=run.path, report=False)
    train(config, data=split, out=run.path, resume=True, report=False)
    np.testing.assert_array_equal(weights(run), weights(whole))
    assert run.metrics == whole.metrics
    assert run.environment["sessions"] == 2
    rows, unbroken = (pd.read_csv(r.path / "metrics.csv") for r in (run, whole))
    columns = ["step", "lr", "train/loss", "val/loss"]
    pd.testing.assert_frame_equal(rows[columns], unbroken[columns])
    with pytest.raises(RunError, match="is finished"):
        train(config, data=split, out=run.path, resume=True, report=False)


def test_resume_refuses_what_is_not_the_same(
    split: Events, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    overrides = ("inputs=features", "training.epochs=3", "training.checkpoint.minutes=0")
    with monkeypatch.context() as patch:
        Stop(patch, 3)
        with pytest.raises(Interrupted):
            train(head(*overrides), data=split, out=tmp_path / "run", report=False)

    def resume(data: Events, *others: str) -> Run:
        config = head(*overrides, *others)
        return train(config, data=data, out=tmp_path / "run", resume=True, report=False)

    with pytest.raises(RunError, match=r"head\.label_smoothing: 0\.0 then, 0\.1 now"):
        resume(split, "head.label_smoothing=0.1")
    with pytest.raises(RunError, match=r"training\.optimizer\.lr: 0\.1 then, 0\.2 now"):
        resume(split, "training.optimizer.lr=0.2")
    rows = split.rows.copy()
    rows.loc[0, "label"] = "left" if rows["label"][0] != "left" else "right"
    with pytest.raises(RunError, match=r"data: \w+ then, \w+ now"):
        resume(replace(split, rows=rows))
    assert resume(split, "training.log_every=1", "predict.smooth=1").finished


def test_nothing_to_resume(split: Events, tmp_path: Path):
    with pytest.raises(RunError, match="nothing to resume"):
        train(head(), data=split, out=tmp_path / "none", resume=True)
    (tmp_path / "run").mkdir()
    with pytest.raises(RunError, match=r"config.yaml and state.pt missing"):
        train(head(), data=split, out=tmp_path / "run", resume=True)


def test_a_probe_is_fitted_again_by_resume(split: Events, tmp_path: Path):
    run = train(recipe(), data=split, out=tmp_path / "run", resume=True, report=False)
    assert run.finished


def with_broken(split: Events, folder: Path, names: Sequence[str]) -> Events:
    """The same videos beside some that are none."""
    for name in names:
        (folder / name).write_bytes(b"not a video")
    rows = split.rows.assign(video=[str(split.path(v)) for v in split.rows["video"]])
    videos = split.videos.assign(video=[str(split.path(v)) for v in split.videos["video"]])
    bad = pd.DataFrame({"id": names, "video": names, "label": "still"})
    more = pd.DataFrame({"video": names, "group": "bad", "split": "train"})
    return Events.from_frames(pd.concat([rows, bad]), pd.concat([videos, more]), folder)


@pytest.mark.parametrize("inputs", ["clips", "features"])
def test_a_broken_clip_is_left_out_and_listed(split: Events, tmp_path: Path, inputs: str):
    (tmp_path / "v").mkdir()
    data = with_broken(split, tmp_path / "v", ["broken.mp4"])
    run = train(head(f"inputs={inputs}"), data=data, out=tmp_path / "run", report=False)
    assert list(run.environment["skipped"]) == ["broken.mp4"]
    assert run.metrics["top1_accuracy"] == 1.0


def test_a_broken_clip_ends_the_training_if_asked(split: Events, tmp_path: Path):
    (tmp_path / "v").mkdir()
    data = with_broken(split, tmp_path / "v", ["broken.mp4"])
    with pytest.raises(DataError, match=r"broken\.mp4"):
        train(head("training.policy=raise"), data=data, out=tmp_path / "run", report=False)
    assert not (tmp_path / "run" / "environment.json").exists()


def test_features_that_are_not_numbers_are_named(split: Events, tmp_path: Path):
    store = extract(split, create_encoder(tiny.ENCODER), tmp_path / "store", progress=False)
    for name in ("left/g1_0.mp4", "still/g2_0.mp4"):
        found = store.get(name)
        found.features[0, 2] = np.nan
        store.put(name, sha256_json(name), found)
    store.save_index()
    config = head("inputs=features")
    with pytest.raises(DataError, match=r"infinite: those of left/g1_0\.mp4, still/g2_0\.mp4\."):
        train(config, data=split, features=store, out=tmp_path / "run")


def of_arrays(folder: Path, *, noise: bool = False) -> Events:
    """Features that other people made: ten rows per video, two classes, groups of two videos.

    The classes are apart, or the rows of each video are one and the same vector of 300 random
    numbers, which says nothing about its class.
    """
    folder.mkdir()
    rng = np.random.default_rng(0)
    rows, videos = [], []
    for i in range(24):
        label = "ab"[i % 2]
        x = rng.normal(size=(10, 4)) + (3 if label == "b" else 0)
        x = rng.normal(size=(1, 300)).repeat(10, axis=0) if noise else x
        np.save(folder / f"v{i}.npy", x.astype(np.float32))
        rows.append({"video": f"v{i}.mp4", "label": label})
        videos.append({"video": f"v{i}.mp4", "group": f"g{i // 2}", "duration": 5.0})
    return Events.from_frames(rows, videos, folder)


def on_arrays(folder: Path, *overrides: str) -> Any:
    timing = "feature_options={stride: 8, window: 16, fps: 16}"
    return head("inputs=features", f"features={folder}", timing, *overrides)


def test_features_of_another_make(tmp_path: Path):
    events = of_arrays(tmp_path / "features")
    run = train(on_arrays(tmp_path / "features"), data=events, out=tmp_path / "run", report=False)
    assert run.metrics["top1_accuracy"] == 1.0
    config = on_arrays(tmp_path / "features", "inputs=clips")
    with pytest.raises(UsageError, match="Set inputs=features"):
        train(config, data=events, out=tmp_path / "x")


def test_every_fold_is_tested_by_a_head_that_has_not_seen_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Also where the training is stopped in the middle of the second fold."""
    events = of_arrays(tmp_path / "features")
    config = on_arrays(tmp_path / "features", "folds=3", "training.epochs=10")
    whole = train(config, data=events, out=tmp_path / "whole", report=False)
    assert whole.metrics["protocol"]["rows"] == 24 and len(whole.metrics["folds"]) == 3
    assert whole.metrics["top1_accuracy"] > 0.9
    found = read_predictions(whole.predictions_dir / "folds")
    assert len(found.events) == 24
    steps = [fold["steps"] for fold in whole.environment["folds"]]
    assert len(steps) == 3 and whole.environment["steps"] == 40
    with monkeypatch.context() as patch:
        Stop(patch, steps[0] + 5)
        with pytest.raises(Interrupted):
            train(config, data=events, out=tmp_path / "run", report=False)
    run = Run(tmp_path / "run")
    assert run.resumable and (run.path / "folds" / "1" / "state.pt").is_file()
    train(config, data=events, out=run.path, resume=True, report=False)
    np.testing.assert_array_equal(weights(run), weights(whole))
    assert run.metrics == whole.metrics


def test_folds_do_not_leak(tmp_path: Path):
    """Noise is learnt by heart and must not be recognised out of fold."""
    events = of_arrays(tmp_path / "features", noise=True)
    config = on_arrays(tmp_path / "features", "folds=4")
    run = train(config, data=events, out=tmp_path / "run", report=False)
    rows = pd.read_csv(run.path / "metrics.csv")
    assert rows["train/top1_accuracy"].dropna().iloc[-1] > 0.9
    assert 0.2 < run.metrics["top1_accuracy"] < 0.8


def test_rows_of_classes_that_were_not_taught_do_not_calibrate():
    head = LinearHead(np.eye(3, dtype=np.float32), np.zeros(3, np.float32), ("a", "b", "c"))
    none: Any = np.zeros(3)
    features, targets = np.eye(3, dtype=np.float32), np.array([0, 1, 2])
    rows = Rows(features, targets, none, none, none, none, {}, {})
    found = Trained(head, np.array([2])).judge(rows)
    np.testing.assert_array_equal(np.isnan(found).all(axis=1), [False, False, True])
    np.testing.assert_array_equal(found[:2], features[:2])


def test_several_labels(split: Events, tmp_path: Path):
    """Every moving clip is 'moves' too."""
    change = {"left": "left|moves", "right": "right|moves", "still": "still"}
    named = replace(split, rows=split.rows.assign(label=split.rows["label"].map(change)))
    run = train(head("training.epochs=60"), data=named, out=tmp_path / "run", report=False)
    assert run.labels["heads"]["label"]["multi_label"]
    assert run.metrics["map"] == 1.0
    rows = pd.read_csv(run.path / "metrics.csv")
    assert rows["val/map"].dropna().iloc[-1] == 1.0
    assert "train/exact_match_accuracy" in rows and "val/top1_accuracy" not in rows


def test_a_class_without_training_events_is_named(split: Events, tmp_path: Path):
    rows = split.rows.copy()
    first = split.videos["video"][split.videos["split"] == "val"].iloc[0]
    rows.loc[rows["video"] == first, "label"] = "jump"
    run = train(head(), data=replace(split, rows=rows), out=tmp_path / "run", report=False)
    assert any("No training event of: jump" in note for note in run.environment["notes"])
    assert run.metrics["top1_accuracy"] == 1.0


@pytest.mark.parametrize("calibrate", [True, False])
def test_scores_that_are_too_sure_are_scaled_unless_asked_not_to(tmp_path: Path, calibrate: bool):
    events = of_arrays(tmp_path / "features", noise=True)
    config = on_arrays(tmp_path / "features", f"head.calibrate={calibrate}")
    run = train(config, data=events, out=tmp_path / "run", report=False)
    kept = load_file(run.path / "checkpoints" / "best.safetensors")["head.linear.weight"]
    shrunk = np.abs(run.weights()["label.weight"]).max() / np.abs(kept).max()
    assert shrunk < 0.9 if calibrate else shrunk == 1
    assert run.labels["heads"]["label"]["thresholds"] != [0.5]


def test_without_validation_data_the_last_weights_stay(split: Events, tmp_path: Path):
    names = split.videos["split"].replace({"val": "train"})
    data = replace(split, videos=split.videos.assign(split=names))
    config = head("inputs=features", "training.early_stop=2")
    run = train(config, data=data, out=tmp_path / "run", report=False)
    notes = " ".join(run.environment["notes"])
    assert "nothing held out to calibrate on" in notes and "early_stop has nothing" in notes
    assert run.environment["best_epoch"] is None
    assert run.metrics["top1_accuracy"] == 1.0
