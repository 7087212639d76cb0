"""Phases of a video: from several annotators' segments, or a number for each frame, to events."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from actionspace.errors import DataError
from actionspace.events.frames import from_frames

Segments = dict[int, tuple[float, float]]
"""Phase -> start and end in seconds."""


def merge_annotators(annotators: Mapping[str, Mapping[str, Sequence[Sequence[float]]]]) -> Segments:
    """Return the mean of what several annotators marked, without gaps between phases.

    Each phase's start and end are the means over all its segments; in the order of their starts,
    the end of one and the start of the next are then put in the middle between them (as in the
    tools of TCC).

    Args:
        annotators: annotator -> phase number (as text) -> segments ``[start, end]`` in seconds.

    Raises:
        DataError: no annotator, or a phase that some annotator does not have.
    """
    phases = sorted({int(phase) for marked in annotators.values() for phase in marked})
    if not phases:
        raise DataError("There is no segment of any phase.")
    merged: dict[int, np.ndarray] = {}
    for phase in phases:
        for annotator, marked in annotators.items():
            if not len(marked.get(str(phase), ())):
                raise DataError(f"The annotator '{annotator}' has no segment of phase {phase}.")
        rows = [marked[str(phase)] for marked in annotators.values()]
        merged[phase] = np.concatenate([np.asarray(r, float).reshape(-1, 2) for r in rows]).mean(0)
    in_time = sorted(phases, key=lambda phase: merged[phase][0])
    for before, after in itertools.pairwise(in_time):
        merged[before][1] = merged[after][0] = (merged[before][1] + merged[after][0]) / 2
    return {phase: (float(merged[phase][0]), float(merged[phase][1])) for phase in phases}


def phases_at(segments: Segments, times: np.ndarray) -> np.ndarray:
    """Return the phase at each time (seconds), int64; -1 where none is.

    Half-open; before the first phase it is the first, after the last the last. Where phases
    overlap, it is the one of the lower number.
    """
    first = min(segments, key=lambda phase: segments[phase][0])
    last = max(segments, key=lambda phase: segments[phase][1])
    times = np.asarray(times, np.float64)
    found = np.full(len(times), -1, np.int64)
    for phase in sorted(segments, reverse=True):
        start, end = segments[phase]
        found[(times >= start) & (times < end)] = phase
    found[times < segments[first][0]] = first
    found[times >= segments[last][1]] = last
    return found


def resampled(labels: np.ndarray, frames: int) -> np.ndarray:
    """Return labels ``[N]`` for another number of frames: frame j has label ``floor(j N / M)``.

    Raises:
        DataError: no labels.
    """
    if not len(labels):
        raise DataError("A video without a single label cannot be given any.")
    return np.asarray(labels)[np.arange(frames) * len(labels) // frames]


def phase_events(
    labels: np.ndarray, times: np.ndarray, video: str, names: Mapping[int, str] | None = None
) -> pd.DataFrame:
    """Return one event per run of equal phases: ``video``, ``start``, ``end`` (s), ``phase``.

    Args:
        labels: phase of each frame, ``[N]``; below 0 = none, which makes no event.
        times: ``[N, 2]`` seconds, see :func:`~.frames.from_frames`.
        video: the video's name.
        names: what phases are called; None = their numbers.

    Raises:
        DataError: labels and times differ in number, or a phase has no name.
    """
    numbers = np.asarray(labels).astype(np.int64)
    unknown = set(numbers[numbers >= 0].tolist()) - set(names or numbers.tolist())
    if unknown:
        raise DataError(
            f"{video}: there is no name for phase {min(unknown)} (of {len(names or ())})."
        )
    texts = np.array(
        ["" if n < 0 else (names or {}).get(n, str(n)) for n in numbers.tolist()], object
    )
    rows = from_frames(texts, times, video, background="")
    return rows.rename(columns={"label": "phase"})
