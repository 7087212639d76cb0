"""ActionFormer: features of a video to classes and distances at every point of a pyramid."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from actionspace.errors import UsageError
from actionspace.localization.network.backbone import Backbone
from actionspace.localization.network.config import ModelConfig
from actionspace.localization.network.heads import ClassHead, RegressionHead, drop_gaps, line_up
from actionspace.localization.network.necks import FPN, IdentityNeck
from actionspace.localization.network.points import pyramid_points


class Predictions(NamedTuple):
    """What the network says at every point; F = points of all levels, finest level first.

    Attributes:
        points: float32 ``[F, 4]``: time (rows), range of distances learnt (rows), stride.
        mask: bool ``[B, F]``, points within the video.
        logits: ``[B, F, K]``.
        offsets: ``[B, F, 2]``, distances to begin and end, in strides, at least 0.
        sizes: points per level.
    """

    points: Tensor
    mask: Tensor
    logits: Tensor
    offsets: Tensor
    sizes: tuple[int, ...]

    def levels(self) -> list[Predictions]:
        """Return the same for each level by itself."""
        sizes = list(self.sizes)
        parts = zip(
            torch.split(self.points, sizes),
            torch.split(self.mask, sizes, 1),
            torch.split(self.logits, sizes, 1),
            torch.split(self.offsets, sizes, 1),
            strict=True,
        )
        return [Predictions(*part, (size,)) for part, size in zip(parts, sizes, strict=True)]


class ActionFormer(nn.Module):
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
        super().__init__()
        if config.input_split and sum(config.input_split) != dim:
            raise UsageError(
                f"input_split {list(config.input_split)} adds up to {sum(config.input_split)}, but "
                f"the features have {dim} values per row. Name the widths of the features that lie "
                "side by side."
            )
        self.config = config
        self.backbone = Backbone(config, dim)
        self.neck = FPN(config) if config.neck == "fpn" else IdentityNeck(config)
        self.cls_head = ClassHead(config, classes, empty)
        self.reg_head = RegressionHead(config)

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
        if features.shape[-1] % self.config.divisor:
            raise UsageError(
                f"{features.shape[-1]} rows are not a multiple of {self.config.divisor}; pad them "
                "with actionspace.localization.network.padding."
            )
        levels, masks = self.backbone(features.mT, mask.squeeze(1))
        levels, masks = self.neck(levels, masks), masks[self.config.first_level :]
        sizes = tuple(level.shape[1] for level in levels)
        gap = self.config.head_kernel // 2
        row = line_up(levels, masks, gap)
        return Predictions(
            points=pyramid_points(self.config, features.shape[-1], mask.device),
            mask=torch.cat(masks, dim=1),
            logits=drop_gaps(self.cls_head(row), sizes, gap),
            offsets=self.reg_head(row, sizes, gap, learnt),
            sizes=sizes,
        )
