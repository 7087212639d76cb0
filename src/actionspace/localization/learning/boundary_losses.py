"""Losses of a network that predicts begin and end as distributions over bins of distance."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from actionspace.localization.learning.assign import Targets
from actionspace.localization.learning.config import LossConfig
from actionspace.localization.learning.losses import LocalizationLoss
from actionspace.localization.network.config import ModelConfig
from actionspace.localization.network.model import Predictions

#: How near a target may come to the last bin, so that there is one on either side of it.
MARGIN = 0.01


def distribution_focal_loss(logits: Tensor, targets: Tensor) -> Tensor:
    """Return the distribution focal loss of each distance (Li et al., NeurIPS 2020, eq. 6).

    It is the cross entropy of the two bins about the target, by how near the target is to each.

    Args:
        logits: ``[..., n]`` of the bins.
        targets: ``[...]`` in bins; those beyond the first and last one count as there.
    """
    last = logits.shape[-1] - 1
    targets = targets.clamp(0, last - MARGIN)
    left = targets.floor()
    share = targets - left
    log_share = functional.log_softmax(logits, dim=-1)
    bins = left.long().unsqueeze(-1)
    nearer = log_share.gather(-1, bins).squeeze(-1)
    farther = log_share.gather(-1, bins + 1).squeeze(-1)
    return -(1 - share) * nearer - share * farther


class BoundaryLoss(LocalizationLoss):
    """ActionFormer's losses, and the distribution focal loss of both ends at positive points.

    TBTFormer adds the latter with a small weight, divided by the same running mean. The published
    fork compares it with the distances of other points, and stops; here it has those that the
    regression loss has.

    Args:
        model: the network's make.
        config: the recipe's.
    """

    def __init__(self, model: ModelConfig, config: LossConfig) -> None:
        super().__init__(config)
        self.widths = model.boundaries.level_widths(len(model.strides))

    def forward(
        self,
        predictions: Predictions,
        targets: Targets,
        share: float = 1.0,
        *,
        counted: bool = False,
    ) -> dict[str, Tensor]:
        """Return the same, and ``boundary_loss``; see :meth:`.losses.LocalizationLoss.forward`."""
        losses = super().forward(predictions, targets, share, counted=counted)
        assert predictions.bins is not None
        positive = targets.learnt & predictions.mask
        cells = zip(self.widths, predictions.sizes, strict=True)
        like = predictions.points
        width = torch.cat([like.new_full((size, 1), value) for value, size in cells])
        wanted = torch.where(positive.unsqueeze(-1), targets.offsets / width, 0.0)
        each = distribution_focal_loss(predictions.bins.float(), wanted) * positive.unsqueeze(-1)
        boundary_loss = each.sum() / (self.normalizer * share)
        loss = losses["loss"] + self.config.boundary_weight * boundary_loss
        return losses | {"loss": loss, "boundary_loss": boundary_loss}
