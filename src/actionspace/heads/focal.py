"""Sigmoid focal loss (Lin et al. 2017, "Focal Loss for Dense Object Detection", equation 5)."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

ALPHA, GAMMA = 0.25, 2.0


def focal_loss(
    logits: Tensor, targets: Tensor, *, alpha: float | None = ALPHA, gamma: float = GAMMA
) -> Tensor:
    """Return the sigmoid focal loss of each entry, of the shape of ``logits``.

    Args:
        logits: of any shape.
        targets: in [0, 1], of the same shape; soft ones as well.
        alpha: weight of what is true, 1 - alpha that of what is not; None = 1 for both.
        gamma: how little entries count that are right already.
    """
    score = logits.sigmoid()
    right = score * targets + (1 - score) * (1 - targets)
    entropy = functional.binary_cross_entropy_with_logits(logits, targets, reduction="none")
    loss = (1 - right) ** gamma * entropy
    return loss if alpha is None else share(targets, alpha) * loss


def share(targets: Tensor, alpha: float) -> Tensor:
    """Return the weight of each entry: ``alpha`` of what is true, 1 - alpha of what is not."""
    return alpha * targets + (1 - alpha) * (1 - targets)
