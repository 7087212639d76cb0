"""Check a recipe of alignment: where its frames come from, and whether its phases are there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path

from actionspace.alignment.recipe import AlignmentRecipe
from actionspace.datasets.check import Finding
from actionspace.errors import ActionspaceError


def check_alignment(recipe: AlignmentRecipe, where: str) -> list[Finding]:
    """Return what would stop or surprise a training of alignment.

    Args:
        recipe: the recipe.
        where: the file or name that findings give.
    """
    stops = [Finding("error", "features", text, where) for text in _stops(recipe)]
    return [*stops, *_weights(recipe, where), *_map(recipe, where), *_labels(recipe, where)]


def _stops(recipe: AlignmentRecipe) -> Iterator[str]:
    given = recipe.features is not None or recipe.encoder is not None
    if recipe.network.input == "frames" and given:
        yield (
            "network.input=frames takes pictures, but features or an encoder are set; leave them "
            "out, or say network.input=features."
        )
    if recipe.features is not None and not Path(recipe.features).exists():
        yield f"the features {recipe.features} do not exist."


def _weights(recipe: AlignmentRecipe, where: str) -> Iterator[Finding]:
    if recipe.network.input == "features":
        if recipe.features is None and recipe.encoder is None:
            message = "there is neither features nor an encoder; give features=STORE, or name one."
            yield Finding("note", "features", message, where)
        return
    if recipe.weights is None:
        message = (
            "the ResNet starts from random weights; say weights=resnet50_in1k, or a file of "
            "torchvision, BYOL, SimCLR or MoCo v2."
        )
        yield Finding("warning", "weights", message, where)


def _map(recipe: AlignmentRecipe, where: str) -> Iterator[Finding]:
    if recipe.evaluation.map == "umap" and find_spec("umap") is None:
        message = (
            "evaluation.map=umap needs umap-learn (pip install umap-learn); without it "
            "the report shows principal components."
        )
        yield Finding("warning", "evaluation", message, where)


def _kinds(recipe: AlignmentRecipe, heads: Sequence[str], where: str) -> Iterator[Finding]:
    by, groups = recipe.evaluation.by, recipe.sampling.batch_by
    for option, column in (("evaluation.by", by), ("sampling.batch_by", groups)):
        if column is not None and column not in heads:
            message = f"{option}: the manifest has no label column '{column}'."
            yield Finding("error", "labels", message, where)
    if recipe.compares and by is not None and groups is None:
        message = (
            f"the loss {recipe.loss.name} compares videos with each other, and those of several "
            f"'{by}' are drawn together; say sampling.batch_by={by}."
        )
        yield Finding("warning", "sampling", message, where)


def _labels(recipe: AlignmentRecipe, where: str) -> Iterator[Finding]:
    if recipe.data is None or not Path(recipe.data).exists():
        return
    from actionspace.alignment.prepare import read_videos

    try:
        events = read_videos(recipe, recipe.data)
    except ActionspaceError as e:
        yield Finding("error", "data", str(e), where)
        return
    yield from _kinds(recipe, events.heads, where)
    if recipe.column in events.heads:
        return
    if recipe.loss.name == "classification":
        message = f"the loss classification learns '{recipe.column}', which the manifest lacks."
        yield Finding("error", "labels", message, where)
    else:
        message = (
            f"the manifest has no column '{recipe.column}': Kendall's tau alone will be measured."
        )
        yield Finding("note", "labels", message, where)
