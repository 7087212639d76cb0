"""Tokens with their labels, checked: what an attentive probe learns from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from actionspace.errors import DataError
from actionspace.heads.attentive import SINGLE

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

IGNORED = -1
"""Class number of a row without a label of this kind."""

Classes = int | Mapping[str, int]
Truth = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class TokenRows:
    """Rows, what they are, and how much each counts.

    Attributes:
        x: tokens ``[N, L, D]`` of any float type.
        y: by kind of label int64 ``[N]``, or with several labels float32 zeros and ones ``[N, C]``.
        multi_label: whether a row may have several labels.
        weight: by kind of label float32 ``[N]``; none = all count alike.
    """

    x: Tensor
    y: dict[str, Tensor]
    multi_label: bool
    weight: dict[str, Tensor] = field(default_factory=dict)

    @classmethod
    def of(
        cls, x: ArrayLike, y: ArrayLike | Truth, classes: Classes, multi_label: bool
    ) -> TokenRows:
        """Check shapes and values.

        Raises:
            DataError: they do not fit.
        """
        tokens = as_tokens(x)
        sizes = dict(classes) if isinstance(classes, Mapping) else {SINGLE: classes}
        told = dict(y) if isinstance(y, Mapping) else {SINGLE: y}
        if set(told) != set(sizes):
            raise DataError(f"Labels of {', '.join(told)}, but classes of {', '.join(sizes)}.")
        truth: dict[str, Tensor] = {}
        for name, size in sizes.items():
            values = np.asarray(told[name])
            shape = (len(tokens), size) if multi_label else (len(tokens),)
            if values.shape != shape:
                raise DataError(
                    f"{len(tokens)} rows of tokens need labels of shape {list(shape)}; those of "
                    f"'{name}' have {list(values.shape)}."
                )
            if not multi_label and ((values < IGNORED) | (values >= size)).any():
                raise DataError(f"Class numbers of '{name}' must lie in 0 ... {size - 1}.")
            kind = torch.float32 if multi_label else torch.int64
            truth[name] = torch.from_numpy(np.ascontiguousarray(values)).to(kind)
        return cls(tokens, truth, multi_label)


def as_tokens(x: ArrayLike) -> Tensor:
    """Return tokens ``[N, L, D]`` as a tensor of their own float type.

    Raises:
        DataError: no rows, another number of axes, or NaN or infinity.
    """
    values = np.ascontiguousarray(x)
    if values.ndim != 3 or 0 in values.shape or values.dtype.kind != "f":
        raise DataError(
            f"An attentive probe takes floats [rows, tokens, dims]; got {values.dtype} "
            f"{list(values.shape)}. Extract with tokens=time."
        )
    bad = np.flatnonzero(~np.isfinite(values).all(axis=(1, 2)))
    if len(bad):
        raise DataError(f"Tokens of row {bad[0]} are not finite ({len(bad)} such rows).")
    return torch.from_numpy(values)


def row_weights(
    rows: TokenRows, class_weight: str | None, sample_weight: ArrayLike | None
) -> dict[str, Tensor]:
    """Return what each row counts, float32 ``[N]`` by kind of label, 1 on average.

    Raises:
        DataError: weights that do not fit, or are negative.
    """
    own = np.ones(len(rows.x)) if sample_weight is None else np.asarray(sample_weight, np.float64)
    if own.shape != (len(rows.x),) or not (own >= 0).all() or not own.any():
        raise DataError(f"sample_weight must be {len(rows.x)} numbers of 0 or more.")
    weights: dict[str, Tensor] = {}
    for name, labels in rows.y.items():
        each = own
        if class_weight == "balanced" and not rows.multi_label:
            truth = labels.numpy()
            share = np.bincount(truth + 1, weights=own)
            each = own / np.maximum(share, 1e-12)[truth + 1] * (truth != IGNORED)
        weights[name] = torch.from_numpy((each / each.mean()).astype(np.float32))
    return weights
