"""Detections against the truth: what goes into ``metrics.json``."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from actionspace.errors import DataError, did_you_mean
from actionspace.events.table import Events
from actionspace.metrics.detection_events import DetectionEvaluation, evaluate_events

if TYPE_CHECKING:
    import pandas as pd

    from actionspace.localization.options import EvaluationConfig
    from actionspace.localization.recipe import LocalizationRecipe


def measured(found: pd.DataFrame, truth: Events, recipe: LocalizationRecipe) -> DetectionEvaluation:
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
    guess = Events.from_frames(found, truth.videos, truth.root, heads_of(recipe.column))
    return compare(guess, truth, recipe.evaluation, recipe.column, proposals_of(recipe))


def proposals_of(recipe: LocalizationRecipe) -> str | None:
    """Return the one class under which a network of proposals finds every event, if it is one."""
    classes = recipe.classes or ()
    alone = len(classes) == 1 and recipe.suppression.class_scores is None
    return classes[0] if alone else None


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
    split: str | None = None,
    name: str = "localization",
) -> DetectionEvaluation:
    """Measure detections against annotations.

    Args:
        guess: detections with scores.
        truth: annotations of the videos that are measured on.
        config: thresholds and rules.
        column: head column that is measured.
        proposals: the class all annotations count as.
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
    return evaluate_events(
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


def as_metrics(found: DetectionEvaluation, config: EvaluationConfig) -> dict[str, Any]:
    """Return ``metrics.json``: flat measures with ``<name>_ci``, tables and the protocol."""
    metrics: dict[str, Any] = dict(found.metrics())
    groups = len({g for g, v in zip(found.groups, found.videos, strict=True) if v})
    if config.bootstrap and groups > 1:
        spans = found.intervals(config.bootstrap, config.confidence)
        metrics |= {f"{name}_ci": list(span) for name, span in spans.items()}
    metrics["per_class"] = found.per_class().to_dict("records")
    metrics["errors"] = found.errors()
    metrics["left_out"] = dict(found.left_out)
    about = {"confidence": config.confidence, "groups": groups, "bootstrap": config.bootstrap}
    metrics["protocol"] = found.protocol.as_dict() | about
    return metrics
