"""Nearest neighbours: the labels of the training rows that are most like a row vote on its class.

Weighted as by Wu et al. 2018 ("Unsupervised feature learning via non-parametric instance
discrimination") and in DINO (Caron et al. 2021): features have length 1, each of the k most similar
rows votes with ``exp(cosine / 0.07)``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from actionspace.errors import UsageError
from actionspace.heads.choice import as_rows, choose
from actionspace.metrics.inputs import Bools, Floats, Ints

NEIGHBOURS = (1, 3, 5, 10, 20, 50, 100, 200)
"""Numbers of neighbours to choose from."""

TEMPERATURE = 0.07
"""Of the papers above."""

BLOCK = 1 << 22
"""Similarities held at a time."""


@dataclass(frozen=True, eq=False)
class KNN:
    """A classifier by nearest neighbours.

    Attributes:
        rows: training features at length 1, ``[N, D]`` float32.
        labels: their classes ``[N]``.
        weight: what each row's vote counts beside its similarity ``[N]``.
        classes: number C of classes.
        k: how many neighbours vote.
        temperature: the smaller, the more the nearest ones count.
        path: held-out accuracy of every ``k`` tried; empty if there was nothing to choose on.
    """

    rows: NDArray[np.float32]
    labels: Ints
    weight: Floats
    classes: int
    k: int
    temperature: float = TEMPERATURE
    path: tuple[dict[str, Any], ...] = ()

    def probabilities(self, x: ArrayLike) -> Floats:
        """Return each class's share of the votes ``[M, C]`` for features ``[M, D]``."""
        shares: Floats = self.votes(x, [self.k])[0]
        return shares

    def votes(self, x: ArrayLike, ks: Sequence[int]) -> Floats:
        """Return the shares ``[len(ks), M, C]`` for several numbers of neighbours at once.

        Of rows that are equally like, the earlier are nearer. More neighbours than there are rows
        mean all.
        """
        queries = unit(x)
        most = min(max(ks), len(self.rows))
        out = np.zeros((len(ks), len(queries), self.classes))
        step = max(1, BLOCK // len(self.rows))
        for first in range(0, len(queries), step):
            alike = queries[first : first + step] @ self.rows.T
            near = most_similar(alike, most)
            vote = np.exp((np.take_along_axis(alike, near, 1) - 1.0) / self.temperature)
            vote = vote.astype(np.float64) * self.weight[near]
            cell = np.arange(len(near))[:, None] * self.classes + self.labels[near]
            for at, k in enumerate(ks):
                total = np.bincount(
                    cell[:, :k].ravel(), vote[:, :k].ravel(), len(near) * self.classes
                ).reshape(-1, self.classes)
                sums = total.sum(axis=1, keepdims=True)
                out[at, first : first + step] = total / np.where(sums > 0, sums, 1)
        return out


def fit_knn(
    x: ArrayLike,
    y: ArrayLike,
    *,
    classes: int,
    splits: Sequence[Bools] = (),
    neighbours: Sequence[int] = NEIGHBOURS,
    sample_weight: ArrayLike | None = None,
    temperature: float = TEMPERATURE,
) -> KNN:
    """Keep training rows, and choose how many of them vote.

    Args:
        x: features ``[N, D]``.
        y: class numbers ``[N]``.
        classes: number C of classes; one without rows gets no vote.
        splits: masks ``[N]`` of rows to fit on while choosing; none = the middle of ``neighbours``.
        neighbours: numbers to choose from; those above N are left out. Of equals the largest wins.
        sample_weight: what each row counts ``[N]``, for example one over the rows of its event.
        temperature: of the votes.

    Raises:
        DataError: arrays that do not fit.
        UsageError: a number of neighbours below 1, or no positive temperature.
    """
    if not len(neighbours) or min(neighbours) < 1 or not temperature > 0:
        raise UsageError(
            f"neighbours={list(neighbours)} must be 1 or more and temperature={temperature} above "
            "0."
        )
    features, labels, weight = as_rows(x, y, classes, sample_weight)
    rows = unit(features)
    tried = sorted({min(k, len(rows)) for k in neighbours})

    def keep(mask: Bools, k: int) -> KNN:
        return KNN(rows[mask], labels[mask], weight[mask], classes, k, temperature)

    def predict(train: Bools) -> Floats:
        return keep(train, 1).votes(rows[~train], tried)

    middle = tried[len(tried) // 2]
    k, path = choose("k", tried, predict, labels, weight, splits, middle)
    return KNN(rows, labels, weight, classes, k, temperature, tuple(path))


def unit(x: ArrayLike) -> NDArray[np.float32]:
    """Return features ``[N, D]`` at length 1, float32; rows of zeros stay so."""
    rows = np.asarray(x, dtype=np.float32)
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    scaled = rows / np.where(length > 0, length, 1)
    return scaled.astype(np.float32, copy=False)


def most_similar(alike: NDArray[np.float32], k: int) -> Ints:
    """Return the columns of the k largest values of each row ``[M, k]``, largest first.

    Of equal values the earlier column comes first.
    """
    if k == alike.shape[1]:
        return np.argsort(-alike, axis=1, kind="stable")
    part = np.sort(np.argpartition(-alike, k - 1, axis=1)[:, :k], axis=1)
    values = np.take_along_axis(alike, part, 1)
    order = np.argsort(-values, axis=1, kind="stable")
    near: Ints = np.take_along_axis(part, order, 1)
    # Where values at the border are equal, the partition takes any of them.
    tied = (alike >= values.min(axis=1, keepdims=True)).sum(axis=1) > k
    near[tied] = np.argsort(-alike[tied], axis=1, kind="stable")[:, :k]
    return near
