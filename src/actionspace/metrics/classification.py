"""Measures of clip classification, with one label per clip or several.

Scores are ``[N, C]`` (anything that grows with belief: logits, probabilities), labels are class
numbers ``[N]`` or, for several labels, zeros and ones ``[N, C]``. Every measure is a fraction in
[0, 1]. The definitions are those of the Video Swin / mmaction evaluation (kept exactly, ties
included), so that published figures can be compared:

* *Ties.* Top-k measures rank equal scores by class number, highest first; the predicted class of
  all other measures is the lowest of the tied ones. Top-1 and micro accuracy therefore may differ
  on ties.
* *Which classes count.* Means over classes run over the classes seen in labels **or** predictions;
  a class that is predicted but never true counts as zero. Means of average precision and of macro
  top-k run over the classes that have ground truth.

``weights`` gives rows unequal importance (the duration of a frame, one over the rows of an event).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from actionspace.errors import DataError
from actionspace.metrics import confusion
from actionspace.metrics.calibration import reliability
from actionspace.metrics.confusion import count_pairs, f1s, mean_f1, mean_recall
from actionspace.metrics.inputs import (
    Bools,
    Floats,
    Ints,
    as_labels,
    as_scores,
    as_targets,
    as_weights,
    divide,
    mean_or_nan,
    or_nan,
)


def ranks(scores: ArrayLike) -> Ints:
    """Return each class's rank in its row, 0 = highest; equal scores: the higher class first."""
    array = as_scores(scores)
    order = np.argsort(array, axis=1, kind="stable")[:, ::-1]
    out: Ints = np.empty_like(order)
    np.put_along_axis(out, order, np.arange(array.shape[1])[None], axis=1)
    return out


def top_k_hits(scores: ArrayLike, labels: ArrayLike, k: int = 1) -> Bools:
    """Return, per row, whether a true class is among the k highest scores."""
    array = as_scores(scores)
    found: Bools = np.any(as_targets(labels, *array.shape) & (ranks(array) < k), axis=1)
    return found


def top_k_accuracy(
    scores: ArrayLike, labels: ArrayLike, k: int = 1, weights: ArrayLike | None = None
) -> float:
    """Return the share of rows with a true class among the k highest scores.

    With several labels per row one of them suffices (the original's micro top-k accuracy).
    """
    hits = top_k_hits(scores, labels, k)
    return float(np.average(hits, weights=as_weights(weights, len(hits))))


def macro_top_k_accuracy(
    scores: ArrayLike, labels: ArrayLike, k: int = 1, weights: ArrayLike | None = None
) -> float:
    """Return, averaged over classes with ground truth, how often a true class is in the top k.

    The original raises ``NameError`` here; this is what it set out to compute.
    """
    array = as_scores(scores)
    truth = as_targets(labels, *array.shape) * as_weights(weights, len(array))[:, None]
    support = truth.sum(axis=0)
    found = (truth * (ranks(array) < k)).sum(axis=0)
    return mean_or_nan(divide(found, support)[support > 0])


def predicted(scores: ArrayLike) -> Ints:
    """Return the class with the highest score per row; of equal scores the lowest class."""
    best: Ints = np.argmax(as_scores(scores), axis=1)
    return best


def micro_accuracy(scores: ArrayLike, labels: ArrayLike, weights: ArrayLike | None = None) -> float:
    """Return the share of rows whose predicted class is right."""
    array = as_scores(scores)
    hits = predicted(array) == as_labels(labels, *array.shape)
    return float(np.average(hits, weights=as_weights(weights, len(hits))))


def mean_class_accuracy(
    scores: ArrayLike, labels: ArrayLike, weights: ArrayLike | None = None
) -> float:
    """Return recall averaged over the classes seen in labels or predictions.

    A class that is predicted but never true counts as zero, as in the original.
    """
    return float(mean_recall(score_confusion(scores, labels, weights)))


macro_accuracy = mean_class_accuracy


def macro_f1(
    scores: ArrayLike,
    labels: ArrayLike,
    weights: ArrayLike | None = None,
    *,
    every_class: bool = False,
) -> float:
    """Return F1 averaged over the classes seen in labels or predictions.

    ``every_class`` averages over all columns, those that never occur counting as zero.
    """
    matrix = score_confusion(scores, labels, weights)
    return float(f1s(matrix).mean() if every_class else mean_f1(matrix))


