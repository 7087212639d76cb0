"""Verbs and nouns, of one model or of two, scored or sent in as an answer to EPIC-KITCHENS-100."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from actionspace.datasets.epic100 import read_classes
from actionspace.errors import DataError, UsageError
from actionspace.metrics import epic
from actionspace.metrics.epic_submission import (
    Supervision,
    official_columns,
    submission,
    write_submission,
)
from actionspace.recognition import data as manifest
from actionspace.recognition.measure import event_values, own_truth
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


def challenge_section(predictions: Predictions, truth: Events | None) -> dict[str, Any]:
    """Return the entry ``epic100`` of ``metrics.json``, or nothing where it does not apply.

    It does where predictions have the heads ``verb`` and ``noun`` and the truth is what ``prepare
    epic100`` made: it has both, and marks unseen participants or tail classes. Segments that lack
    a label or could not be predicted are left out and counted.
    """
    heads = {"verb", "noun"}
    if not heads <= set(predictions.labels["heads"]):
        return {}
    events = truth if truth is not None else own_truth(predictions)
    if not heads <= set(events.heads):
        return {}
    subsets = epic.subsets_of(events.rows["modifiers"])
    if not (subsets.unseen | subsets.tail_action).any():
        return {}
    kept = manifest.use(events, "verb") & manifest.use(events, "noun")
    for head in heads:
        reading = Reading.of(predictions.labels["heads"][head], "prob")
        kept &= ~np.isnan(event_values(predictions, events, head, reading)).any(axis=1)
    if not kept.any():
        return {}
    found = epic_metrics(predictions, predictions, events.select(mask=kept))
    left_out = int((events.rows["status"] == "event").sum() - kept.sum())
    return {"epic100": {**found, "segments": int(kept.sum()), "left_out": left_out}}


def submit(
    sources: Sequence[PathLike],
    data: PathLike | Events,
    annotations: PathLike,
    out: PathLike,
    *,
    challenge: str = "action_recognition",
    supervision: Supervision | None = None,
    **options: Any,
) -> Path:
    """Write the zip for the test server from runs or predictions, and return its path.

    Args:
        sources: a run or predictions folder with the heads ``verb`` and ``noun``, or two, with one
            each. A run predicts the segments first.
        data: the segments to answer: ``prepare epic100 ... challenge=true``.
        annotations, out, challenge, supervision: see :func:`epic_submission`.
        options: for predicting with runs; see :func:`.predict.predictions`.

    Raises:
        UsageError: a head is in none of them.
        DataError: see :func:`epic_submission`.
    """
    from actionspace.recognition.predict import predictions as predict
    from actionspace.training.predictions import is_predictions, read_predictions

    events = manifest.load(data)
    many = [
        read_predictions(source)
        if is_predictions(source)
        else predict(source, events, mode="clip", **options)
        for source in sources
    ]
    by_head = {head: found for found in many for head in found.labels["heads"]}
    for head in ("verb", "noun"):
        if head not in by_head:
            raise UsageError(
                f"None of {', '.join(map(str, sources))} has the head '{head}'; there is: "
                f"{', '.join(by_head)}. Give a run of head.column=[verb,noun], or one run of each."
            )
    return epic_submission(
        by_head["verb"],
        by_head["noun"],
        events,
        annotations,
        out,
        challenge=challenge,
        supervision=supervision,
    )


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
    background = predictions.background(head)
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
