"""Measuring a network on a split of a manifest; ``actionspace evaluate`` of a run of alignment."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np

from actionspace.alignment.infer import Embedded, embed_all
from actionspace.alignment.measure import about, measure
from actionspace.alignment.overview import overview
from actionspace.alignment.prepare import Prepared, prepare, read_videos
from actionspace.errors import ActionspaceError, DataError
from actionspace.report.alignment_view import write_overview

if TYPE_CHECKING:
    from actionspace.alignment.data import Videos
    from actionspace.alignment.network.model import AlignmentNetwork
    from actionspace.events.table import Events
    from actionspace.training.run import Run


def score(found: Prepared, network: AlignmentNetwork, split: str, run: Run) -> dict[str, Any]:
    """Measure a network on a split, and write ``metrics.json`` and ``overview.json`` of its run.

    Classifiers learn from ``train``.

    Raises:
        DataError: not one video of the split can be read.
    """
    recipe, events = found.recipe, found.events
    parts = [found.videos(name) for name in ("train", split)]
    # Without labels nothing is learnt from the training videos.
    train = embed_all(network, parts[0], recipe) if found.phases else Embedded()
    held = embed_all(network, parts[1], recipe)
    if not held.videos:
        raise DataError(f"Not one video of the split '{split}' can be read: {held.skipped}")
    metrics, notes = measure(train, held, events, recipe, found.phases)
    raw = None
    if recipe.network.input == "features" and recipe.evaluation.raw_features:
        raw = _raw(parts[1])
        metrics["raw_features"], _ = measure(_raw(parts[0]), raw, events, recipe, found.phases)
    for note in notes:
        found.say(note)
    metrics |= {
        "videos": {"train": len(train.videos), split: len(held.videos)},
        "notes": notes,
        "left_out": train.skipped | held.skipped,
        "protocol": about(recipe, split),
    }
    run.write_metrics(metrics)
    write_overview(run.path, overview(held, raw, events, recipe, found.phases))
    return metrics


def evaluate(
    target: str | os.PathLike[str] | Run,
    data: str | os.PathLike[str] | Events | None = None,
    *,
    split: str | None = None,
) -> dict[str, Any]:
    """Measure the embeddings of a run again, write its ``metrics.json`` and its report.

    Args:
        target: the run.
        data: another manifest than it was trained on; its training videos teach the classifiers.
        split: what is measured on; None = ``test``, or ``val`` without it.

    Raises:
        RunError: no run, or features of another make.
        DataError: no such split, or nothing in it can be read.
    """
    from actionspace.alignment.recipe import AlignmentRecipe
    from actionspace.alignment.saved import load_network, phases_in
    from actionspace.config import parse
    from actionspace.report.html import write_report
    from actionspace.training.environment import pick_device
    from actionspace.training.run import Run

    run = target if isinstance(target, Run) else Run.open(target)
    recipe = parse(AlignmentRecipe, run.config, str(run.path / "config.yaml"))
    given = data if data is not None else recipe.data
    if given is None:
        raise DataError(f"{run.path} was trained on videos in memory; give data=MANIFEST.")
    if data is not None and recipe.encoder is not None:  # which can encode other videos
        recipe = recipe.model_copy(update={"features": None})
    found = prepare(recipe, read_videos(recipe, given), expect=run.labels.get("encoder"))
    found.phases = phases_in(run, recipe) or found.phases
    split = split or found.held
    if split is None or not found.count(split):
        raise DataError(f"The manifest has no video of the split '{split or 'test'}'.")
    network = load_network(run, recipe, pick_device(recipe.device))
    metrics = score(found, network, split, run)
    write_report(run.path, events=found.events)
    return metrics


def _raw(videos: Videos) -> Embedded:
    """Return the features that go into the network, as if they were embeddings."""
    found = Embedded()
    for index, name in enumerate(videos.names):
        try:
            times = videos.times(index)
            rows = videos.read(index, np.arange(len(times))).numpy()
        except ActionspaceError:
            continue
        found.videos.append(name)
        found.embeddings.append(rows)
        found.times.append(times)
    return found