def weighted_f1(scores: ArrayLike, labels: ArrayLike, weights: ArrayLike | None = None) -> float:
    """Return F1 averaged over classes by the share of rows that truly are of each."""
    return float(confusion.weighted_f1(score_confusion(scores, labels, weights)))


def micro_f1(scores: ArrayLike, labels: ArrayLike, weights: ArrayLike | None = None) -> float:
    """Return F1 counted over all classes together: with one label per row, the accuracy."""
    return float(confusion.micro_f1(score_confusion(scores, labels, weights)))


def per_class_recall(
    scores: ArrayLike, labels: ArrayLike, weights: ArrayLike | None = None
) -> Floats:
    """Return the share of each class's rows that are found ``[C]``; NaN without ground truth."""
    matrix = score_confusion(scores, labels, weights)
    recall: Floats = np.diagonal(matrix) / or_nan(matrix.sum(axis=1))
    return recall


def balanced_accuracy(
    scores: ArrayLike, labels: ArrayLike, weights: ArrayLike | None = None
) -> float:
    """Return recall averaged over the classes that have ground truth.

    :func:`mean_class_accuracy` also counts those that are predicted and never true, as zero.
    """
    return float(np.nanmean(per_class_recall(scores, labels, weights)))


def score_confusion(
    scores: ArrayLike, labels: ArrayLike, weights: ArrayLike | None = None
) -> Floats:
    """Return the ``[C, C]`` confusion matrix (rows truth, columns prediction) of scores."""
    array = as_scores(scores)
    truth = as_labels(labels, *array.shape)
    return count_pairs(truth, predicted(array), array.shape[1], as_weights(weights, len(array)))


def average_precision(
    scores: ArrayLike, positive: ArrayLike, weights: ArrayLike | None = None
) -> float:
    """Return non-interpolated average precision of one class; NaN without positives.

    Precision is read at each distinct score (tied rows enter together) and weighted by the recall
    gained there; the same as scikit-learn's.

    Args:
        scores: ``[N]``, higher = more likely positive.
        positive: ``[N]`` of zeros and ones.
        weights: row weights ``[N]``.
    """
    array = np.asarray(scores, dtype=np.float64)
    order = np.argsort(-array, kind="stable")
    mass = as_weights(weights, len(array))[order]
    last_of_tie = np.append(array[order][1:] != array[order][:-1], True)
    right = np.cumsum(mass * np.asarray(positive, dtype=bool)[order])[last_of_tie]
    seen = np.cumsum(mass)[last_of_tie]
    gained = np.diff(right, prepend=0.0)
    return float((gained * divide(right, seen)).sum() / or_nan(right[-1]))


def per_class_average_precision(
    scores: ArrayLike, labels: ArrayLike, weights: ArrayLike | None = None
) -> Floats:
    """Return average precision per class ``[C]``; NaN for a class without positives."""
    array = as_scores(scores)
    truth = as_targets(labels, *array.shape)
    return np.array(
        [average_precision(s, t, weights) for s, t in zip(array.T, truth.T, strict=True)]
    )


def mean_average_precision(
    scores: ArrayLike, labels: ArrayLike, weights: ArrayLike | None = None
) -> float:
    """Return average precision averaged over the classes that have positives (NaN if none)."""
    values = per_class_average_precision(scores, labels, weights)
    return mean_or_nan(values[~np.isnan(values)])


def mmit_mean_average_precision(
    scores: ArrayLike, labels: ArrayLike, *, skip_unlabelled: bool = False
) -> float:
    """Return average precision per row over its classes, averaged over rows (Multi-Moments).

    A row without any label makes the result NaN, as in the original, unless ``skip_unlabelled``.
    """
    array = as_scores(scores)
    truth = as_targets(labels, *array.shape)
    values = np.array([average_precision(s, t) for s, t in zip(array, truth, strict=True)])
    return mean_or_nan(values[~np.isnan(values)] if skip_unlabelled else values)


def expected_calibration_error(
    probabilities: ArrayLike, labels: ArrayLike, bins: int = 15
) -> float:
    """Return the gap between confidence and accuracy, averaged over equal-width bins by their size.

    Guo et al. 2017, "On Calibration of Modern Neural Networks", equation 3.
    """
    array = as_scores(probabilities)
    right = predicted(array) == as_labels(labels, *array.shape)
    return reliability(array.max(axis=1), right, bins).ece


