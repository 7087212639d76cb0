"""What a network says of events: probabilities of what comes next, at one horizon."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from actionspace.anticipation.network.model import AnticipationNetwork
from actionspace.anticipation.samples import Questions
from actionspace.errors import ActionspaceError
from actionspace.training.predictions import ROW_COLUMNS, Predictions, predicted_events

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd

    from actionspace.anticipation.recipe import AnticipationRecipe
    from actionspace.events.table import Events

BATCH = 256
MOST_NUMBERS = 1 << 25


def scores_of(
    network: AnticipationNetwork, questions: Questions, recipe: AnticipationRecipe
) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Return probabilities ``[E, C]`` of each column, NaN for events that cannot be read.

    Of the focal loss, whose classes are told one by one, they are the sigmoids scaled to sum to
    one: the same order.

    Returns:
        The probabilities, and the videos that could not be read, with the reason.
    """
    device = next(network.parameters()).device
    size = max(1, min(BATCH, MOST_NUMBERS // max(questions.numbers, 1)))
    names = list(recipe.columns)
    found = {
        name: np.full((len(questions), count), np.nan, np.float32)
        for name, count in zip(names, network.sizes, strict=True)
    }
    skipped: dict[str, str] = {}
    for first in range(0, len(questions), size):
        indices, samples = [], []
        for index in range(first, min(first + size, len(questions))):
            video = str(questions.asked.videos[index])
            if video in skipped:
                continue
            try:
                samples.append(questions.load(index, 0))
                indices.append(index)
            except ActionspaceError as e:
                skipped[video] = str(e)
        if not samples:
            continue
        batch = questions.collate(samples).to(device)
        with torch.no_grad():
            logits = network(batch)[0].logits
        for name in names:
            found[name][indices] = _probabilities(logits[name], recipe.loss.name)
    return found, skipped


def _probabilities(logits: torch.Tensor, loss: str) -> np.ndarray:
    values = logits.double()
    if loss == "cross_entropy":
        return values.softmax(-1).cpu().numpy()
    scores = values.sigmoid()
    return (scores / scores.sum(-1, keepdim=True)).cpu().numpy()


def predictions_of(
    scores: Mapping[str, np.ndarray],
    rows: pd.DataFrame,
    events: Events,
    classes: Mapping[str, Sequence[str]],
    labels: dict[str, Any],
    *,
    truth: bool = True,
) -> Predictions:
    """Return scores as a predictions folder has them.

    Args:
        scores: probabilities ``[E, C]`` of each column; events without are left out.
        rows: ``id``, ``video``, ``start``, ``end`` of each event, and its labels where known.
        events: whose videos they are.
        classes: names per column.
        labels: of ``labels.json``; ``heads`` is there.
        truth: whether the labels in ``rows`` are true.
    """
    import pandas as pd

    have = np.ones(len(rows), bool)
    for values in scores.values():
        have &= ~np.isnan(values).any(axis=1)
    kept = rows[have].reset_index(drop=True)
    keep = [c for c in ("id", "video", "start", "end", "subject", "modifiers") if c in kept.columns]
    table = kept[keep].copy()
    several = len(scores) > 1
    for name, values in scores.items():
        some = values[have]
        table[name] = np.array(classes[name], object)[some.argmax(1)] if len(some) else None
        best = some.max(1).astype(np.float64) if len(some) else np.zeros(0)
        table[f"{name}_score" if several else "score"] = best
        if truth:
            table[f"{name}_true"] = kept[name]
    told = predicted_events(table, events.videos, events.root, tuple(scores))
    return Predictions(
        events=told,
        scores={name: values[have].astype(np.float32) for name, values in scores.items()},
        labels=labels,
        rows=pd.DataFrame(columns=list(ROW_COLUMNS)),
        truth=_annotated(rows) if truth else None,
    )


def _annotated(rows: pd.DataFrame) -> pd.DataFrame:
    """Return events as they were annotated, without what predictions put beside them."""
    beside = [c for c in rows.columns if c == "score" or c.endswith(("_true", "_score"))]
    return rows.drop(columns=beside).reset_index(drop=True)
