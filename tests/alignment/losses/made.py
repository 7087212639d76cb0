"""Embeddings and frames made up for tests."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from actionspace.alignment.losses.frames import Frames


def views(
    videos: int = 3, size: int = 12, channels: int = 16, *, seed: int = 0, padding: bool = True
) -> tuple[Tensor, Frames]:
    """Two views of each video: unit vectors ``[B, 2, T, D]`` of float64, some frames padded."""
    make = torch.Generator().manual_seed(seed)
    clips = (videos, 2)
    emb = torch.randn(*clips, size, channels, generator=make, dtype=torch.float64)
    lengths = torch.randint(size, 3 * size, (videos, 1), generator=make).expand(clips)
    steps = (torch.rand(*clips, size, generator=make) * lengths[..., None]).long().sort(-1).values
    masks = torch.ones(*clips, size)
    if padding:
        shortest = torch.randint(2, size, clips, generator=make)
        masks = (torch.arange(size) < shortest[..., None]).float()
    return functional.normalize(emb, dim=-1).requires_grad_(), Frames.of(steps, lengths, masks)


def rows(
    videos: int = 4, size: int = 8, *, seed: int = 0, padding: bool = True
) -> tuple[Tensor, Frames]:
    """The same as single clips: ``[N, T, D]``."""
    emb, frames = views(-(-videos // 2), size, seed=seed, padding=padding)
    flat = frames.flat()
    cut = Frames(flat.steps[:videos], flat.lengths[:videos], flat.valid[:videos])
    return emb.detach().flatten(0, 1)[:videos].clone().requires_grad_(), cut


def nothing_valid(frames: Frames) -> Frames:
    return Frames(frames.steps, frames.lengths, torch.zeros_like(frames.valid))
