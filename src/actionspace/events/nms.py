"""Non-maximum suppression of time segments: hard, and soft with several kinds of decay.

Soft-NMS is Bodla et al. 2017, "Soft-NMS: Improving Object Detection With One Line of Code"; what
is computed, ties included, is what the one-dimensional operator published with ActionFormer (Zhang
et al. 2022) computes in C++. That operator takes one class of one video, one pair of segments at a
time. Here many groups advance in step: each round every group picks its best segment, and the
scores of all other segments of all groups are lowered at once.

Where scores are equal, the order of the segments in memory decides, so the operator's moves are
made as well: a pick changes places with the first segment not yet picked, and a segment whose score
sinks below ``min_score`` is replaced by the last one.

Everything takes NumPy arrays or PyTorch tensors on any device and gives back the same kind.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np

from actionspace.errors import UsageError

Array = Any  # a NumPy array or a PyTorch tensor; what they share is enough here
Decay = Literal["gaussian", "diou", "linear", "vanilla"]

EPSILON = 1e-6
"""Added to every length, as the published operator does."""

_CHECK = 8  # rounds between two looks at which groups are finished
_SCORE, _START, _END, _LENGTH, _NUMBER = range(5)  # of the working table
_RESULT = [_SCORE, _NUMBER]


@dataclass(frozen=True)
class Groups:
    """Segments of many groups; a group is a row, padded at its end.

    Attributes:
        spans: float32 ``[G, n, 2]``, starts and ends.
        scores: float32 ``[G, n]``, at least 0.
        sizes: int64 ``[G]``; what lies behind a row's size does not count.
        video: int64 ``[G]``, the video of each group, when a limit is to hold per video.
    """

    spans: Array
    scores: Array
    sizes: Array
    video: Array | None = None


@dataclass(frozen=True)
class Picks:
    """What is kept, in the order of picking; a group is a row, padded at its end.

    Attributes:
        numbers: int64 ``[G, k]``, places in the group's row.
        scores: float32 ``[G, k]``, lowered scores, which never rise along a row.
        sizes: int64 ``[G]``, picks per group.
    """

    numbers: Array
    scores: Array
    sizes: Array


def library(array: Array) -> Any:
    """Return the module that computes on ``array``: ``torch`` for a tensor, else ``numpy``."""
    torch = sys.modules.get("torch")
    return torch if torch is not None and isinstance(array, torch.Tensor) else np


def soft_nms(
    groups: Groups,
    *,
    decay: Decay = "gaussian",
    sigma: float | Array = 0.5,
    iou_threshold: float = 0.1,
    min_score: float = 0.001,
    most: int | None = None,
) -> Picks:
    """Pick segments by score, each pick lowering the scores of those that overlap it.

    Args:
        groups: the segments.
        decay: ``gaussian``: times ``exp(-IoU^2 / sigma)``; ``diou``: the same of the distance-IoU,
            see :func:`lower_by_distance`; from an IoU of ``iou_threshold`` on, ``linear``: times
            ``1 - IoU``, ``vanilla``: times 0.
        sigma: of the Gaussian, one for all or one per group, float32 ``[G]``.
        iou_threshold: of ``linear`` and ``vanilla``.
        min_score: a segment lowered below it is dropped. The best of a group is picked without
            looking at it, so that a group with segments keeps at least one.
        most: picks per group after which to stop; None = all. With ``groups.video``, a group also
            stops once its video has that many picks better than all it has left.

    Raises:
        UsageError: an unknown decay, or a sigma that is not positive.
    """
    if decay not in get_args(Decay):
        raise UsageError(f"The decay '{decay}' is none of {', '.join(get_args(Decay))}.")
    width = column_of_sigma(groups, sigma)
    xp = library(groups.scores)
    work, size = _table(xp, groups), groups.sizes
    found = xp.zeros_like(work[_RESULT])  # [2, G, n]: the finished groups' picks
    counts, who = xp.zeros_like(size), positions(size, len(size))
    limit = sys.maxsize if most is None else most
    step = 0
    while len(who):
        if groups.video is not None and 0 < step < min(limit, work.shape[2]) and most:
            found[0, who, :step], counts[who] = work[_SCORE, :, :step], xp.clip(size, None, step)
            real = positions(counts, step) < counts[:, None]
            floor = least_kept(groups.video, found[0, :, :step], real, limit)[who]
            hopeless = xp.amax(work[_SCORE, :, step:], 1) < floor
            size = xp.where(hopeless, xp.clip(size, None, step), size)
            work[_SCORE, :, step:][hopeless] = -1  # where such a group is taken along
        going = (size > step) & (step < limit)
        if 2 * int(going.sum()) <= len(who):  # else the few finished ones are taken along
            over = who[~going]
            found[:, over], counts[over] = work[:, ~going][_RESULT], size[~going]
            work, size, who, width = work[:, going], size[going], who[going], width[going]
            if not len(who):
                break
        end = int(size.max())
        check = min(step + _CHECK, end, limit)
        while step < check:
            rest, pick = _pick(work, step, end)
            rest[_SCORE] *= _weights(xp, rest, pick, decay, width, iou_threshold)
            if min_score > 0:
                size = _drop(xp, rest, size, step, min_score)
            step += 1
    counts = xp.clip(counts, None, limit)
    longest = int(counts.max()) if len(counts) else 0
    numbers = xp.asarray(found[1, :, :longest], dtype=xp.int64)
    return Picks(numbers, found[0, :, :longest], counts)


def hard_nms(
    groups: Groups, *, iou_threshold: float = 0.1, min_score: float = 0.0, most: int | None = None
) -> Picks:
    """Pick segments by score, each pick dropping those it overlaps with ``iou_threshold`` or more.

    Segments that score ``min_score`` or less are left out first, if it is above 0. Of equal scores
    the earlier segment is first. ``groups.video`` is not looked at.
    """
    xp = library(groups.scores)
    n = groups.scores.shape[1]
    place = positions(groups.sizes, n)
    real = place < groups.sizes[:, None]
    if min_score > 0:
        real &= groups.scores > min_score
    scores, ranks = groups.scores + 0, xp.zeros_like(groups.scores)
    scores[~real] = -1
    order = descending(scores)
    row = positions(order, len(order))[:, None]
    # By rank instead of by score: no two are equal, and what is dropped is below any rank.
    ranks[:] = n - place
    ranked = Groups(groups.spans[row, order], ranks, real.sum(1))
    picks = soft_nms(ranked, decay="vanilla", iou_threshold=iou_threshold, min_score=0.5, most=most)
    numbers = order[row, picks.numbers]
    return Picks(numbers, groups.scores[row, numbers], picks.sizes)


def column_of_sigma(groups: Groups, sigma: float | Array) -> Array:
    """Return the width of the Gaussian of each group, ``[G, 1]``.

    Raises:
        UsageError: one is not positive.
    """
    xp = library(groups.scores)
    column = xp.zeros_like(groups.sizes, dtype=groups.scores.dtype)[:, None]
    column[:, 0] = sigma
    if not bool((column > 0).all()):
        raise UsageError(f"sigma is {sigma}; it must be positive.")
    return column


def lower_by_distance(
    xp: Any, iou: Array, segments: tuple[Array, Array], pick: tuple[Array, Array]
) -> None:
    """Turn the IoU of segments with a pick into their distance-IoU, 0 where that is negative.

    Distance-IoU (Zheng et al., AAAI 2020) is the IoU less the squared distance of the centres, in
    lengths of the segment that holds both.

    Args:
        xp: the library.
        iou: of each, changed in place.
        segments, pick: starts and ends; shapes that broadcast to that of ``iou``.
    """
    (start, end), (first, last) = segments, pick
    hull = xp.maximum(end, last)
    hull -= xp.minimum(start, first)
    hull += EPSILON  # of two that are one point
    apart = (start + end) - (first + last)
    apart /= hull
    apart *= apart
    apart *= 0.25  # the centres are half as far apart as the sums
    iou -= apart
    iou *= iou > 0


def least_kept(video: Array, scores: Array, real: Array, most: int) -> Array:
    """Return, per group ``[G]``, the ``most``-th best pick of its video, -inf if there are fewer.

    Args:
        video: of each group, int64 ``[G]``.
        scores: of picks ``[G, k]``.
        real: which of these there are, bool of the same shape.
        most: picks that a video keeps.
    """
    xp = library(scores)
    owner, values = (video[:, None] + xp.zeros_like(real, dtype=xp.int64))[real], scores[real]
    by_score = descending(values)
    owner, values = owner[by_score], values[by_score]
    values = values[descending(-owner)]
    have = xp.bincount(owner, minlength=int(video.max()) + 1)
    last = xp.clip(xp.cumsum(have, 0) - have + most - 1, None, len(values) - 1)
    return xp.where(have >= most, values[last], -xp.inf)[video]


def descending(scores: Array) -> Array:
    """Return the order of the last axis from high to low scores; equals stay as they lie."""
    if library(scores) is np:
        return np.argsort(-scores, axis=-1, kind="stable")
    return scores.argsort(dim=-1, descending=True, stable=True)


def positions(like: Array, n: int) -> Array:
    """Return 0 to n - 1 where ``like`` lies."""
    xp = library(like)
    return xp.arange(n) if xp is np else xp.arange(n, device=like.device)


def _table(xp: Any, groups: Groups) -> Array:
    """Return score, start, end, length, number ``[5, G, n]`` in float32; padding scores -1."""
    start, end = groups.spans[..., 0], groups.spans[..., 1]
    place = positions(groups.sizes, groups.scores.shape[1])
    score, number = groups.scores + 0, xp.zeros_like(groups.scores)
    score[place >= groups.sizes[:, None]] = -1
    number[:] = place  # exact up to 16 million
    return xp.stack([score, start, end, end - start + EPSILON, number])


def _pick(work: Array, step: int, width: int) -> tuple[Array, Array]:
    """Swap each group's best segment to place ``step``; return the rest (a view) and the pick."""
    row = positions(work, work.shape[1])
    best = work[_SCORE, :, step:width].argmax(1) + step
    pick, first = work[:, row, best], work[:, :, step] + 0
    work[:, row, best] = first
    work[:, :, step] = pick
    return work[:, :, step + 1 : width], pick[:, :, None]


