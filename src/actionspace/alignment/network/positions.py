"""Where a frame lies in its clip, as numbers that attention can use."""

from __future__ import annotations

import torch
from torch import Tensor


def places(length: int, train_length: int | None = None) -> Tensor:
    """Return the places of the frames of a clip, float64 ``[length]``.

    Args:
        length: frames of the clip.
        train_length: the places are those of a clip of so many frames, stretched or compressed, so
            that first and last frame keep theirs; None = 0, 1, 2 ...
    """
    numbers = torch.arange(length, dtype=torch.float64)
    if train_length is None:
        return numbers
    # In tensors, so that the graph of an exported network takes clips of any length.
    return numbers * (train_length - 1) / numbers[-1].clamp(min=1)


def sinusoids(places: Tensor, dim: int) -> Tensor:
    """Return float64 ``[T, dim]``: sin(p / 10000^(k / d)) in even columns k, cosines in odd ones.

    As in CARL the exponent takes the column itself, not that of the sine beside a cosine (Vaswani
    et al., 2017): each column has a frequency of its own.
    """
    column = torch.arange(dim, dtype=torch.float64, device=places.device)
    angles = places.unsqueeze(1) / 10_000 ** (column / dim)
    return torch.where(column % 2 == 0, angles.sin(), angles.cos())
