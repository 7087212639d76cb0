"""Raw video in, events out."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from actionspace.errors import UsageError
from actionspace.recognition.evaluate import encoding_of, recipe_of, same_splits
from actionspace.recognition.exported import Exported, is_exported
from actionspace.recognition.infer import Mode, infer
from actionspace.recognition.probe import Average, Background, Probe, load_probes
from actionspace.recognition.recipe import RecognitionRecipe
from actionspace.training.export import export
from actionspace.training.inputs import Input, resolve
from actionspace.training.predictions import Predictions, write_predictions
from actionspace.training.run import Run

if TYPE_CHECKING:
    from actionspace.events.table import Events
    from actionspace.features.foreign import Features
    from actionspace.recognition.encode import Encoding


@dataclass(frozen=True)
class _Model:
    """What predicts: a run, or a file exported from one."""

    name: str
    recipe: RecognitionRecipe
    probes: tuple[Probe, ...]
    encoding: Callable[[RecognitionRecipe], Encoding]


def predict(
    run: Run | str | os.PathLike[str],
    inputs: Input | Events | Sequence[Input],
    **options: Any,
) -> Events:
    """Return predicted events; see :func:`predictions` for the options and for scores."""
    return predictions(run, inputs, **options).events


def predictions(
    run: Run | str | os.PathLike[str],
    inputs: Input | Events | Sequence[Input],
    *,
    out: str | os.PathLike[str] | None = None,
    format: str | None = None,
    mode: Mode = "auto",
    split: str | None = None,
    root: str | None = None,
    average: Average | None = None,
    features: Features | str | os.PathLike[str] | None = None,
    threshold: float | None = None,
    smooth: float | None = None,
    min_duration: float | None = None,
    merge_gap: float | None = None,
    policy: str | None = None,
    weights: str | None = None,
    device: str | None = None,
) -> Predictions:
    """Predict videos with a trained run, or with a file that was exported from one.

    A clip gets a label and a score; an untrimmed video is swept once, and smoothed scores over
    time become events. A bad video is left out and listed with its reason (``skipped``). Nothing
    is written before everything is done.

    Args:
        run: a run folder or an exported file (``.onnx``, ``.pt2``).
        inputs: videos, folders, globs, a manifest or annotation file, or events in memory. A
            manifest's crops are used; its annotations, if any, go along as truth.
        out: a folder for scores and events, or one file (``.csv``, ``.json``, ``.boris``).
        format: format of that file, if its ending does not say.
        mode: ``clip``, ``untrimmed``, or ``auto``: by the manifest's events, else by duration.
        split: only this split of a manifest; where it has none, the splits training made.
        root: folder the manifest's paths are relative to.
        average: how views are averaged; None = the recipe's.
        features: store to use instead of the encoder.
        threshold: probability below which nothing is said to happen, instead of the run's rule.
        smooth, min_duration, merge_gap: seconds; None = the recipe's.
        policy: for bad videos, ``raise``, ``skip`` or ``partial``; None = the recipe's.
        weights, device: where the encoder's weights are and where it runs, if not as in the recipe.

    Raises:
        UsageError: there is nothing to predict.
        RunError: not a run, or its encoder cannot be had.
        WeightsError: an exported file is missing, damaged or unsafe.
    """
    model = _open(run, features, weights, device)
    recipe, probes = model.recipe, model.probes
    changed = {"smooth": smooth, "min_duration": min_duration, "merge_gap": merge_gap}
    how = recipe.predict.model_copy(update={k: v for k, v in changed.items() if v is not None})
    clips = recipe.clips.model_copy(update={"policy": policy} if policy else {})
    recipe = recipe.model_copy(update={"predict": how, "clips": clips})
    events = resolve(inputs, root)
    if split is not None:
        events = same_splits(events, recipe).select(split=split)
    if threshold is not None:
        probes = tuple(_with_threshold(probe, threshold) for probe in probes)
    encoding = model.encoding(recipe)
    found = infer(probes, encoding, events, mode=mode, average=average or recipe.evaluation.average)
    found.labels["run"] = model.name
    found.labels["split"] = split
    found.labels["evaluation"] = recipe.evaluation.model_dump()
    if out is not None:
        _write(found, Path(out), format)
    return found


def _open(
    source: Run | str | os.PathLike[str],
    features: Features | str | os.PathLike[str] | None,
    weights: str | None,
    device: str | None,
) -> _Model:
    if is_exported(source):
        if weights is not None:
            raise UsageError(f"{source} holds its weights; leave out weights={weights}.")
        file = Exported.open(source, device or "auto")
        encode = functools.partial(file.encoding, features=features)
        return _Model(file.path.name, file.recipe, file.probes, encode)
    run = source if isinstance(source, Run) else Run.open(source)
    recipe = recipe_of(run, weights=weights, device=device)
    encode = functools.partial(encoding_of, run, features=features)
    return _Model(run.path.name, recipe, load_probes(run), encode)


def _with_threshold(probe: Probe, threshold: float) -> Probe:
    note, background = f"A threshold of {threshold:.4g} was asked for.", probe.background
    if background.kind == "trained":
        background = replace(background, note=f"{background.note} {note}")
    else:
        background = Background("threshold", background.label, note)
    head = replace(probe.head, thresholds=(threshold,))
    return replace(probe, head=head, background=background)


def _write(found: Predictions, out: Path, format: str | None) -> None:
    if format is None and out.suffix == "":
        write_predictions(found, out)
    else:
        export(found.events, out, format)


def summary(found: Predictions) -> str:
    """Return in a few lines what was found: events per video, the background rule, skips."""
    import pandas as pd

    rows, heads = found.events.rows, list(found.labels["heads"])
    several = len(heads) > 1
    lines = []
    for video in found.events.videos["video"]:
        if video in found.skipped:
            lines.append(f"{video}: skipped, {found.skipped[video]}")
            continue
        here = rows[rows["video"] == video]
        if video in found.labels.get("untrimmed", []):
            counts = pd.concat([here[head] for head in heads]).value_counts().sort_index()
            told = ", ".join(f"{n} x {name}" for name, n in counts.items()) or "nothing happens"
            lines.append(f"{video}: {len(here)} events ({told})")
        else:
            told = "; ".join(
                ", ".join(
                    f"{row[head] or 'nothing'} {row[f'{head}_score' if several else 'score']:.2f}"
                    for head in heads
                )
                for row in here.to_dict("records")
            )
            lines.append(f"{video}: {told}")
    for head in heads if found.labels.get("untrimmed") else ():
        background = found.background(head)
        if background.get("note"):
            of = f" of {head}" if several else ""
            lines.append(f"background{of}: {background['kind']}. {background['note']}")
    return "\n".join(lines)
