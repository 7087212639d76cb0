"""Check a recipe with an attentive head: whether its attention heads fit the encoder."""

from __future__ import annotations

from collections.abc import Iterator

from actionspace.datasets.check import Finding
from actionspace.encoders.create import list_encoders
from actionspace.recognition.recipe import RecognitionRecipe


def check_attentive(recipe: RecognitionRecipe, where: str) -> Iterator[Finding]:
    """Yield what would stop the fit of an attentive head.

    Args:
        recipe: the recipe.
        where: the file or name that findings give.
    """
    heads = recipe.head.attentive.num_heads
    name = recipe.encoder.removeprefix("untrained:")
    dims = {info.name: info.dim for info in list_encoders()}
    if heads is not None and name in dims and dims[name] % heads:
        message = (
            f"head.attentive.num_heads {heads} does not divide the {dims[name]} channels of "
            f"'{name}'; leave it out to have as many as fit."
        )
        yield Finding("error", "head", message, where)
