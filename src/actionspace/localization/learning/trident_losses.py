"""Losses of TriDet: focal loss weighed by how well ends fit, and their distance-IoU loss."""

from __future__ import annotations

import torch
from torch import Tensor

from actionspace.errors import UsageError
from actionspace.heads.focal import focal_loss
from actionspace.localization.learning.assign import Targets
from actionspace.localization.learning.config import LossConfig, TridentLossConfig
from actionspace.localization.learning.losses import (
    LEAST_REGRESSION,
    LocalizationLoss,
    regression_loss,
)
from actionspace.localization.learning.segment_losses import segment_iou
from actionspace.localization.learning.statistics import iou_statistics
from actionspace.localization.network.trident import TridentPredictions

#: IoU below which a weight of a power below 1 has no gradient: its slope has no bound at 0.
LEAST_IOU = 1e-6


def iou_weight(iou: Tensor, config: TridentLossConfig) -> Tensor:
    """Return the weight of each pair's class loss, its IoU to a power.

    Gradients flow through it in the published code, which for a power below 1 makes all of them NaN
    as soon as one IoU is 0. The values are the same here.

    Args:
        iou: ``[...]``.
        config: the power, and whether gradients flow.
    """
    if config.detach_iou_weight:
        iou = iou.detach()
    if config.iou_power >= 1:
        return iou**config.iou_power
    steep = iou.detach() ** config.iou_power
    return torch.where(iou > LEAST_IOU, iou.clamp(min=LEAST_IOU) ** config.iou_power, steep)


class TridentLoss(LocalizationLoss):
    """The losses of a batch of TriDet (Shi et al., CVPR 2023, section 3.4).

    A pair is a point and a class that it learns. Each has ends of its own; those of the pairs alone
    are worked out.

    Args:
        config: the recipe's.

    Raises:
        UsageError: a loss of the classes that does not go with the weights.
    """

    def __init__(self, config: LossConfig) -> None:
        super().__init__(config)
        if config.classification != "focal":
            raise UsageError(
                f"loss.classification '{config.classification}' does not go with head 'trident', "
                "which weighs the focal loss by IoU itself (loss.trident.iou_power); say 'focal'."
            )

    def forward(  # type: ignore[override]  # what another network says
        self,
        predictions: TridentPredictions,
        targets: Targets,
        share: float = 1.0,
        *,
        counted: bool = False,
    ) -> dict[str, Tensor]:
        """Return what :meth:`.losses.LocalizationLoss.forward` does, with the same arguments."""
        logits = predictions.logits.float()
        with torch.no_grad():
            valid = predictions.mask
            positive = targets.learnt & valid
            smoothing = self.config.label_smoothing
            wanted = targets.classes * (1 - smoothing) + smoothing / (logits.shape[-1] + 1)
            pairs = ((targets.classes > 0) & valid.unsqueeze(-1)).nonzero(as_tuple=True)
            if self.training and not counted:
                self.advance(positive.sum() / share)
            divisor = self.normalizer * share
        offsets = predictions.offsets_at(*pairs)
        ends = targets.offsets[pairs[:2]]
        iou = segment_iou(offsets, ends)
        weight = torch.ones_like(logits).index_put(pairs, iou_weight(iou, self.config.trident))
        each = focal_loss(logits, wanted) * weight
        classification = (each * valid.unsqueeze(-1)).sum() / divisor
        regression = regression_loss(offsets, ends, self.config).sum() / divisor
        much: float | Tensor | None = self.config.regression_weight
        if much is None:
            much = classification.detach() / regression.detach().clamp(min=LEAST_REGRESSION)
        fits = torch.zeros_like(logits[..., 0]).index_put(pairs[:2], iou.detach())
        count = self._positives * share if counted else None
        return {
            "loss": classification + much * regression,
            "class_loss": classification,
            "regression_loss": regression,
            **iou_statistics(fits, positive, count),
        }
