"""Stochastic depth."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class DropPath(nn.Module):
    """Stochastic depth: drops a residual branch per sample with probability ``rate``.

    Huang et al., "Deep Networks with Stochastic Depth", ECCV 2016. Survivors are scaled by
    1 / (1 - rate). Active in training mode only.
    """

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        """Return ``x`` [B, ...] with whole samples zeroed."""
        if not self.training or self.rate == 0:
            return x
        keep = torch.empty((x.shape[0], *[1] * (x.ndim - 1)), dtype=x.dtype, device=x.device)
        return x * keep.bernoulli_(1 - self.rate).div_(1 - self.rate)

    def extra_repr(self) -> str:
        """Show the rate."""
        return f"rate={self.rate:.3f}"
