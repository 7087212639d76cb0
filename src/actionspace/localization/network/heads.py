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


class Distances(NamedTuple):
    """What a regression head says of the ends of events; F = points of all levels.

    Attributes:
        offsets: ``[B, F, 2]``, distances to begin and end in cells of the level, at least 0.
        bins: logits ``[B, F, 2, n]`` of the bins that the distances are means of, if they are.
        width: ``[F]``, cells from one bin to the next.
    """

    offsets: Tensor
    bins: Tensor | None = None
    width: Tensor | None = None


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
    empty = first.new_zeros(first.shape[0], gap, *first.shape[2:])
    return torch.cat([empty, *(piece for part in parts for piece in (part, empty))], dim=1)


class Trunk(nn.Module):
    """The layers of a head before its output.

    With ``head_skip`` a 1x1 convolution comes before them, and each second one has a shortcut.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.input_proj: MaskedConv1d | None = None
        inputs = config.neck_dim
        if config.head_skip:
            bias, inputs = not config.head_norm, config.head_dim
            self.input_proj = MaskedConv1d(config.neck_dim, inputs, 1, bias=bias)
            self.input_norm = norm(inputs, config.head_norm)
        widths = [inputs, *[config.head_dim] * (config.head_layers - 1)]
        self.head = nn.ModuleList(
            MaskedConv1d(i, o, config.head_kernel, bias=not config.head_norm)
            for i, o in pairwise(widths)
        )
        self.norm = nn.ModuleList(norm(config.head_dim, config.head_norm) for _ in self.head)
        self.output_dim = widths[-1]

    def trunk(self, row: Row) -> Tensor:
        """Return hidden features ``[B, N, C]``."""
        x = row.x
        if self.input_proj is not None:
            x = _layer(self.input_proj, self.input_norm, x, row)
        for i, (conv, normed) in enumerate(zip(self.head, self.norm, strict=True)):
            y: Tensor = _layer(conv, normed, x, row)
            x = y + x if self.input_proj is not None and i % 2 else y
        return x

    def levels(
        self,
        output: MaskedConv1d,
        row: Row,
        sizes: Sequence[int],
        gap: int,
        learnt: Tensor | None = None,
    ) -> Tensor:
        """Return what the last layer ``output`` says of all levels ``[B, F, C]``, without the gaps.

        Args:
            output: the layer behind the trunk.
            row: the levels.
            sizes: of the levels, in cells; F = their sum.
            gap: empty cells around each.
            learnt: bool ``[B, F]``, the only points that matter; others are wrong.
        """
        if learnt is None:
            return drop_gaps(output(self.trunk(row), row.mask)[0], sizes, gap)
        return drop_gaps(self._near(output, row, sizes, gap, learnt), sizes, gap)

    def _near(
        self, output: MaskedConv1d, row: Row, sizes: Sequence[int], gap: int, learnt: Tensor
    ) -> Tensor:
        """Return ``[B, N, C]`` that is right at the points learnt.

        Few points lie in events, and what is said of them depends on as many cells to each side as
        all layers together reach. Those cells, in their order, are a short row of their own.
        """
        wanted = _spaced(torch.split(learnt, list(sizes), dim=1), gap)
        reach = gap * (len(self.head) + 1)
        near = functional.max_pool1d(wanted.float(), 2 * reach + 1, 1, padding=reach) > 0
        near[:, 0] = True  # so that there is something, and each parameter has a gradient
        apart = row.apart.expand(len(near), -1, -1)[near]
        short = Row(row.x[near].unsqueeze(0), row.mask[near].unsqueeze(0), apart)
        raw: Tensor = output(self.trunk(short), short.mask)[0][0]
        return raw.new_zeros(*near.shape, raw.shape[-1]).index_put((near,), raw)


def _layer(conv: nn.Module, normed: nn.Module, x: Tensor, row: Row) -> Tensor:
    """Return ``[B, N, C]`` behind one layer of a trunk."""
    # A norm's bias fills padded cells, as in the original, but must not fill the gaps.
    y: Tensor = normed(conv(x, row.mask)[0])
    return (y * row.apart).relu_()


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
        start_scores(self.cls_head.conv, config.prior, empty)

    def forward(self, row: Row) -> Tensor:
        """Return logits ``[B, N, K]``."""
        logits: Tensor = self.cls_head(self.trunk(row), row.mask)[0]
        return logits


class RegressionHead(Trunk):
    """Distances to begin and end, in cells of the level."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        self.offset_head = MaskedConv1d(self.output_dim, 2, config.head_kernel)
        assert self.offset_head.conv.bias is not None
        nn.init.constant_(self.offset_head.conv.bias, config.distance_start)
        self.scale = nn.ModuleList(Scale() for _ in config.strides)

    def forward(
        self, row: Row, sizes: Sequence[int], gap: int, learnt: Tensor | None = None
    ) -> Distances:
        """Return distances ``[B, F, 2]``, at least 0, without the gaps; F = sum of sizes.

        Args:
            row: the levels.
            sizes: of the levels, in cells.
            gap: empty cells around each.
            learnt: bool ``[B, F]``, the only points whose distances matter; others are wrong.
        """
        raw = self.levels(self.offset_head, row, sizes, gap, learnt)
        levels = torch.split(raw, list(sizes), dim=1)
        pairs = zip(self.scale, levels, strict=True)
        return Distances(torch.cat([scale(level) for scale, level in pairs], dim=1).relu())


def start_scores(conv: nn.Conv1d, prior: float, empty: Sequence[int]) -> None:
    """Let every class score ``prior`` at first, and classes that are never seen nearly 0."""
    assert conv.bias is not None
    with torch.no_grad():
        conv.bias.fill_(_logit(prior))
        conv.bias[list(empty)] = _logit(EMPTY)


def _logit(probability: float) -> float:
    return -math.log((1 - probability) / probability)
