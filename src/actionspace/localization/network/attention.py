"""Attention over the whole video, or within a band around the diagonal.

Heads of queries may share heads of keys and values: they are then more queries of one head.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from actionspace.localization.network.layers import (
    MaskedConv1d,
    Pointwise,
    convolve,
    norm,
    time_last,
)
from actionspace.localization.network.rope import RotaryPositions
from actionspace.localization.network.switches import ORIGINAL, Switches


def global_attention(
    query: Tensor, key: Tensor, value: Tensor, mask: Tensor, *, fused: bool = True
) -> Tensor:
    """Return attention ``[B, H, T, D]`` of every cell to all valid ones.

    Args:
        query: ``[B, H, T, D]``.
        key, value: ``[B, H', T, D]``; H is a multiple of H'.
        mask: bool ``[B, T]``, with one valid cell at least.
        fused: without a table of scores ``[T, T]``.
    """
    batch, heads, time, dim = query.shape
    shared = query.reshape(batch, key.shape[1], -1, dim)
    out = _attend(shared, key, value, mask[:, None, None, :], fused)
    return out.reshape(batch, heads, time, dim)


def banded_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Tensor,
    half: int,
    bias: Tensor | None = None,
    *,
    fused: bool = True,
) -> Tensor:
    """Return attention ``[B, H, T, D]`` of cell i to the valid cells j with ``|i - j| <= half``.

    Blocks of queries attend to the keys of their block and ``half`` more to each side; keys and
    values of all blocks are overlapping views of one padded tensor, so that time and memory are
    linear in T. What padded queries get is finite and means nothing.

    Args:
        query: ``[B, H, T, D]``.
        key, value: ``[B, H', T, D]``; H is a multiple of H'.
        mask: bool ``[B, T]``.
        half: cells to each side.
        bias: ``[H, 2 half + 1]``, added to the scores by offset ``j - i + half``.
        fused: without a table of scores.
    """
    batch, heads, time, dim = query.shape
    shared = key.shape[1]
    group = heads // shared
    size = max(32, half)  # of a block; larger ones compute more that the band excludes
    blocks = -(-time // size)
    spare = blocks * size - time

    query = functional.pad(query, (0, 0, 0, spare))
    query = query.reshape(batch * shared, group, blocks, size, dim).transpose(1, 2).flatten(2, 3)
    keys, values = (
        functional.pad(part, (0, 0, half, spare + half))
        .flatten(0, 1)
        .unfold(1, size + 2 * half, size)
        .mT
        for part in (key, value)
    )
    valid = functional.pad(mask, (half, spare + half)).unfold(1, size + 2 * half, size)
    offset = _offsets(size, half, mask.device)
    # Every cell sees itself: a padded one would else see nothing, which has no softmax.
    seen = (offset.abs() <= half) & (valid.unsqueeze(2) | (offset == 0))
    allowed = seen[:, None, :, None].expand(-1, shared, -1, group, -1, -1)
    if bias is not None:
        by_offset = bias[:, (offset + half).clamp(0, 2 * half)]
        by_offset = by_offset.reshape(shared, 1, group, *offset.shape)
        allowed = torch.where(allowed, by_offset.to(query.dtype), float("-inf"))
    out = _attend(query, keys, values, allowed.flatten(0, 1).flatten(2, 3), fused)
    out = out.reshape(batch * shared, blocks, group, size, dim).transpose(1, 2)
    return out.reshape(batch, heads, blocks * size, dim)[:, :, :time]


def _attend(query: Tensor, key: Tensor, value: Tensor, seen: Tensor, fused: bool) -> Tensor:
    """Return attention; ``seen`` is bool, or what is added to the scores."""
    if fused:
        return functional.scaled_dot_product_attention(query, key, value, attn_mask=seen)
    scores = query @ key.mT / query.shape[-1] ** 0.5
    if seen.dtype == torch.bool:
        seen = torch.where(seen, 0.0, float("-inf"))
    out: Tensor = (scores + seen).softmax(-1) @ value
    return out


def _offsets(size: int, half: int, device: torch.device) -> Tensor:
    """Return the offsets from each query of a block to each key it comes with, ``[Q, K]``."""
    queries = torch.arange(size, device=device).unsqueeze(1)
    keys = torch.arange(-half, size + half, device=device)
    return keys - queries


class Attention(nn.Module):
    """Multi-head attention, with depthwise convolutions before its projections or without.

    Args:
        channels: of input and output.
        heads: that these divide into.
        stride: how much coarser the output is.
        window: cells a query attends to; at most 1 = all of the video.
        dropout: of the output.
        switches: its convolutions, positions, shared heads and kernel.
    """

    def __init__(
        self,
        channels: int,
        heads: int,
        *,
        stride: int = 1,
        window: int = -1,
        dropout: float = 0.0,
        switches: Switches = ORIGINAL,
    ) -> None:
        super().__init__()
        self.heads, self.window, self.stride = heads, window, stride
        dim = channels // heads
        self.convs, self.fused = switches.convs, switches.fused
        if self.convs:
            self.query_conv, self.key_conv, self.value_conv = (
                _depthwise(channels, stride) for _ in range(3)
            )
            self.query_norm, self.key_norm, self.value_norm = (
                norm(channels, rms=switches.inner_rms_norm) for _ in range(3)
            )
        self.query = Pointwise(channels, channels)
        self.key, self.value = (
            Pointwise(channels, (switches.kv_heads or heads) * dim) for _ in range(2)
        )
        self.proj = Pointwise(channels, channels)
        self.proj_drop = nn.Dropout(dropout)
        self.rope: RotaryPositions | None = None
        if switches.rope_base is not None:
            self.rope = RotaryPositions(dim, switches.rope_base)
        self.rel_pe: nn.Parameter | None = None
        if switches.relative and window > 1:
            self.rel_pe = nn.Parameter(torch.zeros(1, 1, heads, window))
            nn.init.trunc_normal_(self.rel_pe, std=(2.0 / channels) ** 0.5)

    def forward(self, x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Return ``[B, T / stride, C]`` and its mask, for ``x [B, T, C]``, ``mask [B, T]``."""
        mask = mask[:, :: self.stride]
        sources = self._convolved(x) if self.convs else (x, x, x)
        projections = zip((self.query, self.key, self.value), sources, strict=True)
        query, key, value = (project(source) for project, source in projections)
        dim = query.shape[-1] // self.heads
        query, key, value = (_by_head(part, dim) for part in (query, key, value))
        if self.rope is not None:
            query, key = self.rope(query, key)
        if self.window > 1:
            half, bias = self.window // 2, None if self.rel_pe is None else self.rel_pe[0, 0]
            out = banded_attention(query, key, value, mask, half, bias, fused=self.fused)
        else:
            out = global_attention(query, key, value, mask, fused=self.fused)
        out = self.proj_drop(self.proj(out.transpose(1, 2).flatten(2)))
        return out * mask.unsqueeze(-1), mask

    def _convolved(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return what queries, keys and values are projected from, at the coarser resolution."""
        x = time_last(x)
        return (
            self.query_norm(convolve(x, self.query_conv.conv)),
            self.key_norm(convolve(x, self.key_conv.conv)),
            self.value_norm(convolve(x, self.value_conv.conv)),
        )


def _by_head(x: Tensor, dim: int) -> Tensor:
    """Return ``x [B, T, H * D]`` as ``[B, H, T, D]``."""
    return x.reshape(*x.shape[:2], -1, dim).transpose(1, 2)


def _depthwise(channels: int, stride: int) -> MaskedConv1d:
    """Return a convolution of each channel by itself, whose mask is not used.

    The original zeroes its padded outputs; attention never looks at them.
    """
    kernel = 3 if stride == 1 else stride + 1
    return MaskedConv1d(channels, channels, kernel, stride=stride, groups=channels, bias=False)
