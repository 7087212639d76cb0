"""Test events of classes, and of pairs of classes, that training never had."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import actionspace as A
from actionspace.anticipation.evaluate import evaluate
from actionspace.anticipation.fit import train
from actionspace.anticipation.measure import figures, truth_of
from actionspace.anticipation.options import EvaluationConfig
from actionspace.anticipation.recipe import AnticipationRecipe
from actionspace.errors import DataError, UsageError
from actionspace.events.table import Events

KNOWN = {"verb": ["cut", "open", "wash"], "noun": ["door", "leek"]}
TRAINED = frozenset({(0, 1), (1, 0), (2, 1)})  # cut leek, open door, wash leek
TRUE = [
    *(("cut", "leek"), ("cut", "leek"), ("open", "door"), ("wash", "leek")),
    *(("open", "leek"), ("wash", "door")),  # each is known, the pair is not
    ("peel", "leek"),  # the verb is not
]
VERB = np.array(
    [
        *([0.6, 0.3, 0.1], [0.3, 0.6, 0.1], [0.1, 0.7, 0.2], [0.5, 0.1, 0.4]),
        *([0.2, 0.7, 0.1], [0.6, 0.3, 0.1]),
        [0.6, 0.3, 0.1],
    ]
)
NOUN = np.array([[0.1, 0.9], [0.2, 0.8], [0.3, 0.7], [0.4, 0.6], [0.1, 0.9], [0.8, 0.2], [0, 1.0]])


def events() -> Events:
    rows: list[dict[str, Any]] = [
        {"video": "a.mp4", "start": k, "end": k + 1.0, "verb": verb, "noun": noun}
        for k, (verb, noun) in enumerate(TRUE)
    ]
    return Events.from_frames(rows, None, Path(), tuple(KNOWN))


def measured(unseen: str) -> dict[str, float]:
    config = EvaluationConfig(unseen=unseen)
    pairs = TRAINED if unseen == "drop" else None
    return figures({"verb": VERB, "noun": NOUN}, truth_of(events(), KNOWN, config, pairs))


def test_they_count_as_missed() -> None:
    """Verbs: of 7 first guesses 3 are right, of 7 first two 5; noun: 5 of 7 are right."""
    found = measured("miss")
    assert found["verb_top1_accuracy"] == pytest.approx(3 / 7)
    assert found["verb_top2_accuracy"] == pytest.approx(5 / 7)
    # cut 1 of 2, open 2 of 2, wash 0 of 2, peel 0 of 1
    assert found["verb_mean_top1_recall"] == pytest.approx((0.5 + 1 + 0 + 0) / 4)
    assert found["verb_mean_top2_recall"] == pytest.approx((1 + 1 + 0.5 + 0) / 4)
    # door 1 of 2, leek 5 of 5
    assert found["noun_top1_accuracy"] == pytest.approx(6 / 7)
    assert found["noun_mean_top1_recall"] == pytest.approx((0.5 + 1) / 2)
    # both right: the first cut leek and open leek
    assert found["action_top1_accuracy"] == pytest.approx(2 / 7)


def test_they_are_left_out_and_so_are_pairs() -> None:
    """Four segments remain, of pairs that training has."""
    found = measured("drop")
    assert found["verb_top1_accuracy"] == pytest.approx(2 / 4)
    assert found["verb_mean_top1_recall"] == pytest.approx((0.5 + 1 + 0) / 3)
    assert found["verb_mean_top2_recall"] == pytest.approx(1.0)
    assert found["noun_top1_accuracy"] == pytest.approx(3 / 4)
    assert found["action_top1_accuracy"] == pytest.approx(1 / 4)
    config = EvaluationConfig(unseen="drop")
    truth = truth_of(events(), KNOWN, config, TRAINED)
    assert truth.counted.tolist() == [True] * 4 + [False] * 3
    assert (truth.dropped, truth.unseen) == (3, 3)
    assert truth_of(events(), KNOWN, config).dropped == 1  # without pairs the verb alone


def test_they_are_refused() -> None:
    with pytest.raises(DataError, match=r"No training event has the verb peel .*unseen=miss"):
        measured("refuse")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Of labels alone; the fourth kind of event of the test video is a pair of its own."""
    folder = tmp_path_factory.mktemp("unseen")
    kinds = [("cut", "leek"), ("open", "door"), ("wash", "leek")]
    rows: list[dict[str, Any]] = []
    for video, split in enumerate(("train", "train", "test")):
        for k in range(12):
            verb, noun = ("cut", "door") if split == "test" and k % 4 == 3 else kinds[k % 3]
            times = {"start": 2.0 * k, "end": 2.0 * k + 2}
            rows.append({"video": f"{video}.mp4", **times, "verb": verb, "noun": noun})
    videos = [{"video": f"{v}.mp4", "split": s} for v, s in enumerate(("train", "train", "test"))]
    data = Events.from_frames(rows, videos, folder, ("verb", "noun")).to_csv(folder / "data.csv")
    recipe = AnticipationRecipe(
        columns=("verb", "noun"),
        input="labels",
        horizon={"report": 1.0, "evaluate": [1.0]},
        network={"name": "lstm", "width": 8},
        training={"epochs": 1, "workers": 0, "tensorboard": False},
        evaluation={"bootstrap": 0},
    )
    return train(recipe, data=data, out=folder / "run", report=False)


def test_a_run_and_its_predictions_leave_out_the_same(run: Any) -> None:
    """Every label is known, so that only the pairs tell."""
    folder = run.predictions_dir / "test"
    assert run.metrics["protocol"]["events_of_unseen_classes"] == 0
    with pytest.raises(UsageError, match="Evaluate the run with unseen=drop"):
        evaluate(folder, unseen="drop")
    dropped = A.evaluate(run, unseen="drop")
    assert dropped["protocol"]["dropped_events"] == 3
    assert "left out" in " ".join(dropped["notes"])
    again = evaluate(folder)
    assert again["protocol"]["dropped_events"] == 3
    for name in ("verb_top1_accuracy", "noun_mean_top1_recall", "action_top1_accuracy"):
        assert again[name] == dropped[name]
    assert evaluate(folder, unseen="miss")["protocol"]["dropped_events"] == 0
    assert A.evaluate(run)["protocol"]["dropped_events"] == 0
