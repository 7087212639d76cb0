"""What V-JEPA 2.1 is trained with (arXiv 2603.14482): dense prediction of a teacher's tokens."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from actionspace.encoders.vjepa_rope import token_positions
from actionspace.errors import UsageError


def normalise_levels(tokens: Tensor, levels: int) -> Tensor:
    """Return the teacher's tokens ``[B, N, levels * D]``, each level normed without weights."""
    each = tokens.reshape(*tokens.shape[:-1], levels, -1)
    return F.layer_norm(each, each.shape[-1:]).flatten(-2)


def target_distance(
    context: Tensor, targets: Tensor, grid_size: int, *, offset: bool = False
) -> Tensor:
    """Return the distance ``[B, K]`` of each context token to the nearest target, in patches.

    Args:
        context: token numbers ``[B, K]``.
        targets: token numbers ``[B, M]``.
        grid_size: rows and columns of the grid they are counted on.
        offset: divide by ``grid_size // 16``, so that finer grids count as that of 256 pixels.

    Raises:
        UsageError: ``offset`` on a grid of less than 16.
    """
    if offset and grid_size < 16:
        raise UsageError(f"offset needs a grid of at least 16 x 16, not {grid_size}.")
    grid = (grid_size, grid_size)
    nearest = torch.cdist(token_positions(context, grid), token_positions(targets, grid)).amin(-1)
    return nearest / (grid_size // 16) if offset else nearest


def prediction_loss(
    predicted: Tensor, teacher: Tensor, *, distance: Tensor | None = None, exponent: float = 1.0
) -> Tensor:
    """Return the mean of ``|predicted - teacher| ** exponent / exponent``.

    Args:
        predicted, teacher: ``[B, K, D]``, the teacher's normed by :func:`normalise_levels`.
        distance: of context tokens, ``[B, K]``; weighs each by one over its square root.
        exponent: of the error.
    """
    error = (predicted - teacher).abs() ** exponent / exponent
    return (error if distance is None else error / distance.sqrt()[..., None]).mean()


def context_weight(
    step: int, *, final: float = 0.5, start: int = 15_000, stop: int = 30_000
) -> float:
    """Return the weight of the context's loss: 0 until ``start``, rising to ``final`` at ``stop``.

    The total is the targets' loss plus this times the context's.
    """
    return final * min(max((step - start) / (stop - start), 0.0), 1.0)
