"""Check a recipe whose classes are told in words: the encoder, and what is said of the classes."""

from __future__ import annotations

from collections.abc import Iterator

from actionspace.datasets.check import Finding
from actionspace.encoders.text_create import require_text
from actionspace.errors import ActionspaceError
from actionspace.recognition.descriptions import told
from actionspace.recognition.recipe import RecognitionRecipe


def check_zero_shot(recipe: RecognitionRecipe, where: str) -> Iterator[Finding]:
    """Yield what would stop a run of mode zero_shot.

    Args:
        recipe: the recipe.
        where: the file or name that findings give.
    """
    if recipe.zero_shot.descriptions is None:
        message = "no class is described; give zero_shot.descriptions when making the run."
        yield Finding("note", "descriptions", message, where)
    else:
        try:
            told(recipe.zero_shot.descriptions)
        except ActionspaceError as e:
            yield Finding("error", "descriptions", str(e), where)
    if recipe.features is None:
        try:
            require_text(recipe.encoder)
        except ActionspaceError as e:
            yield Finding("error", "encoder", str(e), where)
