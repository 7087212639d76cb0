"""Checks that measures make of what they are given, and division that knows about zero."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from actionspace.errors import DataError

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


def as_scores(scores: ArrayLike) -> Floats:
    """Return scores as float64 ``[N, C]``.

    Raises:
        DataError: another number of axes, no rows, or NaN (the first such row is named).
    """
    array = np.asarray(scores, dtype=np.float64)
    if array.ndim != 2 or array.shape[0] == 0 or array.shape[1] == 0:
        raise DataError(f"Scores must be a [rows, classes] table with rows, got {array.shape}.")
    bad = np.flatnonzero(np.isnan(array).any(axis=1))
    if len(bad):
        raise DataError(f"Scores of row {bad[0]} are NaN ({len(bad)} such rows of {len(array)}).")
    return array


def as_labels(labels: ArrayLike, rows: int, classes: int) -> Ints:
    """Return labels as int64 class numbers ``[N]``.

    Raises:
        DataError: not one whole number below ``classes`` per row; the first bad row is named.
    """
    array = np.asarray(labels)
    if array.shape != (rows,):
        raise DataError(f"Expected one label per row of scores ({rows}), got shape {array.shape}.")
    if array.dtype.kind not in "iu":
        raise DataError(f"Labels must be class numbers, got {array.dtype}.")
    bad = np.flatnonzero((array < 0) | (array >= classes))
    if len(bad):
        raise DataError(f"Label {array[bad[0]]} of row {bad[0]} is outside 0..{classes - 1}.")
    return array.astype(np.int64)


def as_targets(labels: ArrayLike, rows: int, classes: int) -> Bools:
    """Return labels as a truth table ``[N, C]``; class numbers ``[N]`` become one-hot rows.

    Raises:
        DataError: neither class numbers nor a table of zeros and ones of the scores' shape.
    """
    array = np.asarray(labels)
    if array.ndim == 1:
        hot: Bools = np.arange(classes) == as_labels(array, rows, classes)[:, None]
        return hot
    if array.shape != (rows, classes):
        raise DataError(f"Labels have shape {array.shape}, expected {(rows, classes)} as scores.")
    if not np.isin(array, (0, 1)).all():
        raise DataError("A table of several labels per row must hold only zeros and ones.")
    return array.astype(bool)


def as_weights(weights: ArrayLike | None, rows: int) -> Floats:
    """Return row weights as float64 ``[N]``; None means ones.

    Raises:
        DataError: another length, a negative or NaN weight, or nothing but zeros.
    """
    if weights is None:
        return np.ones(rows)
    array = np.asarray(weights, dtype=np.float64)
    if array.shape != (rows,) or not (array >= 0).all() or not array.any():
        raise DataError(f"Weights must be {rows} numbers, none negative, not all zero.")
    return array


def divide(a: NDArray[Any], b: NDArray[Any] | np.floating[Any]) -> Floats:
    """Return a / b in float64 with x/0 = 0."""
    a, b = np.broadcast_arrays(np.asarray(a, np.float64), np.asarray(b, np.float64))
    out: Floats = np.divide(a, b, out=np.zeros(a.shape), where=b != 0)
    return out


def or_nan(a: NDArray[Any] | np.number[Any]) -> Floats:
    """Return a in float64 with zeros as NaN, so that dividing by it gives NaN silently."""
    array = np.asarray(a, np.float64)
    return np.where(array == 0, np.nan, array)


def mean_or_nan(values: Floats) -> float:
    """Return the mean, NaN of nothing."""
    return float(values.mean()) if len(values) else float("nan")
