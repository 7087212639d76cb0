"""Attention of ActionFormer: over the whole video, or within a band around the diagonal."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from actionspace.localization.network.layers import (
    ChannelNorm,
    MaskedConv1d,
    Pointwise,
    convolve,
    time_last,
)


def global_attention(query: Tensor, key: Tensor, value: Tensor, mask: Tensor) -> Tensor:
    """Return attention ``[B, H, T, D]`` of every cell to all valid ones.

    Args:
        query, key, value: ``[B, H, T, D]``.
        mask: bool ``[B, T]``, with one valid cell at least.
    """
    return functional.scaled_dot_product_attention(
        query, key, value, attn_mask=mask[:, None, None, :]
    )


def banded_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Tensor,
    half: int,
    bias: Tensor | None = None,
) -> Tensor:
    """Return attention ``[B, H, T, D]`` of cell i to the valid cells j with ``|i - j| <= half``.

    Blocks of queries attend to the keys of their block and ``half`` more to each side; keys and
    values of all blocks are overlapping views of one padded tensor, so that time and memory are
    linear in T. What padded queries get is finite and means nothing.

    Args:
        query, key, value: ``[B, H, T, D]``.
        mask: bool ``[B, T]``.
        half: cells to each side.
        bias: ``[H, 2 half + 1]``, added to the scores by offset ``j - i + half``.
    """
    batch, heads, time, dim = query.shape
    size = max(32, half)  # of a block; larger ones compute more that the band excludes
    blocks = -(-time // size)
    spare = blocks * size - time

    query = functional.pad(query, (0, 0, 0, spare)).reshape(batch * heads, blocks, size, dim)
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
    allowed = seen.unsqueeze(1).expand(-1, heads, -1, -1, -1)
    if bias is not None:
        by_offset = bias[:, (offset + half).clamp(0, 2 * half)].unsqueeze(1)
        allowed = torch.where(allowed, by_offset.to(query.dtype), float("-inf"))
    out = functional.scaled_dot_product_attention(
        query, keys, values, attn_mask=allowed.flatten(0, 1)
    )
    return out.reshape(batch, heads, blocks * size, dim)[:, :, :time]


def _offsets(size: int, half: int, device: torch.device) -> Tensor:
    """Return the offsets from each query of a block to each key it comes with, ``[Q, K]``."""
    queries = torch.arange(size, device=device).unsqueeze(1)
    keys = torch.arange(-half, size + half, device=device)
    return keys - queries


class Attention(nn.Module):
    """Multi-head attention with depthwise convolutions before its projections.

    Args:
        channels: of input and output.
        heads: that these divide into.
        stride: how much coarser the output is.
        window: cells a query attends to; at most 1 = all of the video.
        dropout: of the output.
        relative: learn a bias by offset (windows only, odd ones).
    """

    def __init__(
        self,
        channels: int,
        heads: int,
        *,
        stride: int = 1,
        window: int = -1,
        dropout: float = 0.0,
        relative: bool = False,
    ) -> None:
        super().__init__()
        self.heads, self.window = heads, window
        self.stride = stride
        self.query_conv, self.key_conv, self.value_conv = (
            _depthwise(channels, stride) for _ in range(3)
        )
        self.query_norm, self.key_norm, self.value_norm = (ChannelNorm(channels) for _ in range(3))
        self.query, self.key, self.value = (Pointwise(channels, channels) for _ in range(3))
        self.proj = Pointwise(channels, channels)
        self.proj_drop = nn.Dropout(dropout)
        self.rel_pe: nn.Parameter | None = None
        if relative and window > 1:
            self.rel_pe = nn.Parameter(torch.zeros(1, 1, heads, window))
            nn.init.trunc_normal_(self.rel_pe, std=(2.0 / channels) ** 0.5)

    def forward(self, x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Return ``[B, T / stride, C]`` and its mask, for ``x [B, T, C]``, ``mask [B, T]``."""
        mask = mask[:, :: self.stride]
        x = time_last(x)
        query = self._heads(self.query(self.query_norm(convolve(x, self.query_conv.conv))))
        key = self._heads(self.key(self.key_norm(convolve(x, self.key_conv.conv))))
        value = self._heads(self.value(self.value_norm(convolve(x, self.value_conv.conv))))
        if self.window > 1:
            bias = None if self.rel_pe is None else self.rel_pe[0, 0]
            out = banded_attention(query, key, value, mask, self.window // 2, bias)
        else:
            out = global_attention(query, key, value, mask)
        out = self.proj_drop(self.proj(out.transpose(1, 2).flatten(2)))
        return out * mask.unsqueeze(-1), mask

    def _heads(self, x: Tensor) -> Tensor:
        """Return ``x [B, T, C]`` as ``[B, H, T, D]``."""
        return x.reshape(*x.shape[:2], self.heads, -1).transpose(1, 2)


def _depthwise(channels: int, stride: int) -> MaskedConv1d:
    """Return a convolution of each channel by itself, whose mask is not used.

    The original zeroes its padded outputs; attention never looks at them.
    """
    kernel = 3 if stride == 1 else stride + 1
    return MaskedConv1d(channels, channels, kernel, stride=stride, groups=channels, bias=False)
