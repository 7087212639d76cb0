"""Learning curves: what ``metrics.csv`` of a training in the loop says, over epochs.

A run that was fitted by a solver has another table of that name (one row per strength tried); it
has no curves.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from actionspace.errors import DataError
from actionspace.report.measures import HEADLINES, OVER_TIME, Measure, name_of

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd

MOST_POINTS = 400
MOST_SERIES = 4
LOSS = "loss"


@dataclass(frozen=True)
class Series:
    """One curve: ``points`` are (position along the axis, value), in order."""

    name: str
    points: tuple[tuple[float, float], ...]
    colour: int


@dataclass(frozen=True)
class Chart:
    """Curves that share a scale.

    Attributes:
        title: what the values are.
        series: the curves.
        unit: ``%`` where shares are given in per cent.
        along: what the horizontal axis counts, from 0.
    """

    title: str
    series: tuple[Series, ...]
    unit: str = ""
    along: str = "epoch"


def curves(path: Path) -> tuple[Chart, ...]:
    """Return the charts of a ``metrics.csv``: losses, validation measures; none if it has neither.

    Raises:
        DataError: the file cannot be read as a table.
    """
    import pandas as pd

    if not path.is_file():
        return ()
    try:
        table = pd.read_csv(path)
    except (ValueError, OSError) as e:
        raise DataError(f"{path.name} cannot be read as a table: {e}") from e
    if not {"step", "epoch", f"train/{LOSS}"} <= set(table.columns):
        return ()
    charts = (Chart("Loss", _losses(table)), _validation(table))
    return tuple(chart for chart in charts if chart.series)


def _losses(table: pd.DataFrame) -> tuple[Series, ...]:
    """Return the loss in training and validation, then its parts, if they are few."""
    columns = {"training": f"train/{LOSS}", "validation": f"val/{LOSS}"}
    parts = [
        c
        for c in table.columns
        if c.startswith("train/") and c != columns["training"] and not c.endswith("_iou")
    ]
    if len(parts) + len(columns) <= MOST_SERIES:
        columns |= {part.removeprefix("train/"): part for part in parts}
    return _series(table, columns)


def _validation(table: pd.DataFrame) -> Chart:
    """Return the leading validation measures, those of one unit."""
    found = {c.removeprefix("val/"): c for c in table.columns if c.startswith("val/")}
    found.pop(LOSS, None)
    rank = {key: i for i, key in enumerate((*HEADLINES, *OVER_TIME))}
    keys = sorted(found, key=lambda key: rank.get(key, len(rank)))
    units = {key: Measure(key, key, 0.0).unit for key in keys}
    keys = [key for key in keys if units[key] == units[keys[0]]][:MOST_SERIES]
    unit = units[keys[0]] if keys else ""
    series = _series(table, {name_of(key): found[key] for key in keys}, 100.0 if unit else 1.0)
    return Chart("Validation", series, unit)


def _series(table: pd.DataFrame, columns: dict[str, str], scale: float = 1.0) -> tuple[Series, ...]:
    import pandas as pd

    found: list[Series] = []
    for name, column in columns.items():
        if column not in table:
            continue
        values = pd.to_numeric(table[column], errors="coerce") * scale
        epochs = pd.to_numeric(table["epoch"], errors="coerce")
        points = [
            (x, y)
            for x, y in zip(epochs.tolist(), values.tolist(), strict=True)
            if math.isfinite(x) and math.isfinite(y)
        ]
        if points:
            found.append(Series(name, thin(points), len(found)))
    return tuple(found)


def thin(
    points: Sequence[tuple[float, float]], most: int = MOST_POINTS
) -> tuple[tuple[float, float], ...]:
    """Reduce a curve to at most ``most`` points, each the mean of its neighbours."""
    if len(points) <= most:
        return tuple(points)
    edges = [round(i * len(points) / most) for i in range(most + 1)]
    groups = [points[a:b] for a, b in pairwise(edges)]
    return tuple(
        (sum(x for x, _ in group) / len(group), sum(y for _, y in group) / len(group))
        for group in groups
    )
