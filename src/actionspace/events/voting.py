"""Segment voting: what was picked moves towards the candidates that overlap it."""

from __future__ import annotations

from actionspace.events.nms import Array, library


def vote(
    picked: Array,
    segments: Array,
    scores: Array,
    threshold: float,
    *,
    by_overlap: bool = True,
) -> Array:
    """Return the picked segments ``[k, 2]`` as means of the candidates around them.

    A candidate counts with its score times its IoU where that is at least ``threshold`` (the rule
    published with ActionFormer; with ``by_overlap=False`` with its score alone, as in TriDet). A
    pick that no candidate overlaps so much stays as it is; the published code returns NaN.

    Args:
        picked: ``[k, 2]``.
        segments: all candidates ``[N, 2]`` of the same unit.
        scores: ``[N]``, before suppression.
        threshold: in (0, 1].
        by_overlap: whether nearer candidates count more.
    """
    xp = library(picked)
    start, end = picked[:, None, 0], picked[:, None, 1]
    shared = xp.minimum(end, segments[:, 1]) - xp.maximum(start, segments[:, 0])
    shared = xp.clip(shared, 0, None)
    union = (end - start) + (segments[:, 1] - segments[:, 0]) - shared
    iou = shared / (union + (union <= 0))  # two points share nothing
    weight = (iou >= threshold) * scores
    if by_overlap:
        weight *= iou
    total = weight.sum(1)[:, None]
    none = total <= 0
    return xp.where(none, picked, (weight / (total + none)) @ segments)
