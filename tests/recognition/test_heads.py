"""Verbs and nouns by one network: learnt together, saved, predicted, evaluated, shown."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from actionspace.errors import DataError, Interrupted, RunError, UsageError
from actionspace.events.table import Events
from actionspace.recognition.evaluate import evaluate
from actionspace.recognition.export import export
from actionspace.recognition.fit import train
from actionspace.recognition.fuse import fuse
from actionspace.recognition.measure import measure
from actionspace.recognition.predict import predictions, summary
from actionspace.recognition.probe import load_probes
from actionspace.training.predictions import read_predictions
from actionspace.training.run import Run
from tests.recognition import adaptable, tiny
from tests.recognition.conftest import recipe
from tests.recognition.test_head_mode import Stop

VERBS = {"right": "slide", "left": "slide", "down": "fall", "still": "rest"}
NOUNS = {"right": "east", "left": "west", "down": None, "still": "west"}
"""Falling has no noun. Of two clips in three, the noun tells more than the verb."""
COLUMNS = "head.column=[verb,noun]"
QUICK = (
    COLUMNS,
    "clips.rows=events",
    "clips.dtype=float32",
    "head.dropout=0",
    "head.calibrate=false",
    "training.epochs=20",
    "training.batch_size=6",
    "training.evaluate_every=10",
    "training.optimizer={lr: 0.1, weight_decay: 0}",
    "training.tensorboard=false",
    "training.workers=1",
    "evaluation.bootstrap=0",
)
MODES = {
    "probe": ("mode=probe",),
    "features": ("mode=head", "inputs=features"),
    "clips": ("mode=head",),
    # At a higher rate it learns as well, but rounding (another number of threads) decides how.
    "full": (
        *("mode=full", f"encoder={adaptable.ENCODER}", "training.epochs=40"),
        "training.optimizer={lr: 0.01, weight_decay: 0}",
    ),
}


def named(events: Events) -> Events:
    """The motions of the tiny videos as a verb and a noun each."""
    motion = events.rows["label"]
    rows = events.rows.drop(columns="label").assign(verb=motion.map(VERBS), noun=motion.map(NOUNS))
    return Events.from_frames(rows, events.videos, events.root, ("verb", "noun"))


@pytest.fixture(scope="module")
def split(tmp_path_factory: pytest.TempPathFactory) -> Events:
    folder = tmp_path_factory.mktemp("heads")
    events = named(tiny.clips(folder, classes=tuple(VERBS), groups=6))
    names = {f"g{i}": "train" for i in range(4)} | {"g4": "val", "g5": "test"}
    events.videos["split"] = events.videos["group"].map(names)
    events.to_csv(folder / "split.csv")
    return events


@pytest.fixture(scope="module")
def trained(split: Events, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Run]:
    folder = tmp_path_factory.mktemp("runs")
    runs: dict[str, Run] = {}

    def run(mode: str) -> Run:
        if mode not in runs:
            data = split.root / "split.csv"
            config, out = recipe(*QUICK, *MODES[mode]), folder / mode
            runs[mode] = train(config, data=data, out=out, report=mode == "clips")
        return runs[mode]

    return run


@pytest.mark.parametrize("mode", MODES)
def test_both_are_learnt(trained: Callable[[str], Run], split: Events, mode: str):
    run = trained(mode)
    metrics = run.metrics
    # Of four test clips one has no noun.
    # Training the whole of the tiny encoder is chaotic: the last bit of a sum decides on a clip.
    surely = mode != "full"
    assert min(metrics["verb_top1_accuracy"], metrics["noun_top1_accuracy"]) >= (
        1 if surely else 0.6
    )
    assert not surely or metrics["joint_score"] == metrics["action_top1_accuracy"] == 1
    rows = {head: found["rows"] for head, found in metrics["protocol"]["heads"].items()}
    assert rows == {"verb": 4, "noun": 3}
    verb, noun = load_probes(run)
    assert verb.classes == ["fall", "rest", "slide"] and noun.classes == ["east", "west"]
    dim = adaptable.WIDTH if mode == "full" else tiny.Motion.dim
    assert verb.head.weight.shape == (3, dim) and noun.head.weight.shape == (2, dim)
    assert set(run.labels["heads"]) == {"verb", "noun"}
    assert run.environment["data"]["classes"] == {"verb": verb.classes, "noun": noun.classes}
    again = evaluate(run)
    assert {k: v for k, v in again.items() if isinstance(v, float)} == {
        k: v for k, v in metrics.items() if isinstance(v, float)
    }
    found = predictions(run, split, split="test")
    assert set(found.scores) == set(found.raw) == {"verb", "noun"} and len(found.events) == 4
    rows = found.events.rows
    known = rows["noun_true"].notna()
    if surely:
        assert rows["verb"].tolist() == rows["verb_true"].tolist()
        assert rows["noun"][known].tolist() == rows["noun_true"][known].tolist()
    np.testing.assert_allclose(rows["noun_score"], found.scores["noun"].max(axis=1))
    assert not surely or ("slide " in summary(found) and ", west " in summary(found))
    if mode == "clips":
        page = run.report_path.read_text(encoding="utf-8")
        assert "· verb</h2>" in page and "· noun</h2>" in page


def test_the_loop_says_how_each_is_learnt(trained: Callable[[str], Run]):
    table = pd.read_csv(trained("clips").path / "metrics.csv")
    each = {f"{side}/{head}_loss" for side in ("train", "val") for head in ("verb", "noun")}
    assert each | {"val/joint_score", "val/action_top5_accuracy"} <= set(table)
    judged = table[table["val/loss"].notna()]
    np.testing.assert_allclose(
        judged["val/loss"], (judged["val/verb_loss"] + judged["val/noun_loss"]) / 2
    )
    np.testing.assert_allclose(
        table["train/loss"].dropna(),
        (table["train/verb_loss"] + table["train/noun_loss"]).dropna() / 2,
        rtol=1e-5,
    )


def test_clips_teach_what_stored_views_teach(trained: Callable[[str], Run]):
    stored, decoded = (trained(mode).weights() for mode in ("features", "clips"))
    assert set(stored) == {f"{c}.{part}" for c in ("verb", "noun") for part in ("weight", "bias")}
    for name, value in stored.items():
        np.testing.assert_allclose(decoded[name], value, atol=1e-4)


def test_a_probe_of_both_is_two_probes(
    trained: Callable[[str], Run], split: Events, tmp_path: Path
):
    """Also where events lack a label: each head is what it would be alone."""
    both = trained("probe").weights()
    for column in ("verb", "noun"):
        alone = train(
            recipe(*QUICK, f"head.column={column}"), data=split, out=tmp_path / column, report=False
        )
        for name, value in alone.weights().items():
            np.testing.assert_array_equal(both[name], value)
        name = f"{column}_top1_accuracy"
        assert alone.metrics["top1_accuracy"] == trained("probe").metrics[name]
        assert set(alone.weights()) == {f"{column}.weight", f"{column}.bias"}


def test_a_stopped_training_goes_on_with_the_same_columns(
    split: Events, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    short = (*QUICK, *MODES["features"], "training.epochs=4", "head.dropout=0.3")
    whole = train(recipe(*short), data=split, out=tmp_path / "whole", report=False)
    with monkeypatch.context() as patch:
        Stop(patch, 7)
        with pytest.raises(Interrupted):
            train(recipe(*short), data=split, out=tmp_path / "run", report=False)
    with pytest.raises(RunError, match="column"):
        other = recipe(*short, "head.column=[noun,verb]")
        train(other, data=split, out=tmp_path / "run", resume=True)
    run = train(recipe(*short), data=split, out=tmp_path / "run", resume=True, report=False)
    for name, value in whole.weights().items():
        np.testing.assert_array_equal(run.weights()[name], value)
    assert run.metrics == whole.metrics


@pytest.mark.parametrize("mode", ["probe", "features"])
def test_folds(split: Events, tmp_path: Path, mode: str):
    strengths = "head.strengths=[0.001]"  # there is nothing to choose
    config = recipe(*QUICK, *MODES[mode], "folds=3", "training.epochs=20", strengths)
    run = train(config, data=split, out=tmp_path / "run", report=False)
    heads = run.metrics["protocol"]["heads"]
    assert heads["verb"]["rows"] == 24 and heads["noun"]["rows"] == 18
    assert run.metrics["verb_top1_accuracy"] > 0.9 and run.metrics["noun_top1_accuracy"] > 0.9
    assert len(run.metrics["folds"]) == 3 and "noun_top1_accuracy" in run.metrics["folds"][0]


def test_one_column_of_several_labels(split: Events, tmp_path: Path):
    """Nouns may be several, verbs may not: softmax beside sigmoid, in one network."""
    rows = split.rows.copy()
    rows["noun"] = rows["noun"].where(rows["verb"] != "rest", "west|thing")
    data = Events.from_frames(rows, split.videos, split.root, split.heads)
    config = recipe(*QUICK, *MODES["features"], "training.epochs=30")
    run = train(config, data=data, out=tmp_path / "run", report=False)
    heads = run.labels["heads"]
    assert (heads["verb"]["multi_label"], heads["noun"]["multi_label"]) == (False, True)
    assert run.metrics["verb_top1_accuracy"] == run.metrics["noun_map"] == 1
    assert run.metrics["joint_score"] == 1 and "action_top1_accuracy" not in run.metrics
    table = pd.read_csv(run.path / "metrics.csv")
    assert {"train/noun_exact_match_accuracy", "val/noun_map"} <= set(table)


def test_untrimmed_videos_have_events_of_each(long: Events, tmp_path: Path):
    rows = long.rows.assign(verb="slide", noun=long.rows["label"])
    rows.loc[rows["noun"] == "left", "verb"] = "crawl"
    events = Events.from_frames(
        rows.drop(columns="label"), long.videos, long.root, ("verb", "noun")
    )
    run = train(recipe(COLUMNS), data=events, out=tmp_path / "run")
    for head in ("verb", "noun"):
        assert run.metrics[f"{head}_frame_accuracy"] > 0.7
        assert {line["label"] for line in run.metrics[f"{head}_time_budget"]} <= {
            *("slide", "crawl"),
            *("right", "left"),
        }
        assert run.labels["heads"][head]["background"]["kind"] == "trained"
    found = predictions(run, events.path("0.mp4"), out=tmp_path / "p")
    rows = found.events.rows
    assert rows["id"].is_unique
    of_verb, of_noun = rows["verb"].notna(), rows["noun"].notna()
    assert (of_verb ^ of_noun).all() and of_verb.any() and of_noun.any()
    assert np.isnan(found.scores["verb"][of_noun]).all()
    assert np.isfinite(found.scores["noun"][of_noun]).all()
    assert set(rows["noun"][of_noun]) <= {"left", "right"}
    assert rows["noun_score"][of_noun].equals(rows["score"][of_noun])
    told = summary(found)
    assert "background of verb: trained" in told and "background of noun: trained" in told
    page = run.report_path.read_text(encoding="utf-8")
    assert "Ethogram · noun" in page
    again = read_predictions(tmp_path / "p")
    both = fuse([tmp_path / "p", tmp_path / "p"])
    assert both.events.rows["noun"].notna().sum() == of_noun.sum()
    assert both.events.rows["verb"].notna().sum() == of_verb.sum()
    np.testing.assert_allclose(
        np.sort(both.scores["verb"][: of_verb.sum()], axis=1),
        np.sort(again.scores["verb"][: of_verb.sum()], axis=1),
        atol=1e-5,
    )


def test_fused_clips(trained: Callable[[str], Run], split: Events, tmp_path: Path):
    folders = [tmp_path / mode for mode in ("probe", "clips")]
    parts = [predictions(trained(p.name), split, split="test", out=p) for p in folders]
    found = fuse(folders, tmp_path / "fused")
    for head in ("verb", "noun"):
        mean = (parts[0].scores[head] + parts[1].scores[head]) / 2
        np.testing.assert_allclose(found.scores[head], mean, atol=1e-6)
    metrics = evaluate(tmp_path / "fused", split, split="test")
    assert metrics["verb_top1_accuracy"] == metrics["action_top1_accuracy"] == 1


def test_one_exported_file_has_both(trained: Callable[[str], Run], split: Events, tmp_path: Path):
    made = export(trained("probe"), tmp_path / "both.pt2")
    assert made.parity.probabilities < 1e-5 and "3 verb and 2 noun" in str(made)
    true, found = (predictions(s, split, split="test") for s in (trained("probe"), made.path))
    for head in ("verb", "noun"):
        np.testing.assert_allclose(found.scores[head], true.scores[head], atol=1e-4)
        assert found.events.rows[head].tolist() == true.events.rows[head].tolist()


def test_truth_of_one_column_is_measured_alone(
    trained: Callable[[str], Run], split: Events, tmp_path: Path
):
    predictions(trained("probe"), split, split="test", out=tmp_path / "p")
    verbs = split.rows.drop(columns="noun")
    truth = Events.from_frames(verbs, split.videos, split.root, ("verb",))
    metrics = evaluate(tmp_path / "p", truth, split="test")
    assert metrics["verb_top1_accuracy"] == metrics["joint_score"] == 1
    assert "noun_top1_accuracy" not in metrics


def without(split: Events, column: str, of: str) -> Events:
    videos = split.videos["video"][split.videos["split"] == of]
    rows: Any = split.rows.copy()
    rows.loc[rows["video"].isin(videos), column] = None
    return Events.from_frames(rows, split.videos, split.root, split.heads)


@pytest.mark.parametrize("mode", ["probe", "features"])
def test_what_is_missing_is_said(split: Events, tmp_path: Path, mode: str):
    config = recipe(*QUICK, *MODES[mode], "training.epochs=4")
    with pytest.raises(DataError, match=r"labels that no training video has|No training event"):
        train(config, data=without(split, "noun", "train"), out=tmp_path / "a")
    data = without(split, "noun", "val")  # nothing to validate or calibrate nouns on
    run = train(config, data=data, out=tmp_path / "b", report=False)
    assert run.finished
    if mode == "features":
        assert any(note.startswith("noun: There was nothing") for note in run.environment["notes"])
    with pytest.raises(DataError, match=r"no label column 'nouns'.*noun"):
        train(recipe("head.column=[verb,nouns]"), data=split, out=tmp_path / "c")


@pytest.mark.parametrize("mode", ["probe", "features"])
def test_a_label_only_tested_is_refused_or_missed(split: Events, tmp_path: Path, mode: str):
    tested = split.rows["video"].isin(split.videos["video"][split.videos["split"] == "test"])
    rows: Any = split.rows.copy()
    rows.loc[tested & (rows["noun"] == "east"), "noun"] = "north"
    data = Events.from_frames(rows, split.videos, split.root, split.heads)
    with pytest.raises(DataError, match=r"no training video has: north.*evaluation\.unseen=miss"):
        train(recipe(*QUICK, *MODES[mode]), data=data, out=tmp_path / "a")
    lenient = recipe(*QUICK, *MODES[mode], "evaluation.unseen=miss")
    run = train(lenient, data=data, out=tmp_path / "b", report=False)
    missed = (rows["noun"][tested] == "north").sum() / rows["noun"][tested].notna().sum()
    assert run.metrics["verb_top1_accuracy"] == 1
    assert run.metrics["noun_top1_accuracy"] == pytest.approx(1 - missed)
    assert any("counts as missed: north" in note for note in run.environment["notes"])


def test_a_truth_with_a_label_nobody_taught(
    trained: Callable[[str], Run], split: Events, tmp_path: Path
):
    folder = tmp_path / "p"
    predictions(trained("probe"), split, split="test", out=folder)
    rows = split.rows.assign(noun=split.rows["noun"].replace("east", "north"))
    truth = Events.from_frames(rows, split.videos, split.root, split.heads)
    with pytest.raises(DataError, match=r"does not know: north"):
        evaluate(folder, truth, split="test")
    found = measure(read_predictions(folder), truth.select(split="test"), unseen="miss")
    known = truth.select(split="test").rows["noun"].dropna()
    assert found["noun_top1_accuracy"] == pytest.approx((known != "north").mean())


def test_names_that_cannot_be(tmp_path: Path):
    for wrong in ("[verb,verb]", "[]", "3", "'verb,'"):
        with pytest.raises(UsageError, match=r"head\.column"):
            recipe(f"head.column={wrong}")
    assert recipe("head.column='verb, noun'").head.columns == ("verb", "noun")
    assert recipe("head.column=[verb]").head.column == "verb"
