"""Evaluate a run, or anybody's detections: the same code, so the same numbers."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from actionspace.errors import DataError, RunError, UsageError
from actionspace.events.constraints import TemporalConstraints
from actionspace.events.table import Events
from actionspace.localization.calibration import calibrated, calibration_of
from actionspace.localization.encode import Encoding, Given, describe_make
from actionspace.localization.measure import as_metrics, compare, points_of
from actionspace.localization.network.points_config import Moment
from actionspace.localization.options import EvaluationConfig
from actionspace.localization.recipe import LocalizationRecipe
from actionspace.paths import write_json
from actionspace.training.predictions import (
    Predictions,
    is_predictions,
    read_predictions,
    write_predictions,
)
from actionspace.training.run import Run

Constraints = TemporalConstraints | Mapping[str, Any] | None
"""Rules in place of some of a recipe's, or all rules."""


def evaluate(
    target: Run | str | os.PathLike[str],
    data: str | os.PathLike[str] | Events | None = None,
    *,
    split: str | None = None,
    features: Given | None = None,
    bootstrap: int | None = None,
    protocol: str | None = None,
    checkpoint: str | None = None,
    column: str | None = None,
    class_scores: str | None = None,
    constraints: Constraints = None,
    weights: str | None = None,
    device: str | None = None,
) -> dict[str, Any]:
    """Return the metrics of a run, of a predictions folder, or of anybody's file of detections.

    A run detects in the videos of a split, and keeps what it found in ``predictions/<split>``. Its
    metrics go to its ``metrics.json``, those of a folder into the folder; those of a file are
    returned only.

    Args:
        target: a run, a predictions folder, or a file (see :mod:`.events.detection_files`), also an
            answer to EPIC-KITCHENS-100 action detection (``submission.zip``).
        data: manifest with the truth; None = the run's own, or what the predictions brought along.
        split: which part of the manifest; None = ``test`` for a run, for detections every video
            of the manifest, or the split they were made for.
        features: to use instead of those of the run.
        bootstrap: resamples for the intervals; None = the recipe's (1000).
        protocol: data set whose thresholds are used: ``thumos14``, ``activitynet13``, ``epic100``,
            ``ego4d_mq``; None = the recipe's.
        checkpoint: weights that were kept while training, e.g. ``epoch_034``.
        column: head column of the truth; None = the run's, or the only one.
        class_scores: of a run that finds proposals, the file that names their classes, see
            ``suppression.class_scores``.
        constraints: rules of time that the detections must obey, as
            ``{"min_gap": {"peck": 1}}`` (``constraints.min_gap.peck=1``), in place of some of the
            run's, or all of them.
        weights, device: where the encoder's weights are and where all runs, if not as in the
            recipe.

    Raises:
        RunError: the target is none of these, or its features cannot be had.
        DataError: the manifest has no such split or no truth.
        UsageError: an unknown protocol; class scores for a run that tells classes apart.
    """
    from actionspace.localization.data.samples import load
    from actionspace.localization.epic import evaluate_submission, is_submission

    path = target.path if isinstance(target, Run) else Path(target)
    if path.is_file() and data is not None and is_submission(path):
        return evaluate_submission(path, load(data)[0], split)
    if path.is_file():
        return _evaluate_file(path, data, split, column, bootstrap, protocol, constraints)
    if is_predictions(path):
        metrics = _evaluate_folder(path, data, split, bootstrap, protocol, constraints)
        write_json(path / "metrics.json", metrics)
        return metrics
    run = Run.open(path)
    recipe = with_protocol(recipe_of(run, weights=weights, device=device), protocol, bootstrap)
    recipe = with_constraints(_with_class_scores(recipe, class_scores), constraints)
    name = split or "test"
    given, root = manifest_of(run, recipe, data)
    predictions = predict_split(
        run,
        recipe,
        given,
        name,
        root=root,
        features=features,
        own=data is None,
        checkpoint=checkpoint,
    )
    folder = run.predictions_dir / (name if checkpoint is None else f"{name}-{checkpoint}")
    write_predictions(predictions, folder)
    metrics = measure_predictions(predictions, None, recipe, split=name)
    if checkpoint is None:
        run.write_metrics(metrics)
    else:
        write_json(folder / "metrics.json", metrics)
    return metrics


def _with_class_scores(recipe: LocalizationRecipe, file: str | None) -> LocalizationRecipe:
    if file is None:
        return recipe
    if len(recipe.classes or ()) != 1:
        raise UsageError(f"class_scores={file}: this run tells classes apart by itself.")
    how = recipe.suppression.model_copy(update={"class_scores": file})
    return recipe.model_copy(update={"suppression": how})


def with_constraints(recipe: LocalizationRecipe, given: Constraints) -> LocalizationRecipe:
    """Return the recipe with other rules of time.

    Raises:
        ConfigError: an unknown rule, or rules that contradict one another.
    """
    return recipe.model_copy(update={"constraints": recipe.constraints.changed(given)})


