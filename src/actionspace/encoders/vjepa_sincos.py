"""Fixed sine and cosine positions of V-JEPA without rotary ones (no released model has them)."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

Grid = tuple[int, int, int]


def sincos_table(dim: int, grid: Grid, *, uniform: bool = False) -> Tensor:
    """Return the table ``[1, T' * H' * W', dim]`` float32.

    Half of the channels tell time, a quarter rows and a quarter columns; with ``uniform`` a third
    each, cut off at ``dim``. Within each, sines and then cosines. Of a picture (T' = 1) half tell
    rows and half columns.
    """
    t, h, w = (axis.flatten() for axis in _mesh(grid))
    if grid[0] == 1:
        parts = [_waves(h, dim // 2), _waves(w, dim // 2)]
    else:
        third = math.ceil(dim / 6) * 2
        widths = (third, third, third) if uniform else (dim // 2, dim // 4, dim // 4)
        parts = [_waves(p, width) for p, width in zip((t, h, w), widths, strict=True)]
    return torch.cat(parts, dim=1)[None, :, :dim].float()


def fit_table(table: Tensor, built_for: Grid, grid: Grid) -> Tensor:
    """Return the table for another grid of tokens than it was built for.

    Fewer times are cut off; other rows or columns are interpolated, by trilinear (of a picture by
    bicubic) interpolation with the ratio of the axes as scale.
    """
    if grid == built_for:
        return table
    if grid[1:] == built_for[1:] and grid[0] < built_for[0]:
        return table[:, : math.prod(grid)]
    volume = table.reshape(1, *built_for, -1).permute(0, 4, 1, 2, 3)
    scale = [new / old for new, old in zip(grid, built_for, strict=True)]
    if built_for[0] == 1:
        picture = F.interpolate(volume[:, :, 0], scale_factor=scale[1:], mode="bicubic")
        return picture.flatten(2).transpose(1, 2)
    return F.interpolate(volume, scale_factor=scale, mode="trilinear").flatten(2).transpose(1, 2)


def _mesh(grid: Grid) -> tuple[Tensor, ...]:
    axes = [torch.arange(n, dtype=torch.float64) for n in grid]
    return torch.meshgrid(*axes, indexing="ij")


def _waves(positions: Tensor, width: int) -> Tensor:
    half = width // 2
    rates = 10000 ** -(torch.arange(half, dtype=torch.float64) / (width / 2))
    angles = positions[:, None] * rates
    return torch.cat((angles.sin(), angles.cos()), dim=1)
