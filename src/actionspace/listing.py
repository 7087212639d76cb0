"""What there is: encoders, recipes, data sets and weights, one line each."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from actionspace.errors import UsageError, did_you_mean

if TYPE_CHECKING:
    from actionspace.recipes.loader import Recipe


def list_things(what: str, pattern: str = "*") -> list[dict[str, Any]]:
    """Return what there is, one mapping per line.

    Raises:
        UsageError: ``what`` is none of encoders, recipes, datasets, weights.
    """
    makers = {
        "encoders": _encoder_lines,
        "recipes": _recipe_lines,
        "datasets": _dataset_lines,
        "weights": _weight_lines,
    }
    if what not in makers:
        hint = did_you_mean(what, makers)
        raise UsageError(f"Cannot list '{what}'; one of {', '.join(makers)}.{hint}")
    return makers[what](pattern)


def _encoder_lines(pattern: str) -> list[dict[str, Any]]:
    from actionspace.encoders.create import list_encoders

    return [
        {
            "name": e.name,
            "parameters": f"{e.parameters / 1e6:.1f} M",
            "GFLOPs": f"{e.multiply_adds / 1e9:.1f}",
            "input": e.input,
            "weights": e.weights,
            "licence": e.licence,
            "gate": e.gate,
            "note": e.note,
        }
        for e in list_encoders(pattern)
    ]


def _recipe_lines(pattern: str) -> list[dict[str, Any]]:
    from actionspace.recipes.loader import list_recipes

    lines = []
    for recipe in list_recipes(pattern):
        reported = recipe.published.figures if recipe.published else []
        figures = [f for f in reported if "@" not in f.metric]  # not one for each threshold
        lines.append(
            {
                "name": recipe.name,
                "dataset": recipe.dataset or "your own",
                "encoder": recipe.encoder or _without_encoder(recipe),
                "published": ", ".join(f"{f.metric} {f.value:g}" for f in figures),
                "verified here": recipe.published.verified_here if recipe.published else "",
                "description": recipe.description,
            }
        )
    return lines


def _without_encoder(recipe: Recipe) -> str:
    pictures = recipe.task == "alignment" and recipe.network.input == "frames"
    return "pictures, its own network" if pictures else "features are given"


def _dataset_lines(pattern: str) -> list[dict[str, Any]]:
    from actionspace.datasets.prepare import list_datasets

    return [dataclasses.asdict(d) for d in list_datasets(pattern)]


def _weight_lines(pattern: str) -> list[dict[str, Any]]:
    from actionspace.alignment import published as alignment
    from actionspace.encoders.weights import list_weights
    from actionspace.localization import published as localization

    by_hand = (*localization.list_published(pattern), *alignment.list_published(pattern))
    return [dataclasses.asdict(w) for w in (*list_weights(pattern), *by_hand)]