def predict_split(
    run: Run,
    recipe: LocalizationRecipe,
    given: str | os.PathLike[str] | Events,
    split: str,
    *,
    root: str | None = None,
    features: Given | None = None,
    own: bool = False,
    checkpoint: str | None = None,
) -> Predictions:
    """Detect events in the videos of one split (or all, where the manifest has no splits)."""
    from actionspace.localization.data.samples import load
    from actionspace.localization.infer import infer
    from actionspace.localization.saved import load_network

    events, its_features = load(given, root)
    if own:
        events = same_splits(events, recipe)
    if events.videos["split"].notna().any():
        events = events.select(split=split)
    encoding = encoding_of(run, recipe, features, use_stored=own)
    source = encoding.source(events, its_features)
    network = load_network(run, recipe, checkpoint=checkpoint, device=encoding.device)
    found = infer(network, source, events, recipe, names_of(run, recipe, events))
    about = {"split": split, "run": run.path.name, "threshold": threshold_of(run, recipe)}
    found.labels.update(about, encoder=encoding.describe())
    return found


def names_of(run: Run, recipe: LocalizationRecipe, events: Events) -> list[str]:
    """Return the class names of a run; of one that knows numbers only, those of the manifest."""
    from actionspace.datasets.class_order import class_order
    from actionspace.localization.saved import classes_of

    known = classes_of(run, recipe.column)
    if known != [str(i) for i in range(len(known))] or recipe.column not in events.heads:
        return known
    names = class_order(events, recipe.column)
    return names if len(names) == len(known) else known


def measure_predictions(
    found: Predictions,
    truth: Events | None,
    recipe: LocalizationRecipe,
    *,
    split: str | None = None,
) -> dict[str, Any]:
    """Return the metrics of predictions against ``truth``, or what they brought along.

    Raises:
        DataError: nobody knows the truth.
    """
    if truth is None:
        if found.truth is None:
            raise DataError("These videos have no annotated events; give the truth as data=.")
        truth = replace(found.events, rows=found.truth)
    config, proposals = recipe.evaluation, found.labels.get("proposals")
    points = found.labels.get("points")
    reached = compare(found.events, truth, config, recipe.column, proposals, points=points)
    metrics = as_metrics(reached, config)
    metrics["protocol"]["split"] = split
    if found.skipped:
        metrics["protocol"]["skipped"] = sorted(found.skipped)
    if recipe.constraints.active:
        rules = recipe.constraints.model_dump(mode="json", exclude_defaults=True)
        metrics["protocol"]["constraints"] = rules
    return metrics


def _evaluate_folder(
    path: Path,
    data: str | os.PathLike[str] | Events | None,
    split: str | None,
    bootstrap: int | None,
    protocol: str | None,
    constraints: Constraints,
) -> dict[str, Any]:
    found = read_predictions(path)
    [column] = found.labels["heads"]
    rules = TemporalConstraints().changed(constraints)
    rules.check(found.classes(column))
    found = replace(found, events=rules.apply(found.events, column))
    config = EvaluationConfig.model_validate(found.labels.get("evaluation") or {})
    recipe = LocalizationRecipe(column=column, evaluation=config, constraints=rules)
    if protocol is not None and found.labels.get("points"):
        raise _of_segments(protocol)
    recipe = with_protocol(recipe, protocol, bootstrap)
    made_for = found.labels.get("split")
    truth = None
    if data is not None:
        from actionspace.localization.data.samples import load

        truth = load(data)[0]
        wanted = split or (made_for if truth.videos["split"].notna().any() else None)
        truth = truth.select(split=wanted) if wanted else truth
    return measure_predictions(found, truth, recipe, split=split or made_for)


def _evaluate_file(
    path: Path,
    data: str | os.PathLike[str] | Events | None,
    split: str | None,
    column: str | None,
    bootstrap: int | None,
    protocol: str | None,
    constraints: Constraints,
) -> dict[str, Any]:
    from actionspace.datasets.class_order import class_order
    from actionspace.events.detection_files import read_detections
    from actionspace.localization.data.samples import load

    if data is None:
        raise UsageError(f"{path} holds detections; give the annotated videos as data=MANIFEST.")
    truth = load(data)[0]
    head = column or truth.heads[0]
    if split is not None:
        truth = truth.select(split=split)
    names = dict(enumerate(class_order(truth, head)))
    try:
        guess = read_detections(path, truth)
        if not set(guess.classes()) & set(truth.classes(head)):
            guess = read_detections(path, truth, names)
    except DataError as e:
        raise DataError(f"{path} cannot be measured: {e}") from e
    rows = guess.rows.rename(columns={"label": head})
    guess = Events.from_frames(rows, guess.videos, guess.root, (head,))
    rules = TemporalConstraints().changed(constraints)
    rules.check(truth.classes(head))
    guess = rules.apply(guess, head)
    recipe = with_protocol(LocalizationRecipe(column=head), protocol, bootstrap)
    config, instants = recipe.evaluation, guess.rows["start"].eq(guess.rows["end"])
    points: Moment | None = "center" if len(instants) and instants.all() else None
    metrics = as_metrics(compare(guess, truth, config, head, points=points), config)
    metrics["protocol"]["split"] = split
    return metrics


