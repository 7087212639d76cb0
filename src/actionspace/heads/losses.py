"""Losses of a classification head under gradient training (mmaction's I3D head).

Logits are ``[N, C]``; every loss is a mean over rows times ``loss_weight``.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def cross_entropy(
    logits: Tensor,
    labels: Tensor,
    *,
    class_weight: Tensor | None = None,
    loss_weight: float = 1.0,
) -> Tensor:
    """Return cross-entropy with class numbers ``[N]`` or soft labels ``[N, C]``.

    With ``class_weight [C]`` the mean is weighted: it divides by the sum of the rows' weights, that
    of a soft label being its weighted sum. (PyTorch divides soft labels by the row count.)
    """
    if labels.ndim == 1:
        return loss_weight * functional.cross_entropy(logits, labels, weight=class_weight)
    weighted = labels if class_weight is None else labels * class_weight
    loss = -(weighted * functional.log_softmax(logits, dim=1)).sum()
    rows = len(labels) if class_weight is None else weighted.sum()
    return loss_weight * loss / rows


def binary_cross_entropy(
    logits: Tensor,
    labels: Tensor,
    *,
    class_weight: Tensor | None = None,
    loss_weight: float = 1.0,
) -> Tensor:
    """Return sigmoid cross-entropy with labels ``[N, C]``, averaged over rows and classes."""
    return loss_weight * functional.binary_cross_entropy_with_logits(
        logits, labels.to(logits.dtype), weight=class_weight
    )


def smooth_labels(labels: Tensor, classes: int, amount: float) -> Tensor:
    """Return soft labels ``[N, C]``: ``amount`` of each row is spread over all classes.

    Labels are class numbers ``[N]``, or soft already.
    """
    hot = labels
    if labels.ndim == 1:
        hot = functional.one_hot(labels, classes).to(torch.get_default_dtype())
    return hot * (1 - amount) + amount / classes
