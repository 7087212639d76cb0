"""One of two processes that hold some videos of a batch each."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

from actionspace.alignment.losses.config import SclConfig
from actionspace.alignment.losses.frames import Frames
from actionspace.alignment.losses.scl import scl_loss
from tests.alignment.losses.made import views

SHARES = (slice(0, 2), slice(2, 3))  # of three videos: processes hold different numbers
CASES: list[dict[str, Any]] = [
    {"negatives": "batch_noself"},
    {"negatives": "batch"},
    {"negatives": "batch", "compat": True},
]


def work(rank: int, folder: Path) -> None:
    """Write the loss and the gradient of each case, times the own share of the videos."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", f"file://{folder}/meet", rank=rank, world_size=2)
    every, frames = views(3)
    own = SHARES[rank]
    part = Frames(frames.steps[own], frames.lengths[own], frames.valid[own])
    found = []
    for case in CASES:
        emb = every.detach()[own].clone().requires_grad_()
        loss = scl_loss(emb, part, SclConfig(**case, across_processes=True)) * len(emb) / 3
        loss.backward()
        found.append((loss.detach(), emb.grad))
    torch.save(found, folder / f"{rank}.pt")
    dist.destroy_process_group()
