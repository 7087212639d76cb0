"""Shifted 3D windows: how a token grid is cut, shifted, masked and indexed (Video Swin).

Liu et al., "Video Swin Transformer", CVPR 2022. Sizes are (depth, height, width) in tokens.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

Size = tuple[int, int, int]

# Added to the logits of token pairs from different regions; not -inf, as in the original.
MASKED = -100.0


@dataclass(frozen=True)
class WindowPlan:
    """How one block cuts a grid of ``size`` tokens: fitted window and shift, and padding."""

    size: Size
    window: Size
    shift: Size
    padded: Size

    @property
    def shifted(self) -> bool:
        """Whether any axis is shifted (then regions must be masked from each other)."""
        return any(self.shift)


def plan_windows(size: Size, window: Size, shift: Size) -> WindowPlan:
    """Fit ``window`` to the unpadded grid ``size``.

    An axis not longer than the window becomes one window and is not shifted; equality counts.
    """
    whole = [n <= w for n, w in zip(size, window, strict=True)]
    fitted = _triple(n if one else w for n, w, one in zip(size, window, whole, strict=True))
    moved = _triple(0 if one else s for s, one in zip(shift, whole, strict=True))
    padded = _triple(-(-n // w) * w for n, w in zip(size, fitted, strict=True))
    return WindowPlan(size, fitted, moved, padded)


def partition(x: Tensor, plan: WindowPlan) -> Tensor:
    """Pad, shift and cut ``x`` [B, D, H, W, C] into windows [B * n_windows, tokens, C].

    Padding is zeros at the end of each axis; pad tokens take part in attention.
    """
    extra = [p - n for p, n in zip(plan.padded, plan.size, strict=True)]
    if any(extra):
        x = F.pad(x, (0, 0, 0, extra[2], 0, extra[1], 0, extra[0]))
    if plan.shifted:
        x = x.roll([-s for s in plan.shift], dims=(1, 2, 3))
    batch, channels = x.shape[0], x.shape[-1]
    (d, h, w), (wd, wh, ww) = plan.padded, plan.window
    x = x.view(batch, d // wd, wd, h // wh, wh, w // ww, ww, channels)
    return x.permute(0, 1, 3, 5, 2, 4, 6, 7).reshape(-1, wd * wh * ww, channels)


def merge(windows: Tensor, plan: WindowPlan) -> Tensor:
    """Undo :func:`partition`: windows [B * n_windows, tokens, C] to [B, D, H, W, C]."""
    (d, h, w), (wd, wh, ww) = plan.padded, plan.window
    x = windows.view(-1, d // wd, h // wh, w // ww, wd, wh, ww, windows.shape[-1])
    x = x.permute(0, 1, 4, 2, 5, 3, 6, 7).reshape(-1, d, h, w, windows.shape[-1])
    if plan.shifted:
        x = x.roll(plan.shift, dims=(1, 2, 3))
    return x[:, : plan.size[0], : plan.size[1], : plan.size[2]]


def shift_mask(plan: WindowPlan, device: torch.device, dtype: torch.dtype) -> Tensor | None:
    """Return the additive mask [n_windows, tokens, tokens] of a shifted plan, else ``None``.

    Tokens that a shift rolled from the start of an axis to its end share the last window with
    tokens they are no neighbours of; such pairs get :data:`MASKED`. (The original numbers three
    regions per axis; their third border lies between windows, where no pair can cross it.)
    """
    if not plan.shifted:
        return None
    labels = torch.zeros((1, *plan.padded, 1), device=device)
    for axis, (n, s) in enumerate(zip(plan.padded, plan.shift, strict=True)):
        rolled_in = torch.arange(n, device=device) >= n - s
        labels = labels * 2 + rolled_in.view([-1 if i == axis + 1 else 1 for i in range(5)])
    still = WindowPlan(plan.padded, plan.window, (0, 0, 0), plan.padded)
    ids = partition(labels, still).squeeze(-1)
    different = ids.unsqueeze(1) != ids.unsqueeze(2)
    return torch.zeros((), device=device, dtype=dtype).where(~different, MASKED)


def relative_index(window: Size) -> Tensor:
    """Row of the bias table for each token pair of a full window: int64 [tokens, tokens]."""
    axes = [torch.arange(n) for n in window]
    coords = torch.stack(torch.meshgrid(*axes, indexing="ij")).flatten(1)
    offset = coords[:, :, None] - coords[:, None, :]
    index = torch.zeros_like(offset[0])
    for axis, n in enumerate(window):
        index = index * (2 * n - 1) + offset[axis] + n - 1
    return index


def clipped_index(index: Tensor, full: Size, window: Size, *, compat: bool) -> Tensor:
    """Return the index for a ``window`` clipped from ``full``.

    With ``compat`` it is the top-left block of the full index, as the original (and torchvision)
    take it: right for a window clipped in time, entries of other offsets for one clipped in
    space. Without, each pair gets its own offset's entry.
    """
    if window == full:
        return index
    if compat:
        n = math.prod(window)
        return index[:n, :n]
    (_, h, w) = full
    kept = [(i * h + j) * w + k for i, j, k in itertools.product(*(range(n) for n in window))]
    rows = torch.tensor(kept, device=index.device)
    return index[rows][:, rows]


def _triple(values: Iterable[int]) -> Size:
    d, h, w = values
    return d, h, w
