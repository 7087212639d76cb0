"""How drawn numbers reach the device, and operations the clips they are meant for."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor

#: Pixels that a CPU works on at a time: what is done to them one after another stays in its cache.
CACHED = 2**18


def on_device(values: np.ndarray, device: torch.device) -> Tensor:
    """Return numbers as a tensor on the device; the host does not wait for it."""
    return torch.from_numpy(values).to(device, non_blocking=True)


def on_rows(
    clips: Tensor, rows: np.ndarray, change: Callable[..., Tensor], *values: np.ndarray
) -> Tensor:
    """Return clips of which some are changed; the memory of the others is used again.

    Args:
        clips: ``[B, ...]``.
        rows: int64 ``[R]``, the places of those to change.
        change: what becomes of them; called with their clips and values.
        values: for them, each ``[R, ...]``.
    """
    if not len(rows):
        return clips
    given = [on_device(one, clips.device) for one in values]
    if len(rows) == len(clips):
        return change(clips, *given)
    if len(rows) == 1:  # a view does
        [row] = rows.tolist()
        clips[row : row + 1] = change(clips[row : row + 1], *given)
        return clips
    at = on_device(rows, clips.device)
    return clips.index_copy_(0, at, change(clips.index_select(0, at), *given))


def pieces(clips: Tensor) -> Iterator[tuple[slice, slice]]:
    """Yield clips and frames of ``[B, T, C, H, W]`` to work on at a time: all, on a CPU a few."""
    if clips.device.type != "cpu":
        yield slice(None), slice(None)
        return
    frames = max(1, CACHED // (clips.shape[-1] * clips.shape[-2]))
    for clip in range(clips.shape[0]):
        for first in range(0, clips.shape[1], frames):
            yield slice(clip, clip + 1), slice(first, first + frames)
