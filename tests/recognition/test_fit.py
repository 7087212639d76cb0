"""Training: splits, folds, what a run holds, and labels that make no classifier."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from actionspace.errors import DataError, RunError, UsageError
from actionspace.events.table import Events
from actionspace.recognition.evaluate import evaluate
from actionspace.recognition.fit import train
from actionspace.recognition.infer import infer
from actionspace.training.predictions import read_predictions
from actionspace.training.run import Run
from tests.recognition import tiny
from tests.recognition.conftest import recipe


def with_labels(events: Events, change: dict[str, str | None]) -> Events:
    return replace(events, rows=events.rows.assign(label=events.rows["label"].replace(change)))


def with_splits(events: Events, of_group: dict[str, str]) -> Events:
    splits = events.videos["group"].map(of_group).astype(object)
    return replace(events, videos=events.videos.assign(split=splits))


def test_a_run_holds_all_of_itself(run: Run):
    assert run.metrics["top1_accuracy"] == 1.0
    names = {p.name for p in run.path.iterdir()}
    expected = {
        "config.yaml", "metrics.csv", "metrics.json", "weights.safetensors", "labels.json",
        "predictions", "environment.json",
    }  # fmt: skip
    assert names == expected
    environment = run.environment
    assert environment["trainable_parameters"] == 3 * tiny.Motion.dim + 3
    assert environment["total_parameters"] == environment["trainable_parameters"] + 1
    assert environment["encoder"]["name"] == tiny.ENCODER
    assert environment["wall_seconds"] > 0 and "torch" in environment["versions"]
    assert any("no splits" in note for note in environment["notes"])
    assert environment["data"]["videos"] == 18
    assert Path(run.config["data"]).is_absolute()
    lines = pd.read_csv(run.path / "metrics.csv")
    assert lines["chosen"].sum() == 1 and len(lines) > 3
    protocol = run.metrics["protocol"]
    assert protocol["split"] == "test" and protocol["rows"] == 3 and len(protocol["hash"]) == 64


def test_report_is_written(clips: Events, tmp_path: Path):
    path = train(recipe(), data=clips, out=tmp_path / "run").path
    assert "<html" in (path / "report.html").read_text(encoding="utf-8")


def test_training_twice_gives_the_same_weights(run: Run, work: Path, tmp_path: Path):
    again = train(recipe(), data=work / "clips" / "clips.csv", out=tmp_path / "again", report=False)
    for name, array in run.weights().items():
        np.testing.assert_array_equal(array, again.weights()[name])
    assert again.metrics == run.metrics


def test_folds_test_every_video_once(clips: Events, tmp_path: Path):
    run = train(recipe(), data=clips, folds=3, out=tmp_path / "run", report=False)
    metrics = run.metrics
    assert len(metrics["folds"]) == 3
    assert sum(fold["rows"] for fold in metrics["folds"]) == metrics["protocol"]["rows"] == 18
    assert metrics["protocol"]["groups"] == 6 and "top1_accuracy_ci" in metrics
    pooled = read_predictions(run.predictions_dir / "folds")
    assert sorted(pooled.events.rows["video"]) == sorted(clips.videos["video"])
    assert evaluate(run, bootstrap=50) == metrics
    trials = pd.read_csv(run.path / "metrics.csv")
    assert set(trials["fold"].dropna()) == {0, 1, 2} and trials["fold"].isna().any()


def test_folds_do_not_leak(tmp_path: Path):
    """Noise with many dimensions is learnt by heart and must not be recognised out of fold."""
    rng = np.random.default_rng(0)
    rows = []
    for i in range(60):
        np.save(tmp_path / f"v{i}.npy", rng.normal(size=(1, 100)).astype(np.float32))
        rows.append({"video": f"v{i}.mp4", "label": str(rng.choice(["a", "b"]))})
    events = Events.from_frames(rows, root=tmp_path)
    timing = "feature_options={stride: 8, window: 16, fps: 16}"
    config = recipe(f"features={tmp_path}", timing, "head.strengths=[1e-6]")
    run = train(config, data=events, folds=5, out=tmp_path / "out" / "run", report=False)
    assert 0.25 < run.metrics["top1_accuracy"] < 0.75


def test_a_class_of_one_group_is_named(clips: Events, tmp_path: Path):
    rows = clips.rows.copy()
    rows.loc[rows["video"] == "still/g0_0.mp4", "label"] = "rare"
    odd = replace(clips, rows=rows)
    run = train(recipe(), data=odd, folds=3, out=tmp_path / "run", report=False)
    notes = " ".join(run.environment["notes"])
    assert "'rare' lives in one group only" in notes
    assert "No training row of: rare" in notes
    assert run.metrics["protocol"]["classes"] == ["left", "rare", "right", "still"]
    assert run.metrics["top1_accuracy"] == pytest.approx(17 / 18)


def test_given_splits_are_kept_and_val_chooses(clips: Events, tmp_path: Path):
    split = {f"g{i}": "train" for i in range(4)} | {"g4": "val", "g5": "test"}
    run = train(recipe(), data=with_splits(clips, split), out=tmp_path / "run", report=False)
    found = read_predictions(run.predictions_dir / "test")
    assert set(found.events.videos["group"]) == {"g5"}
    assert not any("no splits" in note for note in run.environment["notes"])


def test_without_a_test_split_nothing_is_evaluated(clips: Events, tmp_path: Path):
    run = train(
        recipe(),
        data=with_splits(clips, {f"g{i}": "train" for i in range(6)}),
        out=tmp_path / "run",
        report=False,
    )
    assert run.metrics == {}
    assert any("no test split" in note for note in run.environment["notes"])


def test_several_labels(clips: Events, work: Path, tmp_path: Path):
    """Every moving clip is 'moves' too."""
    named = with_labels(clips, {"left": "left|moves", "right": "right|moves"})
    run = train(recipe(), data=named, out=tmp_path / "run", report=False)
    assert run.labels["heads"]["label"]["multi_label"]
    assert run.labels["heads"]["label"]["classes"] == ["left", "moves", "right", "still"]
    assert run.metrics["map"] == 1.0 and run.metrics["exact_match_accuracy"] == 1.0
    found = read_predictions(run.predictions_dir / "test").events.rows
    assert set(found["label"]) == {"left|moves", "moves|right", "still"}
    assert evaluate(run, bootstrap=50) == run.metrics
    with pytest.raises(DataError, match=r"head\.multi_label=true"):
        train(recipe("head.multi_label=false"), data=named, out=tmp_path / "x", report=False)


def test_another_column(clips: Events, tmp_path: Path):
    rows = clips.rows.drop(columns="label").assign(behaviour=clips.rows["label"])
    events = Events.from_frames(rows, clips.videos, clips.root, ("behaviour",))
    run = train(recipe("head.column=behaviour"), data=events, out=tmp_path / "run", report=False)
    assert run.metrics["top1_accuracy"] == 1.0
    found = read_predictions(run.predictions_dir / "test").events
    assert found.heads == ("behaviour",) and found.rows["behaviour"].notna().all()
    with pytest.raises(DataError, match="Did you mean 'behaviour'"):
        train(recipe("head.column=behavior"), data=events, out=tmp_path / "x", report=False)


def test_event_rows_and_many_views(clips: Events, tmp_path: Path):
    """The original way: random views to learn from, crops and clips of each event to test on."""
    config = recipe(
        "clips.rows=events",
        "clips.train={augment: 3, geometry: center, short_side: 40}",
        "clips.test={geometry: three, clips: 2, short_side: 32}",
        "clips.val={geometry: center}",
        "clips.resize=exact",
    )
    run = train(config, data=clips, out=tmp_path / "run", report=False)
    # Flips turn left into right, so only still can be told for sure.
    found = read_predictions(run.predictions_dir / "test")
    assert found.rows["view"].max() == 5 and found.rows["anchored"].all()
    assert len(found.raw["label"]) == 6 * 3
    still = found.events.rows["label_true"] == "still"
    assert (found.events.rows["label"][still] == "still").all()
    prob, score = (evaluate(run, average=how, bootstrap=0) for how in ("prob", "score"))
    assert prob["protocol"]["rules"]["average"] == "prob"
    assert score["protocol"]["rules"]["average"] == "score"
    assert prob["ece"] != score["ece"]


def test_features_made_elsewhere(clips: Events, run: Run, tmp_path: Path):
    from actionspace.encoders.create import create_encoder
    from actionspace.features.extract import extract

    store = extract(clips, create_encoder(tiny.ENCODER), tmp_path / "store", progress=False)
    mine = train(
        recipe("encoder=starter"), data=clips, features=store, out=tmp_path / "run", report=False
    )
    assert mine.config["encoder"] == tiny.ENCODER
    np.testing.assert_allclose(
        mine.weights()["label.weight"], run.weights()["label.weight"], atol=1e-6
    )
    clips.to_csv(tmp_path / "clips.csv")
    assert mine.metrics["top1_accuracy"] == evaluate(mine, clips, bootstrap=0)["top1_accuracy"]


def test_foreign_features(tmp_path: Path):
    rng = np.random.default_rng(0)
    rows, videos = [], []
    for i in range(12):
        label = "ab"[i % 2]
        x = rng.normal(size=(10, 4)) + (3 if label == "b" else 0)
        np.save(tmp_path / f"v{i}.npy", x.astype(np.float32))
        rows.append({"video": f"v{i}.mp4", "label": label})
        videos.append({"video": f"v{i}.mp4", "group": f"g{i // 2}", "duration": 5.0})
    events = Events.from_frames(rows, videos, tmp_path)
    config = recipe(f"features={tmp_path}", "feature_options={stride: 8, window: 16, fps: 16}")
    run = train(config, data=events, out=tmp_path / "out" / "run", report=False)
    assert run.metrics["top1_accuracy"] == 1.0
    from actionspace.recognition.predict import predict

    with pytest.raises(RunError, match="features of another make"):
        predict(run, events)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"still": None, "left": None, "right": None}, "none has a 'label'"),
        ({"left": "still", "right": "still"}, "needs at least two classes"),
    ],
)
def test_labels_that_make_no_classifier(
    clips: Events, tmp_path: Path, change: dict[str, str | None], says: str
):
    with pytest.raises(DataError, match=says):
        train(recipe(), data=with_labels(clips, change), out=tmp_path / "run", report=False)
    assert not (tmp_path / "run").exists()


def test_splits_that_do_not_fit(clips: Events, tmp_path: Path):
    split = {f"g{i}": "train" for i in range(5)} | {"g5": "test"}
    events = with_splits(clips, split)
    rows = events.rows.copy()
    rows.loc[rows["video"] == "left/g5_0.mp4", "label"] = "jump"
    with pytest.raises(DataError, match=r"no training video has: jump\..*folds"):
        train(recipe(), data=replace(events, rows=rows), out=tmp_path / "run", report=False)
    only = with_splits(clips, {f"g{i}": "test" for i in range(6)})
    with pytest.raises(DataError, match="split 'train'; there is: test"):
        train(recipe(), data=only, out=tmp_path / "run", report=False)


def test_calls_that_cannot_work(clips: Events, run: Run, tmp_path: Path):
    with pytest.raises(UsageError, match="data=MANIFEST"):
        train(recipe(), out=tmp_path / "run")
    with pytest.raises(RunError, match="already holds a finished run"):
        train(recipe(), data=clips, out=run.path)
    with pytest.raises(UsageError, match="7 folds need 2 to 6"):
        train(recipe(), data=clips, folds=7, out=tmp_path / "run")
    with pytest.raises(DataError, match="does not exist"):
        train(recipe(), data=tmp_path / "none.csv", out=tmp_path / "run")


def test_a_bad_video_is_left_out_and_named(clips: Events, tmp_path: Path):
    (tmp_path / "v").mkdir()
    (tmp_path / "v" / "broken.mp4").write_bytes(b"not a video")
    rows = pd.concat(
        [
            clips.rows.assign(video=[str(clips.path(v)) for v in clips.rows["video"]]),
            pd.DataFrame({"id": ["x"], "video": ["broken.mp4"], "label": ["still"]}),
        ]
    )
    videos = clips.videos.assign(video=[str(clips.path(v)) for v in clips.videos["video"]])
    split = {f"g{i}": "train" for i in range(5)} | {"g5": "test"}
    videos = pd.concat([videos, pd.DataFrame({"video": ["broken.mp4"], "group": ["g5"]})])
    videos["split"] = videos["group"].map(split).astype(object)
    events = Events.from_frames(rows, videos, tmp_path / "v")
    run = train(recipe(), data=events, out=tmp_path / "run", report=False)
    assert list(run.environment["skipped"]) == ["broken.mp4"]
    assert run.metrics["protocol"]["skipped_videos"] == 1
    assert run.metrics["protocol"]["unscored_events"] == 1
    assert run.metrics["protocol"]["rows"] == 3


def test_a_clip_without_a_label_teaches_nothing(clips: Events, tmp_path: Path):
    """Where all events are whole clips, an unlabelled one is not 'nothing happens'."""
    kept = clips.rows["video"] != "left/g0_0.mp4"
    events = replace(clips, rows=clips.rows[kept].reset_index(drop=True))
    run = train(recipe(), data=events, out=tmp_path / "run", report=False)
    assert run.labels["heads"]["label"]["classes"] == ["left", "right", "still"]
    assert run.labels["background"]["kind"] == "threshold"


def test_infer_needs_no_truth(run: Run, clips: Events):
    from actionspace.recognition.evaluate import encoding_of, recipe_of
    from actionspace.recognition.probe import Probe

    bare = Events.from_frames([], clips.videos, clips.root)
    found = infer(Probe.load(run), encoding_of(run, recipe_of(run)), bare)
    assert found.truth is None and len(found.events) == len(clips.videos)
    assert "label_true" not in found.events.rows
