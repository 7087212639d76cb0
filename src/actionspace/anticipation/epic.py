"""An answer to the anticipation challenge of EPIC-KITCHENS-100: the zip for its test server."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from actionspace.anticipation.evaluate import scores_by_id
from actionspace.anticipation.measure import actions_of
from actionspace.datasets.epic100 import read_classes
from actionspace.errors import DataError, UsageError
from actionspace.metrics.epic import KEPT
from actionspace.metrics.epic_submission import (
    Supervision,
    official_columns,
    submission,
    write_submission,
)
from actionspace.training.inputs import resolve
from actionspace.training.predictions import is_predictions, read_predictions

if TYPE_CHECKING:
    from actionspace.events.table import Events
    from actionspace.training.predictions import Predictions

PathLike = str | os.PathLike[str]
LEAST = 1e-12
HORIZON = 1.0  # seconds, of the challenge


def submit(
    sources: Sequence[PathLike],
    data: PathLike | Events,
    annotations: PathLike,
    out: PathLike,
    *,
    challenge: str = "action_anticipation",
    supervision: Supervision | None = None,
    **options: Any,
) -> Path:
    """Write the zip for the test server from runs or predictions, and return its path.

    Args:
        sources: a run or predictions folder with the heads ``verb`` and ``noun``, or two, with one
            each. A run foretells the segments first, one second before each. With a head
            ``action`` of 100 classes or more the actions are its own, else of verbs and nouns.
        data: the segments to answer: ``prepare epic100 ... challenge=true``.
        annotations: a folder with the official class lists.
        out: a ``.zip`` file.
        challenge: ``action_anticipation``.
        supervision: what was learnt from.
        options: for predicting with runs; see :func:`.predict.predictions`.

    Raises:
        UsageError: a head is in none of them; another challenge.
        DataError: segments without a score, windows that end at or after the action's start, or a
            class that the challenge does not have.
    """
    from actionspace.anticipation.predict import predictions as predict

    if challenge != "action_anticipation":
        raise UsageError(f"These are runs of anticipation; challenge={challenge} is another task.")
    events = resolve(data)
    by_head: dict[str, Predictions] = {}
    for source in sources:
        found = (
            read_predictions(source)
            if is_predictions(source)
            else predict(source, events, at="events", horizon=HORIZON, **options)
        )
        _obeys(found.labels, source)
        by_head |= dict.fromkeys(found.labels["heads"], found)
    classes = read_classes(Path(annotations))
    columns = []
    for head, official in (("verb", classes.verbs), ("noun", classes.nouns)):
        if head not in by_head:
            raise UsageError(
                f"None of {', '.join(map(str, sources))} has the head '{head}'; there is: "
                f"{', '.join(by_head)}. Give a run of columns=[verb,noun], or one run of each."
            )
        logs = _logs(by_head[head], head, events)
        columns.append(official_columns(logs, by_head[head].classes(head), official))
    actions = None
    if "action" in by_head:
        told = by_head["action"]
        named = told.classes("action")
        if len(named) >= KEPT:  # else there are too few to write the 100 that are asked for
            scores = _logs(told, "action", events)
            actions = actions_of(scores, named, classes.verbs, classes.nouns)
    content = submission(
        events.rows["id"].tolist(),
        *columns,
        challenge=challenge,
        supervision=supervision,
        actions=actions or True,
    )
    return write_submission(content, Path(out))


def _logs(told: Predictions, head: str, events: Events) -> np.ndarray:
    """Return logarithms of the probabilities ``[N, C]`` of all segments."""
    values = scores_by_id(told, events)[head]
    without = np.flatnonzero(np.isnan(values).any(axis=1))
    if len(without):
        raise DataError(
            f"{len(without)} of {len(events)} segments have no {head} scores, the first is "
            f"{events.rows['id'].iloc[without[0]]}. Predict them all; the challenge scores all."
        )
    return np.asarray(np.log(np.maximum(values, LEAST)))


def _obeys(labels: dict[str, Any], source: PathLike) -> None:
    """Refuse what has seen more than the challenge allows."""
    anchor, horizon = labels.get("anchor", "start"), float(labels.get("horizon") or 0)
    if anchor != "start" or horizon < HORIZON:
        raise DataError(
            f"{source} saw videos until {horizon:g} s before the {anchor} of each action; the "
            f"challenge allows {HORIZON:g} s before the start and nothing after."
        )
    if labels.get("input", "features") != "features":
        raise DataError(
            f"{source} was given labels of past actions, which the challenge's test videos lack. "
            "Train with input=features."
        )
