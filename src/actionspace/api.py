"""The verbs as functions: what ``import actionspace`` offers and the command line calls."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from actionspace.api_data import PathLike
from actionspace.api_data import check as check
from actionspace.api_data import compute_adaptive_ranges as compute_adaptive_ranges
from actionspace.api_data import inspect as inspect
from actionspace.api_data import prepare as prepare
from actionspace.api_data import read_events as read_events
from actionspace.api_data import split as split
from actionspace.api_data import validate_config as validate_config
from actionspace.api_data import write_events as write_events
from actionspace.api_moments import align as align
from actionspace.api_moments import embed as embed
from actionspace.api_moments import search as search
from actionspace.api_probe import probe as probe
from actionspace.api_weights import convert as convert
from actionspace.errors import UsageError
from actionspace.tasks import known, known_to, task_of, verb

if TYPE_CHECKING:
    from actionspace.encoders.encoder import Encoder
    from actionspace.events.table import Events
    from actionspace.features.store import FeatureStore
    from actionspace.recognition.export import Export
    from actionspace.training.predictions import Predictions
    from actionspace.training.run import Run


def extract(
    source: PathLike | Events,
    *,
    encoder: str | Encoder = "starter",
    out: PathLike = "features",
    weights: PathLike | None = None,
    device: str = "auto",
    views: Mapping[str, Any] | None = None,
    encoder_options: Mapping[str, Any] | None = None,
    **options: Any,
) -> FeatureStore:
    """Encode videos once into a feature store.

    Args:
        source: manifest, annotation file, folder, glob or events.
        encoder: name from ``list encoders``, ``module:fn``, or an encoder.
        out: folder of the store; the same command goes on where an earlier one stopped.
        weights: weight file, if not the registered one.
        device: ``auto``, ``cpu``, ``cuda`` ...
        views: fields of :class:`actionspace.video.views.Views` that differ from the encoder's.
        encoder_options: of an encoder by name, as ``{"pool": "joint"}``.
        options: see :func:`actionspace.features.extract.extract`.

    Raises:
        UsageError: an unknown option.
    """
    from actionspace.encoders.create import create_encoder
    from actionspace.features.extract import extract as run
    from actionspace.features.extract import views_of
    from actionspace.training.environment import pick_device
    from actionspace.training.inputs import resolve

    known_to(run, options, skip=3)
    if isinstance(encoder, str):
        encoder = create_encoder(
            encoder,
            weights=None if weights is None else Path(weights),
            device=pick_device(device),
            **(encoder_options or {}),
        )
    if views:
        base = views_of(encoder)
        known(views, [f.name for f in dataclasses.fields(base)], "view option")
        options["views"] = dataclasses.replace(base, **views)
    return run(resolve(source), encoder, Path(out), **options)


def train(
    recipe: PathLike,
    *,
    data: PathLike | Events | None = None,
    features: Any = None,
    folds: int | None = None,
    out: PathLike | None = None,
    encoder: str | Encoder | None = None,
    overwrite: bool = False,
    resume: bool = False,
    overrides: Sequence[str] = (),
    **fields: Any,
) -> Run:
    """Train, evaluate and report; one folder per run.

    Under ``torchrun`` all processes call this alike; the main one writes the run.

    Args:
        recipe: a name from ``list recipes`` or a YAML path.
        data: manifest or events.
        features: a feature store to use instead of the encoder.
        folds: cross-validate with this many grouped folds.
        out: the run folder; ``runs/<recipe>`` (numbered) by default.
        encoder: a name, or an encoder made already.
        overwrite: replace a finished run in ``out``.
        resume: go on with the unfinished training in ``out``, by default the newest of the recipe;
            recipe and data must be the same as then.
        overrides: ``key.sub=value`` strings.
        fields: further recipe fields, nested mappings for parts: ``head={"class_weight": "none"}``.

    Raises:
        UsageError, ConfigError: unknown recipe, key or value.
        RunError: there is nothing to resume, or it is of another recipe or other data.
        Interrupted: the training was stopped; its state is saved.
    """
    from actionspace.recipes.loader import load_recipe
    from actionspace.training.run import next_run, stopped_run

    made = encoder if encoder is not None and not isinstance(encoder, str) else None
    if isinstance(encoder, str):
        fields["encoder"] = encoder
    loaded = load_recipe(recipe, overrides, fields)
    if out is not None:
        target = Path(out)
    else:
        target = stopped_run(loaded.name) if resume and loaded.looped else next_run(loaded.name)
    made_run: Run = verb(loaded.task, "fit", "train")(
        loaded,
        out=target,
        data=data,
        features=features,
        encoder=made,
        folds=folds,
        overwrite=overwrite,
        resume=resume,
    )
    return made_run


def evaluate(
    target: PathLike | Run,
    *,
    data: PathLike | Events | None = None,
    split: str | None = None,
    average: Literal["prob", "score"] | None = None,
    **options: Any,
) -> dict[str, Any]:
    """Score a run or predictions, or anybody's file of detections.

    See ``evaluate`` in :mod:`actionspace.recognition.evaluate`, and for localization and
    detections in :mod:`actionspace.localization.evaluate`.
    """
    run = verb(task_of(target), "evaluate", "evaluate")
    options |= {} if average is None else {"average": average}
    known_to(run, options)
    metrics: dict[str, Any] = run(target, data, split=split, **options)
    return metrics


def calibrate(
    run: PathLike | Run, *, data: PathLike | Events | None = None, **options: Any
) -> dict[str, Any]:
    """Make a run's scores probabilities, on its validation split; its report shows how well.

    See :func:`actionspace.localization.calibrate.calibrate` for the options. Runs of recognition
    are calibrated when they are trained (``head.calibrate``).

    Raises:
        UsageError: the run is of recognition.
    """
    task = task_of(run)
    if task != "localization":
        raise UsageError(
            f"{run} is no run of localization. Heads of recognition are calibrated when they are "
            "trained (head.calibrate), on the validation split or on folds."
        )
    fit = verb(task, "calibrate", "calibrate")
    known_to(fit, options)
    found: dict[str, Any] = fit(run, data, **options)
    return found


@dataclass(frozen=True)
class Model:
    """A trained run, ready to predict."""

    run: Run

    def predict(self, inputs: Any, **options: Any) -> Events:
        """Return events (with scores) of videos; options as in :func:`predict`."""
        return predict(self.run, inputs, **options).events


def load(run: PathLike) -> Model:
    """Open a trained run.

    Raises:
        RunError: the folder is no finished run.
    """
    from actionspace.training.run import Run

    return Model(Run.open(run))


def predict(
    run: PathLike | Run, inputs: Any, *, overlay: bool = False, **options: Any
) -> Predictions:
    """Predict videos; see ``predictions`` in :mod:`actionspace.recognition.predict`, or for a run
    of localization in :mod:`actionspace.localization.predict`.

    With ``overlay`` every video is written beside the predictions with its events under the
    picture, see :mod:`actionspace.report.overlay`.
    """
    from actionspace.report.overlay import beside, write_overlays

    folder = beside(options.get("out")) if overlay else None
    predictions = verb(task_of(run), "predict", "predictions")
    if options.get("mode") == "auto":
        options.pop("mode")
    known_to(predictions, options, skip=2)
    found: Predictions = predictions(run, inputs, **options)
    if folder is not None:
        write_overlays(found, folder)
    return found


def summary(found: Predictions) -> str:
    """Say in a few lines what was predicted."""
    return str(verb(found.labels.get("task", "recognition"), "predict", "summary")(found))


def report(
    run: PathLike | Run,
    *,
    predictions: Sequence[PathLike] = (),
    truth: Events | None = None,
) -> Path:
    """Write a run's ``report.html`` again, with further predictions folders."""
    from actionspace.report.html import write_report
    from actionspace.training.run import Run

    folder = run.path if isinstance(run, Run) else run
    return write_report(folder, predictions=predictions, truth=truth)


