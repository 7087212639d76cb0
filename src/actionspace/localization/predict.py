"""Raw untrimmed video, or features of it, in; events out."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from actionspace.errors import UsageError
from actionspace.localization.encode import Given
from actionspace.localization.evaluate import (
    Constraints,
    encoding_of,
    recipe_of,
    same_splits,
    threshold_of,
    with_constraints,
)
from actionspace.training.export import export
from actionspace.training.inputs import Input, resolve
from actionspace.training.predictions import Predictions, write_predictions
from actionspace.training.run import Run

if TYPE_CHECKING:
    from actionspace.events.table import Events
    from actionspace.localization.recipe import LocalizationRecipe


def predict(
    run: Run | str | os.PathLike[str],
    inputs: Input | Events | Sequence[Input],
    **options: Any,
) -> Events:
    """Return predicted events; see :func:`predictions` for the options."""
    return predictions(run, inputs, **options).events


def predictions(
    run: Run | str | os.PathLike[str],
    inputs: Input | Events | Sequence[Input],
    *,
    out: str | os.PathLike[str] | None = None,
    format: str | None = None,
    split: str | None = None,
    root: str | None = None,
    features: Given | None = None,
    threshold: float | None = None,
    window: int | None = None,
    overlap: int | None = None,
    constraints: Constraints = None,
    checkpoint: str | None = None,
    policy: str | None = None,
    weights: str | None = None,
    device: str | None = None,
) -> Predictions:
    """Detect events in videos with a trained run.

    Videos of any length are taken: those longer than the network takes go through it in windows
    that overlap. A bad video is left out and listed with its reason (``skipped``). Nothing is
    written before everything is done.

    Args:
        run: a run folder.
        inputs: videos, folders, globs, a manifest or annotation file, a feature store, or events
            in memory. A manifest's annotations, if any, go along as truth.
        out: a folder, or one file (``.csv``, ``.json``, ``.boris``).
        format: format of that file, if its ending does not say.
        split: only this split of a manifest; where it has none, the splits training made.
        root: folder the manifest's paths are relative to.
        features: of these videos, instead of the encoder.
        threshold: least score of a detection that is told; None = the run's own.
        window, overlap: rows that the network sees at once, and that two windows of a longer video
            share; None = the recipe's.
        constraints: rules of time in place of some of the recipe's, as ``{"min_gap": {"peck": 1}}``
            (``constraints.min_gap.peck=1``), or all of them.
        checkpoint: weights kept while training, e.g. ``epoch_034``; None = those it ended with.
        policy: for bad videos, ``raise``, ``skip`` or ``partial``; None = the recipe's.
        weights, device: where the encoder's weights are and where all runs, if not as in the
            recipe.

    Raises:
        UsageError: there is nothing to predict, or windows do not fit the network.
        RunError: not a run, features of another make, or its encoder cannot be had.
    """
    from actionspace.localization.infer import infer
    from actionspace.localization.saved import classes_of, load_network

    run = run if isinstance(run, Run) else Run.open(run)
    recipe = _changed(recipe_of(run, weights=weights, device=device), window, overlap, policy)
    recipe = with_constraints(recipe, constraints)
    if threshold is None:
        threshold = threshold_of(run, recipe)
    if features is None and (store := _store(inputs)) is not None:
        features, events = store, _videos_of(store)
    else:
        events = resolve(inputs, root)
    if split is not None:
        events = same_splits(events, recipe).select(split=split)
    encoding = encoding_of(run, recipe, features)
    source = encoding.source(events)
    network = load_network(run, recipe, checkpoint=checkpoint, device=encoding.device)
    found = infer(network, source, events, recipe, classes_of(run, recipe.column))
    about = {"run": run.path.name, "split": split, "threshold": threshold}
    found.labels.update(about, encoder=encoding.describe())
    found = found.told()
    if out is not None:
        _write(found, Path(out), format)
    return found


def _changed(
    recipe: LocalizationRecipe, window: int | None, overlap: int | None, policy: str | None
) -> LocalizationRecipe:
    longest = recipe.model.longest
    size = window or recipe.predict.window or longest
    if not 0 < size <= longest:
        raise UsageError(f"window={window}: this network takes 1 to {longest} rows at once.")
    if overlap is not None and not 0 <= overlap < size:
        raise UsageError(f"overlap={overlap} must be smaller than a window, {size} rows.")
    asked = {k: v for k, v in (("window", window), ("overlap", overlap)) if v is not None}
    how = recipe.predict.model_copy(update=asked)
    rows = recipe.rows.model_copy(update={"policy": policy} if policy else {})
    return recipe.model_copy(update={"predict": how, "rows": rows})


def _store(inputs: Any) -> Path | None:
    """Return the feature store that is the only input, if it is one."""
    only = inputs[0] if isinstance(inputs, (list, tuple)) and len(inputs) == 1 else inputs
    if not isinstance(only, (str, os.PathLike)):
        return None
    path = Path(only)
    return path if (path / "store.json").is_file() else None


def _videos_of(store: Path) -> Events:
    from actionspace.events.table import Events
    from actionspace.features.store import FeatureStore

    names = FeatureStore.open(store).videos()
    if not names:
        raise UsageError(f"The feature store {store} holds no videos.")
    return Events.from_frames([], [{"video": name} for name in names], root=store)


def _write(found: Predictions, out: Path, format: str | None) -> None:
    if format is None and out.suffix == "":
        write_predictions(found, out)
    else:
        export(found.events, out, format)


def summary(found: Predictions) -> str:
    """Return in a few lines what was found: events per video and class, the threshold, skips."""
    rows, [head] = found.events.rows, found.labels["heads"]
    lines = []
    for video in found.events.videos["video"]:
        if video in found.skipped:
            lines.append(f"{video}: skipped, {found.skipped[video]}")
            continue
        counts = rows.loc[rows["video"] == video, head].value_counts().sort_index()
        told = ", ".join(f"{n} x {name}" for name, n in counts.items()) or "nothing happens"
        lines.append(f"{video}: {int(counts.sum())} events ({told})")
    least = f"{found.labels['threshold']:.3g}"
    lines.append(f"Told are detections that score {least} or more (threshold=... for others).")
    return "\n".join(lines)
