"""A model of verbs and a model of nouns scored, or sent in, as one answer to EPIC-KITCHENS-100."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from actionspace.datasets.epic100 import read_classes
from actionspace.errors import DataError
from actionspace.metrics import epic
from actionspace.metrics.epic_submission import (
    Supervision,
    official_columns,
    submission,
    write_submission,
)
from actionspace.recognition.measure import event_values
from actionspace.recognition.scores import Reading

if TYPE_CHECKING:
    from actionspace.events.table import Events
    from actionspace.training.predictions import Predictions

PathLike = str | os.PathLike[str]
_LEAST = 1e-12  # a probability of zero has no logarithm


def epic_metrics(
    verb: Predictions, noun: Predictions, events: Events, *, anticipation: bool = False
) -> dict[str, float]:
    """Return the challenge's figures of predictions with the heads ``verb`` and ``noun``.

    Args:
        verb, noun: predictions of the same events; one set that has both heads may be given twice.
        events: what ``prepare epic100`` made, its validation split: labels, and in ``modifiers``
            the unseen participants and tail classes.
        anticipation: class-mean top-5 recall instead of accuracy.

    Raises:
        DataError: events without a score or label, which are named.
    """
    verbs, verb_labels = _scored(verb, events, "verb")
    nouns, noun_labels = _scored(noun, events, "noun")
    measure = epic.anticipation_metrics if anticipation else epic.recognition_metrics
    subsets = epic.subsets_of(events.rows["modifiers"])
    return measure(verbs, nouns, verb_labels, noun_labels, subsets)


def epic_submission(
    verb: Predictions,
    noun: Predictions,
    events: Events,
    annotations: PathLike,
    out: PathLike,
    *,
    challenge: str = "action_recognition",
    supervision: Supervision | None = None,
) -> Path:
    """Write the zip for the test server and return its path.

    Args:
        verb, noun: predictions of the same events.
        events: the segments to answer: ``prepare epic100 ... challenge=true``.
        annotations: a folder with the official class lists, which give the classes their ids.
        out: a ``.zip`` file.
        challenge: one of :data:`actionspace.metrics.epic_submission.CHALLENGES`.
        supervision: what was learnt from.

    Raises:
        DataError: events without a score, or a class that the challenge does not have.
    """
    classes = read_classes(Path(annotations))
    columns = [
        official_columns(*_scores(predictions, events, head), official)
        for predictions, head, official in (
            (verb, "verb", classes.verbs),
            (noun, "noun", classes.nouns),
        )
    ]
    content = submission(
        events.rows["id"].tolist(), *columns, challenge=challenge, supervision=supervision
    )
    return write_submission(content, Path(out))


def _scores(predictions: Predictions, events: Events, head: str) -> tuple[np.ndarray, list[str]]:
    """Return log-probabilities ``[E, C]`` of the events in a head, and its classes.

    A class that means "nothing happens" is left out: every segment of the challenge has an action.
    """
    names = predictions.classes(head)
    reading = Reading.of(predictions.labels["heads"][head], "prob")
    values = event_values(predictions, events, head, reading).astype(np.float64)
    without = np.flatnonzero(np.isnan(values).any(axis=1))
    if len(without):
        raise DataError(
            f"{len(without)} of {len(events)} segments have no {head} scores, the first is "
            f"{events.rows['id'].iloc[without[0]]}. Predict them all; the challenge scores all."
        )
    background = predictions.labels.get("background") or {}
    nothing = background.get("label") if background.get("kind") == "trained" else None
    kept = [i for i, name in enumerate(names) if name != nothing]
    return np.log(np.maximum(values[:, kept], _LEAST)), [names[i] for i in kept]


def _scored(predictions: Predictions, events: Events, head: str) -> tuple[np.ndarray, np.ndarray]:
    """Return scores with a column for every class that is known or true, and the labels."""
    labels = [names[0] if names else "" for names in events.labels(head)]
    if "" in labels:
        segment = events.rows["id"].iloc[labels.index("")]
        raise DataError(f"The segment {segment} has no {head}; only labelled ones can be measured.")
    scores, known = _scores(predictions, events, head)
    every = [*known, *sorted(set(labels) - set(known))]
    number = {name: i for i, name in enumerate(every)}
    return official_columns(scores, known, every), np.array([number[name] for name in labels])
