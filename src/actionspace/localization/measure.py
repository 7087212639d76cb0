"""Detections against the truth: what goes into ``metrics.json``."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from actionspace.errors import DataError, did_you_mean
from actionspace.events.table import Events
from actionspace.metrics.boundaries import boundary_measures
from actionspace.metrics.detection_events import DetectionEvaluation, evaluate_events
from actionspace.metrics.point_events import PointEvaluation, evaluate_point_events

if TYPE_CHECKING:
    import pandas as pd

    from actionspace.localization.network.points_config import Moment
    from actionspace.localization.options import EvaluationConfig
    from actionspace.localization.recipe import LocalizationRecipe


Measured = DetectionEvaluation | PointEvaluation
"""What detections, or moments, reach."""


def measured(found: pd.DataFrame, truth: Events, recipe: LocalizationRecipe) -> Measured:
    """Return what detections of a recipe's network reach.

    Args:
        found: detections, as of :func:`.detection.detector.detections_frame`.
        truth: annotated events of the videos that are measured on.
        recipe: classes and how is measured.
    """
    from actionspace.datasets.class_order import class_order
    from actionspace.localization.detection.class_scores import with_video_classes

    if recipe.suppression.class_scores is not None:
        names = class_order(truth, recipe.column)
        found = with_video_classes(found, recipe.suppression, names, recipe.column)
    found = recipe.constraints.applied(found, recipe.column)
    guess = Events.from_frames(found, truth.videos, truth.root, heads_of(recipe.column))
    proposals, points = proposals_of(recipe), points_of(recipe)
    return compare(guess, truth, recipe.evaluation, recipe.column, proposals, points=points)


def proposals_of(recipe: LocalizationRecipe) -> str | None:
    """Return the one class under which a network of proposals finds every event, if it is one."""
    classes = recipe.classes or ()
    alone = len(classes) == 1 and recipe.suppression.class_scores is None
    return classes[0] if alone else None


def points_of(recipe: LocalizationRecipe) -> Moment | None:
    """Return which moment of an event a network of moments finds, if it is one."""
    return recipe.model.points.at if recipe.model.head == "points" else None


def heads_of(column: str) -> tuple[str, ...]:
    """Return the head columns of a table whose labels are in ``column``."""
    return (column,)


def compare(
    guess: Events,
    truth: Events,
    config: EvaluationConfig,
    column: str,
    proposals: str | None = None,
    *,
    points: Moment | None = None,
    split: str | None = None,
    name: str = "localization",
) -> Measured:
    """Measure detections against annotations.

    Args:
        guess: detections with scores.
        truth: annotations of the videos that are measured on.
        config: thresholds and rules.
        column: head column that is measured.
        proposals: the class all annotations count as.
        points: the moment of events that is measured, in place of their segments.
        split: named in the protocol; other videos of ``truth`` are left out.
        name: of the protocol.

    Raises:
        DataError: the truth has no such column, or see
            :func:`actionspace.metrics.detection_events.evaluate_events`.
    """
    if column not in truth.heads:
        hint = did_you_mean(column, truth.heads) or f" There is: {', '.join(truth.heads)}."
        raise DataError(f"The truth has no label column '{column}'.{hint}")
    if proposals is not None:
        rows = truth.rows
        labels = rows[column].where(rows[column].isna(), proposals)
        truth = replace(truth, rows=rows.assign(**{column: labels}))
    if points is not None:
        return evaluate_point_events(
            truth,
            guess,
            config.tolerances,
            config.tolerances_frames,
            at=points,
            head=column,
            split=split,
            clean=config.clean,
            other_videos=config.other_videos,
        )
    found = evaluate_events(
        truth,
        guess,
        config.thresholds,
        head=column,
        split=split,
        recalls=config.recalls,
        clean=config.clean,
        other_videos=config.other_videos,
        name=name,
    )
    here = truth.select(split=split)
    return replace(found, more=boundary_measures(here, guess, column))


def as_metrics(found: Measured, config: EvaluationConfig) -> dict[str, Any]:
    """Return ``metrics.json``: flat measures with ``<name>_ci``, tables and the protocol."""
    metrics: dict[str, Any] = dict(found.metrics())
    groups = len({g for g, v in zip(found.groups, found.videos, strict=True) if v})
    if config.bootstrap and groups > 1:
        spans = found.intervals(config.bootstrap, config.confidence)
        metrics |= {f"{name}_ci": list(span) for name, span in spans.items()}
    rows = found.per_class()
    metrics["per_class"] = rows.astype(object).where(rows.notna(), None).to_dict("records")
    if isinstance(found, PointEvaluation):
        metrics |= {name: value for name, value in found.timing().items() if value == value}
    else:
        metrics["errors"] = found.errors()
        metrics["chance"] = found.chance()
    metrics["left_out"] = dict(found.left_out)
    about = {"confidence": config.confidence, "groups": groups, "bootstrap": config.bootstrap}
    metrics["protocol"] = found.protocol.as_dict() | about
    return metrics
