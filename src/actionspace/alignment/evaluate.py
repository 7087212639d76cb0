"""Measuring frame embeddings: phase classification, progression, Kendall's tau, retrieval."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from actionspace.alignment.protocols import AlignmentProtocol
from actionspace.errors import DataError
from actionspace.heads.phase_classifier import classify_phases, few_shot, first_videos
from actionspace.metrics.frame_retrieval import as_phases, retrieval_at_k
from actionspace.metrics.kendall_tau import kendalls_tau
from actionspace.metrics.neighbours import Rows, as_videos
from actionspace.metrics.phase_progression import phase_progression


@dataclass(frozen=True)
class Labelled:
    """Frame embeddings of videos and the phases of their frames.

    Attributes:
        embeddings: ``[frames, D]`` per video.
        phases: ``[frames]`` per video, 0 .. P - 1.
        notes: what was left out, in words.
    """

    embeddings: tuple[Rows, ...]
    phases: tuple[NDArray[np.int64], ...]
    notes: tuple[str, ...] = ()

    @classmethod
    def of(cls, embeddings: Sequence[ArrayLike], phases: Sequence[ArrayLike]) -> Labelled:
        """Check videos and drop frames without a phase (labelled below 0).

        Raises:
            DataError: embeddings or labels that do not fit, or no labelled frame at all.
        """
        videos = as_videos(embeddings)
        labels = as_phases(phases, [len(video) for video in videos])
        kept = [video >= 0 for video in labels]
        empty = [i for i, frames in enumerate(kept) if not frames.any()]
        if len(empty) == len(videos):
            raise DataError("No frame has a phase: all labels are below 0.")
        pairs = [(v[k], p[k]) for v, p, k in zip(videos, labels, kept, strict=True) if k.any()]
        notes = (f"Videos {empty} have no labelled frame and were left out.",) if empty else ()
        return cls(tuple(v for v, _ in pairs), tuple(p for _, p in pairs), notes)


@dataclass(frozen=True)
class AlignmentFigures:
    """What was measured.

    Attributes:
        values: figures by name; NaN where one is undefined.
        notes: why, and what was left out, in words.
    """

    values: dict[str, float]
    notes: tuple[str, ...]


def evaluate_alignment(
    train: Labelled, validation: Labelled, protocol: AlignmentProtocol, *, phases: int | None = None
) -> AlignmentFigures:
    """Measure embeddings of one kind of action under a protocol.

    Several actions (PennAction has 13) are measured one by one and averaged with equal weights.

    Args:
        train: what classifiers and regressions learn from.
        validation: what is reported on, with Kendall's tau of the training videos beside.
        protocol: see ``protocols``.
        phases: number of phases P; None takes what the labels of both show.
    """
    count = phases or 1 + max(int(p.max()) for p in (*train.phases, *validation.phases))
    values: dict[str, float] = {}
    notes = [*train.notes, *validation.notes]
    boundaries = count if protocol.last_boundary else count - 1
    for fraction in protocol.fractions:
        used = first_videos(fraction, len(train.embeddings))
        data = (
            train.embeddings[:used],
            train.phases[:used],
            validation.embeddings,
            validation.phases,
        )
        fitted, held = classify_phases(*data, classifier=protocol.classifier, score=protocol.score)
        values[f"phase_classification@{fraction:g}"] = values["phase_classification"] = held
        values[f"phase_classification_train@{fraction:g}"] = fitted
        progress = float("nan")
        if boundaries < 1:
            notes.append("Phase progression is undefined: all frames are of one phase.")
        else:
            try:
                progress = phase_progression(
                    *data, boundaries=boundaries, missing=protocol.missing
                ).validation
            except DataError as error:
                notes.append(f"Phase progression with {fraction:g} of the videos: {error}")
        values[f"phase_progression@{fraction:g}"] = values["phase_progression"] = progress
    for split, videos in (("kendalls_tau_train", train), ("kendalls_tau", validation)):
        tau = kendalls_tau(
            videos.embeddings, stride=protocol.tau_stride, distance=protocol.distance
        )
        values[split] = tau.mean
        if tau.note:
            notes.append(f"{split}: {tau.note}")
    if protocol.retrieval:
        found = retrieval_at_k(
            validation.embeddings,
            validation.phases,
            protocol.ks,
            definition=protocol.retrieval,
            stride=protocol.retrieval_stride or protocol.tau_stride,
            distance=protocol.distance,
        )
        values |= {f"AP@{k}": value for k, value in found.items()}
    shots = tuple(k for k in protocol.few_shot if k <= len(train.embeddings))
    if shots:
        spreads = few_shot(
            train.embeddings,
            train.phases,
            validation.embeddings,
            validation.phases,
            shots=shots,
            episodes=protocol.episodes,
            classifier=protocol.classifier,
            score=protocol.score,
        )
        values |= {f"few_shot@{k}": spread.mean for k, spread in spreads.items()}
    return AlignmentFigures(values, tuple(dict.fromkeys(notes)))


def evaluate(target: Any, data: Any = None, *, split: str | None = None) -> dict[str, Any]:
    """Measure a run's embeddings again, see :func:`actionspace.alignment.score.evaluate`."""
    from actionspace.alignment.score import evaluate as of_run

    return of_run(target, data, split=split)
