"""Make a run's scores probabilities: a temperature, fitted on the validation split.

Guo et al. 2017, "On Calibration of Modern Neural Networks", section 4.2; with an offset it is what
Platt proposed in 1999. A detection is right if it finds an event that no better one has found, at
an overlap of one half, or for moments within the middle tolerance. Scores are changed after
suppression and keep their order: the same events are found, told and measured as before, but of
those that score 0.7, about 70 % are right.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np

from actionspace.errors import DataError
from actionspace.localization.calibration import NAME, calibrated, logits_of
from actionspace.localization.detection.threshold import judged, measured_at
from actionspace.localization.encode import Given
from actionspace.localization.evaluate import (
    manifest_of,
    predict_split,
    recipe_of,
    same_splits,
    threshold_of,
)
from actionspace.localization.recipe import LocalizationRecipe
from actionspace.metrics.calibration import log_loss, reliability
from actionspace.paths import write_json
from actionspace.training.run import Run

if TYPE_CHECKING:
    from actionspace.events.table import Events

SPLIT = "val"
LEAST = 20
"""Right detections, and wrong ones, without which nothing is fitted."""


def calibrate(
    run: Run | str | os.PathLike[str],
    data: str | os.PathLike[str] | Events | None = None,
    *,
    offset: bool = False,
    features: Given | None = None,
    remove: bool = False,
    weights: str | None = None,
    device: str | None = None,
) -> dict[str, Any]:
    """Fit what makes a run's scores probabilities, keep it in the run, show it in the report.

    It is kept in ``calibration.json``, and used by whatever evaluates or predicts with the run from
    then on. What was trained stays as it is: ``remove``, or deleting the file, brings the scores
    back.

    Args:
        run: a run of localization.
        data: manifest whose validation split is detected in; None = the run's own.
        offset: fit an offset of the logits as well. A temperature cannot make scores that are all
            below one half any larger than that.
        features: of its videos, instead of those of the run.
        remove: forget the calibration.
        weights, device: where the encoder's weights are and where all runs, if not as in the
            recipe.

    Returns:
        ``temperature``, ``offset``, ``threshold`` (from which on detections are told, as before but
        in new scores); ``detections`` and how many are ``right``; ``before`` and ``after`` with
        ``ece``, ``log_loss`` and ``bins``. With ``remove`` the first three.

    Raises:
        DataError: there is no validation split with events, or too few detections in it.
        RunError: not a run, or its features cannot be had.
    """
    run = run if isinstance(run, Run) else Run.open(run)
    raw = recipe_of(run, weights=weights, device=device, raw=True)
    if remove:
        (run.path / NAME).unlink(missing_ok=True)
        _report(run, None)
        return {"temperature": 1.0, "offset": 0.0, "threshold": threshold_of(run, raw)}
    given, root = manifest_of(run, raw, data)
    events = _validated(run, raw, given, root, own=data is None)
    found = predict_split(run, raw, given, SPLIT, root=root, features=features, own=data is None)
    scores, right, _ = judged(found, raw)
    temperature, moved = _fitted(scores, right, offset)
    told = calibrated([threshold_of(run, raw)], temperature, moved)
    result = {
        "temperature": temperature,
        "offset": moved,
        "threshold": float(told[0]),
        "right_means": measured_at(raw),
        "split": SPLIT,
        "detections": len(scores),
        "right": int(right.sum()),
        "before": _measures(scores, right),
        "after": _measures(calibrated(scores, temperature, moved), right),
    }
    write_json(run.path / NAME, result)
    _report(run, events)
    return result


def _fitted(scores: np.ndarray, right: np.ndarray, offset: bool) -> tuple[float, float]:
    """Return the temperature and the offset with the least log loss.

    Raises:
        DataError: there is too little to fit them on.
    """
    from actionspace.heads.calibrate import fit_platt, fit_temperature

    hits = int(right.sum())
    if min(hits, len(right) - hits) < LEAST:
        raise DataError(
            f"Of the detections in the validation split {hits} are right and {len(right) - hits} "
            f"wrong; at least {LEAST} of both are needed to say what a score means. Annotate more "
            "validation videos, or train the run longer."
        )
    logits = logits_of(scores)
    if offset:
        return fit_platt(logits, right)
    return fit_temperature(logits[:, None], right[:, None].astype(int), multi_label=True), 0.0


def _measures(scores: np.ndarray, right: np.ndarray) -> dict[str, Any]:
    bins = reliability(scores, right)
    return {"ece": bins.ece, "log_loss": log_loss(scores, right), "bins": bins.rows()}


def _report(run: Run, events: Events | None) -> None:
    from actionspace.report.html import write_report

    write_report(run.path, events=events)


def _validated(
    run: Run,
    recipe: LocalizationRecipe,
    given: str | os.PathLike[str] | Events,
    root: str | None,
    *,
    own: bool,
) -> Events:
    """Return the manifest; refuse one without a validation split, as nothing else will do."""
    from actionspace.localization.data.samples import load
    from actionspace.localization.prepare import labelled

    events = load(given, root)[0]
    events = same_splits(events, recipe) if own else events
    there = sorted(set(events.videos["split"].dropna()))
    if SPLIT not in there:
        raise DataError(
            f"The manifest has no validation split (there is: {', '.join(there) or 'none'}). "
            f"{run.path} is calibrated on videos that it was neither trained nor is tested on: "
            "give a manifest whose column split says val for some, as data=MANIFEST."
        )
    some = events.select(split=SPLIT)
    if recipe.column not in events.heads or not len(labelled(some, recipe.column)):
        raise DataError(f"The validation split has no events with a label in '{recipe.column}'.")
    return events
