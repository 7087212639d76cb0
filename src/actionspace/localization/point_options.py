"""Options that mean something where moments are learnt, and those that do not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from actionspace.errors import DataError
from actionspace.localization.learning.config import LossConfig
from actionspace.localization.options import SamplingConfig, SuppressionConfig

if TYPE_CHECKING:
    import pandas as pd

    from actionspace.config import Config
    from actionspace.localization.recipe import LocalizationRecipe

#: What means something for moments, of the sections that otherwise are about segments.
KNOWN = {
    "loss": set(),
    "sampling": {"crop_ratio", "tries"},
    "suppression": {
        *("candidate_score", "candidates", "min_score", "max_segments", "multiclass", "method"),
        *("temperature", "peaks", "class_scores", "class_scores_segments", "class_scores_best"),
    },
}


def points_problem(recipe: LocalizationRecipe) -> str:
    """Return what does not fit ``model.head=points``, or nothing."""
    peaks, points = recipe.suppression.peaks, recipe.model.points
    if peaks.levels == "all" and points.levels == "finest":
        return (
            "suppression.peaks.levels 'all' needs model.points.levels 'all': others learn nothing"
        )
    if not (recipe.evaluation.tolerances or recipe.evaluation.tolerances_frames):
        return "evaluation.tolerances is empty, so that no moment could be measured"
    return ""


def idle_options(recipe: LocalizationRecipe) -> list[str]:
    """Return the options that were set and mean nothing for moments."""
    sections: dict[str, tuple[Config, Config]] = {
        "loss": (recipe.loss, LossConfig()),
        "sampling": (recipe.sampling, SamplingConfig()),
        "suppression": (recipe.suppression, SuppressionConfig()),
    }
    idle = [
        f"{section}.{name}"
        for section, (given, usual) in sections.items()
        for name in type(given).model_fields
        if name not in KNOWN[section] and getattr(given, name) != getattr(usual, name)
    ]
    if recipe.suppression.method in ("linear", "vanilla"):
        idle.append(f"suppression.method={recipe.suppression.method}")
    return idle


def event_notes(recipe: LocalizationRecipe, events: pd.DataFrame) -> list[str]:
    """Return what happens to events that are not of the kind the recipe learns, in sentences.

    Args:
        recipe: learns segments or moments.
        events: rows of the events table that are learnt from.

    Raises:
        DataError: segments are to be learnt, and no event has an extent.
    """
    lasting = int((events["end"] > events["start"]).sum())
    if recipe.model.head != "points":
        if not lasting and events["start"].notna().any():
            raise DataError(
                f"All {len(events)} training events are moments (start = end), which have no "
                "segment to learn. Train the recipe localize_points, or say model.head=points."
            )
        return []
    notes = []
    if lasting:
        at = recipe.model.points.at
        notes.append(
            f"{lasting} of {len(events)} training events last (start < end): their {at} is what is "
            "learnt and told (model.points.at=center, start or end). To learn when they begin and "
            "end take a recipe of segments, e.g. localize."
        )
    if idle := idle_options(recipe):
        notes.append(f"Without meaning for moments, which have no extent: {', '.join(idle)}.")
    return notes