def per_class_table(
    scores: ArrayLike, labels: ArrayLike, classes: Sequence[str]
) -> list[dict[str, Any]]:
    """Return one row per class: class, support, predicted, precision, recall, f1, ap.

    Precision, recall and F1 are 0 where nothing was predicted or true (as 0/0), except that recall
    and AP of a class without ground truth are NaN.
    """
    array = as_scores(scores)
    matrix = score_confusion(array, _checked(array, labels, classes))
    support, guessed, right = matrix.sum(axis=1), matrix.sum(axis=0), np.diagonal(matrix)
    columns = {
        "precision": confusion.precisions(matrix),
        "recall": right / or_nan(support),
        "f1": f1s(matrix),
        "ap": per_class_average_precision(array, labels),
    }
    return [
        {"class": name, "support": int(support[c]), "predicted": int(guessed[c])}
        | {key: float(values[c]) for key, values in columns.items()}
        for c, name in enumerate(classes)
    ]


def single_label_metrics(
    scores: ArrayLike, labels: ArrayLike, classes: Sequence[str], k: Sequence[int] = (1, 5)
) -> dict[str, float]:
    """Return every measure of one-label classification under its name in ``metrics.json``.

    ``top{k}_accuracy`` for each k, ``micro_accuracy``, ``mean_class_accuracy``,
    ``macro_top{k}_accuracy``, ``macro_f1``, ``weighted_f1``, ``micro_f1``, ``map``.
    """
    array = as_scores(scores)
    truth = _checked(array, labels, classes)
    matrix = score_confusion(array, truth)
    return {
        **{f"top{i}_accuracy": top_k_accuracy(array, truth, i) for i in k},
        "micro_accuracy": float(np.trace(matrix) / matrix.sum()),
        "mean_class_accuracy": float(mean_recall(matrix)),
        **{f"macro_top{i}_accuracy": macro_top_k_accuracy(array, truth, i) for i in k},
        "macro_f1": float(mean_f1(matrix)),
        "weighted_f1": float(confusion.weighted_f1(matrix)),
        "micro_f1": float(confusion.micro_f1(matrix)),
        "map": mean_average_precision(array, truth),
    }


def multi_label_metrics(
    scores: ArrayLike,
    labels: ArrayLike,
    classes: Sequence[str],
    k: Sequence[int] = (1, 5),
    threshold: float | ArrayLike = 0.5,
) -> dict[str, float]:
    """Return every measure of several-label classification under its name in ``metrics.json``.

    ``map``, ``mmit_map`` (rows without a label left out), ``top{k}_accuracy`` (any true class among
    the k highest), ``macro_top{k}_accuracy``, and from scores at or above ``threshold`` (one number
    or one per class): ``micro_f1``, ``macro_f1``, ``exact_match_accuracy``.
    """
    array = as_scores(scores)
    truth = as_targets(labels, len(array), len(_named(array, classes)))
    guess = array >= np.asarray(threshold, dtype=np.float64)
    both, either = (guess & truth).sum(axis=0), truth.sum(axis=0) + guess.sum(axis=0)
    return {
        "map": mean_average_precision(array, truth),
        "mmit_map": mmit_mean_average_precision(array, truth, skip_unlabelled=True),
        **{f"top{i}_accuracy": top_k_accuracy(array, truth, i) for i in k},
        **{f"macro_top{i}_accuracy": macro_top_k_accuracy(array, truth, i) for i in k},
        "micro_f1": float(2 * both.sum() / or_nan(either.sum())),
        "macro_f1": mean_or_nan(divide(2 * both, either)[either > 0]),
        "exact_match_accuracy": float((guess == truth).all(axis=1).mean()),
    }


def _named(scores: Floats, classes: Sequence[str]) -> Sequence[str]:
    if len(classes) != scores.shape[1]:
        raise DataError(
            f"There are {len(classes)} class names but scores have {scores.shape[1]} columns."
        )
    return classes


def _checked(scores: Floats, labels: ArrayLike, classes: Sequence[str]) -> Ints:
    return as_labels(labels, len(scores), len(_named(scores, classes)))