def export(
    run: PathLike | Run,
    out: PathLike | None = None,
    *,
    format: str | None = None,
    part: Literal["auto", "model", "head"] = "auto",
    **options: Any,
) -> Export:
    """Write a run as one ONNX or torch.export file; see :mod:`actionspace.recognition.export`."""
    write = verb(task_of(run), "export", "export")
    known_to(write, options, skip=4)
    made: Export = write(run, out, format=format, part=part, **options)
    return made


def fuse(
    predictions: Sequence[PathLike],
    out: PathLike | None = "fused",
    *,
    weights: str | Sequence[float] | None = None,
    average: Literal["prob", "score"] = "prob",
    fit_on: Sequence[PathLike] | None = None,
    **options: Any,
) -> Predictions:
    """Put the predictions of several models together.

    See ``fuse`` in :mod:`actionspace.recognition.fuse`, and for detections in
    :mod:`actionspace.localization.fuse`.

    ``weights`` may be written as ``"2:1"``.
    """
    from actionspace.events.split_files import parse_ratio

    run = verb(task_of(predictions[0]) if predictions else "recognition", "fuse", "fuse")
    known_to(run, options, skip=5)
    share = None if weights is None else parse_ratio(weights)
    fused: Predictions = run(
        predictions, out, weights=share, average=average, fit_on=fit_on, **options
    )
    return fused


def submit(
    sources: PathLike | Sequence[PathLike],
    manifest: PathLike | Events,
    annotations: PathLike,
    out: PathLike = "submission.zip",
    *,
    challenge: str = "action_recognition",
    **options: Any,
) -> Path:
    """Write the zip for the test server of EPIC-KITCHENS-100 and return its path.

    Args:
        sources: a run or predictions folder with the heads ``verb`` and ``noun``, or one of each.
        manifest: the segments to answer: ``prepare epic100 ... challenge=true``; for detection the
            videos.
        annotations: folder with the official lists of classes.
        out: the zip.
        challenge: ``action_recognition``, ``action_anticipation``, or ``action_detection``, for
            which two runs of localization are given, see :mod:`actionspace.localization.epic`.
        options: levels of supervision (``sls_pt``, ``sls_tl``, ``sls_td``), and for runs those of
            :func:`predict`.
    """
    from actionspace.metrics.epic_submission import Supervision

    detection = challenge == "action_detection"
    many = [sources] if isinstance(sources, (str, os.PathLike)) else list(sources)
    ahead = bool(many) and task_of(many[0]) == "anticipation"
    task = "localization" if detection else "anticipation" if ahead else "recognition"
    run = verb(task, "epic", "submit")
    options |= {} if detection else {"challenge": challenge}
    levels = [field.name for field in dataclasses.fields(Supervision)]
    supervision = Supervision(**{k: options.pop(k) for k in levels if k in options})
    return Path(run(many, manifest, annotations, out, supervision=supervision, **options))


# ---- weights, lists, the machine -----------------------------------------------------------


def list_things(what: str, pattern: str = "*") -> list[dict[str, Any]]:
    """Return what there is, one mapping per line; see :mod:`actionspace.listing`."""
    from actionspace.listing import list_things as run

    return run(what, pattern)


def doctor() -> dict[str, str]:
    """Say what this machine has and lacks."""
    from actionspace.doctor import diagnose

    return diagnose()
