"""A tiny encoder and tiny videos, so that whole extractions take a fraction of a second."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from actionspace.encoders.encoder import Encoder
from actionspace.encoders.spec import ClipSpec
from actionspace.encoders.swin3d import DropPath
from actionspace.events.table import Events
from actionspace.video.write import write_video

CLIP = ClipSpec(frames=4, stride=2, size=16, short_side=16, resize="exact")


class Backbone(nn.Module):
    def __init__(self, drop: float) -> None:
        super().__init__()
        self.embed = nn.Conv3d(3, 8, (2, 8, 8), (2, 8, 8))
        self.mix = nn.Conv3d(8, 8, 1)
        self.drop = DropPath(drop)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.embed(x)
        y: torch.Tensor = x + self.drop(torch.tanh(self.mix(x)))
        return y


def encoder(seed: int = 0, drop: float = 0.0) -> Encoder:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return Encoder(
            Backbone(drop), name="tiny", dim=8, clip=CLIP, weights_hash=f"untrained-seed{seed}"
        )


def make_video(path: Path, frames: int, seed: int = 0, size: tuple[int, int] = (40, 24)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    base = rng.integers(0, 255, (size[1], size[0], 3)).astype(np.uint8)
    pictures = (np.roll(base, 2 * i, axis=1) for i in range(frames))
    return write_video(path, pictures, 10.0, gop=8, crf=30, options={"preset": "ultrafast"})


def manifest(root: Path, rows: list[tuple[Any, ...]], **videos: Any) -> Events:
    names = ("video", "start", "end", "label")
    table = [dict(zip(names, row, strict=True)) for row in rows]
    extra = [{"video": video} | values for video, values in videos.items()] or None
    return Events.from_frames(table, extra, root=root)


def contents(store: Path) -> dict[str, str]:
    """Every file of a store with the hash of its bytes."""
    return {
        p.relative_to(store).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in sorted(store.rglob("*"))
        if p.is_file()
    }
