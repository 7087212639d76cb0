"""Detections of several models become one set: segments that agree are averaged.

After weighted boxes fusion (Solovyev, Wang and Gabruseva, Image and Vision Computing 2021), in one
dimension. Suppression keeps the best of several segments; here their ends are averaged, and what
only some models found scores less.
"""

from __future__ import annotations

import numpy as np


def fuse_segments(
    segments: np.ndarray,
    scores: np.ndarray,
    models: np.ndarray,
    weights: np.ndarray,
    *,
    iou_threshold: float = 0.5,
    radius: float = 0.0,
) -> tuple[np.ndarray, np.ndarray]:
    """Return fused segments ``[M, 2]`` and scores ``[M]`` of one class of a video, best first.

    Best first, each segment joins the cluster that it overlaps most, or begins one. A cluster lies
    at the mean of its members, weighted by weight times score. It scores the weighted mean over all
    models of the best score that each gave it, 0 where it gave none.

    Args:
        segments: float ``[N, 2]``, starts and ends.
        scores: float ``[N]``, at least 0.
        models: int ``[N]``, which model each is from.
        weights: float ``[models]``, at least 0, not all 0.
        iou_threshold: temporal IoU from which on segments agree.
        radius: segments are this much longer at both ends when they are compared; moments, which
            overlap nothing otherwise, agree within less than twice the radius.
    """
    shares = np.asarray(weights, np.float64) / np.sum(weights)
    pull = scores * shares[models]
    means = np.empty((len(segments), 2))  # of the clusters
    pulled = np.zeros(len(segments))  # what their members' weights sum to
    best = np.zeros((len(segments), len(shares)))
    count = 0
    for i in np.argsort(-pull, kind="stable"):
        if pull[i] <= 0:
            break
        at = count
        if count:
            overlap = _overlap(segments[i], means[:count], radius)
            nearest = int(overlap.argmax())
            at = nearest if overlap[nearest] >= iou_threshold else count
        if at == count:
            means[at] = segments[i]
            count += 1
        else:
            means[at] += (segments[i] - means[at]) * pull[i] / (pulled[at] + pull[i])
        pulled[at] += pull[i]
        best[at, models[i]] = max(best[at, models[i]], scores[i])
    fused = best[:count] @ shares
    order = np.argsort(-fused, kind="stable")
    return means[order], fused[order]


def _overlap(segment: np.ndarray, others: np.ndarray, radius: float) -> np.ndarray:
    """Return the temporal IoU of a segment with others ``[M]``, all longer by ``radius``."""
    start, end = segment[0] - radius, segment[1] + radius
    starts, ends = others[:, 0] - radius, others[:, 1] + radius
    shared = np.maximum(np.minimum(end, ends) - np.maximum(start, starts), 0.0)
    whole = (end - start) + (ends - starts) - shared
    return np.asarray(np.divide(shared, whole, out=np.zeros_like(shared), where=whole > 0))
