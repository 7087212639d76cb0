"""From a model's candidates to the detections of each video: suppression over all of a batch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, get_args

import numpy as np

from actionspace.errors import DataError, UsageError, did_you_mean
from actionspace.events.nms import (
    Array,
    Decay,
    Groups,
    Picks,
    descending,
    hard_nms,
    library,
    positions,
    soft_nms,
)
from actionspace.events.nms_in_order import diou_in_order
from actionspace.events.voting import vote

Method = Literal["soft", "diou", "diou_in_order", "linear", "vanilla", "hard", "none"]

GAUSSIAN = ("soft", "diou", "diou_in_order")
"""Methods that have a sigma."""

_DECAY: dict[str, Decay] = {
    "soft": "gaussian",
    "diou": "diou",
    "linear": "linear",
    "vanilla": "vanilla",
}
_CELLS = 2_000_000  # of the padded table of a batch, 20 bytes each


@dataclass(frozen=True)
class Detections:
    """Segments of one video with a class and a score each; arrays or tensors on one device.

    Attributes:
        segments: float32 ``[N, 2]``, starts and ends.
        scores: float32 ``[N]``, at least 0.
        labels: int64 ``[N]``, class numbers.
        spread: float32 ``[N, 2, 3]``, how uncertain starts and ends are, where it is known: the
            standard deviation, and where the middle 80 % begin and end, counted from the boundary.
    """

    segments: Array
    scores: Array
    labels: Array
    spread: Array | None = None

    def __len__(self) -> int:
        return len(self.scores)

    def at(self, index: Array) -> Detections:
        """Return those at ``index`` (numbers or a mask)."""
        spread = None if self.spread is None else self.spread[index]
        return Detections(self.segments[index], self.scores[index], self.labels[index], spread)


def join(parts: Sequence[Detections]) -> Detections:
    """Return the detections of all parts in one, in their order."""
    xp = library(parts[0].scores)
    segments, scores, labels = (
        xp.concatenate([getattr(part, name) for part in parts])
        for name in ("segments", "scores", "labels")
    )
    spreads = [part.spread for part in parts if part.spread is not None]
    return Detections(segments, scores, labels, xp.concatenate(spreads) if spreads else None)


@dataclass(frozen=True)
class NmsOptions:
    """How candidates become detections; the defaults are ActionFormer's.

    Attributes:
        method: ``soft`` (Gaussian of the IoU), ``diou`` (of the distance-IoU), ``diou_in_order``
            (see :mod:`.nms_in_order`), ``linear``, ``vanilla``, ``hard``, or ``none``: candidates
            are returned as they are.
        iou_threshold: where ``linear``, ``vanilla`` and ``hard`` begin to lower scores.
        min_score: what sinks below it is dropped.
        max_segments: detections kept per video.
        sigma: of the Gaussian.
        multiclass: suppress within a class; False = whatever the class.
        voting_threshold: IoU from which on candidates pull at a detection; 0 = no voting. Only
            where ``multiclass`` is False.
        voting_by_overlap: see :func:`actionspace.events.voting.vote`.
        class_sigma: by class number, where it is another one than ``sigma``. Only where
            ``multiclass`` is True.
    """

    method: Method = "soft"
    iou_threshold: float = 0.1
    min_score: float = 0.01
    max_segments: int = 1000
    sigma: float = 0.5
    multiclass: bool = True
    voting_threshold: float = 0.75
    voting_by_overlap: bool = True
    class_sigma: Mapping[int, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse an unknown method and a limit below 1.

        Raises:
            UsageError: see above.
        """
        methods = get_args(Method)
        if self.method not in methods:
            hint = did_you_mean(self.method, methods) or f" There is: {', '.join(methods)}."
            raise UsageError(f"'{self.method}' is no way of suppression.{hint}")
        if self.max_segments < 1:
            raise UsageError(f"max_segments is {self.max_segments}; keep at least one.")


def suppress(videos: Sequence[Detections], options: NmsOptions) -> list[Detections]:
    """Return the detections of each video, best first, at most ``max_segments`` each.

    Arrays and tensors on any device come back as they came. Tensors in main memory are computed by
    NumPy, whose calls on small arrays take less time.

    Raises:
        DataError: a score that is NaN or negative, or a segment that is NaN or ends before it
            starts; the video's place in the batch is named.
    """
    for number, video in enumerate(videos):
        _check(video, number)
    if options.method == "none":
        return list(videos)
    if videos and library(videos[0].scores) is not np and videos[0].scores.device.type == "cpu":
        import torch

        found = suppress([_each(v, lambda t: t.detach().numpy()) for v in videos], options)
        return [_each(v, torch.from_numpy) for v in found]
    out: list[Detections] = []
    for part in _batches(videos, options):
        out += _suppress(part, options)
    return out


def _each(video: Detections, convert: Callable[[Array], Array]) -> Detections:
    spread = None if video.spread is None else convert(video.spread)
    return Detections(convert(video.segments), convert(video.scores), convert(video.labels), spread)


