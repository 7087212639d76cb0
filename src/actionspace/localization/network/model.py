"""ActionFormer: features of a video to classes and distances at every point of a pyramid."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from actionspace.errors import UsageError
from actionspace.localization.network.backbone import Backbone
from actionspace.localization.network.boundaries import BoundaryHead
from actionspace.localization.network.config import ModelConfig
from actionspace.localization.network.heads import ClassHead, RegressionHead, drop_gaps, line_up
from actionspace.localization.network.necks import create_neck
from actionspace.localization.network.points import pyramid_points


class Predictions(NamedTuple):
    """What the network says at every point; F = points of all levels, finest level first.

    Attributes:
        points: float32 ``[F, 4]``: time (rows), range of distances learnt (rows), stride.
        mask: bool ``[B, F]``, points within the video.
        logits: ``[B, F, K]``.
        offsets: ``[B, F, 2]``, distances to begin and end, in strides, at least 0.
        sizes: points per level.
        bins: logits ``[B, F, 2, n]`` of the bins that distances are means of (``head:
            boundaries``), or None.
        width: ``[F]``, strides from one bin to the next, if there are bins.
    """

    points: Tensor
    mask: Tensor
    logits: Tensor
    offsets: Tensor
    sizes: tuple[int, ...]
    bins: Tensor | None = None
    width: Tensor | None = None

    def levels(self) -> list[Predictions]:
        """Return the same for each level by itself."""
        out, first = [], 0
        for size in self.sizes:
            at = slice(first, first + size)
            parts = (self.mask[:, at], self.logits[:, at], self.offsets[:, at])
            bins = None if self.bins is None else self.bins[:, at]
            width = None if self.width is None else self.width[at]
            out.append(Predictions(self.points[at], *parts, (size,), bins, width))
            first += size
        return out

    def offsets_at(self, video: Tensor, point: Tensor, label: Tensor) -> Tensor:
        """Return the offsets of some points, float32 ``[..., 2]``, the same for every class.

        Args:
            video, point, label: int64 ``[...]``, numbers along B, F and K.
        """
        return self.offsets[video, point].float()


class PyramidNetwork(nn.Module):
    """Backbone and neck, which every network has; heads follow.

    Args:
        config: the network's make.
        dim: values per row of features.

    Raises:
        UsageError: ``input_split`` does not add up to ``dim``.
    """

    def __init__(self, config: ModelConfig, dim: int) -> None:
        super().__init__()
        if config.input_split and sum(config.input_split) != dim:
            raise UsageError(
                f"input_split {list(config.input_split)} adds up to {sum(config.input_split)}, but "
                f"the features have {dim} values per row. Name the widths of the features that lie "
                "side by side."
            )
        self.config = config
        self.backbone = Backbone(config, dim)
        self.neck = create_neck(config)

    def pyramid(self, features: Tensor, mask: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """Return the levels that are predicted from, ``[B, T_l, C]``, and their masks.

        Raises:
            UsageError: the rows are not a multiple of the network's ``divisor``.
        """
        if features.shape[-1] % self.config.unit:
            raise UsageError(
                f"{features.shape[-1]} rows are not a multiple of {self.config.unit}; pad them "
                "with actionspace.localization.network.padding."
            )
        levels, masks = self.backbone(features.mT, mask.squeeze(1))
        return self.neck(levels, masks), masks[self.config.first_level :]


class ActionFormer(PyramidNetwork):
    """The network of "ActionFormer: Localizing Moments of Actions with Transformers".

    Zhang, Wu and Li, ECCV 2022. Parameters have the names and shapes of the published code.

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
        bins = config.head == "boundaries"
        self.reg_head = BoundaryHead(config) if bins else RegressionHead(config)

    def forward(self, features: Tensor, mask: Tensor, learnt: Tensor | None = None) -> Predictions:
        """Return what it says at every point.

        Args:
            features: ``[B, dim, T]``, zero where padded; T as ``padding`` chooses it.
            mask: bool ``[B, 1, T]``, true for the rows of the video.
            learnt: bool ``[B, F]``, the points whose offsets are wanted (``Targets.learnt``, while
                training); those of others are wrong then. It is a sixth of the work on a CPU.
                None = all, as suits a compiled network, whose sizes should not depend on data.

        Raises:
            UsageError: T is not a multiple of the network's ``divisor``.
        """
        levels, masks = self.pyramid(features, mask)
        sizes = tuple(level.shape[1] for level in levels)
        gap = self.config.head_kernel // 2
        row = line_up(levels, masks, gap)
        ends = self.reg_head(row, sizes, gap, learnt)
        return Predictions(
            points=pyramid_points(self.config, features.shape[-1], mask.device),
            mask=torch.cat(masks, dim=1),
            logits=drop_gaps(self.cls_head(row), sizes, gap),
            offsets=ends.offsets,
            sizes=sizes,
            bins=ends.bins,
            width=ends.width,
        )
