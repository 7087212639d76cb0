"""Where the cells of the pyramid lie in time."""

from __future__ import annotations

import torch
from torch import Tensor

from actionspace.localization.network.config import ModelConfig


def pyramid_points(config: ModelConfig, rows: int, device: torch.device) -> Tensor:
    """Return the points of all levels for (padded) features of some rows, finest level first.

    They are float32 ``[F, 4]``, as of :func:`level_points`.
    """
    sizes = [rows // stride for stride in config.strides]
    return torch.cat([level_points(config, i, n, device) for i, n in enumerate(sizes)])


def level_points(config: ModelConfig, level: int, cells: int, device: torch.device) -> Tensor:
    """Return the points of one level, float32 ``[cells, 4]``.

    A row is: time (in rows of features), the shortest and the longest distance that the level
    learns, and the stride of the level.

    Args:
        config: the network's.
        level: of those that are predicted from, from 0.
        cells: of the level.
        device: where they are wanted.
    """
    stride = float(config.strides[level])
    low, high = config.level_ranges[level]
    time = torch.arange(cells, device=device, dtype=torch.float32) * stride
    return torch.stack([time, *(torch.full_like(time, v) for v in (low, high, stride))], dim=1)
