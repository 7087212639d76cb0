"""Losses between segments about a common point, given as distances to begin and end.

A point of the pyramid lies in the segment that it learns and in the one that it says, so the two
always overlap: their union is the shortest segment that holds both, and generalised IoU
(Rezatofighi et al., CVPR 2019) is IoU. All functions take offsets ``[..., 2]`` of at least 0 and
give ``[...]``.
"""

from __future__ import annotations

import torch
from torch import Tensor

LEAST = 1e-8  # what lengths are divided by at least


def segment_iou(offsets: Tensor, targets: Tensor) -> Tensor:
    """Return the overlap divided by the union, 0 for two segments without a length."""
    overlap = torch.minimum(offsets, targets).sum(-1)
    union = offsets.sum(-1) + targets.sum(-1) - overlap
    return overlap / union.clamp(min=LEAST)


def iou_loss(offsets: Tensor, targets: Tensor) -> Tensor:
    """Return 1 - IoU, in [0, 1]; generalised IoU gives the same, see above."""
    return 1 - segment_iou(offsets, targets)


def diou_loss(offsets: Tensor, targets: Tensor) -> Tensor:
    """Return the distance-IoU loss (Zheng et al., AAAI 2020), in [0, 1.25].

    It adds the squared distance of the centres, in lengths of the segment that holds both.
    """
    apart = _centres_apart(offsets, targets) / _hull(offsets, targets).clamp(min=LEAST)
    return iou_loss(offsets, targets) + apart**2


def eiou_loss(offsets: Tensor, targets: Tensor) -> Tensor:
    """Return the efficient-IoU loss (Zhang et al., Neurocomputing 2022), in [0, 2.25].

    It adds the squared distance of the centres and the squared difference of the lengths, in
    lengths of the segment that holds both.
    """
    longer = offsets.sum(-1) - targets.sum(-1)
    hull = (_hull(offsets, targets) ** 2).clamp(min=LEAST)
    centres = _centres_apart(offsets, targets) ** 2 / hull
    return iou_loss(offsets, targets) + centres + longer**2 / hull


def focal_iou_loss(offsets: Tensor, targets: Tensor, gamma: float = 2.0) -> Tensor:
    """Return (1 - IoU) to the power of ``gamma + 1``: segments that nearly fit count little."""
    return iou_loss(offsets, targets).clamp(min=0) ** (gamma + 1)


def iou_weighted(loss: Tensor, offsets: Tensor, targets: Tensor) -> Tensor:
    """Return a loss times (2 - IoU), by which gradients flow as well: poor fits count up to twice.

    Args:
        loss: of each segment, ``[...]``.
        offsets, targets: the segments it is of.
    """
    return (2 - segment_iou(offsets, targets)) * loss


def _hull(offsets: Tensor, targets: Tensor) -> Tensor:
    return torch.maximum(offsets, targets).sum(-1)


def _centres_apart(offsets: Tensor, targets: Tensor) -> Tensor:
    return (offsets[..., 1] - offsets[..., 0] - targets[..., 1] + targets[..., 0]) / 2
