"""Learning by aligning videos (Haresh et al., "Learning by Aligning Videos in Time", CVPR 2021)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from actionspace.alignment.losses.config import LavConfig
from actionspace.alignment.losses.frames import Frames
from actionspace.alignment.losses.precision import full_precision
from actionspace.alignment.losses.soft_dtw import soft_dtw


@full_precision
def lav_loss(embeddings: Tensor, frames: Frames, config: LavConfig) -> dict[str, Tensor]:
    """Return ``loss`` and its parts ``soft_dtw`` and ``idm``, all per sampled frame (over T).

    For videos a and b it is ``[soft-DTW(a, b) + alpha (IDM(a) + IDM(b))] / T``, the mean over all
    pairs of a batch. Padding, at the end of a video, is left out; a pair without frames adds 0, as
    does the whole for one video (but for its IDM). Constant embeddings and T = 1 are finite; the
    soft minimum may be negative.

    Args:
        embeddings: ``[N, T, D]``; two views of a video are two rows.
        frames: steps and valid ``[N, T]``, lengths ``[N]``.
        config: softness and weights.

    Raises:
        UsageError: shapes do not belong together.
    """
    frames.check(embeddings)
    if config.l2_normalize:
        embeddings = functional.normalize(embeddings, dim=-1)
    videos, size = embeddings.shape[:2]
    first, second = torch.triu_indices(videos, videos, 1, device=embeddings.device)
    cost = squared_distances(embeddings[first], embeddings[second])
    counts = frames.valid.sum(1)
    warped = soft_dtw(cost, config.gamma, torch.stack([counts[first], counts[second]], dim=1))
    along = warped.sum() / max(len(first), 1) / size
    within = 2 * contrastive_idm(embeddings, frames, config).mean() / size
    return {"loss": along + config.alpha * within, "soft_dtw": along, "idm": within}


def squared_distances(a: Tensor, b: Tensor) -> Tensor:
    """Return squared Euclidean distances ``[..., N, M]`` of ``[..., N, D]`` and ``[..., M, D]``."""
    squares = (a**2).sum(-1, keepdim=True) + (b**2).sum(-1).unsqueeze(-2)
    return (squares - 2 * a @ b.mT).clamp(min=0)


def contrastive_idm(embeddings: Tensor, frames: Frames, config: LavConfig) -> Tensor:
    """Return the contrastive inverse difference moment of each video ``[N]``, a sum over pairs.

    Frames near in time are pulled together, others pushed apart up to the margin, the more the
    further they are apart; times are shares of the video, near is ``sigma`` frames.

    Args:
        embeddings: ``[N, T, D]``.
        frames: steps and valid ``[N, T]``, lengths ``[N]``.
        config: margin and nearness.
    """
    distances = squared_distances(embeddings, embeddings)
    steps = frames.steps.to(embeddings.dtype)
    between = (steps.unsqueeze(2) - steps.unsqueeze(1)).abs()
    apart = between / frames.lengths.clamp(min=1)[:, None, None]
    pushed = (1 + apart**2) * (config.margin - distances).clamp(min=0)
    each = torch.where(between > config.sigma, pushed, distances)
    both = frames.valid.unsqueeze(2) & frames.valid.unsqueeze(1)
    return (each * both).sum((1, 2))
