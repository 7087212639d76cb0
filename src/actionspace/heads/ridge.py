"""Ridge regression on class indicators: a linear classifier in closed form, many penalties at once.

Minimised for every strength ``s``, over weights ``W`` and a free intercept, with ``y`` one-hot and
features standardised::

    sum_i w_i |x_i W + b - y_i|^2 / sum_i w_i  +  s v |W|^2

``v`` is the total variance of the features (their number, once standardised), so that a strength
means the same for every encoder. One eigendecomposition, on the shorter side of the feature table,
serves all strengths. What is predicted estimates the classes' probabilities and sums to 1, though
not bounded (Hastie, Tibshirani and Friedman 2009, section 4.2).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from actionspace.errors import UsageError
from actionspace.heads.choice import as_rows, choose
from actionspace.heads.logistic import ClassWeight, loss_weights
from actionspace.metrics.inputs import Bools, Floats, Ints

STRENGTHS = tuple(float(s) for s in np.logspace(-5, 1, 13))
"""Default path: half decades, as shares of the features' total variance."""


@dataclass(frozen=True, eq=False)
class Ridge:
    """A linear classifier.

    Attributes:
        weight: ``[C, D]``.
        bias: ``[C]``.
        strength: its penalty.
        path: held-out accuracy of every strength tried; empty if there was nothing to choose on.
    """

    weight: Floats
    bias: Floats
    strength: float
    path: tuple[dict[str, Any], ...] = ()

    def probabilities(self, x: ArrayLike) -> Floats:
        """Return the estimates ``[M, C]`` for features ``[M, D]``; each row sums to 1."""
        found: Floats = np.asarray(x, dtype=np.float64) @ self.weight.T + self.bias
        return found


def fit_ridge(
    x: ArrayLike,
    y: ArrayLike,
    *,
    classes: int,
    splits: Sequence[Bools] = (),
    strengths: Sequence[float] = STRENGTHS,
    sample_weight: ArrayLike | None = None,
    class_weight: ClassWeight = None,
) -> Ridge:
    """Choose the strength, and fit.

    Args:
        x: features ``[N, D]``.
        y: class numbers ``[N]``.
        classes: number C of classes; one without rows is never the likeliest.
        splits: masks ``[N]`` of rows to fit on while choosing; none = the middle strength.
        strengths: to choose from; of equals the largest wins.
        sample_weight: importance of each row ``[N]``.
        class_weight: see :func:`~actionspace.heads.logistic.fit_logistic`.

    Raises:
        DataError: arrays that do not fit.
        UsageError: a strength that is not positive.
    """
    ordered = sorted({float(s) for s in strengths})
    if not ordered or not ordered[0] > 0:
        raise UsageError(f"Strengths must be positive numbers, got {list(strengths)}.")
    features, labels, weight = as_rows(x, y, classes, sample_weight)

    def decompose(mask: Bools) -> _Axes:
        return _Axes.of(features[mask], labels[mask], weight[mask], classes, class_weight)

    def predict(train: Bools) -> Floats:
        axes = decompose(train)
        return np.stack([axes.solve(s).probabilities(features[~train]) for s in ordered])

    middle = ordered[len(ordered) // 2]
    chosen, path = choose("strength", ordered, predict, labels, weight, splits, middle)
    found = decompose(np.ones(len(features), bool)).solve(chosen)
    return Ridge(found.weight, found.bias, found.strength, tuple(path))


@dataclass(frozen=True)
class _Axes:
    """The problem in the principal axes of its features: ``W = basis @ (target / (variance + s))``.

    The variances are shares of their sum, and ``mean`` and ``level`` those of features and targets.
    """

    basis: Floats
    variance: Floats
    target: Floats
    mean: Floats
    level: Floats

    @classmethod
    def of(
        cls,
        features: Floats,
        labels: Ints,
        weight: Floats,
        classes: int,
        class_weight: ClassWeight,
    ) -> _Axes:
        hot = np.arange(classes) == labels[:, None]
        importance = loss_weights(hot, weight / weight.sum(), class_weight, False)[:, 0]
        importance = importance / importance.sum()
        mean, level = importance @ features, importance @ hot
        x = features - mean
        scale = np.sqrt(importance @ x**2)
        # A column that is constant but for rounding says nothing.
        scale = np.where(scale > 1e-12 * np.abs(mean), scale, np.inf)
        root = np.sqrt(importance)[:, None]
        x, y = root * (x / scale), root * (hot - level)
        wide = x.shape[1] > x.shape[0]
        variance, vectors = np.linalg.eigh(x @ x.T if wide else x.T @ x)
        variance = np.maximum(variance, 0)
        total = variance.sum() or 1.0
        basis, target = (x.T @ vectors, vectors.T @ y) if wide else (vectors, vectors.T @ (x.T @ y))
        return cls(basis / (scale[:, None] * total), variance / total, target, mean, level)

    def solve(self, strength: float) -> Ridge:
        """Return the solution for one strength."""
        weight: Floats = (self.basis @ (self.target / (self.variance + strength)[:, None])).T
        return Ridge(weight, self.level - weight @ self.mean, strength)
