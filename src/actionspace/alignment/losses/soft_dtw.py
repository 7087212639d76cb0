"""Soft dynamic time warping (Cuturi and Blondel, "Soft-DTW", ICML 2017), batched.

Cells of one anti-diagonal do not depend on each other, so that the recurrence takes N + M steps of
vector operations; gradients are PyTorch's own.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from actionspace.alignment.losses.precision import full_precision

FAR = 1e10  # the cost of what lies outside; finite, so that gradients are


@full_precision
def soft_dtw(cost: Tensor, gamma: float, lengths: Tensor | None = None) -> Tensor:
    """Return the soft minimum ``[B]``, over all warping paths, of the cost along the path.

    ``gamma`` 0 gives the minimum itself (dynamic time warping); above it the value is lower, by up
    to gamma times the logarithm of the number of paths, and may be negative. A pair without frames
    costs 0.

    Args:
        cost: ``[B, N, M]``, between the frames of two videos.
        gamma: softness, at least 0.
        lengths: int64 ``[B, 2]``, frames of each that are no padding, which is at the end.
    """
    batch, rows, columns = cost.shape
    if lengths is None:
        lengths = torch.tensor([rows, columns], device=cost.device).expand(batch, 2)
    # Column k of ``skewed`` is the anti-diagonal i + j = k, by row i; 0 where j is outside. What
    # lies before the first column is far, since nothing leads there; what lies behind the last one
    # leads nowhere.
    skewed = functional.pad(cost, (0, rows)).flatten(1)[:, : rows * (columns + rows - 1)]
    skewed = skewed.view(batch, rows, columns + rows - 1)
    start = cost.new_zeros(batch, 1)
    outside = cost.new_full((batch, 1), FAR)
    # Entry i + 1 is row i; entry 0 the border above the first row.
    older = torch.cat([start, outside.expand(-1, rows)], dim=1)
    old = outside.expand(-1, rows + 1)
    ends = []
    for k in range(rows + columns - 1):
        reached = _soft_min(torch.stack([older[:, :-1], old[:, :-1], old[:, 1:]]), gamma)
        now = skewed[:, :, k] + reached
        ends.append(now)
        older, old = old, torch.cat([outside, now], dim=1)
    last = (lengths - 1).clamp(min=0)
    path = torch.stack(ends, dim=1)[
        torch.arange(batch, device=cost.device), last.sum(1), last[:, 0]
    ]
    return torch.where((lengths > 0).all(1), path, 0)


def _soft_min(values: Tensor, gamma: float) -> Tensor:
    return values.amin(0) if gamma == 0 else -gamma * (-values / gamma).logsumexp(0)
