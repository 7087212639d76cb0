"""Two clips in one, and their targets.

Mixup (Zhang, Cisse, Dauphin & Lopez-Paz, 2018): ``x = l x_i + (1 - l) x_j``, l ~ Beta(a, a).
CutMix (Yun et al., 2019): x_j inside a box of area ``1 - l``, x_i outside, through all frames.
Both are ``x = w x_i + (1 - w) x_j`` with a weight w for each pixel of the frame, and targets are
mixed by the mean of w.

Whether and how a clip is mixed is its own draw; *which* clip it is mixed with depends on those that
are in the same forward pass, and so on ``training.micro_batch_size`` and the number of processes.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from scipy.special import betaincinv
from torch import Tensor

from actionspace.training.augment.apply import on_device, pieces
from actionspace.training.augment.draws import Draws
from actionspace.training.augment.geometry import inside
from actionspace.training.augment.options import MixConfig


class Mix(NamedTuple):
    """How clips are mixed.

    Attributes:
        partner: int64 ``[B]``, with which clip of the batch.
        share: float32 ``[B]``, l of the whole frame: 1 = unmixed, or mixed by the box.
        boxes: int64 ``[B, 4]`` (x, y, width, height), filled by the partner; empty = none.
    """

    partner: np.ndarray
    share: np.ndarray
    boxes: np.ndarray

    def kept(self, height: int, width: int) -> np.ndarray:
        """Return the share of its target that each clip keeps, float32 ``[B]``."""
        covered = self.boxes[:, 2] * self.boxes[:, 3] / (height * width)
        return np.asarray(self.share * (1 - covered), np.float32)


def draw_mix(draws: Draws, config: MixConfig, height: int, width: int) -> Mix:
    """Draw how clips of ``height`` x ``width`` are mixed.

    The partner is the next clip in an order that is drawn, so that each clip is one's partner.
    """
    place, which, amount, x, y = draws.uniform("mix", 5).T
    mixed = draws.chance("mix at all", config.p)
    if config.mixup and config.cutmix:
        cut = mixed & (which < config.switch)
    else:
        cut = mixed & bool(config.cutmix)
    averaged = mixed & ~cut
    share = np.ones(len(place), np.float32)
    share[averaged] = _beta(config.mixup, amount[averaged])
    boxes = np.zeros((len(place), 4), np.int64)
    boxes[cut] = _boxes(_beta(config.cutmix, amount[cut]), x[cut], y[cut], height, width)
    order = np.argsort(place)
    partner = np.empty_like(order)
    partner[order] = np.roll(order, -1)
    return Mix(partner, share, boxes)


def mix_clips(clips: Tensor, mix: Mix) -> Tensor:
    """Return clips ``[B, T, C, H, W]`` mixed with their partners."""
    device = clips.device
    covered = inside(on_device(mix.boxes, device), *clips.shape[-2:])
    weight = torch.where(covered, 0.0, on_device(mix.share, device)[:, None, None])
    weight = weight[:, None, None]
    partner = on_device(mix.partner, device)
    out = torch.empty_like(clips)
    for part, frames in pieces(clips):
        others = clips[:, frames].index_select(0, partner[part])
        torch.lerp(others, clips[part, frames], weight[part], out=out[part, frames])
    return out


def mix_targets(targets: Tensor, mix: Mix, kept: np.ndarray, classes: int) -> Tensor:
    """Return soft targets float32 ``[B, C]`` of class numbers ``[B]`` or binary ones ``[B, C]``."""
    if targets.ndim == 1:
        numbers = torch.arange(classes, device=targets.device)
        targets = targets[:, None] == numbers
    targets = targets.float()
    others = targets.index_select(0, on_device(mix.partner, targets.device))
    return torch.lerp(others, targets, on_device(kept, targets.device)[:, None])


def _beta(parameter: float, u: np.ndarray) -> np.ndarray:
    """Return Beta(a, a) numbers of uniform ones."""
    return np.asarray(betaincinv(parameter, parameter, u))


def _boxes(share: np.ndarray, x: np.ndarray, y: np.ndarray, height: int, width: int) -> np.ndarray:
    """Return boxes of area ``1 - share`` and the frame's shape about (x, y), cut at its edges."""
    side = np.sqrt(1 - share)
    corners = []
    for centre, length in ((x, width), (y, height)):
        middle, half = np.floor(centre * length), np.floor(side * length) // 2
        corners.append((np.clip(middle - half, 0, length), np.clip(middle + half, 0, length)))
    (left, right), (top, bottom) = corners
    return np.stack([left, top, right - left, bottom - top], axis=1).astype(np.int64)