def with_protocol(
    recipe: LocalizationRecipe, protocol: str | None, bootstrap: int | None
) -> LocalizationRecipe:
    """Return the recipe with the thresholds of a published protocol, and other resamples.

    Raises:
        UsageError: there is no such protocol; it is of segments, and moments are found.
    """
    from actionspace.errors import did_you_mean
    from actionspace.metrics.detection import THRESHOLDS

    changed: dict[str, Any] = {} if bootstrap is None else {"bootstrap": bootstrap}
    if protocol is not None:
        if points_of(recipe) is not None:
            raise _of_segments(protocol)
        if protocol not in THRESHOLDS:
            hint = did_you_mean(protocol, THRESHOLDS) or f" There is: {', '.join(THRESHOLDS)}."
            raise UsageError(f"There is no protocol '{protocol}'.{hint}")
        changed |= {"thresholds": THRESHOLDS[protocol], "clean": protocol != "epic100"}
    config = recipe.evaluation.model_copy(update=changed)
    return recipe.model_copy(update={"evaluation": config})


def _of_segments(protocol: str) -> UsageError:
    return UsageError(
        f"protocol={protocol} measures the overlap of segments; moments have none. They are "
        "measured within evaluation.tolerances."
    )


def recipe_of(
    run: Run,
    *,
    weights: str | None = None,
    device: str | None = None,
    raw: bool = False,
) -> LocalizationRecipe:
    """Return the recipe a run was trained with, with what differs on this machine.

    Args:
        run: the run.
        weights, device: where the encoder's weights are and where all runs.
        raw: without the temperature and offset that ``calibrate`` found, if it did.

    Raises:
        RunError: the config is not of localization.
    """
    from actionspace.config import parse
    from actionspace.errors import ConfigError

    try:
        recipe = parse(LocalizationRecipe, run.config, str(run.path / "config.yaml"))
    except ConfigError as e:
        raise RunError(f"{e}. The run is of another version; train it again.") from e
    changed = {k: v for k, v in (("weights", weights), ("device", device)) if v is not None}
    if not raw:
        temperature, offset = calibration_of(run)
        how = {"temperature": temperature, "offset": offset}
        recipe = recipe.model_copy(update={"predict": recipe.predict.model_copy(update=how)})
    return recipe.model_copy(update=changed)


def threshold_of(run: Run, recipe: LocalizationRecipe) -> float:
    """Return the score from which on detections of a run are told."""
    from actionspace.localization.detection.threshold import DEFAULT

    how = recipe.predict
    told = run.labels.get("threshold", DEFAULT) if how.threshold is None else how.threshold
    return float(calibrated([told], how.temperature, how.offset)[0])


def encoding_of(
    run: Run,
    recipe: LocalizationRecipe,
    features: Given | None = None,
    *,
    use_stored: bool = False,
) -> Encoding:
    """Return where a run's features come from.

    Args:
        run, recipe: the run.
        features: to use instead.
        use_stored: the videos are those it was trained on, so their features are where they were.

    Raises:
        RunError: they are not there any more.
    """
    places = recipe.places
    if features is not None or not use_stored:
        recipe = recipe.model_copy(update={"features": None})
    elif gone := [place for place in places if not Path(place).exists()]:
        about = (run.labels.get("encoder") or {}).get("fingerprint") or {}
        make = describe_make(about, recipe.rows.preset)
        raise RunError(f"{gone[0]} is not here any more; give {make} as features=.")
    return Encoding(recipe, features=features, expect=run.labels.get("encoder"))


def manifest_of(
    run: Run, recipe: LocalizationRecipe, data: str | os.PathLike[str] | Events | None
) -> tuple[str | os.PathLike[str] | Events, str | None]:
    """Return the manifest to evaluate on, and the folder of its videos.

    Raises:
        DataError: the run's own is not there.
    """
    if data is not None:
        return data, None
    if recipe.data is None:
        raise DataError(
            f"{run.path} was trained on a manifest in memory; give the one to evaluate as data=."
        )
    if ":" not in recipe.data and not Path(recipe.data).exists():
        raise DataError(
            f"The run's manifest {recipe.data} is not here; give the one to evaluate as data=."
        )
    return recipe.data, recipe.root


def same_splits(events: Events, recipe: LocalizationRecipe) -> Events:
    """Make the splits that training made, where the manifest has none (same seed, same splits)."""
    from actionspace.training.splits import with_splits

    if events.videos["split"].notna().any():
        return events
    return with_splits(events, recipe.split, lambda _: None)
