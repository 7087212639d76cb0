"""From scores to decisions: probabilities that mean what they say, and when to say "nothing".

Everything here is set on scores of rows the head was *not* fitted on (validation rows or held-out
folds); on its own training rows a head is always too sure.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from actionspace.errors import DataError, UsageError
from actionspace.metrics.inputs import Floats, as_labels, as_scores, as_targets, as_weights


def fit_temperature(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    multi_label: bool = False,
    weights: ArrayLike | None = None,
) -> float:
    """Return the temperature in [0.05, 20] that minimises the log loss of ``logits / temperature``.

    It changes no ranking within a row. Guo et al. 2017, "On Calibration of Modern Neural Networks",
    section 4.2.

    Args:
        logits: ``[N, C]``.
        labels: class numbers ``[N]`` or zeros and ones ``[N, C]`` with ``multi_label``.
        multi_label: sigmoid instead of softmax.
        weights: row weights ``[N]``.
    """
    from scipy.optimize import minimize_scalar

    scores = as_scores(logits)
    truth = as_targets(labels, *scores.shape)
    rows = as_weights(weights, len(scores))
    rows = rows / rows.sum()

    def loss(log_temperature: float) -> float:
        z = scores * np.exp(-log_temperature)
        if multi_label:
            each = np.logaddexp(0, np.where(truth, -z, z)).sum(axis=1)
        else:
            top = z.max(axis=1)
            total = top + np.log(np.exp(z - top[:, None]).sum(axis=1))
            each = total - z[np.arange(len(z)), truth.argmax(axis=1)]
        return float(rows @ each)

    bounds = (float(np.log(0.05)), float(np.log(20.0)))
    found = minimize_scalar(loss, bounds=bounds, method="bounded", options={"xatol": 1e-6})
    return float(np.exp(found.x))


def fit_platt(logits: ArrayLike, right: ArrayLike) -> tuple[float, float]:
    """Return temperature and offset with the least log loss of ``logits / temperature + offset``.

    Platt 1999, "Probabilistic Outputs for Support Vector Machines". The temperature is in
    [0.05, 20], so that order stays.

    Args:
        logits: of yes against no, ``[N]``.
        right: zeros and ones ``[N]``.
    """
    from scipy.optimize import minimize

    scores, truth = np.asarray(logits, dtype=float), np.asarray(right, dtype=bool)

    def loss(x: NDArray[Any]) -> float:
        z = scores * np.exp(-x[0]) + x[1]
        return float(np.logaddexp(0, np.where(truth, -z, z)).mean())

    bounds = [(float(np.log(0.05)), float(np.log(20.0))), (-100.0, 100.0)]
    found = minimize(loss, np.zeros(2), method="L-BFGS-B", bounds=bounds)
    return float(np.exp(found.x[0])), float(found.x[1])


def rejection_threshold(
    probabilities: ArrayLike,
    labels: ArrayLike,
    *,
    keep: float = 0.95,
    weights: ArrayLike | None = None,
) -> float:
    """Return the least top probability at which a prediction still counts as "something happens".

    The rule, for data in which "nothing" was never annotated: the highest threshold that keeps at
    least the share ``keep`` of the rightly classified rows (the operating point called 95 % true
    positive rate in out-of-distribution detection). It says nothing about how much of the
    background is rejected, for which only annotated background can speak. 0 if no row is right.

    Args:
        probabilities: held-out probabilities ``[N, C]``.
        labels: class numbers ``[N]``.
        keep: share in (0, 1] of right rows to keep.
        weights: row weights ``[N]``.
    """
    if not 0 < keep <= 1:
        raise UsageError(f"keep is a share in (0, 1], not {keep}.")
    scores = as_scores(probabilities)
    right = scores.argmax(axis=1) == as_labels(labels, *scores.shape)
    mass = as_weights(weights, len(scores)) * right
    if not mass.any():
        return 0.0
    confidence = scores.max(axis=1)
    order = np.argsort(-confidence, kind="stable")
    kept = np.cumsum(mass[order]) / mass.sum()
    return float(confidence[order][np.searchsorted(kept, keep - 1e-12)])


def f1_thresholds(
    probabilities: ArrayLike,
    targets: ArrayLike,
    *,
    weights: ArrayLike | None = None,
    default: float = 0.5,
) -> tuple[float, ...]:
    """Return for each class the probability threshold (``>=``) with the best held-out F1.

    A threshold lies half way between the score it admits last and the next lower one; of equally
    good ones the highest is taken. A class without positives keeps ``default``.

    Args:
        probabilities: held-out probabilities ``[N, C]``.
        targets: zeros and ones ``[N, C]``.
        weights: row weights ``[N]``.
        default: threshold of classes without positives.
    """
    scores = as_scores(probabilities)
    truth = as_targets(targets, *scores.shape)
    if truth.shape != np.shape(targets):
        raise DataError("Thresholds per class need a table of zeros and ones [rows, classes].")
    mass = as_weights(weights, len(scores))
    return tuple(
        _f1_threshold(s, t, mass) if (t * mass).any() else default
        for s, t in zip(scores.T, truth.T, strict=True)
    )


def _f1_threshold(scores: Floats, truth: NDArray[Any], mass: Floats) -> float:
    order = np.argsort(-scores, kind="stable")
    ordered = scores[order]
    right = np.cumsum((truth * mass)[order])
    taken = np.cumsum(mass[order])
    last = np.append(ordered[1:] != ordered[:-1], True)
    f1 = np.where(last, 2 * right / (taken + right[-1]), -1.0)
    best = int(f1.argmax())
    lower = ordered[best + 1] if best + 1 < len(ordered) else 0.0
    return float((ordered[best] + lower) / 2)
