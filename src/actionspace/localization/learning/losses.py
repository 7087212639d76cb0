"""The losses of classes and ends that a recipe describes, over a running normaliser."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from actionspace.heads.focal import focal_loss
from actionspace.localization.learning.assign import Targets, Truth, assign
from actionspace.localization.learning.class_losses import quality_focal_loss
from actionspace.localization.learning.config import LossConfig
from actionspace.localization.learning.segment_losses import (
    diou_loss,
    eiou_loss,
    focal_iou_loss,
    iou_loss,
    iou_weighted,
    segment_iou,
)
from actionspace.localization.learning.statistics import iou_statistics
from actionspace.localization.network.model import Predictions

PLAIN = {"diou": diou_loss, "eiou": eiou_loss, "giou": iou_loss, "iou": iou_loss}
MOMENTUM = 0.9
LEAST_REGRESSION = 0.01  # below it, an automatic weight does not grow any more


def class_loss(logits: Tensor, wanted: Tensor, quality: Tensor, config: LossConfig) -> Tensor:
    """Return the loss of each logit ``[..., K]``.

    Args:
        logits: ``[..., K]``.
        wanted: in [0, 1], of the same shape.
        quality: IoU of each point's segment with the one it learns ``[...]``, without gradients;
            for ``quality_focal`` only.
        config: which loss.
    """
    if config.classification == "focal":
        return focal_loss(logits, wanted)
    return quality_focal_loss(logits, wanted, quality)


def regression_loss(offsets: Tensor, ends: Tensor, config: LossConfig) -> Tensor:
    """Return the loss of each segment ``[...]``.

    Args:
        offsets: ``[..., 2]``, distances to begin and end that were said.
        ends: ``[..., 2]``, those that are true.
        config: which loss.
    """
    if config.regression == "focal":
        return focal_iou_loss(offsets, ends, config.regression_gamma)
    loss = PLAIN[config.regression](offsets, ends)
    return iou_weighted(loss, offsets, ends) if config.regression_by_overlap else loss


class LocalizationLoss(nn.Module):
    """The losses of a batch, divided by a running mean of its positive points.

    The mean is a buffer, so that it is saved, resumed and shared with the model. It is that of a
    whole optimiser step, also where a process holds a share of the step's videos only.

    Args:
        config: the recipe's.
    """

    normalizer: Tensor

    def __init__(self, config: LossConfig) -> None:
        super().__init__()
        self.config = config
        self.register_buffer("normalizer", torch.tensor(config.initial_norm))
        self._positives = torch.zeros(())  # of the optimiser step

    def advance(self, positives: Tensor | float) -> None:
        """Take the positive points of one more optimiser step into the mean."""
        like = self.normalizer
        self._positives = torch.as_tensor(positives, dtype=like.dtype, device=like.device)
        like.mul_(MOMENTUM).add_(self._positives.clamp(min=1), alpha=1 - MOMENTUM)

    def targets(self, points: Tensor, truth: Truth, classes: int) -> Targets:
        """Return what each point learns, see :func:`.assign.assign`."""
        return assign(points, truth, classes, self.config)

    def forward(
        self,
        predictions: Predictions,
        targets: Targets,
        share: float = 1.0,
        *,
        counted: bool = False,
    ) -> dict[str, Tensor]:
        """Return ``loss`` and its parts, and how well positive segments fit; moves the mean.

        The parts are ``class_loss`` and ``regression_loss``; for the fit see
        :func:`.statistics.iou_statistics`. The mean moves while training only.

        Args:
            predictions: of the network; computed with in float32.
            targets: of ``assign``, for the same points.
            share: of the step's videos that are in this batch.
            counted: :meth:`advance` was told the positive points of the step; else those of this
                batch stand for them.
        """
        logits, offsets = predictions.logits.float(), predictions.offsets.float()
        with torch.no_grad():
            classes = logits.shape[-1]
            valid = predictions.mask
            positive = targets.learnt & valid
            smoothing = self.config.label_smoothing
            wanted = targets.classes * (1 - smoothing) + smoothing / (classes + 1)
            ends = torch.where(positive.unsqueeze(-1), targets.offsets, 1.0)
            if self.training and not counted:
                self.advance(positive.sum() / share)
            divisor = self.normalizer * share
            iou = segment_iou(offsets, ends)
            fit = iou_statistics(iou, positive, self._positives * share if counted else None)
        each = class_loss(logits, wanted, iou, self.config)
        classification = (each * valid.unsqueeze(-1)).sum() / divisor
        regression = (regression_loss(offsets, ends, self.config) * positive).sum() / divisor
        weight: float | Tensor | None = self.config.regression_weight
        if weight is None:
            weight = classification.detach() / regression.detach().clamp(min=LEAST_REGRESSION)
        return {
            "loss": classification + weight * regression,
            "class_loss": classification,
            "regression_loss": regression,
            **fit,
        }
