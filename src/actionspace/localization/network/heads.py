"""The two heads, shared by all levels: which actions, and how far away they begin and end."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from actionspace.localization.network.config import ModelConfig
from actionspace.localization.network.layers import MaskedConv1d, Scale, norm

#: Score at the start of a class that is never seen in training.
EMPTY = 1e-6


class Row(NamedTuple):
    """The levels of a pyramid one after the other, so that a head runs once for all of them.

    Attributes:
        x: ``[B, N, C]``.
        mask: bool ``[B, N]``, valid cells.
        apart: ``[N, 1]``, 0 in the empty cells that keep neighbouring levels apart, else 1.
    """

    x: Tensor
    mask: Tensor
    apart: Tensor


def line_up(levels: Sequence[Tensor], masks: Sequence[Tensor], gap: int) -> Row:
    """Return the levels ``[B, T_l, C]`` in one row, ``gap`` empty cells before and after each."""
    apart = [level.new_ones(1, level.shape[1], 1) for level in levels]
    return Row(_spaced(levels, gap), _spaced(masks, gap), _spaced(apart, gap)[0])


def drop_gaps(x: Tensor, sizes: Sequence[int], gap: int) -> Tensor:
    """Return ``[B, sum of sizes, C]``: what :func:`line_up` lined up, without the empty cells."""
    widths = [gap, *(width for size in sizes for width in (size, gap))]
    return torch.cat(torch.split(x, widths, dim=1)[1::2], dim=1)


def _spaced(parts: Sequence[Tensor], gap: int) -> Tensor:
    """Return parts ``[B, T_l, ...]`` one after the other, zeros before, between and behind."""
    first = parts[0]
    empty = first.new_zeros(len(first), gap, *first.shape[2:])
    return torch.cat([empty, *(piece for part in parts for piece in (part, empty))], dim=1)


class Trunk(nn.Module):
    """The layers of a head before its output."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        widths = [config.neck_dim, *[config.head_dim] * (config.head_layers - 1)]
        self.head = nn.ModuleList(
            MaskedConv1d(i, o, config.head_kernel, bias=not config.head_norm)
            for i, o in pairwise(widths)
        )
        self.norm = nn.ModuleList(norm(config.head_dim, config.head_norm) for _ in self.head)
        self.output_dim = widths[-1]

    def trunk(self, row: Row) -> Tensor:
        """Return hidden features ``[B, N, C]``."""
        x = row.x
        for conv, normed in zip(self.head, self.norm, strict=True):
            # A norm's bias fills padded cells, as in the original, but must not fill the gaps.
            x = normed(conv(x, row.mask)[0]).relu() * row.apart
        return x


class ClassHead(Trunk):
    """Logits of the classes.

    Args:
        config: the network's.
        classes: how many.
        empty: those that no training video has; their scores start, and stay, near 0.
    """

    def __init__(self, config: ModelConfig, classes: int, empty: Sequence[int] = ()) -> None:
        super().__init__(config)
        self.cls_head = MaskedConv1d(self.output_dim, classes, config.head_kernel)
        bias = self.cls_head.conv.bias
        assert bias is not None
        with torch.no_grad():
            bias.fill_(_logit(config.prior))
            bias[list(empty)] = _logit(EMPTY)

    def forward(self, row: Row) -> Tensor:
        """Return logits ``[B, N, K]``."""
        logits: Tensor = self.cls_head(self.trunk(row), row.mask)[0]
        return logits


class RegressionHead(Trunk):
    """Distances to begin and end, in cells of the level."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        self.offset_head = MaskedConv1d(self.output_dim, 2, config.head_kernel)
        self.scale = nn.ModuleList(Scale() for _ in config.strides)

    def forward(
        self, row: Row, sizes: Sequence[int], gap: int, learnt: Tensor | None = None
    ) -> Tensor:
        """Return distances ``[B, F, 2]``, at least 0, without the gaps; F = sum of sizes.

        Args:
            row: the levels.
            sizes: of the levels, in cells.
            gap: empty cells around each.
            learnt: bool ``[B, F]``, the only points whose distances matter; others are wrong.
        """
        raw = self._raw(row) if learnt is None else self._raw_near(row, sizes, gap, learnt)
        levels = torch.split(drop_gaps(raw, sizes, gap), list(sizes), dim=1)
        pairs = zip(self.scale, levels, strict=True)
        return torch.cat([scale(level) for scale, level in pairs], dim=1).relu()

    def _raw(self, row: Row) -> Tensor:
        raw: Tensor = self.offset_head(self.trunk(row), row.mask)[0]
        return raw

    def _raw_near(self, row: Row, sizes: Sequence[int], gap: int, learnt: Tensor) -> Tensor:
        """Return ``[B, N, 2]`` that is right at the points learnt.

        Few points lie in events, and what they say depends on as many cells to each side as all
        layers together reach. Those cells, in their order, are a short row of their own.
        """
        wanted = _spaced(torch.split(learnt, list(sizes), dim=1), gap)
        reach = gap * (len(self.head) + 1)
        near = functional.max_pool1d(wanted.float(), 2 * reach + 1, 1, padding=reach) > 0
        near[:, 0] = True  # so that there is something, and each parameter has a gradient
        apart = row.apart.expand(len(near), -1, -1)[near]
        short = Row(row.x[near].unsqueeze(0), row.mask[near].unsqueeze(0), apart)
        raw = self._raw(short)[0]
        return raw.new_zeros(*near.shape, 2).index_put((near,), raw)


def _logit(probability: float) -> float:
    return -math.log((1 - probability) / probability)
