"""Time-contrastive loss of single videos (Sermanet et al., "Time-Contrastive Networks", ICRA 2018)
in the n-pairs form (Sohn, "Improved Deep Metric Learning", NeurIPS 2016)."""

from __future__ import annotations

import torch
from torch import Tensor

from actionspace.alignment.losses.config import TcnConfig
from actionspace.alignment.losses.frames import Frames
from actionspace.alignment.losses.precision import full_precision
from actionspace.errors import UsageError


@full_precision
def tcn_loss(embeddings: Tensor, frames: Frames, config: TcnConfig) -> Tensor:
    """Return the mean over videos of: each anchor should find its own positive among all.

    A pair with padding in it neither asks nor answers, unless ``compat``. A video without a pair
    adds 0; constant embeddings give the logarithm of the number of pairs, a single pair 0, both
    beside the weighted norms.

    Args:
        embeddings: ``[N, T, D]``, anchors and positives in turn: a, p, a, p ...
        frames: steps and valid ``[N, T]``, lengths ``[N]``.
        config: the weight of the norms.

    Raises:
        UsageError: shapes do not belong together, or an anchor has no positive (T is odd).
    """
    frames.check(embeddings)
    if embeddings.shape[1] % 2:
        raise UsageError(
            f"{embeddings.shape[1]} frames are no pairs of anchor and positive; sample an even "
            "number of frames for the time-contrastive loss."
        )
    anchors, found = embeddings[:, 0::2], embeddings[:, 1::2]
    valid = frames.valid[:, 0::2] & frames.valid[:, 1::2]
    if config.compat:
        valid = torch.ones_like(valid)
    logits = anchors @ found.mT
    logits = logits.masked_fill(~valid.unsqueeze(1), torch.finfo(logits.dtype).min / 4)
    missed = -logits.log_softmax(-1).diagonal(dim1=1, dim2=2)
    norms = (anchors**2).sum(-1) + (found**2).sum(-1)
    each = torch.where(valid, missed + 0.25 * config.reg_lambda * norms, 0)
    return (each.sum(1) / valid.sum(1).clamp(min=1)).mean()
