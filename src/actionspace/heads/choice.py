"""Choosing a hyper-parameter of a head on rows that it has not learnt from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from actionspace.errors import DataError
from actionspace.metrics.classification import mean_class_accuracy
from actionspace.metrics.inputs import Bools, Floats, Ints, as_labels, as_weights


def as_rows(
    x: ArrayLike, y: ArrayLike, classes: int, sample_weight: ArrayLike | None
) -> tuple[Floats, Ints, Floats]:
    """Return features ``[N, D]``, class numbers ``[N]`` and weights ``[N]`` of training rows.

    Raises:
        DataError: shapes that do not fit, no rows, or features that are NaN or infinite.
    """
    features = np.asarray(x, dtype=np.float64)
    if features.ndim != 2 or 0 in features.shape:
        raise DataError(f"Features must be a [rows, dims] table with rows, got {features.shape}.")
    bad = np.flatnonzero(~np.isfinite(features).all(axis=1))
    if len(bad):
        raise DataError(f"Features of row {bad[0]} are not finite ({len(bad)} such rows).")
    return features, as_labels(y, len(features), classes), as_weights(sample_weight, len(features))


def choose(
    name: str,
    candidates: Sequence[Any],
    predict: Callable[[Bools], Floats],
    labels: Ints,
    weight: Floats,
    splits: Sequence[Bools],
    default: Any,
) -> tuple[Any, list[dict[str, Any]]]:
    """Return the candidate with the highest held-out mean class accuracy, and all of them with it.

    Args:
        name: of the hyper-parameter, for the table.
        candidates: from the least to the most smoothing: of equals the last wins.
        predict: fits on the rows of a mask ``[N]`` and returns the probabilities of all other rows
            by every candidate ``[S, rows left out, C]``.
        labels: class numbers ``[N]``.
        weight: importance of each row ``[N]``.
        splits: masks ``[N]`` of the rows to fit on; together they hold out what is judged.
        default: the candidate to take without splits.
    """
    if not len(splits) or len(candidates) == 1:
        return (candidates[0] if len(candidates) == 1 else default), []
    parts = [predict(train) for train in splits]
    truth = np.concatenate([labels[~train] for train in splits])
    importance = np.concatenate([weight[~train] for train in splits])
    table: list[dict[str, Any]] = []
    for at, candidate in enumerate(candidates):
        scores = np.concatenate([part[at] for part in parts])
        accuracy = mean_class_accuracy(scores, truth, importance)
        table.append({name: candidate, "accuracy": accuracy})
    accuracies = np.array([row["accuracy"] for row in table])
    return candidates[int(np.flatnonzero(accuracies >= accuracies.max())[-1])], table
