"""From which score on a detection is told."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from actionspace.localization.measure import compare, points_of, proposals_of
from actionspace.localization.recipe import LocalizationRecipe
from actionspace.metrics.point_detection import PointResult

if TYPE_CHECKING:
    from actionspace.training.predictions import Predictions

DEFAULT = 0.2
"""Where nothing is known."""


def best_threshold(predictions: Predictions, recipe: LocalizationRecipe) -> float | None:
    """Return the score where the F1 score of detections is highest; :func:`measured_at` says where.

    Args:
        predictions: detections of videos that were not learnt from, with their truth.
        recipe: how is measured.

    Returns:
        None where no detection finds an event.
    """
    scores, hits, events = judged(predictions, recipe)
    right = np.cumsum(hits)
    if not right.size or not right[-1]:
        return None
    f1 = 2 * right / (np.arange(1, len(right) + 1) + events)
    # Of equal scores all are told or none.
    last = np.append(scores[1:] < scores[:-1], True)
    return float(scores[np.where(last, f1, -1).argmax()])


def judged(
    predictions: Predictions, recipe: LocalizationRecipe
) -> tuple[np.ndarray, np.ndarray, int]:
    """Return which detections are right; :func:`measured_at` says when one is.

    Args:
        predictions: detections, with the truth.
        recipe: how is measured.

    Returns:
        scores ``[N]``, falling; which of these detections find an event that none before has
        found, bool ``[N]``; and how many events there are.
    """
    from dataclasses import replace

    assert predictions.truth is not None
    truth = replace(predictions.events, rows=predictions.truth)
    how = {"thresholds": (0.5,), "tolerances": _tolerance(recipe), "tolerances_frames": ()}
    config = recipe.evaluation.model_copy(update=how)
    guess, points = predictions.events, points_of(recipe)
    found = compare(guess, truth, config, recipe.column, proposals_of(recipe), points=points)
    result = found.result.result if isinstance(found.result, PointResult) else found.result
    order = np.argsort(-result.guess.scores, kind="stable")
    return result.guess.scores[order], result.found[order, 0] >= 0, len(result.truth)


def measured_at(recipe: LocalizationRecipe) -> str:
    """Return what detections must reach there to count as right, in words."""
    if points_of(recipe) is None:
        return "at an overlap of one half"
    return f"within {_tolerance(recipe)[0]:g} s"


def _tolerance(recipe: LocalizationRecipe) -> tuple[float]:
    """Return the middle one of the recipe's tolerances for moments, in seconds."""
    every = sorted(recipe.evaluation.tolerances) or [0.5]
    return (every[len(every) // 2],)
