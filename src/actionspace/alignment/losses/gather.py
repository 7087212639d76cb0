"""Rows of all processes as one tensor, with gradients flowing back to who they came from."""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.autograd.function import once_differentiable


def processes() -> int:
    """Return how many processes take part."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def gather_rows(rows: Tensor) -> tuple[Tensor, int]:
    """Return ``[N_0 + N_1 + ..., ...]``, the rows of each process, and where one's own begin.

    A row's gradient is the sum of what all processes send back to it. All processes must call
    this together, and so must their backward passes. Alone, the rows are returned as they are.

    Args:
        rows: ``[N_r, ...]``; processes may differ in their number, not in the other sizes.
    """
    if processes() == 1:
        return rows, 0
    counts = [torch.zeros(1, dtype=torch.long, device=rows.device) for _ in range(processes())]
    dist.all_gather(counts, torch.tensor([len(rows)], device=rows.device))
    sizes = [int(count) for count in counts]
    gathered: Tensor = _Gather.apply(rows, sizes)
    return gathered, sum(sizes[: dist.get_rank()])


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, rows: Tensor, sizes: list[int]) -> Tensor:
        # Collectives want equal shapes; the last batch of an epoch may be smaller on some.
        padded = rows.new_zeros(max(sizes), *rows.shape[1:])
        padded[: len(rows)] = rows
        parts = [torch.empty_like(padded) for _ in sizes]
        dist.all_gather(parts, padded)
        begin = sum(sizes[: dist.get_rank()])
        ctx.own = slice(begin, begin + len(rows))
        return torch.cat([part[:size] for part, size in zip(parts, sizes, strict=True)])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        total = gradient.clone()
        dist.all_reduce(total)
        return total[ctx.own], None
