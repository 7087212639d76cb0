"""Which rows to hold out while choosing a penalty, without a group straddling the border."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from actionspace.metrics.inputs import Bools


def group_folds(groups: ArrayLike, targets: Bools, k: int, seed: int = 0) -> NDArray[np.int64]:
    """Return a fold number per row; whole groups, classes spread as evenly as they allow.

    Groups are placed from the largest down, each where it adds least to the sum over folds and
    classes of squared class shares. Equal sizes are ordered by ``seed``.

    Args:
        groups: what must not straddle folds, ``[N]``.
        targets: truth table ``[N, C]``.
        k: number of folds; fewer are used where there are fewer groups.
        seed: order of equally large groups.
    """
    _, member = np.unique(np.asarray(groups), return_inverse=True)
    count = int(member.max()) + 1
    table = np.zeros((count, targets.shape[1] + 1))
    np.add.at(table, member, np.column_stack([targets, np.ones(len(member), bool)]))
    share = table / np.maximum(table.sum(axis=0), 1)
    shuffled = np.random.default_rng(seed).permutation(count)
    filled = np.zeros((min(k, count), share.shape[1]))
    fold = np.zeros(count, np.int64)
    for group in shuffled[np.argsort(-table[shuffled, -1], kind="stable")]:
        added = (share[group] * (2 * filled + share[group])).sum(axis=1)
        fold[group] = added.argmin()
        filled[fold[group]] += share[group]
    return fold[member]
