"""Where a token lies in a clip, and the rotary tables of V-JEPA 2 and 2.1 made of it.

Three-dimensional rotary positions: a head's channels are split in three equal even parts for time,
height and width, and the few that remain are not rotated. The two versions expand the table of
angles over the channels differently, and weights of one give plausible but wrong features with the
other. Tables are float32 whatever the tokens are.
"""

from __future__ import annotations

import torch
from torch import Tensor

from actionspace.errors import UsageError

Table = tuple[Tensor, Tensor]
"""Cosines and sines, ``[B or 1, 1, N, channels]``."""

#: Rows and columns of the grid that V-JEPA 2.1 was trained on, by patch size: 256 or 252 pixels.
_TRAINED_GRID = {16: 16, 14: 18}


def trained_span(patch_size: int) -> int:
    """Return the last position along an axis of space that V-JEPA 2.1 was trained on.

    Raises:
        UsageError: none is defined for this patch size.
    """
    if patch_size not in _TRAINED_GRID:
        raise UsageError(
            f"interpolate_rope is defined for patches of {' and '.join(map(str, _TRAINED_GRID))} "
            f"pixels, not {patch_size}; switch it off."
        )
    return _TRAINED_GRID[patch_size] - 1


def token_positions(ids: Tensor, grid: tuple[int, int], span: int | None = None) -> Tensor:
    """Return time, row and column ``[..., 3]`` float32 of token numbers ``[...]``.

    Args:
        ids: time-major, then row, then column.
        grid: rows and columns the numbers are counted on.
        span: stretch rows and columns so that the last ones lie here; a single row or column lies
            at 0 (the original divides by zero there). ``None`` leaves them as counted.
    """
    rows, columns = grid
    t = torch.div(ids, rows * columns, rounding_mode="floor")
    inside = ids - t * rows * columns
    h = torch.div(inside, columns, rounding_mode="floor")
    w = inside - h * columns
    if span is not None:
        h, w = h * span / max(rows - 1, 1), w * span / max(columns - 1, 1)
    return torch.stack((t.float(), h.float(), w.float()), dim=-1)


def rotary_table(positions: Tensor, head_dim: int, *, interleaved: bool) -> Table:
    """Return cosines and sines ``[B or 1, 1, N, head_dim]`` of positions ``[(B,) N, 3]``.

    Channels that are not rotated have cosine 1 and sine 0; of an odd head the last is left out.

    Args:
        positions: of :func:`token_positions`.
        head_dim: channels of a head.
        interleaved: both channels of a pair turn by the same angle (2.1). Otherwise the angles of
            an axis follow each other and then again (2.0), so that a pair's two differ.
    """
    half = head_dim // 3 // 2
    steps = torch.arange(half, dtype=torch.float32, device=positions.device)
    angles = positions[..., None] * 10000 ** -(steps / max(half, 1))  # [..., N, 3, half]
    angles = angles.repeat_interleave(2, -1) if interleaved else torch.cat((angles, angles), -1)
    angles = angles.flatten(-2)
    rest = head_dim // 2 * 2 - angles.shape[-1]
    angles = torch.nn.functional.pad(angles, (0, rest)).unsqueeze(-3)
    angles = angles if angles.ndim == 4 else angles[None]
    return angles.cos(), angles.sin()


def rotate(x: Tensor, table: Table) -> Tensor:
    """Turn pairs of neighbouring channels of queries or keys ``[B, heads, N, head_dim]``."""
    cos, sin = table
    width = cos.shape[-1]
    even = x[..., :width]
    first, second = even.reshape(*even.shape[:-1], -1, 2).unbind(-1)
    turned = torch.stack((-second, first), dim=-1).flatten(-2)
    y = (even * cos + turned * sin).to(x.dtype)
    return y if width == x.shape[-1] else torch.cat((y, x[..., width:]), dim=-1)
