"""The verbs as functions: what ``import actionspace`` offers and the command line calls."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from actionspace.errors import UsageError, did_you_mean

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
    """Write a manifest with group-aware splits, or one manifest per fold.

    Args:
        manifest: any annotation format.
        by: column of the videos table that must not straddle splits.
        ratio: train:val:test, or train:test.
        folds: make this many manifests instead, each with another test fold.
        seed: same seed, same split.
        out: file to write (with folds, its name gets ``_fold1`` ...); by default beside the
            manifest, so that the paths in it stay below their root.

    Raises:
        UsageError: the ratio is no list of numbers.
    """
    import logging

    from actionspace.events import splits

    events = read_events(manifest)
    source = Path(manifest)
    if source.is_dir():
        source = source / source.name
    for note in splits.notes(events, by=by):
        logging.getLogger("actionspace").info(note)
    if folds is None:
        target = Path(out) if out else source.with_name(f"{source.stem}_split.csv")
        return [write_events(splits.split(events, by=by, ratio=_ratio(ratio), seed=seed), target)]
    number, _ = splits.folds(events, folds, by=by, seed=seed)
    base = Path(out) if out else source.with_suffix(".csv")
    written = []
    for fold in range(folds):
        names = ["test" if n == fold else "train" for n in number]
        part = dataclasses.replace(events, videos=events.videos.assign(split=names))
        target = base.with_name(f"{base.stem}_fold{fold + 1}{base.suffix}")
        written.append(write_events(part, target))
    return written


def _ratio(text: str | Sequence[float]) -> list[float]:
    parts = text.replace(",", ":").split(":") if isinstance(text, str) else list(text)
    try:
        return [float(p) for p in parts]
    except ValueError:
        raise UsageError(f"ratio '{text}' is not of the form 70:15:15.") from None


def inspect(videos: PathLike | Sequence[PathLike], *, exact: bool = True) -> list[VideoInfo]:
    """Look at videos (files, folders, globs); a bad file is a verdict, not an exception."""
    from actionspace.progress import progress
    from actionspace.recognition.inputs import video_files
    from actionspace.video.inspect import inspect as look

    files = video_files(videos)
    return [look(f, exact=exact) for f in progress(files, what="inspect", unit="video")]


def check(target: PathLike, *, open_videos: bool = True) -> list[Finding]:
    """Find what is wrong with a manifest or a recipe before any training."""
    from actionspace.recipes.loader import recipe_names

    text = os.fspath(target)
    if text in recipe_names() or text.endswith((".yaml", ".yml")):
        from actionspace.recipes.check import check_recipe

        return check_recipe(text)
    if not Path(text).exists():
        hint = did_you_mean(text, recipe_names())
        raise UsageError(f"'{text}' is neither a file nor a recipe.{hint}")
    from actionspace.datasets.check import check_manifest

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
    import inspect as python_inspect

    from actionspace.encoders.create import create_encoder
    from actionspace.features.extract import extract as run
    from actionspace.features.extract import views_of
    from actionspace.recognition.encode import pick_device
    from actionspace.recognition.inputs import resolve

    _known(options, list(python_inspect.signature(run).parameters)[3:], "option")
    if isinstance(encoder, str):
        encoder = create_encoder(
            encoder, weights=None if weights is None else Path(weights), device=pick_device(device)
        )
    if views:
        base = views_of(encoder)
        _known(views, [f.name for f in dataclasses.fields(base)], "view option")
        options["views"] = dataclasses.replace(base, **views)
    return run(resolve(source), encoder, Path(out), **options)


def _known(given: Mapping[str, Any], names: Sequence[str], what: str) -> None:
    for name in given:
        if name not in names:
            hint = did_you_mean(name, names) or f" Known: {', '.join(names)}."
            raise UsageError(f"Unknown {what} '{name}'.{hint}")


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
    from actionspace.recognition.fit import train as run
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
    return run(
        loaded,
        out=target,
        data=data,
        features=features,
        encoder=made,
        folds=folds,
        overwrite=overwrite,
        resume=resume,
    )


def evaluate(
    target: PathLike | Run,
    *,
    data: PathLike | Events | None = None,
    split: str | None = None,
    average: Literal["prob", "score"] | None = None,
    **options: Any,
) -> dict[str, Any]:
    """Score a run or predictions; see :func:`actionspace.recognition.evaluate.evaluate`."""
    import inspect as python_inspect

    from actionspace.recognition.evaluate import evaluate as run

    _known(options, list(python_inspect.signature(run).parameters), "option")
    return run(target, data, split=split, average=average, **options)


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


def predict(run: PathLike | Run, inputs: Any, **options: Any) -> Predictions:
    """Predict videos; see :func:`actionspace.recognition.predict.predictions`."""
    import inspect as python_inspect

    from actionspace.recognition.predict import predictions

    _known(options, list(python_inspect.signature(predictions).parameters)[2:], "option")
    return predictions(run, inputs, **options)


def summary(found: Predictions) -> str:
    """Say in a few lines what was predicted."""
    from actionspace.recognition.predict import summary as tell

    return tell(found)


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
    import inspect as python_inspect

    from actionspace.recognition.export import export as write

    _known(options, list(python_inspect.signature(write).parameters)[4:], "option")
    return write(run, out, format=format, part=part, **options)


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
    import inspect as python_inspect

    from actionspace.recognition.fuse import fuse as run

    _known(options, list(python_inspect.signature(run).parameters)[5:], "option")
    share = None if weights is None else _ratio(weights)
    return run(predictions, out, weights=share, average=average, fit_on=fit_on, **options)


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
        from actionspace.recognition.convert import run_from_checkpoint
        from actionspace.training.run import next_run

        loaded = load_recipe(recipe)
        folder = Path(out) if out else next_run(loaded.name)
        run = run_from_checkpoint(
            checkpoint, loaded, folder, lora_alpha=lora_alpha, overwrite=overwrite
        )
        return run.path
    if Path(checkpoint).is_dir():
        from actionspace.recognition.convert import weights_from_run

        return weights_from_run(checkpoint, out or f"{checkpoint}.safetensors")
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
