"""Check a recipe of anticipation: its features, its columns, and what its windows can see."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from actionspace.anticipation.recipe import AnticipationRecipe
from actionspace.datasets.check import Finding
from actionspace.errors import ActionspaceError


def check_anticipation(recipe: AnticipationRecipe, where: str) -> list[Finding]:
    """Return what would stop or surprise a training of anticipation.

    Args:
        recipe: the recipe.
        where: the file or name that findings give.
    """
    return [*_features(recipe, where), *_protocol(recipe, where), *_events(recipe, where)]


def _features(recipe: AnticipationRecipe, where: str) -> Iterator[Finding]:
    for place in recipe.places:
        if not Path(place).exists():
            yield Finding("error", "features", f"the features {place} do not exist.", where)
    if not recipe.sees:
        if recipe.places or recipe.encoder is not None:
            message = "input=labels: features and encoder are not looked at."
            yield Finding("warning", "features", message, where)
    elif not recipe.places and recipe.encoder is None:
        message = "there is neither features nor an encoder; give features=STORE, or name one."
        yield Finding("note", "features", message, where)


def _protocol(recipe: AnticipationRecipe, where: str) -> Iterator[Finding]:
    low, high = recipe.horizon.train
    if not low <= recipe.horizon.report <= high:
        message = (
            f"horizon.report {recipe.horizon.report:g} s lies outside of horizon.train, {low:g} to "
            f"{high:g} s: the network never learns from windows that end so long before an event."
        )
        yield Finding("warning", "horizon", message, where)
    if recipe.window.anchor == "end":
        message = (
            "window.anchor=end: windows end before the END of events and mostly show them; figures "
            "are not those of the EPIC-KITCHENS-100 challenge."
        )
        yield Finding("warning", "window", message, where)


def _events(recipe: AnticipationRecipe, where: str) -> Iterator[Finding]:
    if recipe.data is None or not Path(recipe.data).exists():
        return
    from actionspace.anticipation.prepare import read_manifest

    try:
        events = read_manifest(recipe, recipe.data)
    except ActionspaceError as e:
        yield Finding("error", "data", str(e), where)
        return
    first = events.rows.groupby("video")["start"].min()
    early = int((events.rows["start"] < recipe.horizon.report).sum())
    if early:
        message = (
            f"{early} events of {len(first)} videos begin less than {recipe.horizon.report:g} s "
            "after their video does: nothing can be seen before them, their windows are padding."
        )
        yield Finding("note", "window", message, where)
