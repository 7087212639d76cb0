"""What the page shows of detections: classes, kinds of errors, which events are missed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

KINDS = {
    "true": "found as annotated",
    "double": "of an event that was found already",
    "wrong label": "right time, another class",
    "localization": "right class, ends too far off",
    "confusion": "another class, and ends too far off",
    "background": "where nothing is annotated",
}
"""Kinds of detections in words (DETAD, see :mod:`actionspace.metrics.detection_errors`)."""


@dataclass(frozen=True)
class ClassAP:
    """One class: annotations, detections, average precision (mean, then at each threshold), and
    the share of its events that as many best detections reach.
    """

    name: str
    colour: int
    support: int
    predicted: int
    ap: float
    each: tuple[float, ...]
    recall: float | None


@dataclass(frozen=True)
class ErrorKind:
    """Detections of one kind: their share, and by how much mAP grows without them (None = true)."""

    name: str
    means: str
    share: float
    gain: float | None


@dataclass(frozen=True)
class MissedBin:
    """Annotations of one bin: what they share, their part of all, and how many are missed."""

    name: str
    label: str
    share: float
    missed: float


@dataclass(frozen=True)
class DetectionView:
    """The evaluation of detections; shares in [0, 1]. ``thresholds`` are overlaps, as text."""

    thresholds: tuple[str, ...]
    classes: tuple[ClassAP, ...]
    recall: str
    kinds: tuple[ErrorKind, ...]
    missed: tuple[MissedBin, ...]


def is_detection(metrics: Mapping[str, Any]) -> bool:
    """Whether ``metrics.json`` is of detections."""
    rows = metrics.get("per_class")
    return isinstance(rows, list) and bool(rows) and "ap" in rows[0] and "errors" in metrics


def detection_view(metrics: Mapping[str, Any]) -> DetectionView | None:
    """Return what ``metrics.json`` says of detections; None if it is of something else."""
    if not is_detection(metrics):
        return None
    rows, errors = metrics["per_class"], metrics["errors"]
    levels = tuple(k.partition("@")[2] for k in rows[0] if k.startswith("ap@"))
    recalls = [k for k in rows[0] if k.startswith("recall1x@")]
    shown = min(recalls, key=lambda k: abs(float(k.partition("@")[2]) - 0.5), default="")
    classes = tuple(
        ClassAP(
            str(row["class"]),
            i,
            int(row["support"]),
            int(row["predicted"]),
            float(row["ap"]),
            tuple(float(row[f"ap@{level}"]) for level in levels),
            float(row[shown]) if shown else None,
        )
        for i, row in enumerate(rows)
    )
    return DetectionView(levels, classes, shown, _kinds(errors), _missed(errors))


def _kinds(errors: Mapping[str, Any]) -> tuple[ErrorKind, ...]:
    told = errors["false_positives"]
    return tuple(
        ErrorKind(name, KINDS.get(name, ""), float(share), told["gains"].get(name))
        for name, share in zip(told["kinds"], told["shares"], strict=True)
    )


def _missed(errors: Mapping[str, Any]) -> tuple[MissedBin, ...]:
    edges = {name: one.get("edges") or [] for name, one in (errors.get("bins") or {}).items()}
    return tuple(
        MissedBin(
            name.replace("_", " "),
            _label(label, i, edges.get(name, [])),
            float(one["share"]),
            float(one["missed"]),
        )
        for name, bins in errors["missed"].items()
        for i, (label, one) in enumerate(bins.items())
    )


def _label(label: str, place: int, edges: list[Any]) -> str:
    """Return the name of a bin with its end, where that is known."""
    end = edges[place] if place < len(edges) else None
    known = isinstance(end, int | float) and end == end and abs(end) != float("inf")
    return f"{label} (to {end:.3g})" if known else label


def lead(metrics: Mapping[str, Any]) -> str:
    """Return the result in one sentence."""
    about = metrics.get("protocol") or {}
    levels = about.get("thresholds") or []
    if not levels or "map" not in metrics:
        return ""
    unit = "\u00a0%"
    half = metrics.get("map@0.50")
    at_half = f", {100 * half:.1f}{unit} at one half" if half is not None else ""
    return (
        f"In {about.get('videos')} videos with {about.get('rows')} annotated events of "
        f"{len(about.get('classes') or ())} classes, the mean average precision is "
        f"{100 * metrics['map']:.1f}{unit} (mean over overlaps of {min(levels):g} to "
        f"{max(levels):g}{at_half})."
    )
