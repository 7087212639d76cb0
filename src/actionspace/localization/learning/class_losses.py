"""Losses between the logits of classes and what is true."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from actionspace.heads.focal import ALPHA, GAMMA, share


def quality_focal_loss(
    logits: Tensor,
    targets: Tensor,
    quality: Tensor,
    *,
    alpha: float | None = ALPHA,
    gamma: float = GAMMA,
) -> Tensor:
    """Return the quality focal loss of each entry (Li et al., NeurIPS 2020, equation 2).

    What is true is to score as well as its segment fits, so that scores rank by fit. Weighed by
    ``alpha`` as the focal loss is, which the paper does not do.

    Args:
        logits: ``[..., K]``.
        targets: in [0, 1], of the same shape.
        quality: IoU of each point's segment with the one it learns ``[...]``; counted as in
            [0, 1].
        alpha: weight of what is true, 1 - alpha that of what is not; None = 1 for both.
        gamma: how little entries count that are right already.
    """
    wanted = targets * quality.clamp(0, 1).unsqueeze(-1)
    entropy = functional.binary_cross_entropy_with_logits(logits, wanted, reduction="none")
    loss = (wanted - logits.sigmoid()).abs() ** gamma * entropy
    return loss if alpha is None else share(targets, alpha) * loss
