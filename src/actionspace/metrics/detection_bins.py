"""Annotated segments sorted by how long they are, how much of the video, among how many.

The characteristics and the edges of their bins are those of DETAD (Alwassel et al. 2018,
"Diagnosing Error in Temporal Action Detectors") that need no further annotation.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from actionspace.errors import UsageError
from actionspace.metrics.detection_matching import Instances
from actionspace.metrics.inputs import Bools, Floats, Ints

_NAMES = ("XS", "S", "M", "L", "XL")
_INF = float("inf")

EDGES: dict[str, dict[str, tuple[float, ...]]] = {
    "activitynet13": {
        "coverage": (0, 0.2, 0.4, 0.6, 0.8, 1),
        "length": (0, 30, 60, 120, 180, _INF),
        "instances": (-1, 1, 4, 8, _INF),
    },
    "thumos14": {
        "coverage": (0, 0.02, 0.04, 0.06, 0.08, 1),
        "length": (0, 3, 6, 12, 18, _INF),
        "instances": (-1, 1, 40, 80, _INF),
    },
}
"""Edges by data set; a bin holds its upper edge, the first its lower one as well."""


@dataclass(frozen=True)
class Bins:
    """Annotations sorted into the bins of one characteristic.

    Attributes:
        edges: ``[B + 1]``, rising.
        names: of the bins ``[B]``.
        member: the bin of each annotation ``[N]``, -1 = in none (unknown, or beyond the edges).
    """

    edges: tuple[float, ...]
    names: tuple[str, ...]
    member: Ints

    def each(self) -> list[tuple[str, Bools]]:
        """Return the name and the members ``[N]`` of every bin that has any."""
        pairs = [(name, self.member == b) for b, name in enumerate(self.names)]
        return [(name, mine) for name, mine in pairs if mine.any()]


def sort_into(values: ArrayLike, edges: Sequence[float], names: Sequence[str] = _NAMES) -> Bins:
    """Sort values ``[N]`` into bins; NaN is in none.

    Raises:
        UsageError: edges that do not rise, or too few names.
    """
    array = np.asarray(values, dtype=np.float64)
    borders = np.asarray(edges, dtype=np.float64)
    if len(borders) < 2 or not (np.diff(borders) > 0).all() or len(names) < len(borders) - 1:
        raise UsageError(f"The edges {list(edges)} make no bins; they must rise.")
    member = np.searchsorted(borders, array, side="left") - 1
    member[array == borders[0]] = 0
    member[(member >= len(borders) - 1) | np.isnan(array)] = -1
    return Bins(tuple(borders.tolist()), tuple(names[: len(borders) - 1]), member)


def characteristics(truth: Instances, durations: Floats | None = None) -> dict[str, Floats]:
    """Return ``length`` (s), ``coverage`` and ``instances`` ``[N]`` of each annotation.

    ``coverage`` is the share of its video (NaN where ``durations``, seconds by video number, does
    not know it) and ``instances`` how many annotations the video has, of whatever class.
    """
    length = truth.spans[:, 1] - truth.spans[:, 0]
    number = np.unique(truth.video, return_inverse=True)[1]
    found = {"length": length, "instances": np.bincount(number)[number].astype(np.float64)}
    if durations is not None:
        of_video = np.where(durations > 0, durations, np.nan)[truth.video]
        found["coverage"] = np.minimum(length / of_video, 1.0)
    return found


def usual_bins(
    values: Mapping[str, Floats], edges: Mapping[str, Sequence[float]] | None = None
) -> dict[str, Bins]:
    """Return the bins of characteristics; without ``edges`` equally many annotations in each."""
    out = {}
    for name, column in values.items():
        known = column[~np.isnan(column)]
        if not len(known) or (edges is not None and name not in edges):
            continue
        borders = edges[name] if edges is not None else _quantiles(known)
        out[name] = sort_into(column, borders)
    return out


def _quantiles(values: Floats) -> list[float]:
    borders = np.unique(np.quantile(values, np.linspace(0, 1, len(_NAMES) + 1)))
    if len(borders) == 1:
        return [float(borders[0]), _INF]
    return [float(b) for b in borders]
