"""Focal loss of the classes and distance-IoU loss of the ends, over a running normaliser."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from actionspace.localization.learning.assign import Targets, Truth, assign
from actionspace.localization.learning.config import LossConfig
from actionspace.localization.network.model import Predictions

ALPHA, GAMMA = 0.25, 2.0
MOMENTUM = 0.9
LEAST_REGRESSION = 0.01  # below it, an automatic weight does not grow any more


def focal_loss(logits: Tensor, targets: Tensor) -> Tensor:
    """Return the sigmoid focal loss of each entry (Lin et al., ICCV 2017).

    Args:
        logits: of any shape.
        targets: in [0, 1], of the same shape; soft ones as well.
    """
    score = logits.sigmoid()
    right = score * targets + (1 - score) * (1 - targets)
    share = ALPHA * targets + (1 - ALPHA) * (1 - targets)
    entropy = functional.binary_cross_entropy_with_logits(logits, targets, reduction="none")
    return share * (1 - right) ** GAMMA * entropy


def diou_loss(offsets: Tensor, targets: Tensor) -> Tensor:
    """Return the distance-IoU loss of segments about a common point (Zheng et al., AAAI 2020).

    Args:
        offsets: ``[..., 2]``, distances to begin and end, at least 0.
        targets: ``[..., 2]``, the same of the truth.
    """
    overlap = torch.minimum(offsets, targets).sum(-1)
    union = offsets.sum(-1) + targets.sum(-1) - overlap
    hull = torch.maximum(offsets, targets).sum(-1)
    apart = (offsets[..., 1] - offsets[..., 0] - targets[..., 1] + targets[..., 0]) / 2
    return 1 - overlap / union.clamp(min=1e-8) + (apart / hull.clamp(min=1e-8)) ** 2


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

    def advance(self, positives: Tensor | float) -> None:
        """Take the positive points of one more optimiser step into the mean."""
        count = torch.as_tensor(positives, device=self.normalizer.device).clamp(min=1)
        count = count.to(self.normalizer.dtype)
        self.normalizer.mul_(MOMENTUM).add_(count, alpha=1 - MOMENTUM)

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
        """Return ``loss``, ``class_loss`` and ``regression_loss``; moves the mean while training.

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
        class_loss = (focal_loss(logits, wanted) * valid.unsqueeze(-1)).sum() / divisor
        regression_loss = (diou_loss(offsets, ends) * positive).sum() / divisor
        weight: float | Tensor | None = self.config.regression_weight
        if weight is None:
            weight = class_loss.detach() / regression_loss.detach().clamp(min=LEAST_REGRESSION)
        return {
            "loss": class_loss + weight * regression_loss,
            "class_loss": class_loss,
            "regression_loss": regression_loss,
        }
