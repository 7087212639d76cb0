"""How well several columns are recognised together, after training and while it goes on."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import reduce

import numpy as np

from actionspace.metrics.epic import recognition_metrics

JOINT_SCORE = "joint_score"
"""What decides between epochs: the mean over columns of top-1 accuracy, or of mAP where an event
may have several labels."""
_LEAST = 1e-12  # a probability of zero has no logarithm

Scores = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Numbers of events ``[E]``, their probabilities ``[E, C]``, and what they are: int64 ``[E]``, or
with several labels bool ``[E, C]``."""


def joint_names(columns: Collection[str]) -> tuple[str, ...]:
    """Return what :func:`joint_metrics` measures of columns with one label per event."""
    if set(columns) == {"verb", "noun"}:
        return ("action_top1_accuracy", "action_top5_accuracy")
    return ("joint_top1_accuracy",)


def joint_metrics(each: Mapping[str, Scores]) -> dict[str, float]:
    """Return the measures of all columns at once, over events that have a label in each.

    ``joint_top1_accuracy`` is the share of events that are right in every column. A verb and a noun
    make an action: its ``action_top1_accuracy`` is just that share, ``action_top5_accuracy`` ranks
    pairs by the product of their probabilities, as EPIC-KITCHENS-100 does. Nothing is returned
    where an event may have several labels in a column, or none has one in each.
    """
    if any(truth.ndim == 2 for _, _, truth in each.values()):
        return {}
    both = reduce(np.intersect1d, [events for events, _, _ in each.values()])
    if not len(both):
        return {}
    scores, labels = {}, {}
    for column, (events, values, truth) in each.items():
        at = np.searchsorted(events, both)
        scores[column], labels[column] = values[at], truth[at]
    if set(each) == {"verb", "noun"}:
        verb, noun = (np.log(np.maximum(scores[name], _LEAST)) for name in ("verb", "noun"))
        found = recognition_metrics(verb, noun, labels["verb"], labels["noun"])
        return {name: found[name] for name in joint_names(each)}
    right = [values.argmax(axis=1) == labels[column] for column, values in scores.items()]
    return dict.fromkeys(joint_names(each), float(np.all(right, axis=0).mean()))
