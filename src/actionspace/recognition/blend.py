"""Several models' probabilities into one, and the weights that do it best on labelled events."""

from __future__ import annotations

import numpy as np

from actionspace.recognition.probe import Average

_LEAST = 1e-12  # a probability of 0 has no logarithm


def blend(
    values: np.ndarray, weights: np.ndarray, average: Average, multi_label: bool
) -> np.ndarray:
    """Return the weighted mean of K models' probabilities, ``[K, N, C]`` -> ``[N, C]``.

    With ``prob`` of the probabilities, with ``score`` of their logits (a geometric mean). Where a
    model says nothing (NaN) the others share its weight; NaN where none says anything.
    """
    from scipy.special import expit, softmax

    there = ~np.isnan(values).any(axis=2)
    share = weights[:, None] * there
    share = np.where(share.sum(axis=0) > 0, share, there)  # only models of weight 0 are there
    with np.errstate(invalid="ignore"):
        share = (share / share.sum(axis=0))[..., None]
    known = np.where(there[..., None], values, 0.5)
    if average == "prob":
        return np.asarray((share * known).sum(axis=0))
    scores = (share * logits(known, multi_label)).sum(axis=0)
    mixed = expit(scores) if multi_label else softmax(scores, axis=-1)
    return np.where(there.any(axis=0)[:, None], mixed, np.nan)


def logits(probabilities: np.ndarray, multi_label: bool) -> np.ndarray:
    """Return raw scores that have these probabilities."""
    p = np.clip(probabilities, _LEAST, 1.0)
    if not multi_label:
        return np.asarray(np.log(p))
    return np.asarray(np.log(p) - np.log(np.clip(1 - probabilities, _LEAST, 1.0)))


def fit_weights(
    values: np.ndarray, targets: np.ndarray, average: Average, multi_label: bool
) -> np.ndarray:
    """Return the weights ``[K]`` (not negative, sum 1) under which labelled events are likeliest.

    The mean negative log-likelihood is convex in the weights, whichever way they average, so what
    is found is the best there is.

    Args:
        values: probabilities ``[K, N, C]`` without NaN.
        targets: int ``[N]``, or bool ``[N, C]`` with several labels.
        average: as in :func:`blend`.
        multi_label: classes are independent.
    """
    from scipy.optimize import minimize

    models = len(values)

    def loss(weights: np.ndarray) -> float:
        p = np.clip(blend(values, np.clip(weights, 0, 1), average, multi_label), _LEAST, 1)
        if multi_label:
            other = np.clip(1 - p, _LEAST, 1)
            return float(-np.where(targets, np.log(p), np.log(other)).sum(axis=1).mean())
        return float(-np.log(p[np.arange(len(p)), targets]).mean())

    equal = np.full(models, 1 / models)
    found = minimize(
        loss,
        equal,
        method="SLSQP",
        bounds=[(0, 1)] * models,
        constraints={"type": "eq", "fun": lambda w: w.sum() - 1},
        options={"ftol": 1e-9},
    )
    best = np.clip(found.x, 0, None) if loss(found.x) < loss(equal) else equal
    return np.asarray(best / best.sum())
