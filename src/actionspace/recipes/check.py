"""Check a recipe before it runs: keys, encoder, weights, data, training."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeGuard

from actionspace.alignment.recipe import AlignmentRecipe
from actionspace.anticipation.recipe import AnticipationRecipe
from actionspace.datasets.check import Finding
from actionspace.encoders.create import list_encoders
from actionspace.errors import ActionspaceError, did_you_mean
from actionspace.localization.recipe import LocalizationRecipe
from actionspace.recipes.check_alignment import check_alignment
from actionspace.recipes.check_anticipation import check_anticipation
from actionspace.recipes.check_attentive import check_attentive
from actionspace.recipes.check_localization import check_localization
from actionspace.recipes.check_training import check_training
from actionspace.recipes.check_zero_shot import check_zero_shot
from actionspace.recipes.loader import Recipe, load_recipe
from actionspace.recognition.recipe import RecognitionRecipe


def check_recipe(name: str | os.PathLike[str] | Mapping[str, Any]) -> list[Finding]:
    """Return what would stop, or surprise, somebody who trains this recipe here.

    Args:
        name: of a packaged recipe, a YAML path, or a mapping.

    Raises:
        UsageError: there is no such recipe.
    """
    where = "recipe" if isinstance(name, Mapping) else os.fspath(name)
    try:
        recipe = load_recipe(name)
    except ActionspaceError as e:
        if not isinstance(name, Mapping) and not Path(where).is_file():
            raise
        return [Finding("error", "recipe", str(e), where)]
    return [
        *_encoder_findings(recipe, where),
        *_data_findings(recipe, where),
        *check_training(recipe, where),
        *(check_zero_shot(recipe, where) if _in_words(recipe) else ()),
        *(check_attentive(recipe, where) if _attends(recipe) else ()),
        *(check_localization(recipe, where) if isinstance(recipe, LocalizationRecipe) else ()),
        *(check_alignment(recipe, where) if isinstance(recipe, AlignmentRecipe) else ()),
        *(check_anticipation(recipe, where) if isinstance(recipe, AnticipationRecipe) else ()),
    ]


def _in_words(recipe: Recipe) -> TypeGuard[RecognitionRecipe]:
    return isinstance(recipe, RecognitionRecipe) and recipe.mode == "zero_shot"


def _attends(recipe: Recipe) -> TypeGuard[RecognitionRecipe]:
    return isinstance(recipe, RecognitionRecipe) and recipe.attends


def _encoder_findings(recipe: Recipe, where: str) -> list[Finding]:
    if recipe.encoder is None:  # features are given
        return []
    name = recipe.encoder.removeprefix("untrained:")
    if ":" in name or Path(name).exists():  # anyone's own module:fn, file or folder
        return []
    known = {info.name: info for info in list_encoders()}
    if name not in known:
        message = f"there is no encoder '{name}'.{did_you_mean(name, known)}"
        return [Finding("error", "encoder", message, where)]
    if recipe.weights is not None:
        if Path(recipe.weights).is_file():
            return []
        return [Finding("error", "weights", f"{recipe.weights} does not exist.", where)]
    if "to download" in known[name].weights:
        message = f"the weights of '{name}' are {known[name].weights} at the first use."
        return [Finding("note", "weights", message, where)]
    return []


def _data_findings(recipe: Recipe, where: str) -> list[Finding]:
    if recipe.data is None:
        source = f"actionspace prepare {recipe.dataset} SOURCE" if recipe.dataset else "your own"
        message = f"no data is set; give data=MANIFEST when training ({source})."
        return [Finding("note", "data", message, where)]
    if not Path(recipe.data).exists() and ":" not in recipe.data:  # else anyone's module:fn
        return [Finding("error", "data", f"the manifest {recipe.data} does not exist.", where)]
    return []
