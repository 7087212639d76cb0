"""Anticipation in the report: recall against the seconds that are left until the event."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from actionspace.report.curves import Chart, Series
from actionspace.report.measures import name_of

NAMES = {
    "prior": "most common labels",
    "markov": "Markov, last label",
    "markov2": "Markov, last two labels",
    "semi_markov": "last label and how long it goes on",
}


def horizon_charts(metrics: Mapping[str, Any]) -> tuple[Chart, ...]:
    """Return a chart of recall per column, the network and its baselines; none of other tasks."""
    curve = metrics.get("horizons") or ()
    found = {"this model": curve}
    found |= {NAMES.get(n, n): points for n, points in (metrics.get("baselines") or {}).items()}
    names = [n for n in (curve[0] if curve else ()) if "mean_top" in n and n.endswith("_recall")]
    return tuple(
        Chart(name_of(name), tuple(_series(found, name)), "%", "s before")
        for name in names
        if "mean_top1_" not in name
    )


def _series(curves: Mapping[str, Sequence[Mapping[str, Any]]], name: str) -> list[Series]:
    found: list[Series] = []
    for label, curve in curves.items():
        points = tuple(
            (float(point["seconds"]), 100 * float(point[name]))
            for point in curve
            if isinstance(point.get(name), int | float) and math.isfinite(point[name])
        )
        if points:
            found.append(Series(label, points, len(found)))
    return found
