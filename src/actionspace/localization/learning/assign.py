"""What each point of the pyramid is to learn from a video's events."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from actionspace.localization.learning.config import LossConfig

#: Segments whose lengths differ by less, in rows, count as equally short.
SAME_LENGTH = 1e-3


class Truth(NamedTuple):
    """The events of a batch of videos; N = the most that one of them has.

    Attributes:
        segments: float32 ``[B, N, 2]``, begin and end in rows of features.
        labels: int64 ``[B, N]``.
        real: bool ``[B, N]``; the others fill up.
    """

    segments: Tensor
    labels: Tensor
    real: Tensor


class Targets(NamedTuple):
    """What is to be learnt.

    Attributes:
        classes: float32 ``[B, F, K]`` of 0 and 1.
        offsets: float32 ``[B, F, 2]``, distances to begin and end in strides; they mean something
            where a point has a class.
    """

    classes: Tensor
    offsets: Tensor

    @property
    def learnt(self) -> Tensor:
        """Points that learn an event, bool ``[B, F]``."""
        return self.classes.any(dim=-1)


class Learnt(Protocol):
    """What points are to learn, of any kind of network."""

    @property
    def learnt(self) -> Tensor:
        """Points that learn an event, bool ``[B, F]``."""


def collect(segments: Sequence[Tensor], labels: Sequence[Tensor]) -> Truth:
    """Return the events of several videos, ``[n, 2]`` and ``[n]`` each, in one table."""
    most = max(1, *(len(part) for part in labels)) if labels else 1
    like = segments[0]
    table = Truth(
        like.new_zeros(len(labels), most, 2, dtype=torch.float32),
        labels[0].new_zeros(len(labels), most, dtype=torch.int64),
        torch.zeros(len(labels), most, dtype=torch.bool, device=like.device),
    )
    for i, (spans, names) in enumerate(zip(segments, labels, strict=True)):
        table.segments[i, : len(names)] = spans
        table.labels[i, : len(names)] = names
        table.real[i, : len(names)] = True
    return table


def counted(points: Tensor, targets: Learnt, uncounted: Tensor) -> Tensor:
    """Return which points count in the class loss, bool ``[B, F]``.

    Where nobody knows what happens, only points that learn an event do.

    Args:
        points: ``[F, 4]``, see ``points.level_points``.
        targets: what they learn.
        uncounted: spans in rows ``[B, M, 2]``.
    """
    time, spans = points[:, 0, None], uncounted[:, None]
    inside = (time >= spans[..., 0]) & (time < spans[..., 1])  # [B, F, M]
    return targets.learnt | ~inside.any(dim=-1)


def assign(points: Tensor, truth: Truth, classes: int, config: LossConfig) -> Targets:
    """Return what every point learns.

    A point learns an event if it lies inside (near the centre, with ``center_sampling``) and the
    farther end is at a distance that its level learns. Of several it takes the ends of the
    shortest one, and the classes of all that are as short.

    Args:
        points: ``[F, 4]``, see ``points.level_points``.
        truth: the events.
        classes: how many.
        config: centre sampling.
    """
    time, low, high, stride = (column[:, None] for column in points.unbind(1))
    begin, end = truth.segments[:, None].unbind(-1)  # [B, 1, N]
    left, right = time - begin, end - time  # [B, F, N]
    if config.center_sampling == "radius":
        centre, reach = (begin + end) / 2, stride * config.center_radius
        first = torch.maximum(centre - reach, begin)
        last = torch.minimum(centre + reach, end)
        inside = torch.minimum(time - first, last - time) > 0
    else:
        inside = torch.minimum(left, right) > 0
    farther = torch.maximum(left, right)
    fits = inside & (low <= farther) & (farther <= high) & truth.real[:, None]

    length = torch.where(fits, end - begin, torch.inf)
    shortest = length.argmin(dim=-1, keepdim=True)  # the first one, if several are
    least = length.gather(-1, shortest)
    alike = fits & (length <= least + SAME_LENGTH)
    hot = torch.nn.functional.one_hot(truth.labels, classes).to(points.dtype)
    ends = torch.cat([left.gather(-1, shortest), right.gather(-1, shortest)], dim=-1)
    return Targets(
        classes=(alike.to(points.dtype) @ hot).clamp(max=1),
        offsets=ends / stride,
    )
