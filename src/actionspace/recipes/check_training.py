"""Check the training section of a recipe: what would stop the loop, or make it do nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from actionspace.alignment.recipe import AlignmentRecipe
from actionspace.anticipation.recipe import AnticipationRecipe
from actionspace.datasets.check import Finding
from actionspace.errors import ActionspaceError, did_you_mean
from actionspace.localization.recipe import LocalizationRecipe
from actionspace.recipes.loader import Recipe
from actionspace.recognition.joint import JOINT_SCORE, joint_names
from actionspace.recognition.recipe import (
    MULTI_LABEL_METRICS,
    SINGLE_LABEL_METRICS,
    RecognitionRecipe,
)
from actionspace.training.environment import best_device


def check_training(recipe: Recipe, where: str) -> list[Finding]:
    """Return what is wrong with how a recipe trains its head in the loop.

    Args:
        recipe: the recipe; with ``mode=probe`` its ``training`` section does not count.
        where: the file or name that findings give.
    """
    severity: Literal["error", "warning"] = "error" if recipe.looped else "warning"
    stops = [Finding(severity, "training", text, where) for text in _stops(recipe)]
    return stops + [Finding("warning", "training", text, where) for text in _futile(recipe)]


def _stops(recipe: Recipe) -> Iterator[str]:
    """Yield what a training would end with."""
    training, precision = recipe.training, recipe.training.precision
    metric, known = training.checkpoint.metric, _metrics(recipe)
    if metric is not None and metric not in known:
        hint = did_you_mean(metric, known) or f" There are: {', '.join(known)}."
        yield f"training.checkpoint.metric '{metric}' is not evaluated.{hint}"
    if precision == "float16" and not _gpu(recipe.device):
        yield "training.precision=float16 needs a GPU; use bfloat16, float32 or auto here."
    if not isinstance(recipe, RecognitionRecipe):
        return
    if recipe.mode == "head" and recipe.inputs == "clips" and recipe.features is not None:
        yield "inputs=clips decodes videos, but features is set; say inputs=features."


def _futile(recipe: Recipe) -> Iterator[str]:
    """Yield what would not do what it seems to."""
    training, schedule = recipe.training, recipe.training.schedule
    micro, epochs = training.micro_batch_size, training.epochs
    if micro is not None and micro > training.batch_size:
        yield (
            f"training.micro_batch_size {micro} is more than training.batch_size "
            f"{training.batch_size}, the samples of a whole step: it is lowered to that."
        )
    if schedule.warmup_epochs >= epochs:
        yield (
            f"training.schedule.warmup_epochs {schedule.warmup_epochs:g} is all of the {epochs} "
            "epochs: the full learning rate is never reached."
        )
    before = schedule.warmup_epochs if schedule.warmup == "before" else 0.0
    late = [m for m in schedule.milestones if m + before >= epochs]
    if late:
        yield f"training.schedule.milestones {late} lie behind the end of the {epochs} epochs."
    if training.checkpoint.metric == "loss" and training.checkpoint.mode == "max":
        yield "training.checkpoint.mode=max keeps the largest loss; say mode=min."
    if training.early_stop is not None and not _validates(recipe):
        yield "training.early_stop has no validation split to go by, so it never stops."


def _metrics(recipe: Recipe) -> tuple[str, ...]:
    if isinstance(recipe, AlignmentRecipe):
        return ("kendall_tau",)
    if isinstance(recipe, AnticipationRecipe):
        return ("mean_topk_recall", "top1_accuracy")
    if isinstance(recipe, LocalizationRecipe):
        config = recipe.evaluation
        if recipe.model.head == "points":
            every = [f"{t:g}s" for t in config.tolerances]
            every += [f"{n:g}f" for n in config.tolerances_frames]
            return ("point_map", *(f"point_ap@{name}" for name in every))
        levels = [f"{threshold:.2f}" for threshold in config.thresholds]
        recalls = (f"recall{k}x@{level}" for k in config.recalls for level in levels)
        return ("map", *(f"map@{level}" for level in levels), *recalls)
    several, columns = recipe.head.multi_label, recipe.head.columns
    known: tuple[str, ...] = MULTI_LABEL_METRICS if several else SINGLE_LABEL_METRICS
    if several is None:
        known = tuple(dict.fromkeys((*SINGLE_LABEL_METRICS, *MULTI_LABEL_METRICS)))
    if len(columns) == 1:
        return known
    each = (f"{column}_{name}" for column in columns for name in known)
    return (JOINT_SCORE, *joint_names(columns), "loss", *each)


def _validates(recipe: Recipe) -> bool:
    """Return whether there will be a validation split, as far as one can tell."""
    if isinstance(recipe, RecognitionRecipe) and recipe.folds:
        return False
    splits = _splits(recipe)
    return "val" in splits if splits else recipe.split.ratio[1] > 0


def _splits(recipe: Recipe) -> set[str]:
    """Return the splits that the recipe's manifest has; none if it cannot be read here."""
    if recipe.data is None or not Path(recipe.data).exists():
        return set()
    from actionspace.recognition.data import load

    try:
        return set(load(recipe.data, recipe.root).videos["split"].dropna())
    except ActionspaceError:
        return set()  # checking the manifest says what is wrong with it


def _gpu(device: str) -> bool:
    return device != "cpu" and best_device() != "cpu"
