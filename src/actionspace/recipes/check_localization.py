"""Check a recipe of localization: where its features come from, and what they hold."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from actionspace.datasets.check import Finding
from actionspace.errors import ActionspaceError, ConfigError
from actionspace.localization.recipe import LocalizationRecipe

if TYPE_CHECKING:
    from actionspace.events.table import Events


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
    from actionspace.localization.network.switches import without_effect

    for text in without_effect(recipe.model):
        yield Finding("warning", "model", text, where)
    if recipe.features is None and recipe.encoder is None:
        message = (
            "there is neither features nor an encoder; give features=STORE or a directory, list "
            "files in the manifest's 'features' column, or name an encoder."
        )
        yield Finding("note", "features", message, where)


def _contents(recipe: LocalizationRecipe, where: str) -> list[Finding]:
    from actionspace.datasets.class_order import class_order
    from actionspace.localization.data.check import check_features
    from actionspace.localization.data.samples import load
    from actionspace.localization.encode import Encoding

    assert recipe.data is not None
    try:
        events, own = load(recipe.data, recipe.root)
        kinds = _kinds(recipe, events, where)
        if recipe.suppression.class_scores is None and recipe.column in events.heads:
            recipe.constraints.check(recipe.classes or class_order(events, recipe.column))
        listed = events.videos["features"].notna().any()
        if not recipe.places and own is None and not listed:
            return kinds  # the encoder makes them
        source = Encoding(recipe).source(events, own)
        dim = sum(recipe.model.input_split) or None
        found = check_features(
            events, source, dim=dim, classes=recipe.classes, column=recipe.column
        )
    except ConfigError as e:
        return [Finding("error", "constraints", str(e), where)]
    except ActionspaceError as e:
        return [Finding("error", "features", str(e), where)]
    found += kinds
    if any(f.severity == "error" for f in found):
        return found
    return [*found, *_network(recipe, where)]


def _kinds(recipe: LocalizationRecipe, events: Events, where: str) -> list[Finding]:
    """Return what becomes of events that last, or do not, where the other kind is learnt."""
    from actionspace.localization.point_options import event_notes
    from actionspace.localization.prepare import labelled

    if recipe.column not in events.heads:
        return []
    splits = set(events.videos["split"].dropna())
    learnt = labelled(events.select(split="train") if splits else events, recipe.column)
    try:
        return [Finding("note", "events", note, where) for note in event_notes(recipe, learnt)]
    except ActionspaceError as e:
        return [Finding("error", "events", str(e), where)]


def _network(recipe: LocalizationRecipe, where: str) -> list[Finding]:
    """Return what does not go with the training videos."""
    from actionspace.localization.encode import Encoding
    from actionspace.localization.prepare import prepare, read_manifest
    from actionspace.localization.validate import check_prepared

    assert recipe.data is not None
    try:
        events, own = read_manifest(recipe, recipe.data)
        found = check_prepared(prepare(recipe, Encoding(recipe), events, own))
    except ActionspaceError as e:
        return [Finding("error", "training", str(e), where)]
    return [replace(finding, file=where) for finding in found]
