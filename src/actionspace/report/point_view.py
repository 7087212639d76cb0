"""What the page shows of moments: which classes are found how near, and how far off times are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class ClassPoints:
    """One class: annotations, predictions, average precision (mean, then at each tolerance), and
    the mean error of its found moments in seconds (None = none found).
    """

    name: str
    colour: int
    support: int
    predicted: int
    ap: float
    each: tuple[float, ...]
    error: float | None


@dataclass(frozen=True)
class PointView:
    """The evaluation of moments: shares in [0, 1], ``tolerances`` in words, ``timing`` in one
    sentence.
    """

    tolerances: tuple[str, ...]
    classes: tuple[ClassPoints, ...]
    timing: str


def point_view(metrics: Mapping[str, Any]) -> PointView | None:
    """Return what ``metrics.json`` says of moments; None if it is of something else."""
    rows = metrics.get("per_class")
    if "point_map" not in metrics or not isinstance(rows, list) or not rows:
        return None
    names = [k.partition("@")[2] for k in rows[0] if k.startswith("ap@")]
    classes = tuple(
        ClassPoints(
            str(row["class"]),
            i,
            int(row["support"]),
            int(row["predicted"]),
            float(row["ap"]),
            tuple(float(row[f"ap@{name}"]) for name in names),
            row.get("timing_error"),
        )
        for i, row in enumerate(rows)
    )
    return PointView(tuple(map(tolerance, names)), classes, _timing(metrics))


def tolerance(name: str) -> str:
    """Return a tolerance as the page prints it: ``0.5 s``, ``2 frames``."""
    unit = "s" if name.endswith("s") else "frame" if name == "1f" else "frames"
    return f"{name[:-1]}\u00a0{unit}"


def _timing(metrics: Mapping[str, Any]) -> str:
    if "timing_error" not in metrics:
        return "No annotated moment is found."
    bias, error, std = (metrics[f"timing_{name}"] for name in ("bias", "error", "std"))
    side = "late" if bias > 0 else "early"
    return (
        f"Found moments are {error:.3f}\u00a0s off in the mean; they are told "
        f"{abs(bias):.3f}\u00a0s too {side} (median "
        f"{metrics['timing_median']:+.3f}\u00a0s, standard deviation {std:.3f}\u00a0s)."
    )


def lead(metrics: Mapping[str, Any]) -> str:
    """Return the result in one sentence."""
    about = metrics.get("protocol") or {}
    names = [k.partition("@")[2] for k in metrics if k.startswith("point_ap@") and k[-1] in "sf"]
    seconds = [n for n in names if n.endswith("s")] or names
    if "point_map" not in metrics or not seconds:
        return ""
    return (
        f"In {about.get('videos')} videos with {about.get('rows')} annotated events of "
        f"{len(about.get('classes') or ())} classes, the mean average precision is "
        f"{100 * metrics['point_map']:.1f}\u00a0% (mean over tolerances of {tolerance(seconds[0])} "
        f"to {tolerance(seconds[-1])})."
    )
