"""Early recognition in the report: measures against the share of events that has been seen."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from actionspace.report.curves import Chart, Series
from actionspace.report.measures import name_of


def observed_charts(metrics: Mapping[str, Any]) -> tuple[Chart, ...]:
    """Return one chart per head of what ``evaluate --observed`` measured; none if it did not."""
    curve = [point for point in metrics.get("observed") or () if isinstance(point, Mapping)]
    names = [n for n in (curve[0] if curve else ()) if not n.endswith("_ci")]
    series: dict[str, list[Series]] = {}
    for name in names:
        points = tuple(
            (100 * float(p["observed"]), 100 * float(p[name]))
            for p in curve
            if isinstance(p.get(name), int | float) and math.isfinite(p[name])
        )
        if name not in ("observed", "clips", "events") and points:
            head = _head(name)
            of = series.setdefault(head, [])
            of.append(Series(name_of(name.removeprefix(f"{head}_")), points, len(of)))
    return tuple(
        Chart(f"Early recognition{f' ({head})' if head else ''}", tuple(of), "%", "% seen")
        for head, of in series.items()
    )


def _head(name: str) -> str:
    """Return the head that a measure is of, where there are several: what precedes its name."""
    known = ("top1_accuracy", "top5_accuracy", "mean_class_accuracy", "mmit_map", "map")
    own = next((k for k in known if name.endswith(k)), name)
    return name.removesuffix(own).rstrip("_")
