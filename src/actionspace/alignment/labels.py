"""Phase labels from several annotators: merged into contiguous phases, then one label per frame."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike, NDArray

from actionspace.errors import DataError

Ints = NDArray[np.int64]
Spans = Mapping[int, tuple[float, float]]


def merge_annotators(
    annotators: Mapping[str, Mapping[str, Sequence[Sequence[float]]]], phases: int
) -> dict[int, tuple[float, float]]:
    """Average the annotators' phases and close the gaps between them (TCC's preparation).

    Start and end of a phase are averaged over all its spans by all annotators. In the order of
    their starts, the gap (or overlap) between one phase and the next is split in the middle.

    Args:
        annotators: for each person and phase number (as text) its spans in microseconds.
        phases: how many phases each person must have marked.

    Returns:
        Phase number to start and end in seconds.

    Raises:
        DataError: nobody annotated, a person left a phase out, or a span is not (start, end).
    """
    if not annotators or phases < 1:
        raise DataError("There is nothing to merge: no annotators or no phases.")
    spans = np.stack([_mean_span(annotators, str(phase)) for phase in range(phases)]) / 1e6
    order = np.argsort(spans[:, 0], kind="stable")
    for before, after in pairwise(order):
        middle = 0.5 * (spans[before, 1] + spans[after, 0])
        spans[before, 1] = spans[after, 0] = middle
    return {phase: (float(start), float(end)) for phase, (start, end) in enumerate(spans)}


def _mean_span(
    annotators: Mapping[str, Mapping[str, Sequence[Sequence[float]]]], phase: str
) -> NDArray[np.float64]:
    for person, marked in annotators.items():
        if phase not in marked or np.shape(marked[phase])[1:] != (2,):
            raise DataError(
                f"Annotator '{person}' gives {marked.get(phase, 'nothing')} for phase {phase}; "
                f"expected at least one [start, end]. Drop this person or the video."
            )
    every = [np.asarray(marked[phase], np.float64) for marked in annotators.values()]
    mean: NDArray[np.float64] = np.concatenate(every).mean(axis=0)
    return mean


def label_timestamps(timestamps: ArrayLike, spans: Spans) -> Ints:
    """Return the phase of each timestamp ``[N]``.

    It is the lowest-numbered phase with start <= t < end. Before all phases it is the one that
    starts first, after all of them the one that ends last.

    Args:
        timestamps: seconds ``[N]``.
        spans: phase number to start and end in seconds.

    Raises:
        DataError: no phases, or a timestamp that lies in none of them though others lie before and
            after (phases that cross each other can leave such a hole).
    """
    if not spans:
        raise DataError("There are no phases to label frames with.")
    times = np.asarray(timestamps, np.float64)
    numbers = np.array(sorted(spans))
    starts, ends = np.array([spans[n] for n in sorted(spans)], np.float64).T
    within = (times[:, None] >= starts) & (times[:, None] < ends)
    labels = numbers[within.argmax(axis=1)]
    outside = ~within.any(axis=1)
    labels[outside & (times < starts.min())] = numbers[starts.argmin()]
    labels[outside & (times >= ends.max())] = numbers[ends.argmax()]
    lost = outside & (times >= starts.min()) & (times < ends.max())
    if lost.any():
        raise DataError(
            f"Frame {np.flatnonzero(lost)[0]} at {times[lost][0]:g} s lies in no phase, but "
            f"between others: {dict(spans)}. Correct the annotation of these phases."
        )
    return np.asarray(labels, np.int64)


def match_length(labels: ArrayLike, frames: int) -> Ints:
    """Return labels resampled to a number of frames: that of frame j is label ``j N // frames``.

    Raises:
        DataError: no labels.
    """
    values = np.asarray(labels)
    if not len(values):
        raise DataError("A video without labels cannot be given any: its list is empty.")
    return values[np.arange(frames) * len(values) // frames].astype(np.int64)
