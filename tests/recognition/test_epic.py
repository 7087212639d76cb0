"""From predictions of verbs and nouns to the challenge's figures and to its zip."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from actionspace.cli import main
from actionspace.datasets.prepare import dataset_events
from actionspace.errors import DataError
from actionspace.events.table import Events
from actionspace.metrics.epic_submission import check_submission, read_submission
from actionspace.paths import read_json
from actionspace.recognition.epic import epic_metrics, epic_submission
from actionspace.recognition.evaluate import evaluate
from actionspace.training.predictions import Predictions, write_predictions
from tests.datasets.layouts import epic100_annotations

# The classes a model knows, in its own order; verb12 it has not seen, "nothing" is its background.
KNOWN = {"verb": ["verb1", "verb0", "nothing", "verb3"], "noun": ["noun:56", "noun:2", "noun:60"]}
BACKGROUND = {"verb": {"kind": "trained", "label": "nothing"}, "noun": {"kind": "threshold"}}


def predicted(events: Events, head: str, wrong: str = "") -> Predictions:
    """Sure and right predictions where the class is known, but for the segment ``wrong``."""
    names = KNOWN[head]
    values = np.full((len(events), len(names)), 0.1, np.float32)
    for i, (segment, (label,)) in enumerate(
        zip(events.rows["id"], events.labels(head), strict=True)
    ):
        if label in names:
            values[i, (names.index(label) + (segment == wrong)) % len(names)] = 0.6
        if head == "verb":
            values[i, names.index("nothing")] = 0.65  # surer than any action
    labels = {"heads": {head: {"classes": names}}, "background": BACKGROUND[head]}
    return Predictions(events, {head: values}, labels, pd.DataFrame())


@pytest.fixture
def source(tmp_path: Path) -> Path:
    epic100_annotations(tmp_path, 1.6)
    return tmp_path


def test_figures(source: Path) -> None:
    events = dataset_events("epic100", source).select(split="test")
    verb, noun = predicted(events, "verb"), predicted(events, "noun", wrong="P18_01_0")
    figures = epic_metrics(verb, noun, events)
    assert len(events) == 16
    assert figures["verb_top1_accuracy"] == 12 / 16  # verb12, one segment in four, is not known
    assert figures["noun_top1_accuracy"] == 15 / 16
    assert figures["action_top1_accuracy"] == 11 / 16
    assert figures["unseen_verb_top1_accuracy"] == 6 / 8
    assert figures["unseen_action_top1_accuracy"] == 5 / 8
    assert figures["tail_verb_top1_accuracy"] == 0
    assert figures["tail_noun_top1_accuracy"] == 1
    recall = epic_metrics(verb, noun, events, anticipation=True)
    assert recall["noun_mean_top5_recall"] == 1
    some = events.select(mask=events.rows["id"] != "P01_11_0")
    with pytest.raises(DataError, match=r"1 of 16 segments have no noun scores.*P01_11_0"):
        epic_metrics(verb, predicted(some, "noun"), events)
    with pytest.raises(DataError, match="The segment P33_101_0 has no verb"):
        epic_metrics(verb, noun, dataset_events("epic100", source, challenge=True))


def both(events: Events, wrong: str = "") -> Predictions:
    """The same by one network with both heads, each with its own background."""
    parts = {head: predicted(events, head, wrong) for head in ("verb", "noun")}
    heads = {
        head: {**one.labels["heads"][head], "background": BACKGROUND[head]}
        for head, one in parts.items()
    }
    table = pd.DataFrame(columns=["video", "start", "end", "view", "anchored"])
    scores = {head: one.scores[head] for head, one in parts.items()}
    labels = {"heads": heads, "untrimmed": []}
    found = of_heads(events, "verb", "noun")
    return Predictions(found, scores, labels, table, {}, found.rows)


def test_evaluate_gives_the_challenges_figures(source: Path):
    """Beside its own measures, which are the same where nothing is unseen or of the tail."""
    every = dataset_events("epic100", source)
    # A class that no model knows is refused by an evaluation; the challenge counts it as wrong.
    known = {head: [set(of) & set(KNOWN[head]) for of in every.labels(head)] for head in KNOWN}
    kept = [bool(v and n) for v, n in zip(*known.values(), strict=True)]
    events = every.select(split="test", mask=np.array(kept))
    write_predictions(both(events, wrong="P18_01_0"), source / "predictions")
    metrics = evaluate(source / "predictions", events)
    figures = epic_metrics(predicted(events, "verb", "P18_01_0"), both(events, "P18_01_0"), events)
    assert metrics["epic100"] == {
        **{name: pytest.approx(value, nan_ok=True) for name, value in figures.items()},
        "segments": len(events),
        "left_out": 0,
    }
    for name in ("verb_top1_accuracy", "noun_top1_accuracy", "action_top1_accuracy"):
        assert metrics[name] == figures[name] < 1
    kept_on_disk = read_json(source / "predictions" / "metrics.json")
    assert kept_on_disk["epic100"]["segments"] == len(events)
    plain = events.rows.assign(modifiers=None)
    other = Events.from_frames(plain, events.videos, events.root, events.heads)
    assert "epic100" not in evaluate(source / "predictions", other)


def test_the_verbs_zip(source: Path, capsys: pytest.CaptureFixture[str]):
    segments = dataset_events("epic100", source).select(split="test")
    segments.to_csv(source / "segments.csv")
    write_predictions(both(segments), source / "both")
    write_predictions(predicted_alone(segments, "verb"), source / "verbs")
    write_predictions(predicted_alone(segments, "noun"), source / "nouns")
    last = [str(source / "segments.csv"), "--annotations", str(source)]
    with pytest.raises(SystemExit, match="0"):
        main(["submit", str(source / "both"), *last, "--out", str(source / "a.zip")])
    levels = ["--set", "sls_td=3", "--set", "sls_pt=5"]
    two = [str(source / "verbs"), str(source / "nouns")]
    with pytest.raises(SystemExit, match="0"):
        main(["submit", *two, *last, "--out", str(source / "b.zip"), *levels])
    assert capsys.readouterr().out.split() == [str(source / f"{n}.zip") for n in "ab"]
    first, second = (read_submission(source / f"{n}.zip") for n in "ab")
    assert (first["sls_pt"], first["sls_td"]) == (2, 4)
    assert (second["sls_pt"], second["sls_td"]) == (5, 3)
    assert first["results"] == second["results"] and len(first["results"]) == len(segments)
    expected = epic_submission(
        predicted(segments, "verb"), predicted(segments, "noun"), segments, source, source / "c.zip"
    )
    assert read_submission(expected)["results"] == first["results"]
    with pytest.raises(SystemExit, match="2"):
        main(["submit", str(source / "verbs"), *last, "--out", str(source / "d.zip")])
    assert "has the head 'noun'" in capsys.readouterr().err
    assert not (source / "d.zip").exists()


def predicted_alone(events: Events, head: str) -> Predictions:
    table = pd.DataFrame(columns=["video", "start", "end", "view", "anchored"])
    return replace(predicted(events, head), rows=table, events=of_heads(events, head))


def of_heads(events: Events, *heads: str) -> Events:
    """What is predicted has the columns of its heads."""
    rows = events.rows.drop(columns=[h for h in events.heads if h not in heads])
    return Events.from_frames(rows, events.videos, events.root, heads)


def test_zip_for_the_server(source: Path) -> None:
    events = dataset_events("epic100", source).select(split="test")
    verb, noun = predicted(events, "verb"), predicted(events, "noun")
    path = epic_submission(verb, noun, events, source, source / "out.zip")
    content = read_submission(path)
    check_submission(content, events.rows["id"])
    row = content["results"]["P18_01_2"]  # verb3 noun:56
    assert max(row["verb"], key=row["verb"].get) == "3"
    assert max(row["noun"], key=row["noun"].get) == "56"
    assert max(row["action"], key=row["action"].get) == "3,56"
    KNOWN["noun"].append("noun:xyz")
    try:
        with pytest.raises(DataError, match="'noun:xyz' is no class"):
            epic_submission(verb, predicted(events, "noun"), events, source, source / "o.zip")
    finally:
        KNOWN["noun"].pop()
