"""From what the network says at its points to candidate segments."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from actionspace.events.nms_videos import Detections
from actionspace.localization.network.boundaries import boundary_spread
from actionspace.localization.network.model import Predictions
from actionspace.localization.network.trident import TridentPredictions


def decode(
    predictions: Predictions | TridentPredictions,
    *,
    min_score: float = 0.001,
    most: int = 2000,
    min_length: float = 0.05,
    temperature: float = 1.0,
) -> list[Detections]:
    """Return the candidates of each video in rows of features, as suppression takes them.

    They come level by level, by falling score within a level.

    Args:
        predictions: of the network.
        min_score: what a score must exceed.
        most: candidates per level; the best are taken.
        min_length: what a segment's length must exceed, in rows of features.
        temperature: what logits are divided by.
    """
    levels: Sequence[Predictions | TridentPredictions] = predictions.levels()
    found = [
        _candidates(level, most, sum(predictions.sizes[:i]), temperature)
        for i, level in enumerate(levels)
    ]
    segments, scores, labels, points = (torch.cat(part, dim=1) for part in zip(*found, strict=True))
    keep = (scores > min_score) & (segments[..., 1] - segments[..., 0] > min_length)
    return [
        Detections(
            segments[i, kept],
            scores[i, kept],
            labels[i, kept],
            _spread(predictions, i, points[i, kept]),
        )
        for i, kept in enumerate(keep)
    ]


def _candidates(
    level: Predictions | TridentPredictions, most: int, first: int, temperature: float
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return segments ``[B, n, 2]``, scores, labels and points ``[B, n]`` of the best of a level.

    Args:
        level: what the network says there.
        most: how many.
        first: number of its first point.
        temperature: what logits are divided by.
    """
    classes = level.logits.shape[-1]
    scores = (level.logits.float() / temperature).sigmoid() * level.mask.unsqueeze(-1)
    flat = scores.flatten(1)  # a point's classes lie side by side
    best, place = flat.topk(min(most, flat.shape[1]), dim=1)
    # Of equal scores the first place comes first, as in a stable sort of all of them.
    place, order = place.sort(dim=1)
    best, order = best.gather(1, order).sort(dim=1, descending=True, stable=True)
    place = place.gather(1, order)
    point, label = place // classes, place % classes
    video = torch.arange(len(place), device=place.device).unsqueeze(1).expand_as(place)
    time, stride = level.points[point, 0], level.points[point, 3]
    offsets = level.offsets_at(video, point, label)
    ends = torch.stack([time - offsets[..., 0] * stride, time + offsets[..., 1] * stride], dim=-1)
    return ends, best, label, first + point


def _spread(
    predictions: Predictions | TridentPredictions, video: int, points: Tensor
) -> Tensor | None:
    """Return how uncertain both ends are at some points of a video, ``[n, 2, 3]`` in rows."""
    if isinstance(predictions, TridentPredictions):
        return None
    if predictions.bins is None or predictions.width is None:
        return None
    cells = (predictions.width.abs() * predictions.points[:, 3])[points]
    return boundary_spread(predictions.bins[video, points], cells)
