"""Embeddings of frames as points of a plane: principal components, or UMAP where it is there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from actionspace.errors import ActionspaceError

Method = Literal["pca", "umap"]
NEIGHBOURS = 15
"""Of UMAP; with no more points than these it has nothing to tell."""


@dataclass(frozen=True, eq=False)
class PlanarMap:
    """Points of a plane.

    Attributes:
        points: float64 ``[N, 2]``.
        shares: share of the variance that either axis shows; None for UMAP.
    """

    points: NDArray[np.float64]
    shares: tuple[float, float] | None


def planar_map(
    rows: NDArray[np.floating], along: NDArray[np.floating], method: Method
) -> PlanarMap:
    """Lay rows out in a plane, the same way each time.

    Args:
        rows: embeddings ``[N, D]``, finite.
        along: a number for each row; the map is mirrored so that it grows to the right.
        method: ``pca`` keeps distances as well as a plane can; ``umap`` (McInnes, Healy and
            Melville, 2018) keeps neighbours, and its distances mean little.

    Raises:
        ActionspaceError: umap-learn is asked for and not installed.
    """
    centred = np.asarray(rows, np.float64) - rows.mean(axis=0)
    if method == "umap" and len(rows) > NEIGHBOURS:
        found, shares = _umap(centred), None
    else:
        found, shares = _components(centred)
    found = found - found.mean(axis=0)
    rising = np.asarray(along, np.float64) - np.mean(along)
    found[:, 0] *= -1 if found[:, 0] @ rising < 0 else 1
    found[:, 1] *= -1 if (found[:, 1] ** 3).sum() < 0 else 1
    return PlanarMap(found, shares)


def _components(centred: NDArray[np.float64]) -> tuple[NDArray[np.float64], tuple[float, float]]:
    left, strengths, _ = np.linalg.svd(centred, full_matrices=False)
    two = min(2, len(strengths))
    points = np.zeros((len(centred), 2))
    points[:, :two] = left[:, :two] * strengths[:two]
    share = np.zeros(2)
    share[:two] = strengths[:two] ** 2 / max(float((strengths**2).sum()), 1e-12)
    return points, (float(share[0]), float(share[1]))


def _umap(centred: NDArray[np.float64]) -> NDArray[np.float64]:
    try:
        from umap import UMAP  # type: ignore[import-not-found, unused-ignore]
    except ImportError as e:
        raise ActionspaceError(
            f"The map by UMAP needs umap-learn, which cannot be imported ({e}): pip install "
            "umap-learn, or leave evaluation.map=pca."
        ) from e
    made = UMAP(n_neighbors=NEIGHBOURS, metric="cosine", random_state=0)
    return np.asarray(made.fit_transform(centred.astype(np.float32)), np.float64)
