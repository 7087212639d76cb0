"""Multinomial and one-against-rest logistic regression for many penalties at once, by L-BFGS.

Minimised for every strength ``s`` of the regularisation path, over weights ``W`` and biases ``b``::

    sum_i w_i loss(x_i W + b, y_i) / sum_i w_i  +  s/2 |W|^2

where loss is cross-entropy (one label per row) or the sum over classes of binary cross-entropy
(several labels), the features are standardised and the biases are free. scikit-learn's ``C`` is
``1 / (s sum_i w_i)``.

What makes it fast, with the optimum unchanged:

* The features are turned into their principal axes first. The penalty does not notice a rotation,
  axes without variance carry no weight at the optimum and are dropped (a few hundred clips need a
  few hundred axes, however wide the encoder), and along the others the curvature is nearly
  diagonal, which gives L-BFGS (Nocedal and Wright 2006, algorithm 7.4) its initial matrix.
* All strengths share each pass over the features, as columns of one matrix product; a strength
  leaves when it has converged.
* Logits along a search direction are linear in the step, so a line search, however long, costs no
  pass over the features: two products per iteration.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from actionspace.errors import DataError, UsageError

if TYPE_CHECKING:
    import torch

Floats = NDArray[np.float64]
ClassWeight = Literal["balanced"] | Mapping[int, float] | None

ABSENT = -1e4
"""Logit of a class without a training row: no probability, yet finite in float16 and in sums."""


@dataclass(frozen=True)
class LogisticPath:
    """Solutions along a regularisation path, for features as they were given.

    Attributes:
        strengths: ``[S]``.
        weight: ``[S, C, D]`` float64.
        bias: ``[S, C]`` float64; a class without training rows has weight 0 and bias ``ABSENT``.
        iterations: ``[S]`` L-BFGS iterations used.
        converged: ``[S]`` whether the Newton decrement fell below the tolerance.
    """

    strengths: Floats
    weight: Floats
    bias: Floats
    iterations: NDArray[np.int64]
    converged: NDArray[np.bool_]


def fit_logistic(
    x: ArrayLike,
    y: ArrayLike,
    *,
    classes: int,
    strengths: Sequence[float],
    multi_label: bool = False,
    sample_weight: ArrayLike | None = None,
    class_weight: ClassWeight = None,
    standardize: bool = True,
    tolerance: float = 1e-4,
    max_iterations: int = 2000,
    device: str = "cpu",
    double: bool = True,
) -> LogisticPath:
    """Fit logistic regression for each penalty strength.

    Args:
        x: features ``[N, D]``.
        y: class numbers ``[N]``, or zeros and ones ``[N, classes]`` with ``multi_label``.
        classes: number of classes C; some may have no row.
        strengths: penalties, each > 0 (see the module).
        multi_label: one sigmoid per class instead of a softmax over classes.
        sample_weight: importance of each row ``[N]``.
        class_weight: "balanced" gives every class the same total weight (with several labels: its
            positive and its negative rows); a mapping from class number multiplies its rows.
        standardize: divide features by their standard deviation before penalising them. They are
            centred in any case, which changes only the bias.
        tolerance: accuracy of the weights of the standardised features. The loss is at least
            ``s``-strongly convex, so iteration ends at an estimated Newton decrement below
            ``tolerance sqrt(s)`` (``s`` clipped to 1e-4 .. 1e-2: beyond, the probabilities would
            suffer, or weights hardly penalised be polished that decide nothing).
        max_iterations: per strength.
        device: torch device.
        double: compute in float64. In float32 (half the memory) iteration ends at rounding level.

    Returns:
        The solutions, in the order of ``strengths``; deterministic on one device.

    Raises:
        DataError: shapes that do not fit, NaN or infinite features, labels out of range, weights
            that are negative or all zero.
        UsageError: a strength that is not positive.
    """
    import torch

    from actionspace.heads import lbfgs

    penalties = np.asarray(strengths, dtype=np.float64)
    if penalties.ndim != 1 or not len(penalties) or not (penalties > 0).all():
        raise UsageError(f"Strengths must be positive numbers, got {list(strengths)}.")
    features = _features(x)
    targets = _targets(y, len(features), classes, multi_label)
    rows = _row_weights(sample_weight, len(features))
    learnable = _learnable(targets, rows, multi_label)
    importance = loss_weights(targets, rows, class_weight, multi_label)

    def tensor(a: NDArray[Any]) -> torch.Tensor:
        return torch.as_tensor(a, dtype=torch.float64 if double else torch.float32, device=device)

    axes = _principal_axes(tensor(features), tensor(rows), standardize)
    problem = lbfgs.Problem(
        features=axes.coordinates,
        curvature=axes.variance,
        targets=tensor(targets[:, learnable]),
        weights=tensor(importance[:, learnable] if multi_label else importance),
        sigmoid=multi_label,
    )
    solution = lbfgs.minimise(problem, penalties, tolerance, max_iterations)

    weight = np.zeros((len(penalties), classes, features.shape[1]))
    bias = np.tile(_constant_logits(targets, rows), (len(penalties), 1))
    folded, offset = axes.unfold(solution.weights)
    weight[:, learnable], bias[:, learnable] = folded.cpu().numpy(), offset.cpu().numpy()
    return LogisticPath(penalties, weight, bias, solution.iterations, solution.converged)


def _features(x: ArrayLike) -> NDArray[Any]:
    array = np.asarray(x)
    if array.ndim != 2 or 0 in array.shape:
        raise DataError(f"Features must be a [rows, dims] table with rows, got {array.shape}.")
    bad = np.flatnonzero(~np.isfinite(array).all(axis=1))
    if len(bad):
        raise DataError(f"Features of row {bad[0]} are not finite ({len(bad)} such rows).")
    return array


def _targets(y: ArrayLike, rows: int, classes: int, multi_label: bool) -> NDArray[np.bool_]:
    from actionspace.metrics.inputs import as_labels, as_targets

    array = np.asarray(y)
    if not multi_label:
        array = as_labels(array, rows, classes)
    elif array.ndim != 2:
        raise DataError(f"Several labels per row need a [rows, classes] table, got {array.shape}.")
    return as_targets(array, rows, classes)


def _row_weights(sample_weight: ArrayLike | None, rows: int) -> Floats:
    """Return row weights that sum to 1."""
    from actionspace.metrics.inputs import as_weights

    weights = as_weights(sample_weight, rows)
    total: Floats = weights / weights.sum()
    return total


def _learnable(targets: NDArray[np.bool_], rows: Floats, multi_label: bool) -> NDArray[np.intp]:
    """Return the classes with something to learn: positives, and negatives if independent."""
    positive = rows @ targets
    found = (positive > 0) & (positive < rows.sum() * (1 - 1e-12)) if multi_label else positive > 0
    return np.flatnonzero(found)


def _constant_logits(targets: NDArray[np.bool_], rows: Floats) -> Floats:
    """Return the logits ``[C]`` of classes not learnt: never, or (several labels) always true."""
    return np.where(rows @ targets > 0, -ABSENT, ABSENT)


def loss_weights(
    targets: NDArray[np.bool_], rows: Floats, class_weight: ClassWeight, multi_label: bool
) -> Floats:
    """Return loss weights ``[N, 1]``, or ``[N, C]`` with several labels."""
    if class_weight is None:
        factor = np.ones((2, targets.shape[1]))
    elif class_weight == "balanced":
        positive = rows @ targets
        parts = np.stack([1 - positive, positive]) if multi_label else np.stack([positive] * 2)
        share = 0.5 if multi_label else 1.0 / np.count_nonzero(positive)
        factor = share / np.where(parts > 0, parts, np.inf)
    elif isinstance(class_weight, Mapping):
        unknown = [c for c in class_weight if c not in range(targets.shape[1])]
        if unknown or any(not v >= 0 for v in class_weight.values()):
            raise UsageError(
                f"class_weight maps class numbers 0..{targets.shape[1] - 1} to numbers >= 0; "
                f"got {dict(class_weight)}."
            )
        positive = np.array([class_weight.get(c, 1.0) for c in range(targets.shape[1])])
        factor = np.stack([np.ones_like(positive), positive])
    else:
        raise UsageError(f"class_weight is 'balanced', a mapping or None, not {class_weight!r}.")
    weights: Floats = rows[:, None] * np.where(targets, factor[1], factor[0])
    return weights if multi_label else (weights * targets).sum(axis=1, keepdims=True)


@dataclass(frozen=True)
class _Axes:
    """Features in their principal axes: ``coordinates [N, K + 1]``, the last column being 1."""

    mean: torch.Tensor
    basis: torch.Tensor
    coordinates: torch.Tensor
    variance: torch.Tensor

    def unfold(self, weights: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Turn solutions ``[K + 1, S, C]`` into weights ``[S, C, D]`` and biases ``[S, C]``."""
        import torch

        weight = torch.einsum("dk,ksc->scd", self.basis, weights[:-1])
        return weight, weights[-1] - weight @ self.mean


def _principal_axes(x: torch.Tensor, rows: torch.Tensor, standardize: bool) -> _Axes:
    """Centre, standardise and rotate features; ``rows`` are weights ``[N]`` that sum to 1."""
    import torch

    mean = rows @ x
    x = x - mean
    scale = (rows @ x.square()).sqrt() if standardize else torch.ones_like(mean)
    scale = torch.where(scale > mean.abs() * torch.finfo(x.dtype).eps * 10, scale, torch.inf)
    x /= scale
    weighted = x * rows.sqrt()[:, None]
    wide = x.shape[1] > x.shape[0]
    square = weighted @ weighted.T if wide else weighted.T @ weighted
    variance, vectors = torch.linalg.eigh(square)
    kept = variance > variance[-1] * torch.finfo(x.dtype).eps * 10
    variance, vectors = variance[kept], vectors[:, kept]
    if wide:
        vectors = weighted.T @ (vectors / variance.sqrt())
    ones = x.new_ones(1)
    coordinates = torch.cat([x @ vectors, ones.expand(len(x), 1)], dim=1)
    basis = vectors / scale[:, None]
    return _Axes(mean, basis, coordinates, torch.cat([variance, ones]))
