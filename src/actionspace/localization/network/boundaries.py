"""Begin and end as distributions over distances, and how uncertain they are.

The head is that of "Generalized Focal Loss" (Li et al., NeurIPS 2020), as TBTFormer uses it for
actions: for each end of an event the logits of some bins of distance, whose mean is predicted.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from actionspace.localization.network.config import ModelConfig
from actionspace.localization.network.heads import Distances, Row, Trunk
from actionspace.localization.network.layers import MaskedConv1d, Scale

#: Between these quantiles a boundary lies with a probability of 80 %.
LOW, HIGH = 0.1, 0.9


class BoundaryHead(Trunk):
    """Distances to begin and end in cells of the level, each as a distribution.

    Parameters have the names and shapes of the published fork of ActionFormer: the output has the
    bins of the begin, then those of the end.
    """

    bins: Tensor

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        count = config.boundaries.bins + 1
        self.dist_head = MaskedConv1d(self.output_dim, 2 * count, config.head_kernel)
        self.scale = nn.ModuleList(Scale() for _ in config.strides)
        self.widths = config.boundaries.level_widths(len(config.strides))
        self.register_buffer("bins", torch.arange(count, dtype=torch.float32))

    def forward(
        self, row: Row, sizes: Sequence[int], gap: int, learnt: Tensor | None = None
    ) -> Distances:
        """Return distances ``[B, F, 2]``, their bins' logits ``[B, F, 2, n]`` and the bins' width.

        Args:
            row: the levels.
            sizes: of the levels, in cells.
            gap: empty cells around each.
            learnt: bool ``[B, F]``, the only points whose distances matter; others are wrong.
        """
        raw = self.levels(self.dist_head, row, sizes, gap, learnt)
        logits = raw.reshape(*raw.shape[:2], 2, -1)
        mean = logits.float().softmax(-1) @ self.bins
        width = self._widths(sizes)
        return Distances((mean * width.unsqueeze(-1)).relu(), logits, width)

    def _widths(self, sizes: Sequence[int]) -> Tensor:
        """Return the cells ``[F]`` from one bin to the next, the learnt factors included."""
        levels = zip(self.scale, self.widths, sizes, strict=True)
        return torch.cat([scale(self.bins.new_full((n,), w)) for scale, w, n in levels])


def boundary_spread(logits: Tensor, cells: Tensor) -> Tensor:
    """Return how begin and end are spread about what is predicted, ``[..., 2, 3]``.

    See :func:`distance_spread`; an event begins the earlier the larger the distance to its begin.

    Args:
        logits: ``[..., 2, n]`` of the bins of both distances.
        cells: ``[...]``, time from one bin to the next.
    """
    begin, end = (distance_spread(logits) * cells[..., None, None]).unbind(-2)
    std, low, high = begin.unbind(-1)
    return torch.stack([torch.stack([std, -high, -low], dim=-1), end], dim=-2)


def distance_spread(logits: Tensor) -> Tensor:
    """Return how a distance is spread about its mean, ``[..., 3]`` in bins.

    That is its standard deviation, and where the middle 80 % begin (mostly below 0) and end.

    A distance between two bins is learnt as a share of either, which spreads it although it is
    known. No distribution over whole numbers with this mean has a smaller variance than those two
    shares have, ``f (1 - f)`` with ``f`` the fraction of the mean. So this much is taken off, and
    the quantiles (bins taken as bars, one wide) are drawn in about the mean as much.

    Args:
        logits: ``[..., n]`` of the bins.
    """
    share = logits.float().softmax(-1)
    bins = torch.arange(logits.shape[-1], device=logits.device, dtype=torch.float32)
    mean = share @ bins
    variance = (share * (bins - mean.unsqueeze(-1)) ** 2).sum(-1)
    fraction = mean - mean.floor()
    kept = (variance - fraction * (1 - fraction)).clamp(min=0)
    narrower = (kept / (variance + 1 / 12)).sqrt()  # 1 / 12: of a bar
    ends = [(quantile(share, at) - mean) * narrower for at in (LOW, HIGH)]
    return torch.stack([kept.sqrt(), *ends], dim=-1)


def quantile(share: Tensor, at: float) -> Tensor:
    """Return the quantile ``[...]`` of distributions ``[..., n]``, each bin a bar one wide."""
    total = share.cumsum(-1)
    below = total < at
    bar = below.sum(-1, keepdim=True).clamp(max=share.shape[-1] - 1)
    height = share.gather(-1, bar)
    before = total.gather(-1, bar) - height
    within = ((at - before) / height.clamp(min=1e-12)).clamp(0, 1)
    return (bar - 0.5 + within).squeeze(-1)
