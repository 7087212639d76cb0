"""The verb that compares frozen encoders, as a function; see :mod:`.api`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from actionspace.api_data import PathLike
from actionspace.errors import UsageError

if TYPE_CHECKING:
    from actionspace.events.table import Events


def probe(
    data: PathLike | Events,
    *,
    encoders: str | Sequence[str] = "starter",
    heads: str | Sequence[str] | None = None,
    out: PathLike | None = None,
    folds: int | None = None,
    shots: Sequence[int] = (),
    draws: int = 5,
    bootstrap: int = 1000,
    seed: int = 0,
    accept_licence: bool = False,
    recipe: PathLike = "linear_probe",
    overrides: Sequence[str] = (),
) -> dict[str, Any]:
    """Compare frozen encoders and heads on labelled videos: a leaderboard with costs.

    Args:
        data: manifest or events, one label per event.
        encoders: names, or one text with commas between them.
        heads: of linear, attentive, knn, centroid and ridge; None = all but attentive.
        out: folder for the leaderboard, the report and finished parts; None = ``runs/probe``, or
            the next free number. The same command goes on where it was stopped.
        folds: grouped folds; None = the manifest's splits, where it has none 5 folds.
        shots: numbers of labels per class of few-shot curves.
        draws: how often those labels are drawn.
        bootstrap: resamples of groups for the intervals.
        seed: of folds, draws and resamples.
        accept_licence: accept the licence of weights that ask for it.
        recipe: a linear probe's: how clips are cut and encoded.
        overrides: ``key.sub=value`` strings laid over it, e.g. ``clips.hop=8`` or ``device=cuda``.

    Returns:
        What ``leaderboard.json`` holds, and ``folder``.

    Raises:
        UsageError: an unknown head, no encoder, a recipe of another kind.
        DataError: the manifest cannot be learnt from.
        RunError: not one encoder could be used.
    """
    from actionspace.encoders.licences import accept_licences
    from actionspace.recipes.loader import load_recipe
    from actionspace.recognition.leaderboard.compare import compare
    from actionspace.recognition.leaderboard.files import next_folder
    from actionspace.recognition.leaderboard.options import FEW_SHOT, Options
    from actionspace.recognition.recipe import RecognitionRecipe

    loaded = load_recipe(recipe, overrides)
    if not isinstance(loaded, RecognitionRecipe) or loaded.mode != "probe":
        raise UsageError(f"{recipe} is no recipe of a linear probe; encoders are compared frozen.")
    if accept_licence:
        accept_licences()
    options = Options(
        heads=_names(heads) if heads is not None else FEW_SHOT,
        folds=folds,
        shots=tuple(shots),
        draws=draws,
        bootstrap=bootstrap,
        seed=seed,
    )
    folder = Path(out) if out is not None else next_folder()
    board = compare(
        loaded, _names(encoders), data=data, out=folder, options=options, overrides=overrides
    )
    return {**board, "folder": str(folder)}


def _names(text: str | Sequence[str]) -> tuple[str, ...]:
    """Return names, of a text those between commas."""
    parts = text.split(",") if isinstance(text, str) else text
    return tuple(name for part in parts if (name := part.strip()))
