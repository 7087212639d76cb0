"""Nearest class mean: a row is of the class whose training rows' mean it is nearest to.

Nothing is learnt but the means, so it says how well an encoder keeps classes apart as it is, and
works from one label per class on (Snell et al. 2017, "Prototypical networks", without training).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike

from actionspace.errors import UsageError
from actionspace.heads.choice import as_rows, choose
from actionspace.heads.knn import TEMPERATURE, unit
from actionspace.heads.linear import to_probabilities
from actionspace.metrics.inputs import Bools, Floats, Ints

Distance = Literal["cosine", "euclidean"]
DISTANCES: tuple[Distance, ...] = get_args(Distance)


@dataclass(frozen=True, eq=False)
class Centroid:
    """A classifier by class means.

    Attributes:
        centres: ``[C, D]``; NaN for a class without training rows.
        distance: ``cosine`` of features at length 1, or ``euclidean`` between standardised ones.
        mean: of the training features ``[D]``.
        scale: their standard deviation ``[D]``; 1 where there is none.
        path: held-out accuracy of each distance tried; empty if there was nothing to choose on.
    """

    centres: Floats
    distance: Distance
    mean: Floats
    scale: Floats
    path: tuple[dict[str, Any], ...] = ()

    def probabilities(self, x: ArrayLike) -> Floats:
        """Return ``[M, C]``, the nearer the larger, for features ``[M, D]``.

        They are a softmax of the cosine, or of minus half the mean squared difference, over 0.07:
        what matters is their order and that several rows of one clip can be averaged.
        """
        rows = self._prepared(x)
        if self.distance == "cosine":
            near = rows @ unit(self.centres).T.astype(np.float64)
        else:
            square = (rows**2).sum(axis=1)[:, None] + (self.centres**2).sum(axis=1)
            near = (rows @ self.centres.T - square / 2) / rows.shape[1]
        near = np.where(np.isnan(near), -np.inf, near)
        return to_probabilities(near, temperature=TEMPERATURE).astype(np.float64)

    def _prepared(self, x: ArrayLike) -> Floats:
        if self.distance == "cosine":
            return unit(x).astype(np.float64)
        return (np.asarray(x, dtype=np.float64) - self.mean) / self.scale


def fit_centroid(
    x: ArrayLike,
    y: ArrayLike,
    *,
    classes: int,
    splits: Sequence[Bools] = (),
    distances: Sequence[Distance] = DISTANCES,
    sample_weight: ArrayLike | None = None,
) -> Centroid:
    """Average the training rows of each class, and choose the distance.

    Args:
        x: features ``[N, D]``.
        y: class numbers ``[N]``.
        classes: number C of classes; one without rows is never predicted.
        splits: masks ``[N]`` of rows to fit on while choosing; none = the first distance.
        distances: to choose from; of equals the last wins.
        sample_weight: importance of each row ``[N]``.

    Raises:
        DataError: arrays that do not fit.
        UsageError: an unknown distance.
    """
    if not distances or set(distances) - set(DISTANCES):
        raise UsageError(f"distances are of {', '.join(DISTANCES)}; got {list(distances)}.")
    features, labels, weight = as_rows(x, y, classes, sample_weight)

    def fit(mask: Bools, distance: Distance) -> Centroid:
        return _means(features[mask], labels[mask], weight[mask], classes, distance)

    def predict(train: Bools) -> Floats:
        return np.stack([fit(train, d).probabilities(features[~train]) for d in distances])

    chosen, path = choose("distance", distances, predict, labels, weight, splits, distances[0])
    found = fit(np.ones(len(features), bool), chosen)
    return Centroid(found.centres, found.distance, found.mean, found.scale, tuple(path))


def _means(
    features: Floats, labels: Ints, weight: Floats, classes: int, distance: Distance
) -> Centroid:
    mean = np.average(features, axis=0, weights=weight)
    scale = np.sqrt(np.average((features - mean) ** 2, axis=0, weights=weight))
    bare = Centroid(np.empty(0), distance, mean, np.where(scale > 0, scale, 1.0))
    rows = bare._prepared(features)
    hot = (np.arange(classes)[:, None] == labels) * weight
    total = hot.sum(axis=1, keepdims=True)
    centres = hot @ rows / np.where(total > 0, total, np.nan)
    return Centroid(centres, distance, bare.mean, bare.scale)
