"""SnapFormer: features of a video to heat maps of moments, one per class and level.

The network of ActionFormer with one head in place of two. Parameters have the names and shapes of
the published code.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from actionspace.localization.network.config import ModelConfig
from actionspace.localization.network.heads import Row, Trunk, drop_gaps, line_up, start_scores
from actionspace.localization.network.layers import MaskedConv1d
from actionspace.localization.network.model import Predictions, PyramidNetwork
from actionspace.localization.network.points import pyramid_points


class HeatmapHead(Trunk):
    """Logits of the heat of each class.

    Args:
        config: the network's.
        classes: how many.
        empty: those that no training video has; their heat starts, and stays, near 0.
    """

    def __init__(self, config: ModelConfig, classes: int, empty: Sequence[int] = ()) -> None:
        super().__init__(config)
        self.heatmap_head = MaskedConv1d(self.output_dim, classes, config.head_kernel)
        start_scores(self.heatmap_head.conv, config.prior, empty)

    def forward(self, row: Row) -> Tensor:
        """Return logits ``[B, N, K]``, 0 where the video has ended."""
        logits: Tensor = self.heatmap_head(self.trunk(row), row.mask)[0]
        return logits


class SnapFormer(PyramidNetwork):
    """A pyramid that says at each of its points how near a moment of each class is.

    Args:
        config: its make.
        dim: values per row of features.
        classes: how many; the published network knows one.
        empty: classes that no training video has.

    Raises:
        UsageError: ``input_split`` does not add up to ``dim``.
    """

    def __init__(
        self, config: ModelConfig, dim: int, classes: int, empty: Sequence[int] = ()
    ) -> None:
        super().__init__(config, dim)
        self.heatmap_head = HeatmapHead(config, classes, empty)

    def forward(self, features: Tensor, mask: Tensor, learnt: Tensor | None = None) -> Predictions:
        """Return what it says at every point; offsets are 0, since a moment has no extent.

        Args:
            features: ``[B, dim, T]``, zero where padded; T as ``padding`` chooses it.
            mask: bool ``[B, 1, T]``, true for the rows of the video.
            learnt: without meaning here.

        Raises:
            UsageError: T is not a multiple of the network's ``divisor``.
        """
        levels, masks = self.pyramid(features, mask)
        sizes = tuple(level.shape[1] for level in levels)
        gap = self.config.head_kernel // 2
        logits = drop_gaps(self.heatmap_head(line_up(levels, masks, gap)), sizes, gap)
        return Predictions(
            points=pyramid_points(self.config, features.shape[-1], mask.device),
            mask=torch.cat(masks, dim=1),
            logits=logits,
            offsets=logits.new_zeros(*logits.shape[:2], 2),
            sizes=sizes,
        )
