"""Rotary positions."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class RotaryPositions(nn.Module):
    """Turns pairs of channels by angles that grow with the position ("RoFormer", Su et al., 2021).

    The product of a query and a key then depends on how far they are apart, and not on where they
    are, so that videos may be of any length. Channel ``i`` is paired with ``i + dim / 2``.

    Args:
        dim: channels of a head; even.
        base: ratio of the slowest to the fastest turn, roughly.
    """

    inv_freq: Tensor

    def __init__(self, dim: int, base: float) -> None:
        super().__init__()
        exponent = torch.arange(0, dim, 2, dtype=torch.float32) / dim
        # Kept with the weights, as the ``actionformer`` package does.
        self.register_buffer("inv_freq", 1.0 / base**exponent)

    def forward(self, query: Tensor, key: Tensor) -> tuple[Tensor, Tensor]:
        """Return both ``[B, H, T, D]`` turned; the heads may differ in number."""
        time = torch.arange(query.shape[2], device=query.device, dtype=torch.float32)
        angle = torch.outer(time, self.inv_freq.float())
        cos, sin = angle.cos(), angle.sin()
        return _turn(query, cos, sin), _turn(key, cos, sin)


def _turn(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Return ``x [..., T, D]`` turned, computed in float32, in its own type."""
    first, second = x.float().chunk(2, dim=-1)
    turned = torch.cat([first * cos - second * sin, second * cos + first * sin], dim=-1)
    return turned.to(x.dtype)
