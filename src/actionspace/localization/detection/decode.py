"""From what the network says at its points to candidate segments."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from actionspace.localization.network.model import Predictions


class Candidates(NamedTuple):
    """Candidate segments of one video, level by level, by falling score within a level.

    Attributes:
        segments: float32 ``[n, 2]``, begin and end in rows of features.
        scores: float32 ``[n]``.
        labels: int64 ``[n]``.
    """

    segments: Tensor
    scores: Tensor
    labels: Tensor


def decode(
    predictions: Predictions,
    *,
    min_score: float = 0.001,
    most: int = 2000,
    min_length: float = 0.05,
) -> list[Candidates]:
    """Return the candidates of each video, to be given to non-maximum suppression.

    Args:
        predictions: of the network.
        min_score: what a score must exceed.
        most: candidates per level; the best are taken.
        min_length: what a segment's length must exceed, in rows of features.
    """
    found = [_candidates(level, most) for level in predictions.levels()]
    segments, scores, labels = (torch.cat(part, dim=1) for part in zip(*found, strict=True))
    keep = (scores > min_score) & (segments[..., 1] - segments[..., 0] > min_length)
    return [
        Candidates(segments[i, kept], scores[i, kept], labels[i, kept])
        for i, kept in enumerate(keep)
    ]


def _candidates(level: Predictions, most: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return segments ``[B, n, 2]``, scores and labels ``[B, n]`` of the best of one level."""
    classes = level.logits.shape[-1]
    scores = level.logits.float().sigmoid() * level.mask.unsqueeze(-1)
    flat = scores.flatten(1)  # a point's classes lie side by side
    best, place = flat.topk(min(most, flat.shape[1]), dim=1)
    # Of equal scores the first place comes first, as in a stable sort of all of them.
    place, order = place.sort(dim=1)
    best, order = best.gather(1, order).sort(dim=1, descending=True, stable=True)
    place = place.gather(1, order)
    point = place // classes
    time, stride = level.points[point, 0], level.points[point, 3]
    offsets = level.offsets.float().gather(1, point.unsqueeze(-1).expand(-1, -1, 2))
    ends = torch.stack([time - offsets[..., 0] * stride, time + offsets[..., 1] * stride], dim=-1)
    return ends, best, place % classes
