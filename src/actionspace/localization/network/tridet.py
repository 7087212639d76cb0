"""TriDet: features of a video to classes, and to where its events begin and end, at every point."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from actionspace.localization.network.config import ModelConfig
from actionspace.localization.network.heads import ClassHead, Row, Trunk, line_up
from actionspace.localization.network.layers import MaskedConv1d, Scale
from actionspace.localization.network.model import PyramidNetwork
from actionspace.localization.network.points import pyramid_points
from actionspace.localization.network.trident import TridentPredictions


class CentreHead(Trunk):
    """How likely the ends of a point's event lie in each cell around it, as seen from the point."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        outputs = 2 * (config.trident.bins + 1)
        self.offset_head = MaskedConv1d(self.output_dim, outputs, config.head_kernel)
        self.scale = nn.ModuleList(Scale() for _ in config.strides)

    def forward(
        self, row: Row, sizes: Sequence[int], gap: int, learnt: Tensor | None = None
    ) -> Tensor:
        """Return ``[B, F, 2, N + 1]``, at least 0; see :class:`.trident.TridentPredictions`.

        Args:
            row: the levels.
            sizes: of the levels, in cells.
            gap: empty cells around each.
            learnt: bool ``[B, F]``, the only points that matter; others are wrong.
        """
        raw = self.levels(self.offset_head, row, sizes, gap, learnt)
        levels = torch.split(raw, list(sizes), dim=1)
        scaled = [scale(level) for scale, level in zip(self.scale, levels, strict=True)]
        said = torch.cat(scaled, dim=1).relu()
        return said.reshape(*said.shape[:2], 2, -1)


class TriDet(PyramidNetwork):
    """The network of "TriDet: Temporal Action Detection with Relative Boundary Modeling".

    Shi et al., CVPR 2023. Parameters have the names and shapes of the published code. Its heads for
    begins and ends get features through which no gradient flows back.

    Args:
        config: its make.
        dim: values per row of features.
        classes: how many.
        empty: classes that no training video has.

    Raises:
        UsageError: ``input_split`` does not add up to ``dim``.
    """

    def __init__(
        self, config: ModelConfig, dim: int, classes: int, empty: Sequence[int] = ()
    ) -> None:
        super().__init__(config, dim)
        self.cls_head = ClassHead(config, classes, empty)
        at_ends = config.model_copy(update={"head_kernel": config.trident.boundary_kernel})
        self.start_head = ClassHead(at_ends, classes, empty)
        self.end_head = ClassHead(at_ends, classes, empty)
        self.reg_head = CentreHead(config)

    def forward(
        self, features: Tensor, mask: Tensor, learnt: Tensor | None = None
    ) -> TridentPredictions:
        """Return what it says at every point.

        Args:
            features: ``[B, dim, T]``, zero where padded; T as ``padding`` chooses it.
            mask: bool ``[B, 1, T]``, true for the rows of the video.
            learnt: bool ``[B, F]``, the points whose offsets are wanted, as of ActionFormer; those
                of others are wrong then. None = all.

        Raises:
            UsageError: T does not suit the network.
        """
        levels, masks = self.pyramid(features, mask)
        sizes = tuple(level.shape[1] for level in levels)
        gap = max(self.config.head_kernel, self.config.trident.boundary_kernel) // 2
        row = line_up(levels, masks, gap)
        still = row._replace(x=row.x.detach())
        near = learnt
        if learnt is not None:
            reach = self.config.trident.bins
            near = functional.max_pool1d(learnt.float(), 2 * reach + 1, 1, padding=reach) > 0
        begins, ends = (
            head.levels(head.cls_head, still, sizes, gap, near)
            for head in (self.start_head, self.end_head)
        )
        return TridentPredictions(
            points=pyramid_points(self.config, features.shape[-1], mask.device),
            mask=torch.cat(masks, dim=1),
            logits=self.cls_head.levels(self.cls_head.cls_head, row, sizes, gap),
            centres=self.reg_head(row, sizes, gap, learnt),
            begins=begins,
            ends=ends,
            sizes=sizes,
        )
