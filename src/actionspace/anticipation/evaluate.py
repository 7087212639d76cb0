"""Measure a run at every horizon with its baselines beside, or predictions made earlier."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from actionspace.anticipation.infer import predictions_of, scores_of
from actionspace.anticipation.markov import Baselines
from actionspace.anticipation.measure import (
    Truth,
    challenge_section,
    figures,
    protocol_of,
    truth_of,
    with_intervals,
)
from actionspace.anticipation.options import EvaluationConfig
from actionspace.anticipation.prepare import Prepared, prepare, read_manifest, tell_of_windows
from actionspace.anticipation.recipe import AnticipationRecipe
from actionspace.anticipation.saved import (
    classes_in,
    heads_of,
    load_network,
    training_sequences,
)
from actionspace.anticipation.timeline import Asked, Timeline, usable
from actionspace.errors import DataError, RunError, UsageError
from actionspace.progress import bar
from actionspace.training.environment import pick_device
from actionspace.training.predictions import is_predictions, read_predictions, write_predictions
from actionspace.training.run import Run

if TYPE_CHECKING:
    from actionspace.anticipation.network.model import AnticipationNetwork
    from actionspace.events.table import Events
    from actionspace.training.predictions import Predictions


def evaluate(
    target: str | os.PathLike[str] | Run,
    data: str | os.PathLike[str] | Events | None = None,
    *,
    split: str | None = None,
    features: Any = None,
    unseen: str | None = None,
    bootstrap: int | None = None,
    device: str | None = None,
) -> dict[str, Any]:
    """Return the metrics of a run or of a predictions folder and write them to ``metrics.json``.

    Args:
        target: a run, or a predictions folder (of one horizon, without baselines).
        data: another manifest with the truth.
        split: which part of it; None = ``test``, or ``val`` without it.
        features: of these videos, instead of those that the recipe names.
        unseen: ``miss``, ``refuse`` or ``drop``; None = the recipe's.
        bootstrap: resamples for the intervals; None = the recipe's.
        device: where it runs, if not as in the recipe.

    Raises:
        RunError: neither a run nor predictions, or features of another make.
        DataError: no such split, or no event in it that can be foretold.
    """
    path = target.path if isinstance(target, Run) else Path(target)
    changed = {"unseen": unseen, "bootstrap": bootstrap}
    changes = {name: value for name, value in changed.items() if value is not None}
    if is_predictions(path):
        return _evaluate_folder(path, data, split, changes)
    run = Run.open(path)
    recipe = recipe_of(run, device)
    config = _config(recipe.evaluation.model_dump() | changes)
    found = reopened(run, recipe.model_copy(update={"evaluation": config}), data, features)
    split = split or found.held
    if split is None or not found.count(split):
        raise DataError(f"The manifest has no event to foretell in the split '{split or 'test'}'.")
    network = load_network(run, found.recipe, pick_device(found.recipe.device))
    metrics = measure_run(run, found, network, training_sequences(run), split)
    run.write_metrics(metrics)
    return metrics


def measure_run(
    run: Run,
    found: Prepared,
    network: AnticipationNetwork,
    training: tuple[Timeline, ...],
    split: str,
) -> dict[str, Any]:
    """Return the metrics of a network on a split and keep what it said in ``predictions``.

    ``horizons`` has the figures of each horizon, ``baselines`` those of what knows labels alone;
    the figures of ``horizon.report`` stand first, flat.
    """
    recipe, events = found.recipe, found.events.select(split=split)
    events = events.select(mask=usable(events, list(found.classes)))
    asked = found.asked(split)
    pairs = _combinations(training) if recipe.evaluation.unseen == "drop" else None
    truth = truth_of(events, found.classes, recipe.evaluation, pairs)
    report, curve = recipe.horizon.report, []
    result: dict[str, Any] = {}
    beside: dict[str, list[dict[str, float]]] = {}
    for horizon in bar(recipe.horizon.every, what="Measuring", unit="horizon"):
        scores, skipped = scores_of(network, found.questions(asked, horizon), recipe)
        if all(np.isnan(values).any(axis=1).all() for values in scores.values()):
            raise DataError(f"Not one event of the split '{split}' can be foretold: {skipped}")
        labels = {
            "task": "anticipation",
            "heads": heads_of(recipe, found.classes),
            "horizon": horizon,
            "split": split,
            "input": recipe.input,
            "anchor": recipe.window.anchor,
            "encoder": found.encoder,
            "evaluation": recipe.evaluation.model_dump(),
            "combinations": sorted(pairs) if pairs is not None else None,
            "skipped": skipped,
            "run": run.path.name,
        }
        told = predictions_of(scores, events.rows, events, found.classes, labels)
        name = split if horizon == report else f"{split}_{horizon:g}s"
        write_predictions(told, run.predictions_dir / name)
        curve.append({"seconds": horizon, **figures(scores, truth)})
        for name, values in _baselines(training, asked, found.classes, horizon).items():
            beside.setdefault(name, []).append({"seconds": horizon, **figures(values, truth)})
        if horizon == report:
            result = {**_flat(scores, truth, recipe.evaluation)}
            result["windows"] = tell_of_windows(found, found.questions(asked, horizon))
    rules = {
        "horizon": report,
        "anchor": recipe.window.anchor,
        "window": recipe.window.seconds,
        "input": recipe.input,
    }
    return {
        **result,
        "horizons": curve,
        "baselines": beside,
        "notes": _notes(recipe, truth, result["windows"]),
        "protocol": protocol_of(truth, recipe.evaluation, rules, split),
    }


def _flat(
    scores: Mapping[str, np.ndarray], truth: Truth, config: EvaluationConfig
) -> dict[str, Any]:
    return {
        **figures(scores, truth),
        **with_intervals(scores, truth, config),
        **challenge_section(scores, truth),
    }


def _baselines(
    training: tuple[Timeline, ...],
    asked: Asked,
    classes: Mapping[str, list[str]],
    horizon: float,
) -> dict[str, dict[str, np.ndarray]]:
    """Return probabilities by baseline and column; of those that every column has."""
    each = {
        column: Baselines(training, len(names), k).probabilities(asked, horizon)
        for k, (column, names) in enumerate(classes.items())
    }
    common = [name for name in next(iter(each.values())) if all(name in o for o in each.values())]
    return {name: {column: found[name] for column, found in each.items()} for name in common}


def _combinations(training: tuple[Timeline, ...]) -> frozenset[tuple[int, ...]]:
    return frozenset(tuple(row) for line in training for row in line.labels.tolist())


def _notes(recipe: AnticipationRecipe, truth: Truth, windows: Mapping[str, int]) -> list[str]:
    """Return what to know of the figures, in sentences."""
    notes = [
        "The network was given "
        + {
            "features": "features alone",
            "labels": "the labels of past events alone",
            "both": "features and the labels of past events",
        }[recipe.input]
        + "; the baselines know the labels of past events and no features."
    ]
    if windows["padded"]:
        notes.append(
            f"Of {windows['events']} windows {windows['padded']} begin before their video and are "
            f"padded; {windows['empty']} of all hold no row."
        )
    if windows["unreadable"]:
        notes.append(f"{windows['unreadable']} events are of videos without features: left out.")
    if truth.dropped:
        notes.append(
            f"{truth.dropped} events were left out because their classes never occur together in "
            "training (evaluation.unseen=drop): these are not the challenge's figures."
        )
    elif truth.unseen:
        notes.append(f"{truth.unseen} events are of classes without a training event: missed.")
    if recipe.window.anchor == "end":
        notes.append(
            "window.anchor=end: windows end before the END of events and mostly show them; this is "
            "not the protocol of the challenge."
        )
    return notes


def _evaluate_folder(
    path: Path, data: Any, split: str | None, changes: Mapping[str, Any]
) -> dict[str, Any]:
    from actionspace.events.table import Events
    from actionspace.paths import write_json
    from actionspace.training.inputs import resolve

    told = read_predictions(path)
    if told.labels.get("task") != "anticipation":
        raise RunError(f"{path} holds predictions of another task.")
    config = _config({**(told.labels.get("evaluation") or {}), **changes})
    columns = list(told.labels["heads"])
    if data is not None:
        events = resolve(data)
        events = events.select(split=split) if split is not None else events
    elif told.truth is not None:
        own = told.events
        kept = [c for c in told.truth.columns if c in own.rows.columns]
        events = Events.from_frames(told.truth[kept], own.videos, own.root, own.heads)
    else:
        raise DataError(f"{path} came without annotations; give the truth as data=.")
    events = events.select(mask=usable(events, columns))
    scores = scores_by_id(told, events)
    if all(np.isnan(values).any(axis=1).all() for values in scores.values()):
        raise DataError(f"Not one event of the truth was predicted in {path}.")
    labels = told.labels
    pairs = labels.get("combinations")
    if config.unseen == "drop" and len(columns) > 1 and pairs is None:
        raise UsageError(
            f"{path} does not say which labels occur together in training, and unseen=drop leaves "
            "out what does not. Evaluate the run with unseen=drop."
        )
    seen = frozenset(map(tuple, pairs)) if pairs is not None else None
    classes = {column: told.classes(column) for column in columns}
    truth = truth_of(events, classes, config, seen if config.unseen == "drop" else None)
    rules = {name: labels.get(name) for name in ("horizon", "anchor", "input")}
    metrics = {
        **_flat(scores, truth, config),
        "protocol": protocol_of(truth, config, rules, split or labels.get("split")),
    }
    write_json(path / "metrics.json", metrics)
    return metrics


def scores_by_id(told: Predictions, events: Events) -> dict[str, np.ndarray]:
    """Return scores ``[E, C]`` of events, found by their ids; NaN where there are none."""
    number = {str(name): i for i, name in enumerate(told.events.rows["id"])}
    at = np.array([number.get(str(name), -1) for name in events.rows["id"]], np.int64)
    found = {}
    for column, values in told.scores.items():
        rows = np.full((len(at), values.shape[1]), np.nan)
        rows[at >= 0] = values[at[at >= 0]]
        found[column] = rows
    return found


def _config(values: Mapping[str, Any]) -> EvaluationConfig:
    from actionspace.config import parse

    return parse(EvaluationConfig, dict(values), "evaluation")


def recipe_of(run: Run, device: str | None = None) -> AnticipationRecipe:
    """Return the recipe a run was trained with, with what differs on this machine.

    Raises:
        RunError: the config is not of anticipation.
    """
    from actionspace.config import parse
    from actionspace.errors import ConfigError

    try:
        recipe = parse(AnticipationRecipe, run.config, str(run.path / "config.yaml"))
    except ConfigError as e:
        raise RunError(f"{e}. The run is of another version; train it again.") from e
    return recipe if device is None else recipe.model_copy(update={"device": device})


def reopened(run: Run, recipe: AnticipationRecipe, data: Any, features: Any) -> Prepared:
    """Return a run's manifest, or another, as it is evaluated on.

    Raises:
        UsageError: it was trained on events in memory.
    """
    given = data if data is not None else recipe.data
    if given is None:
        raise UsageError(f"{run.path} was trained on events in memory; give data=MANIFEST.")
    if data is not None and recipe.encoder is not None:  # which can encode other videos
        recipe = recipe.model_copy(update={"features": None})
    events = read_manifest(recipe, given)
    if data is not None and events.videos["split"].isna().all():
        events = _all_test(events)
    return prepare(
        recipe,
        events,
        features=features,
        expect=run.labels.get("encoder"),
        classes=classes_in(run, recipe),
        split=data is None,
    )


def _all_test(events: Events) -> Events:
    from dataclasses import replace

    return replace(events, videos=events.videos.assign(split="test"))
