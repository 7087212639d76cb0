"""From heat maps to candidate moments: local maxima, between cells."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from actionspace.events.nms_videos import Detections
from actionspace.events.point_nms import strongest
from actionspace.localization.network.model import Predictions
from actionspace.localization.network.points_config import Levels
from actionspace.localization.options import SuppressionConfig

HALF = 0.5  # cell: the farthest that a peak lies beside the highest cell
NEAREST = 2.0  # rows: peaks that are no farther apart cannot be told apart


def peaks(
    predictions: Predictions,
    *,
    min_score: float = 0.001,
    most: int = 2000,
    temperature: float = 1.0,
    refine: bool = True,
    levels: Levels = "finest",
) -> list[Detections]:
    """Return the peaks of each video in rows of features, as segments without extent.

    They come level by level, by falling score within a level. Without ``refine``, those of the
    finest level are the published SnapFormer's, which come by time and stay in rows.

    Args:
        predictions: of the network.
        min_score: what a score must exceed.
        most: peaks per level; the best are taken.
        temperature: what logits are divided by.
        refine: place a peak between cells, where a parabola through the logarithms of the scores
            of three cells has its top; that of a Gaussian is exact. Else on the highest cell.
        levels: where is looked for peaks.
    """
    parts = predictions.levels()[: 1 if levels == "finest" else None]
    parts = [part._replace(logits=part.logits.float() / temperature) for part in parts]
    found = [_of_level(part, min_score, most, refine) for part in parts]
    out = []
    for video in zip(*found, strict=True):
        times, scores, labels = (torch.cat(part) for part in zip(*video, strict=True))
        out.append(Detections(torch.stack([times, times], dim=1), scores, labels))
    return out


def apart(found: Detections, how: SuppressionConfig, step: float, most: int) -> Detections:
    """Return the moments of a video that are the best within a radius, best first.

    Args:
        found: candidates in rows.
        how: radius, least score, and whether classes suppress each other.
        step: seconds between two rows.
        most: how many are kept.
    """
    found = found.at(found.scores >= how.min_score)
    times, scores, labels = (
        part.cpu().numpy() for part in (found.segments[:, 0], found.scores, found.labels)
    )
    if how.method == "none":
        return found.at(found.scores.argsort(descending=True, stable=True)[:most])
    radius = NEAREST if how.peaks.radius is None else how.peaks.radius / step
    kept = strongest(times, scores, labels if how.multiclass else 0 * labels, radius)[:most]
    return found.at(torch.from_numpy(kept).to(found.scores.device))


def _of_level(
    level: Predictions, min_score: float, most: int, refine: bool
) -> list[tuple[Tensor, Tensor, Tensor]]:
    """Return times in rows, scores and labels ``[n]`` of the peaks of each video."""
    logits = level.logits.masked_fill(~level.mask.unsqueeze(-1), -torch.inf)
    around = functional.pad(logits, (0, 0, 1, 1), value=-torch.inf)
    before, after = around[:, :-2], around[:, 2:]
    scores = logits.sigmoid()
    # Of two equal neighbours the first is the peak: half precision has such.
    high = (logits > before) & (logits >= after) & (scores > min_score)
    shift = _shift(before, logits, after) if refine else torch.zeros_like(logits)
    out = []
    for video in range(len(logits)):
        cell, label = high[video].nonzero().unbind(1)
        score = scores[video, cell, label]
        best = score.argsort(descending=True, stable=True)[:most]
        cell, label, score = cell[best], label[best], score[best]
        stride = level.points[cell, 3]
        time = level.points[cell, 0] + shift[video, cell, label] * stride
        out.append((time, score, label))
    return out


def _shift(before: Tensor, here: Tensor, after: Tensor) -> Tensor:
    """Return by how many cells the top lies beside each cell; 0 at the ends of a video."""
    left, middle, right = (functional.logsigmoid(x) for x in (before, here, after))
    bend = left - 2 * middle + right
    top = (left - right) / (2 * bend)
    inner = before.isfinite() & after.isfinite() & (bend < 0)
    return torch.where(inner, top, 0.0).clamp(-HALF, HALF)
