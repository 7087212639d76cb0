"""Sequence contrastive loss (Chen et al., "Frame-wise Action Representations for Long Videos via
Sequence Contrastive Learning", CVPR 2022).

A frame's positives are the frames of the video's other view near it in time, weighed by a Gaussian
of the distance. Only what a frame is compared with is computed: ``single`` negatives cost B blocks
of T x T per pair of views, not one matrix over the whole batch.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from actionspace.alignment.losses.config import SclConfig
from actionspace.alignment.losses.frames import Frames
from actionspace.alignment.losses.gather import gather_rows
from actionspace.alignment.losses.precision import full_precision
from actionspace.errors import UsageError

COMPAT_EPS = 1e-6  # what the original adds to a probability, and weighs padding with


@dataclass(frozen=True)
class Block:
    """What frames are compared with: similarities ``[B, 2, T, K]``, and which of them count.

    Attributes:
        logits: similarities over the temperature.
        counts: bool, broadcasting to them.
    """

    logits: Tensor
    counts: Tensor


@dataclass(frozen=True)
class Columns:
    """All frames that a batch may be compared with, those of other processes included.

    Attributes:
        embeddings: ``[M, 2, T, D]``.
        valid: bool ``[M, 2, T]``.
        begin: where the own videos lie among the M.
    """

    embeddings: Tensor
    valid: Tensor
    begin: int = 0


@full_precision
def scl_loss(embeddings: Tensor, frames: Frames, config: SclConfig) -> Tensor:
    """Return the mean over valid frames of KL(positives || softmax of similarities).

    A frame without a positive (padding; nothing near it in the other view, where the Gaussian is 0
    in float32) adds 0 to the sum. Without any valid frame the loss is 0; for constant embeddings it
    is finite, with T = 1 it is 0. With ``across_processes``, the processes' losses averaged by
    their numbers of videos are the loss of the joined batch, gradients included.

    Args:
        embeddings: ``[B, 2, T, D]``, projected and, as a rule, of length 1.
        frames: steps ``[B, 2, T]``, lengths ``[B, 2]``, valid ``[B, 2, T]``.
        config: which negatives, how soft.

    Raises:
        UsageError: shapes do not belong together, or there are not two views.
    """
    frames.check(embeddings)
    if embeddings.ndim != 4 or embeddings.shape[1] != 2:
        raise UsageError(
            f"Embeddings {list(embeddings.shape)} are not two views of videos, [B, 2, T, D]; the "
            "sequence contrastive loss compares the views of a video with each other."
        )
    columns = _columns(embeddings, frames, config)
    asked = embeddings / config.temperature  # smaller than the similarities
    cross = asked @ embeddings.flip(1).mT
    blocks = [Block(cross, frames.valid.flip(1)[..., None, :])]
    if not config.negatives.endswith("noself"):
        blocks.append(Block(asked @ embeddings.mT, frames.valid[..., None, :]))
    if config.negatives.startswith("batch"):
        blocks.append(_others(asked, columns))
    wanted = positives(frames, config, embeddings.dtype)
    if config.compat:
        padding = asked @ columns.embeddings[~columns.valid].mT
        each = _as_original(blocks, padding, wanted)
    else:
        each = functional.kl_div(_log_probabilities(blocks), wanted, reduction="none")
    share = len(embeddings) / len(columns.embeddings)
    return each.sum() / (columns.valid.sum() * share).clamp(min=share)


@torch.no_grad()
def positives(frames: Frames, config: SclConfig, dtype: torch.dtype = torch.float32) -> Tensor:
    """Return how much each frame of the other view is a frame's positive, ``[B, 2, T, T]``.

    Rows sum to 1, or to 0 where nothing is near. Times of the one view are stretched to the length
    of the other's video where these differ. Times and the Gaussian are always of float32, as in the
    original: further than 14 standard deviations away, it is 0.
    """
    steps, lengths = frames.steps.float(), frames.lengths.float().clamp(min=1).unsqueeze(-1)
    expected = steps / lengths * lengths.flip(1)
    distance = expected.unsqueeze(-1) - steps.flip(1).unsqueeze(-2)
    near = torch.exp(-(distance**2) / (2 * config.label_variance))
    both = frames.valid.unsqueeze(-1) & frames.valid.flip(1).unsqueeze(-2)
    if config.positives == "none":
        both = torch.zeros_like(both)
    near = near.to(dtype) * both
    total = near.sum(-1, keepdim=True)
    return torch.where(total > 0, near / total, 0)


def _columns(embeddings: Tensor, frames: Frames, config: SclConfig) -> Columns:
    if not config.across_processes:
        return Columns(embeddings, frames.valid)
    every, begin = gather_rows(embeddings)
    return Columns(every, gather_rows(frames.valid)[0], begin)


def _others(asked: Tensor, columns: Columns) -> Block:
    """Return the comparison with all frames of all other videos, ``[B, 2, T, M * 2 * T]``."""
    logits = asked @ columns.embeddings.flatten(0, 2).mT
    videos = torch.arange(len(columns.valid), device=logits.device)
    mine = columns.begin + torch.arange(len(asked), device=logits.device)
    foreign = mine[:, None, None, None] != videos[:, None, None]
    return Block(logits, (foreign & columns.valid).flatten(1)[:, None, None])


def _log_probabilities(blocks: list[Block]) -> Tensor:
    """Return log-probabilities of the first block's entries, ``[B, 2, T, T]``; padding is low."""
    low = torch.finfo(blocks[0].logits.dtype).min / 4  # finite, so that its gradient is no NaN
    logits = [block.logits.masked_fill(~block.counts, low) for block in blocks]
    if len(logits) == 1:
        return torch.log_softmax(logits[0], dim=-1)
    totals = torch.stack([part.logsumexp(-1) for part in logits])
    return logits[0] - totals.logsumexp(0).unsqueeze(-1)


def _as_original(blocks: list[Block], padding: Tensor, wanted: Tensor) -> Tensor:
    """Return the original's loss of each pair, ``[B, 2, T, T]``: 1e-6 added, no shift.

    Args:
        blocks: what each frame is compared with; the first holds the positives.
        padding: similarities with all padding of the batch ``[B, 2, T, P]``.
        wanted: see :func:`positives`.
    """
    total = COMPAT_EPS * padding.exp().sum(-1, keepdim=True)
    scores = [block.logits.exp() for block in blocks]
    for block, score in zip(blocks, scores, strict=True):
        total = total + (score * block.counts).sum(-1, keepdim=True)
    probability = scores[0] / total
    probability = torch.where(probability.isnan(), 0, probability)
    return functional.kl_div((probability + COMPAT_EPS).log(), wanted, reduction="none")
