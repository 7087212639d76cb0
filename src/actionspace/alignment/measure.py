"""From embeddings of a manifest's videos to ``metrics.json``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from actionspace.alignment.data import kinds_of, labels_of
from actionspace.alignment.evaluate import Labelled, evaluate_alignment
from actionspace.alignment.infer import Embedded
from actionspace.errors import DataError
from actionspace.metrics.kendall_tau import kendalls_tau

if TYPE_CHECKING:
    from actionspace.alignment.recipe import AlignmentRecipe
    from actionspace.events.table import Events
    from actionspace.heads.sgd_probe import SgdProbeConfig

#: Our names of the figures that are told first.
NAMES = {
    "kendalls_tau": "kendall_tau",
    "phase_classification": "phase_accuracy",
    "phase_progression": "progression_r2",
    "AP@5": "retrieval_ap@5",
    "AP@10": "retrieval_ap@10",
    "AP@15": "retrieval_ap@15",
}


def measure(
    train: Embedded,
    held: Embedded,
    events: Events,
    recipe: AlignmentRecipe,
    phases: Sequence[str],
) -> tuple[dict[str, Any], list[str]]:
    """Return what embeddings reach under the recipe's protocol, and notes in words.

    Without labels, or with such that the protocol cannot measure, it is Kendall's tau alone.
    Undefined figures are NaN.

    Args:
        train: embeddings of training videos, from which classifiers learn.
        held: of the videos that are reported on.
        events: the manifest, with the phases.
        recipe: the protocol.
        phases: names in the order of their numbers.

    Raises:
        DataError: there is no column ``evaluation.by``, or a video has several values in it.
    """
    kinds = kinds_of(events, recipe.evaluation.by, [*train.videos, *held.videos])
    groups = sorted(set(kinds.values()))
    each: dict[str, dict[str, float]] = {}
    notes: list[str] = []
    for group in groups:
        parts = [_part(one, kinds, group) for one in (train, held)]
        if not parts[1].videos:
            notes.append(f"{group}: no video to measure on.")
            continue
        each[group], said = _measured(parts[0], parts[1], events, recipe, phases)
        notes += [f"{group}: {note}" if group else note for note in said]
    if not each:
        return {}, notes
    values = _mean(list(each.values()))
    return values if groups == [""] else values | {"by": each}, notes


def about(recipe: AlignmentRecipe, split: str) -> dict[str, Any]:
    """Return the protocol as ``metrics.json`` names it."""
    config = recipe.evaluation
    made = asdict(config.made())
    return made | {"split": split, "by": config.by, "frames_per_clip": config.frames_per_clip}


def _measured(
    train: Embedded,
    held: Embedded,
    events: Events,
    recipe: AlignmentRecipe,
    phases: Sequence[str],
) -> tuple[dict[str, float], list[str]]:
    from actionspace.heads.sgd_probe import SgdProbeConfig

    protocol = recipe.evaluation.made()
    try:
        if not phases:
            raise DataError(f"There is no column '{recipe.column}' with phases.")
        taught, tested = (
            Labelled.of(part.embeddings, _labels(part, events, recipe.column, phases))
            for part in (train, held)
        )
        if recipe.evaluation.frame_probe:
            probe = SgdProbeConfig(learning_rate=recipe.evaluation.probe_lr)
            return _probed(taught, tested, len(phases), protocol.fractions, probe)
        count = None if recipe.evaluation.by else len(phases)
        found = evaluate_alignment(taught, tested, protocol, phases=count)
    except DataError as why:
        tau = kendalls_tau(held.embeddings, stride=protocol.tau_stride, distance=protocol.distance)
        note = f"Kendall's tau alone was measured. {why}"
        return {"kendall_tau": tau.mean}, [note, *filter(None, [tau.note])]
    values = {NAMES.get(name, name): value for name, value in found.values.items()}
    first = [name for name in NAMES.values() if name in values]
    return {name: values[name] for name in [*first, *values]}, list(found.notes)


def _probed(
    train: Labelled,
    held: Labelled,
    classes: int,
    fractions: Sequence[float],
    config: SgdProbeConfig,
) -> tuple[dict[str, float], list[str]]:
    """Return the frame accuracy of FineGym's probe on shares of the videos, all of them last."""
    from actionspace.heads.phase_classifier import first_videos
    from actionspace.heads.sgd_probe import fit_sgd_probe

    values: dict[str, float] = {}
    for fraction in fractions:
        used = first_videos(fraction, len(train.embeddings))
        found = fit_sgd_probe(
            train.embeddings[:used],
            train.phases[:used],
            held.embeddings,
            held.phases,
            classes=classes,
            config=config,
        )
        values[f"frame_accuracy@{fraction:g}"] = found.validation
    return {"frame_accuracy": found.validation} | values, [*train.notes, *held.notes]


def _labels(part: Embedded, events: Events, column: str, phases: Sequence[str]) -> list[np.ndarray]:
    pairs = zip(part.videos, part.times, strict=True)
    return [labels_of(events, column, phases, video, times) for video, times in pairs]


def _part(one: Embedded, kinds: Mapping[str, str], kind: str) -> Embedded:
    return one.take([i for i, video in enumerate(one.videos) if kinds.get(video) == kind])


def _mean(each: Sequence[Mapping[str, float]]) -> dict[str, Any]:
    """Return the mean over groups of what is defined in all of them."""
    names = [name for name in each[0] if all(name in values for values in each)]
    return {name: float(np.mean([values[name] for values in each])) for name in names}
