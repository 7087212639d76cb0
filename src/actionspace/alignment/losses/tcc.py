"""Temporal cycle-consistency (Dwibedi et al., "Temporal Cycle-Consistency Learning", CVPR 2019).

From a frame to the soft nearest neighbour in another video and back: the cycle should end where it
began. All cycles of a batch are computed at once.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from actionspace.alignment.losses.config import TccConfig
from actionspace.alignment.losses.frames import Frames
from actionspace.alignment.losses.precision import full_precision

LEAST_VARIANCE = 1e-12  # of the time where a cycle ends; 0 for a single frame


@dataclass(frozen=True)
class Cycles:
    """P routes through videos, each begun at Q frames of its first video.

    Attributes:
        route: the videos of each route in order, int64 ``[P]`` each; it ends where it began.
        starts: frames, int64 ``[P, Q]``.
    """

    route: tuple[Tensor, ...]
    starts: Tensor


@full_precision
def tcc_loss(
    embeddings: Tensor,
    frames: Frames,
    config: TccConfig,
    generator: torch.Generator | None = None,
) -> dict[str, Tensor]:
    """Return ``loss``; with ``regression_mse_var`` also ``squared_error`` and
    ``pred_time_log_var``, which say how far off cycles end and how sure they are.

    The loss is a mean over the frames that cycles start from; padding is neither started from nor
    arrived at, unless ``compat``. Without a partner (one video, or no other with a valid frame) it
    is 0; for constant embeddings and for T = 1 it is finite.

    Args:
        embeddings: ``[N, T, D]``; two views of a video are two rows.
        frames: steps and valid ``[N, T]``, lengths ``[N]``.
        config: which of the losses.
        generator: what cycles are drawn with (``stochastic``); PyTorch's own by default.

    Raises:
        UsageError: shapes do not belong together.
    """
    frames.check(embeddings)
    valid = torch.ones_like(frames.valid) if config.compat else frames.valid
    if config.matching == "all_pairs":
        cycles = every_pair(embeddings)
    else:
        cycles = drawn(valid, config, generator)
    begin = cycles.route[0]
    logits = go_round(embeddings, cycles, valid, config)
    wanted = targets(valid[begin], cycles.starts, config.label_smoothing, embeddings.dtype)
    reachable = torch.stack([valid[videos].any(-1) for videos in cycles.route]).all(0)
    counts = valid[begin].gather(1, cycles.starts) & reachable[:, None]
    if config.loss == "classification":
        each = {"loss": _classification(logits, wanted, config.compat)}
    else:
        times = frames.steps.to(embeddings.dtype)
        if config.normalize_indices:
            times = times / frames.lengths.to(embeddings.dtype).clamp(min=1)[:, None]
        each = _regression(logits, wanted, times[begin], config)
    rows = counts.sum().clamp(min=1)
    return {name: (value * counts).sum() / rows for name, value in each.items()}


def every_pair(embeddings: Tensor) -> Cycles:
    """Return the cycles of all frames of ``[N, T, D]`` over all ordered pairs of videos."""
    videos, frames = embeddings.shape[:2]
    apart = ~torch.eye(videos, dtype=torch.bool, device=embeddings.device)
    first, second = apart.nonzero(as_tuple=True)
    starts = torch.arange(frames, device=embeddings.device).expand(len(first), -1)
    return Cycles((first, second, first), starts)


def drawn(valid: Tensor, config: TccConfig, generator: torch.Generator | None = None) -> Cycles:
    """Return cycles over different videos drawn at random, each from one valid frame.

    Args:
        valid: bool ``[N, T]``.
        config: how many, and how long.
        generator: on the device of ``valid``.
    """
    videos = len(valid)
    count = config.cycles if videos > 1 else 0
    order = torch.rand(count, videos, generator=generator, device=valid.device).argsort(1)
    route = order[:, : config.cycle_length].unbind(1)
    chance = torch.rand(count, valid.shape[1], generator=generator, device=valid.device)
    starts = chance.masked_fill(~valid[route[0]], -1).argmax(1, keepdim=True)
    return Cycles((*route, route[0]), starts)


def go_round(embeddings: Tensor, cycles: Cycles, valid: Tensor, config: TccConfig) -> Tensor:
    """Return the logits of the frames where cycles end, ``[P, Q, T]``; low for padding."""
    first, *between, last = cycles.route
    at = embeddings[first].gather(
        1, cycles.starts.unsqueeze(-1).expand(-1, -1, embeddings.shape[-1])
    )
    for videos in between:
        near = _scores(at, embeddings[videos], valid[videos], config).softmax(-1)
        at = near @ embeddings[videos]
    return _scores(at, embeddings[last], valid[last], config)


def targets(valid: Tensor, starts: Tensor, smoothing: float, dtype: torch.dtype) -> Tensor:
    """Return where cycles should end, ``[P, Q, T]``: at the start, a share at all others.

    Args:
        valid: bool ``[P, T]``, of the first videos.
        starts: ``[P, Q]``.
        smoothing: the share; a video with one valid frame has no others, and keeps it all.
        dtype: of the result.
    """
    number = valid.sum(-1)[:, None, None].double()
    share = torch.where(number > 1, smoothing / (number - 1).clamp(min=1), 0)
    begun = functional.one_hot(starts, valid.shape[1]).to(dtype)
    return (1 - number * share).to(dtype) * begun + share.to(dtype) * valid.unsqueeze(1)


def _scores(query: Tensor, keys: Tensor, valid: Tensor, config: TccConfig) -> Tensor:
    scores = query @ keys.mT
    if config.similarity == "l2":
        squares = (query**2).sum(-1, keepdim=True), (keys**2).sum(-1).unsqueeze(-2)
        scores = 2 * scores - squares[0] - squares[1]
    scores = scores / keys.shape[-1] / config.temperature
    return scores.masked_fill(~valid.unsqueeze(-2), torch.finfo(scores.dtype).min / 4)


def _classification(logits: Tensor, wanted: Tensor, compat: bool) -> Tensor:
    if compat:  # logits stand where log-probabilities belong
        return functional.kl_div(logits, wanted, reduction="none").mean(-1)
    return -(wanted * logits.log_softmax(-1)).sum(-1)


def _regression(
    logits: Tensor, wanted: Tensor, times: Tensor, config: TccConfig
) -> dict[str, Tensor]:
    """Return the loss of each start ``[P, Q]`` and its parts; ``times [P, T]``."""
    ends = logits.softmax(-1)
    times = times.unsqueeze(1)
    true, said = (times * wanted).sum(-1), (times * ends).sum(-1)
    if config.loss == "regression_huber":
        return {
            "loss": functional.huber_loss(said, true, reduction="none", delta=config.huber_delta)
        }
    squared = (true - said) ** 2
    if config.loss == "regression_mse":
        return {"loss": squared}
    variance = ((times - said.unsqueeze(-1)) ** 2 * ends).sum(-1)
    log_variance = variance.clamp(min=LEAST_VARIANCE).log()
    loss = (-log_variance).exp() * squared + config.variance_lambda * log_variance
    return {"loss": loss, "squared_error": squared, "pred_time_log_var": log_variance}
