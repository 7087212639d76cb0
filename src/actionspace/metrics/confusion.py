"""Confusion matrices, and the measures that follow from one (or from many at once)."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from actionspace.errors import UsageError
from actionspace.metrics.inputs import Bools, Floats, Ints, as_labels, as_weights, divide, or_nan

Normalize = Literal["true", "pred", "all"] | None


def count_pairs(truth: Ints, guess: Ints, classes: int, weights: Floats | None = None) -> Floats:
    """Return how often (or with what weight) each pair of classes occurs, ``[C, C]``."""
    flat = np.bincount(truth * classes + guess, weights=weights, minlength=classes * classes)
    return flat.reshape(classes, classes).astype(np.float64)


def recalls(confusion: Floats) -> Floats:
    """Return recall per class ``[..., C]`` of confusion matrices; 0 without ground truth."""
    return divide(np.diagonal(confusion, axis1=-2, axis2=-1), confusion.sum(axis=-1))


def precisions(confusion: Floats) -> Floats:
    """Return precision per class ``[..., C]`` of confusion matrices; 0 if never predicted."""
    return divide(np.diagonal(confusion, axis1=-2, axis2=-1), confusion.sum(axis=-2))


def f1s(confusion: Floats) -> Floats:
    """Return F1 per class ``[..., C]`` of confusion matrices; 0 for a class that never occurs."""
    both = confusion.sum(axis=-1) + confusion.sum(axis=-2)
    return divide(2 * np.diagonal(confusion, axis1=-2, axis2=-1), both)


def mean_recall(confusion: Floats, left_out: Bools | None = None) -> Floats:
    """Return mean class accuracy of confusion matrices ``[..., C, C]``; NaN for an empty one.

    Classes of ``left_out`` (bool ``[..., C]``) are not part of the mean.
    """
    return _mean_of_seen(recalls(confusion), confusion, left_out)


def mean_f1(confusion: Floats, left_out: Bools | None = None) -> Floats:
    """Return macro F1 of confusion matrices ``[..., C, C]``; NaN for an empty one.

    Classes of ``left_out`` (bool ``[..., C]``) are not part of the mean.
    """
    return _mean_of_seen(f1s(confusion), confusion, left_out)


def weighted_f1(confusion: Floats) -> Floats:
    """Return F1 averaged by support of confusion matrices ``[..., C, C]``; NaN for an empty one."""
    support: Floats = confusion.sum(axis=-1)
    total: Floats = (f1s(confusion) * support).sum(axis=-1)
    return total / or_nan(support.sum(axis=-1))


def micro_f1(confusion: Floats) -> Floats:
    """Return F1 over all classes together, which with one label per row is the accuracy."""
    right: Floats = np.trace(confusion, axis1=-2, axis2=-1)
    return right / or_nan(confusion.sum(axis=(-2, -1)))


def _mean_of_seen(values: Floats, confusion: Floats, left_out: Bools | None) -> Floats:
    """Return the mean over the classes seen in labels or predictions."""
    seen = (confusion.sum(axis=-1) > 0) | (confusion.sum(axis=-2) > 0)
    if left_out is not None:
        seen &= ~left_out
    total: Floats = np.where(seen, values, 0.0).sum(axis=-1)
    return total / or_nan(seen.sum(axis=-1))


def confusion_matrix(
    predictions: ArrayLike,
    labels: ArrayLike,
    *,
    normalize: Normalize = None,
    classes: int | None = None,
    weights: ArrayLike | None = None,
) -> Floats | Ints:
    """Return the confusion matrix, rows truth and columns prediction.

    Args:
        predictions: predicted class numbers ``[N]``.
        labels: true class numbers ``[N]``.
        normalize: divide by the row sums ("true"), the column sums ("pred") or the total ("all");
            0/0 is 0.
        classes: number of classes; None restricts the matrix to the sorted union of the class
            numbers that occur, as the original does.
        weights: row weights ``[N]``.

    Returns:
        Counts (int64) when neither normalised nor weighted, else float64.

    Raises:
        UsageError: an unknown ``normalize``.
        DataError: predictions and labels differ in length or are not class numbers.
    """
    guess, truth = np.asarray(predictions), np.asarray(labels)
    size = int(classes) if classes is not None else int(max(guess.max(), truth.max())) + 1
    guess = as_labels(guess, len(truth), size)
    truth = as_labels(truth, len(guess), size)
    matrix = count_pairs(truth, guess, size, as_weights(weights, len(truth)))
    if classes is None:
        kept = np.union1d(guess, truth)
        matrix = matrix[np.ix_(kept, kept)]
    if normalize is None:
        return matrix if weights is not None else matrix.astype(np.int64)
    if normalize == "true":
        return divide(matrix, matrix.sum(axis=1, keepdims=True))
    if normalize == "pred":
        return divide(matrix, matrix.sum(axis=0, keepdims=True))
    if normalize == "all":
        return divide(matrix, matrix.sum())
    raise UsageError(f"normalize is 'true', 'pred', 'all' or None, not {normalize!r}.")
