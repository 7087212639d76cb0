"""Evaluate a run, or predictions made earlier: the same code, so the same numbers."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from actionspace.errors import DataError, RunError, UsageError
from actionspace.paths import write_json
from actionspace.recognition import data as manifest
from actionspace.recognition.encode import Encoding
from actionspace.recognition.epic import challenge_section
from actionspace.recognition.infer import Mode, infer
from actionspace.recognition.measure import measure
from actionspace.recognition.observed import parse_shares
from actionspace.recognition.probe import Average, Probe, load_probes
from actionspace.recognition.recipe import RecognitionRecipe
from actionspace.training.predictions import (
    Predictions,
    is_predictions,
    read_predictions,
    write_predictions,
)
from actionspace.training.run import Run

if TYPE_CHECKING:
    from actionspace.events.table import Events
    from actionspace.features.foreign import Features

FOLDS = "folds"


def evaluate(
    target: Run | str | os.PathLike[str],
    data: str | os.PathLike[str] | Events | None = None,
    *,
    split: str | None = None,
    average: Average | None = None,
    features: Features | str | os.PathLike[str] | None = None,
    bootstrap: int | None = None,
    weights: str | None = None,
    device: str | None = None,
    observed: str | float | Sequence[float] | None = None,
    clips: int | None = None,
) -> dict[str, Any]:
    """Return the metrics of a run or of a predictions folder and write them to ``metrics.json``.

    A run predicts the videos of a split and keeps the predictions in ``predictions/<split>``; a
    run trained with folds is evaluated on its pooled predictions of the folds. A predictions
    folder is scored again from the raw scores it keeps; no video is opened.

    Args:
        target: a run or a predictions folder.
        data: manifest with the truth; None = the run's own, or what the predictions brought along.
        split: which part of the manifest; None = ``test`` for a run, everything for predictions
            (or, without a ``data`` of its own and trained with folds, the folds).
        average: ``prob`` or ``score``; None = the recipe's.
        features: store to use instead of the encoder.
        bootstrap: resamples for the intervals; None = the recipe's.
        weights, device: where the encoder's weights are and where it runs, if not as in the recipe.
        observed: also measure early recognition, of a run: shares of each event that are seen, as
            ``"0.1:1.0:0.1"``; the curve is ``observed`` in the metrics and in the report.
        clips: of early recognition, see :meth:`.observed.Observed.curve`.

    Raises:
        RunError: the target is neither, or its encoder cannot be had.
        DataError: the manifest has no such split or no truth.
        UsageError: ``observed`` of predictions, of folds, or of features of another make.
    """
    path = target.path if isinstance(target, Run) else Path(target)
    if observed is not None:
        shares = parse_shares(observed)
        _check_observable(path, data)
    if is_predictions(path):
        return _evaluate_folder(path, data, split, average, bootstrap)
    run = Run.open(path)
    recipe = recipe_of(run, weights=weights, device=device)
    config = recipe.evaluation
    if data is None and recipe.folds and split in (None, "test", FOLDS):
        folder, name = run.predictions_dir / FOLDS, FOLDS
    elif data is None and recipe.data is None and is_predictions(_kept(run, split or "test")):
        name = split or "test"  # trained on a manifest in memory: score what was predicted then
        folder = _kept(run, name)
    else:
        name = split or "test"
        events = manifest.load(*_manifest(run, recipe, data))
        encoding = encoding_of(run, recipe, features, events if data is None else None)
        probes = load_probes(run)
        events = same_splits(events, recipe)
        predictions = predict_split(probes, encoding, events, name, average or config.average)
        folder = write_predictions(predictions, _kept(run, name))
    metrics = measure_all(
        read_predictions(folder),
        average=average or config.average,
        bootstrap=config.bootstrap if bootstrap is None else bootstrap,
        confidence=config.confidence,
        split=name,
        unseen=config.unseen,
    )
    if name == FOLDS and "folds" in run.metrics:
        metrics["folds"] = run.metrics["folds"]
    if observed is not None:
        metrics["observed"] = _early(run, recipe, data, name, shares, clips, average, bootstrap)
    run.write_metrics(metrics)
    if observed is not None:
        from actionspace.report.html import write_report

        write_report(run.path)
    return metrics


def _check_observable(path: Path, data: str | os.PathLike[str] | Events | None) -> None:
    if is_predictions(path):
        raise UsageError(
            f"{path} holds predictions; early recognition looks at the videos again: name the run."
        )
    run = Run.open(path)
    if not (run.labels.get("encoder") or {}).get("name"):
        raise UsageError(
            f"{path} was trained on features of another make. Early recognition cuts clips anew, "
            "so it needs the encoder."
        )
    if data is None and run.config.get("folds"):
        raise UsageError(
            f"{path} was trained with folds, and the head that stayed has learnt from all of its "
            "videos. Give others as data=, or train on splits."
        )


def _early(
    run: Run,
    recipe: RecognitionRecipe,
    data: str | os.PathLike[str] | Events | None,
    split: str,
    shares: Sequence[float],
    clips: int | None,
    average: Average | None,
    bootstrap: int | None,
) -> list[dict[str, Any]]:
    from actionspace.recognition.observed import observed_curve

    config = recipe.evaluation
    events = same_splits(manifest.load(*_manifest(run, recipe, data)), recipe)
    return observed_curve(
        load_probes(run),
        encoding_of(run, recipe),
        events,
        shares,
        split=split,
        average=average or config.average,
        clips=clips,
        bootstrap=config.bootstrap if bootstrap is None else bootstrap,
        confidence=config.confidence,
        unseen=config.unseen,
    )


def _kept(run: Run, split: str) -> Path:
    return run.predictions_dir / split


def _evaluate_folder(
    path: Path,
    data: str | os.PathLike[str] | Events | None,
    split: str | None,
    average: Average | None,
    bootstrap: int | None,
) -> dict[str, Any]:
    predictions = read_predictions(path)
    about = predictions.labels
    truth = None
    if data is not None:
        truth = _truth_of(predictions, manifest.load(data), split)
    config = RecognitionRecipe().evaluation.model_copy(update=about.get("evaluation") or {})
    metrics = measure_all(
        predictions,
        truth,
        average=average or about.get("average", "prob"),
        bootstrap=config.bootstrap if bootstrap is None else bootstrap,
        confidence=config.confidence,
        split=split or about.get("split"),
        unseen=config.unseen,
    )
    write_json(path / "metrics.json", metrics)
    return metrics


def measure_all(
    predictions: Predictions, truth: Events | None = None, **options: Any
) -> dict[str, Any]:
    """Return what :func:`~.measure.measure` does, and for EPIC-KITCHENS-100 the challenge's
    figures.
    """
    metrics = measure(predictions, truth, **options)
    return metrics | challenge_section(predictions, truth)


def _truth_of(predictions: Predictions, truth: Events, split: str | None) -> Events:
    """Return the part of the truth that was to be predicted."""
    made_for = predictions.labels.get("split")
    if split is not None:
        return truth.select(split=split)
    if made_for in (None, FOLDS):
        return truth
    if truth.videos["split"].notna().any():
        return truth.select(split=made_for)
    known = {*predictions.events.videos["video"], *predictions.skipped}
    return truth.select(videos=[v for v in truth.videos["video"] if v in known])


def predict_split(
    probes: Sequence[Probe],
    encoding: Encoding,
    events: Events,
    split: str,
    average: Average | None = None,
    mode: Mode = "auto",
) -> Predictions:
    """Predict the videos of one split (or all, where the manifest has no splits)."""
    if events.videos["split"].notna().any():
        events = events.select(split=split)
    config = encoding.recipe.evaluation
    found = infer(probes, encoding, events, mode=mode, average=average or config.average)
    found.labels["split"] = split
    found.labels["evaluation"] = config.model_dump()
    return found


def recipe_of(
    run: Run, *, weights: str | None = None, device: str | None = None
) -> RecognitionRecipe:
    """Return the recipe a run was trained with, with what differs on this machine.

    Raises:
        RunError: the config is not of recognition.
        UsageError: weights were given, and the run holds its own.
    """
    from actionspace.config import parse
    from actionspace.errors import ConfigError

    try:
        recipe = parse(RecognitionRecipe, run.config, str(run.path / "config.yaml"))
    except ConfigError as e:
        raise RunError(f"{e}. The run is of another version; train it again.") from e
    if weights is not None and recipe.changes_encoder and recipe.mode != "lora":
        raise UsageError(
            f"{run.path} holds the weights of its encoder (mode={recipe.mode}); leave out weights=."
        )
    changed = {k: v for k, v in (("weights", weights), ("device", device)) if v is not None}
    return recipe.model_copy(update=changed)


def encoding_of(
    run: Run,
    recipe: RecognitionRecipe,
    features: Features | str | os.PathLike[str] | None = None,
    events: Events | None = None,
) -> Encoding:
    """Return where a run's features come from.

    The store it was trained on is used again for the videos it holds (``events``); else its
    encoder, whose weights must be the same, as the run adapted it.
    """
    stored = recipe.features
    recipe = recipe.model_copy(update={"features": None})
    about = run.labels.get("encoder") or {}
    if features is None and stored is not None:
        usable = events is not None and Path(stored).exists()
        if usable:
            features = stored
        elif not about.get("name"):
            raise RunError(
                f"{run.path} was trained on features of another make ({stored}); give the "
                "features of these videos as features=."
            )
    adapted = run.path if recipe.changes_encoder else None
    return Encoding(recipe, features=features, expect=about, adapted=adapted)


def _manifest(
    run: Run, recipe: RecognitionRecipe, data: str | os.PathLike[str] | Events | None
) -> tuple[str | os.PathLike[str] | Events, str | None]:
    if data is not None:
        return data, None
    if recipe.data is None:
        raise DataError(
            f"{run.path} was trained on a manifest in memory; give the one to evaluate as data=."
        )
    if not Path(recipe.data).exists():
        raise DataError(
            f"The run's manifest {recipe.data} is not here; give the one to evaluate as data=."
        )
    return recipe.data, recipe.root


def same_splits(events: Events, recipe: RecognitionRecipe) -> Events:
    """Make the splits that training made, where the manifest has none (same seed, same splits)."""
    made = not (recipe.folds or recipe.mode == "zero_shot")
    if events.videos["split"].notna().any() or not made:
        return events
    return manifest.with_splits(events, recipe.split, lambda _: None)
