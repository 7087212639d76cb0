"""From predictions of verbs and nouns to the challenge's figures and to its zip."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from actionspace.datasets.prepare import dataset_events
from actionspace.errors import DataError
from actionspace.events.table import Events
from actionspace.metrics.epic_submission import check_submission, read_submission
from actionspace.recognition.epic import epic_metrics, epic_submission
from actionspace.training.predictions import Predictions
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
