"""From which score on a detection is told."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from actionspace.localization.measure import compare, proposals_of
from actionspace.localization.recipe import LocalizationRecipe

if TYPE_CHECKING:
    from actionspace.training.predictions import Predictions

DEFAULT = 0.2
"""Where nothing is known."""


def best_threshold(predictions: Predictions, recipe: LocalizationRecipe) -> float | None:
    """Return the score where the F1 score of detections is highest, at an overlap of one half.

    Args:
        predictions: detections of videos that were not learnt from, with their truth.
        recipe: how is measured.

    Returns:
        None where no detection finds an event.
    """
    from dataclasses import replace

    assert predictions.truth is not None
    truth = replace(predictions.events, rows=predictions.truth)
    config = recipe.evaluation.model_copy(update={"thresholds": (0.5,)})
    guess = predictions.events
    result = compare(guess, truth, config, recipe.column, proposals_of(recipe)).result
    order = np.argsort(-result.guess.scores, kind="stable")
    right = np.cumsum(result.found[order, 0] >= 0)
    if not right.size or not right[-1]:
        return None
    f1 = 2 * right / (np.arange(1, len(right) + 1) + len(result.truth))
    # Of equal scores all are told or none.
    scores = result.guess.scores[order]
    last = np.append(scores[1:] < scores[:-1], True)
    return float(scores[np.where(last, f1, -1).argmax()])
