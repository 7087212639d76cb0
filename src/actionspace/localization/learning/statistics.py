"""How well the segments of points fit that learn one: what is watched while losses fall."""

from __future__ import annotations

import torch
from torch import Tensor


def iou_statistics(
    iou: Tensor, among: Tensor | None = None, count: Tensor | None = None
) -> dict[str, Tensor]:
    """Return ``mean_iou``, ``min_iou`` and ``max_iou``, scalars; all 0 where there is nothing.

    Args:
        iou: of each segment with the one it learns, see :func:`.segment_losses.segment_iou`.
        among: bool of the same shape, those that count; None = all.
        count: what the sum is divided by instead of their number, so that the means of the parts of
            an optimiser step, weighed by their shares of it, add up to the mean of the step.
    """
    counted = torch.ones_like(iou, dtype=torch.bool) if among is None else among
    divisor = counted.sum() if count is None else count
    return {
        "mean_iou": (iou * counted).sum() / divisor.clamp(min=1e-8),
        "min_iou": torch.where(counted, iou, 1.0).amin() * counted.any(),
        "max_iou": torch.where(counted, iou, 0.0).amax(),
    }