def _check(video: Detections, number: int) -> None:
    wrong = ~(video.scores >= 0)
    if bool(wrong.any()):
        at = int(library(wrong).where(wrong)[0][0])
        raise DataError(
            f"Video {number} of the batch: candidate {at} scores {float(video.scores[at])}; "
            f"a score is a number of at least 0."
        )
    wrong = ~(video.segments[:, 1] >= video.segments[:, 0])
    if bool(wrong.any()):
        at = int(library(wrong).where(wrong)[0][0])
        start, end = (float(t) for t in video.segments[at])
        raise DataError(
            f"Video {number} of the batch: candidate {at} goes from {start} to {end}; "
            f"a segment ends after it starts."
        )


def _batches(videos: Sequence[Detections], options: NmsOptions) -> Iterator[list[Detections]]:
    """Yield runs of videos whose padded tables stay within bounds."""
    part: list[Detections] = []
    rows = longest = 0
    for video in videos:
        sizes = _class_sizes(video) if options.multiclass else np.array([len(video.scores)])
        groups, size = int((sizes > 0).sum()), int(sizes.max(initial=0))
        if part and (rows + groups) * max(longest, size) > _CELLS:
            yield part
            part, rows, longest = [], 0, 0
        part.append(video)
        rows, longest = rows + groups, max(longest, size)
    if part:
        yield part


def _class_sizes(video: Detections) -> Any:
    xp = library(video.labels)
    sizes = xp.bincount(video.labels)
    return sizes if xp is np else sizes.cpu().numpy()


def _suppress(videos: list[Detections], options: NmsOptions) -> list[Detections]:
    xp = library(videos[0].scores)
    joined = join(videos)
    if not len(joined):
        return list(videos)
    owner = xp.concatenate([xp.zeros_like(v.labels) + i for i, v in enumerate(videos)])
    groups, members = _grouped(joined, owner, options.multiclass)
    picks = _picks(groups, _sigma(groups, joined.labels[members[:, 0]], options), options)
    row, place = xp.where(positions(picks.sizes, picks.scores.shape[1]) < picks.sizes[:, None])
    chosen = members[row, picks.numbers[row, place]]
    found = replace(joined.at(chosen), scores=picks.scores[row, place])
    out = []
    for i, video in enumerate(videos):
        mine = found.at(owner[chosen] == i)
        if not options.multiclass and options.voting_threshold > 0:
            mine = _voted(mine, video, options)
        out.append(mine.at(descending(mine.scores)[: options.max_segments]))
    return out


def _grouped(joined: Detections, owner: Array, multiclass: bool) -> tuple[Groups, Array]:
    """Return a group per video (and class), and the place ``[G, n]`` of each member."""
    xp = library(owner)
    classes = int(joined.labels.max()) + 1 if multiclass else 1
    key = owner * classes + joined.labels if multiclass else owner
    names, sizes = xp.unique(key, return_counts=True)
    first = xp.cumsum(sizes, 0) - sizes
    place = first[:, None] + positions(key, int(sizes.max()))
    members = descending(-key)[xp.clip(place, None, len(key) - 1)]
    groups = Groups(joined.segments[members], joined.scores[members], sizes, names // classes)
    return groups, members


def _sigma(groups: Groups, labels: Array, options: NmsOptions) -> float | Array:
    """Return the sigma of each group, whose members have a label of ``labels`` ``[G]``."""
    if not (options.multiclass and options.class_sigma):
        return options.sigma
    sigma = library(labels).zeros_like(groups.scores[:, 0]) + options.sigma
    for label, value in options.class_sigma.items():
        sigma[labels == label] = value
    return sigma


def _picks(groups: Groups, sigma: float | Array, options: NmsOptions) -> Picks:
    most, threshold = options.max_segments, options.iou_threshold
    if options.method == "hard":
        return hard_nms(groups, iou_threshold=threshold, min_score=options.min_score, most=most)
    if options.method == "diou_in_order":
        return diou_in_order(groups, sigma=sigma, min_score=options.min_score, most=most)
    return soft_nms(
        groups,
        decay=_DECAY[options.method],
        sigma=sigma,
        iou_threshold=threshold,
        min_score=options.min_score,
        most=most,
    )


def _voted(mine: Detections, video: Detections, options: NmsOptions) -> Detections:
    threshold, by_overlap = options.voting_threshold, options.voting_by_overlap
    moved = vote(mine.segments, video.segments, video.scores, threshold, by_overlap=by_overlap)
    return replace(mine, segments=moved)


def cut_to_video(found: Detections, duration: float | None) -> Detections:
    """Return detections in seconds cut at 0 and at the video's end; None or NaN = unknown.

    One that lies beyond the end becomes a point there, as in the published code.
    """
    known = duration is not None and duration == duration
    segments = library(found.segments).clip(found.segments, 0, duration if known else None)
    return replace(found, segments=segments)