def _weights(
    xp: Any, rest: Array, pick: Array, decay: Decay, sigma: Array, threshold: float
) -> Array:
    """Return what each remaining score ``[G, m]`` is multiplied by."""
    iou = xp.minimum(rest[_END], pick[_END])
    iou -= xp.maximum(rest[_START], pick[_START])
    iou = xp.clip(iou, 0, None)
    union = rest[_LENGTH] + pick[_LENGTH]
    union -= iou
    iou /= union
    if decay == "diou":
        lower_by_distance(xp, iou, (rest[_START], rest[_END]), (pick[_START], pick[_END]))
    if decay in ("gaussian", "diou"):
        iou *= iou
        iou /= -sigma
        return xp.exp(iou)
    lowered = 1 - iou if decay == "linear" else xp.zeros_like(iou)
    return xp.where(iou >= threshold, lowered, xp.ones_like(iou))


def _drop(xp: Any, rest: Array, size: Array, step: int, min_score: float) -> Array:
    """Replace each segment below ``min_score`` by its group's last one; return the new sizes."""
    alive = rest[_SCORE] >= min_score
    left = xp.minimum(size, alive.sum(1) + (step + 1))
    if not bool((left < size).any()):
        return size
    place = positions(size, rest.shape[2]) + (step + 1)
    behind = place >= left[:, None]
    holes = xp.where(~alive & ~behind)
    row, back = xp.where(xp.flip(alive & behind, (1,)))
    rest[:, holes[0], holes[1]] = rest[:, row, rest.shape[2] - 1 - back]
    rest[_SCORE][behind] = -1
    return left
