"""Cross-entropy with the labels of frames."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from actionspace.alignment.losses.precision import full_precision


@full_precision
def frame_classification_loss(logits: Tensor, labels: Tensor, valid: Tensor) -> Tensor:
    """Return the mean cross-entropy over the frames that are valid and labelled, 0 if none is.

    Args:
        logits: ``[..., T, C]``.
        labels: int64 ``[..., T]``; below 0 = no label.
        valid: ``[..., T]``, 0 or False for padding.
    """
    counts = (labels >= 0) & (valid > 0)
    rows = functional.cross_entropy(
        logits.flatten(0, -2), labels.clamp(min=0).flatten().long(), reduction="none"
    )
    return (rows * counts.flatten()).sum() / counts.sum().clamp(min=1)
