"""The verbs as functions: what ``import actionspace`` offers and the command line calls."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from actionspace.errors import UsageError, did_you_mean
from actionspace.tasks import known, known_to, task_of, verb

if TYPE_CHECKING:
    from actionspace.datasets.check import Finding
    from actionspace.encoders.encoder import Encoder
    from actionspace.events.table import Events
    from actionspace.features.store import FeatureStore
    from actionspace.recognition.export import Export
    from actionspace.training.predictions import Predictions
    from actionspace.training.run import Run
    from actionspace.video.inspect import VideoInfo

PathLike = str | os.PathLike[str]


# ---- data ---------------------------------------------------------------------------------


def read_events(
    path: PathLike,
    format: str | None = None,
    *,
    root: PathLike | None = None,
    allow_outside: bool = False,
    **options: Any,
) -> Events:
    """Read annotations of any known format; see :func:`actionspace.events.io.read`."""
    from actionspace.events import io

    place = Path(root) if root else None
    return io.read(Path(path), format, root=place, allow_outside=allow_outside, **options)


def write_events(events: Events, path: PathLike, format: str | None = None) -> Path:
    """Write annotations; see :func:`actionspace.events.io.write`."""
    from actionspace.events import io

    return io.write(events, Path(path), format)


def prepare(dataset: str, source: PathLike, out: PathLike | None = None, **options: Any) -> Path:
    """Turn a published data set into a manifest; see :mod:`actionspace.datasets.prepare`."""
    from actionspace.datasets.prepare import prepare as run

    return run(dataset, Path(source), None if out is None else Path(out), **options)


def split(
    manifest: PathLike,
    *,
    by: str = "group",
    ratio: str | Sequence[float] = "70:15:15",
    folds: int | None = None,
    seed: int = 0,
    out: PathLike | None = None,
) -> list[Path]:
    """Write manifests with splits; see :func:`actionspace.events.split_files.split_manifest`."""
    from actionspace.events.split_files import split_manifest

    target = None if out is None else Path(out)
    return split_manifest(Path(manifest), by=by, ratio=ratio, folds=folds, seed=seed, out=target)


def inspect(videos: PathLike | Sequence[PathLike], *, exact: bool = True) -> list[VideoInfo]:
    """Look at videos (files, folders, globs); a bad file is a verdict, not an exception."""
    from actionspace.progress import progress
    from actionspace.training.inputs import video_files
    from actionspace.video.inspect import inspect as look

    files = video_files(videos)
    return [look(f, exact=exact) for f in progress(files, what="inspect", unit="video")]


def check(target: PathLike, *, open_videos: bool = True) -> list[Finding]:
    """Find what is wrong with a manifest, a recipe or a published archive before any training."""
    from actionspace.recipes.loader import recipe_names

    text = os.fspath(target)
    if text in recipe_names() or text.endswith((".yaml", ".yml")):
        from actionspace.recipes.check import check_recipe

        return check_recipe(text)
    if not Path(text).exists():
        hint = did_you_mean(text, recipe_names())
        raise UsageError(f"'{text}' is neither a file nor a recipe.{hint}")
    from actionspace.datasets.check import check_manifest
    from actionspace.localization.published import check_archive, known_md5

    if known_md5(text) is not None:
        return check_archive(text)
    return check_manifest(read_events(text, allow_outside=True), files=open_videos)


# ---- encode, train, use -------------------------------------------------------------------


def extract(
    source: PathLike | Events,
    *,
    encoder: str | Encoder = "starter",
    out: PathLike = "features",
    weights: PathLike | None = None,
    device: str = "auto",
    views: Mapping[str, Any] | None = None,
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
            encoder, weights=None if weights is None else Path(weights), device=pick_device(device)
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
    from actionspace.config import merge
    from actionspace.recipes.loader import load_recipe
    from actionspace.training.run import next_run, stopped_run

    made = encoder if encoder is not None and not isinstance(encoder, str) else None
    if isinstance(encoder, str):
        fields["encoder"] = encoder
    loaded = load_recipe(recipe, overrides)
    if fields:
        loaded = load_recipe(merge(loaded.model_dump(mode="json"), fields=fields))
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
    """Average the predictions of several models; see :func:`actionspace.recognition.fuse.fuse`.

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
        manifest: the segments to answer: ``prepare epic100 ... challenge=true``.
        annotations: folder with the official lists of classes.
        out: the zip.
        challenge: ``action_recognition`` or ``action_anticipation``.
        options: levels of supervision (``sls_pt``, ``sls_tl``, ``sls_td``), and for runs those of
            :func:`predict`.
    """
    from actionspace.metrics.epic_submission import Supervision
    from actionspace.recognition.epic import submit as run

    levels = [field.name for field in dataclasses.fields(Supervision)]
    supervision = Supervision(**{k: options.pop(k) for k in levels if k in options})
    many = [sources] if isinstance(sources, (str, os.PathLike)) else list(sources)
    return run(
        many,
        manifest,
        annotations,
        out,
        challenge=challenge,
        supervision=supervision,
        **options,
    )


# ---- weights, lists, the machine -----------------------------------------------------------


def convert(
    checkpoint: PathLike,
    *,
    out: PathLike | None = None,
    recipe: PathLike | None = None,
    lora_alpha: float | None = None,
    overwrite: bool = False,
) -> Path:
    """Turn a published checkpoint into safetensors, or into a run; nothing in it is run.

    Args:
        checkpoint: a file of Video Swin (mmaction 0.x, mmaction2 1.x, torchvision), X3D, SlowFast,
            Slow, C2D, I3D (pytorchvideo, PySlowFast) or Inception-I3D (pytorch-i3d), or the name
            of published weights; or a run, whose encoder is written, adapters merged.
        out: file to write, by default beside the checkpoint; with a recipe, the run folder.
        recipe: make a run of the checkpoint's encoder and head that evaluates and predicts.
        lora_alpha: of adapters in the file, where it does not say.
        overwrite: replace a finished run.
    """
    from actionspace.encoders.weights import convert_checkpoint

    if recipe is not None:
        from actionspace.recipes.loader import load_recipe
        from actionspace.training.run import next_run

        loaded = load_recipe(recipe)
        folder = Path(out) if out else next_run(loaded.name)
        options = {} if lora_alpha is None else {"lora_alpha": lora_alpha}
        make = verb(loaded.task, "convert", "run_from_checkpoint")
        run: Run = make(checkpoint, loaded, folder, overwrite=overwrite, **options)
        return run.path
    if Path(checkpoint).is_dir():
        write = verb(task_of(checkpoint), "convert", "weights_from_run")
        return Path(write(checkpoint, out or f"{checkpoint}.safetensors"))
    target = Path(out) if out else Path(checkpoint).with_suffix(".safetensors")
    convert_checkpoint(Path(checkpoint), target, lora_alpha=lora_alpha)
    return target


def list_things(what: str, pattern: str = "*") -> list[dict[str, Any]]:
    """Return what there is, one mapping per line; see :mod:`actionspace.listing`."""
    from actionspace.listing import list_things as run

    return run(what, pattern)


def doctor() -> dict[str, str]:
    """Say what this machine has and lacks."""
    from actionspace.doctor import diagnose

    return diagnose()
