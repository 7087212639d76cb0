"""Check a recipe of localization: where its features come from, and what they hold."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from actionspace.datasets.check import Finding
from actionspace.errors import ActionspaceError
from actionspace.localization.recipe import LocalizationRecipe


def check_localization(recipe: LocalizationRecipe, where: str) -> list[Finding]:
    """Return what is wrong with the features of a recipe; they are read if they are here.

    Args:
        recipe: the recipe.
        where: the file or name that findings give.
    """
    stops = [Finding("error", "features", text, where) for text in _stops(recipe)]
    if stops or recipe.data is None or not Path(recipe.data).exists():
        return [*stops, *_notes(recipe, where)]
    return [*_contents(recipe, where), *_notes(recipe, where)]


def _stops(recipe: LocalizationRecipe) -> Iterator[str]:
    from actionspace.features.presets import grid_preset

    for place in recipe.places:
        if not Path(place).exists():
            yield f"the features {place} do not exist."
    if recipe.rows.preset is not None:
        try:
            grid_preset(recipe.rows.preset)
        except ActionspaceError as e:
            yield f"rows.preset: {e}"
    scores = recipe.suppression.class_scores
    if scores is not None and not Path(scores).is_file():
        yield f"suppression.class_scores: {scores} does not exist."


def _notes(recipe: LocalizationRecipe, where: str) -> Iterator[Finding]:
    if recipe.features is None and recipe.encoder is None:
        message = (
            "there is neither features nor an encoder; give features=STORE or a directory, list "
            "files in the manifest's 'features' column, or name an encoder."
        )
        yield Finding("note", "features", message, where)


def _contents(recipe: LocalizationRecipe, where: str) -> list[Finding]:
    from actionspace.localization.data.check import check_features
    from actionspace.localization.data.samples import load
    from actionspace.localization.encode import Encoding

    assert recipe.data is not None
    try:
        events, own = load(recipe.data, recipe.root)
        listed = events.videos["features"].notna().any()
        if not recipe.places and own is None and not listed:
            return []  # the encoder makes them
        source = Encoding(recipe).source(events, own)
        dim = sum(recipe.model.input_split) or None
        found = check_features(
            events, source, dim=dim, classes=recipe.classes, column=recipe.column
        )
    except ActionspaceError as e:
        return [Finding("error", "features", str(e), where)]
    return found
