"""Find a recipe by name or path and check it against its task's model."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from actionspace.alignment.recipe import AlignmentRecipe
from actionspace.anticipation.recipe import AnticipationRecipe
from actionspace.config import merge, parse, read_yaml
from actionspace.errors import ConfigError, UsageError, did_you_mean
from actionspace.localization.recipe import LocalizationRecipe
from actionspace.recognition.recipe import RecognitionRecipe

Recipe = RecognitionRecipe | LocalizationRecipe | AlignmentRecipe | AnticipationRecipe

FOLDER = Path(__file__).parent
TASKS: dict[str, type[Recipe]] = {
    "recognition": RecognitionRecipe,
    "localization": LocalizationRecipe,
    "alignment": AlignmentRecipe,
    "anticipation": AnticipationRecipe,
}


def list_recipes(pattern: str = "*") -> list[Recipe]:
    """Return the packaged recipes whose name matches a glob, own-data ones first."""
    import fnmatch

    names = [n for n in recipe_names() if fnmatch.fnmatch(n, pattern)]
    found = [load_recipe(name) for name in names]
    return sorted(found, key=lambda r: (bool(r.dataset), r.name))


def recipe_names() -> list[str]:
    """Return the names of the packaged recipes, sorted."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def load_recipe(
    name: str | os.PathLike[str] | Mapping[str, Any],
    overrides: Sequence[str] = (),
    fields: Mapping[str, Any] | None = None,
) -> Recipe:
    """Load a recipe.

    Args:
        name: a name from :func:`list_recipes`, a YAML path, or a mapping (a run's config).
        overrides: ``key.sub=value`` strings laid over it.
        fields: further fields, nested mappings for parts.

    Raises:
        UsageError: no such recipe.
        ConfigError: a key or a value does not fit the model.
    """
    values, where = _values(name)
    merged = merge(values, overrides, fields or {})
    task = merged.get("task", "recognition")
    if task not in TASKS:
        raise ConfigError(f"{where}: task '{task}' is unknown.{did_you_mean(str(task), TASKS)}")
    return parse(TASKS[task], merged, where)


def _values(name: str | os.PathLike[str] | Mapping[str, Any]) -> tuple[dict[str, Any], str]:
    if isinstance(name, Mapping):
        return dict(name), "recipe"
    text = os.fspath(name)
    packaged = FOLDER / f"{text}.yaml"
    if text in recipe_names():
        return read_yaml(packaged), text
    if text.endswith((".yaml", ".yml")) or Path(text).is_file():
        return read_yaml(text), text
    hint = did_you_mean(text, recipe_names()) or f" There are: {', '.join(recipe_names())}."
    raise UsageError(f"There is no recipe '{text}'.{hint}")
