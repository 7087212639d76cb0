"""A tiny encoder that sees motion, and tiny videos whose classes are motions."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from actionspace.encoders.spec import ClipSpec
from actionspace.events.table import Events
from actionspace.video.write import write_video

ENCODER = "tests.recognition.tiny:encoder"
SPEED = {"still": (0, 0), "right": (2, 0), "left": (-2, 0), "down": (0, 2)}
WIDTH, HEIGHT, FPS = 48, 32, 25


class Motion(nn.Module):
    """Products of temporal and spatial gradients: which way things move, and how fast."""

    dim = 5
    clip = ClipSpec(frames=4, stride=2, size=32, short_side=32, geometry="full", resize="fast")

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, x: Tensor) -> Tensor:
        grey = x.mean(dim=1)
        dt = grey[:, 1:] - grey[:, :-1]
        across = (grey[:, :-1].roll(-1, 3) - grey[:, :-1].roll(1, 3))[..., 1:-1]
        along = (grey[:, :-1].roll(-1, 2) - grey[:, :-1].roll(1, 2))[:, :, 1:-1]
        found = [
            (dt[..., 1:-1] * across).mean(dim=(1, 2, 3)),
            (dt[:, :, 1:-1] * along).mean(dim=(1, 2, 3)),
            dt.abs().mean(dim=(1, 2, 3)),
            grey.mean(dim=(1, 2, 3)),
            grey.std(dim=(1, 2, 3)),
        ]
        return torch.stack(found, dim=1) * self.scale


def encoder(pool: str = "global") -> nn.Module:
    """``pool`` is there for recipes that set this option of their own encoder."""
    return Motion()


def frames(motions: Sequence[tuple[str, int]], seed: int) -> np.ndarray:
    """A blob on noise that moves as told: ``(motion, frames)`` one after another, uint8 THWC."""
    rng = np.random.default_rng(seed)
    back = rng.integers(40, 70, (HEIGHT, WIDTH, 1)).repeat(3, axis=2)
    at = rng.integers(0, [HEIGHT, WIDTH])
    out = []
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    for motion, count in motions:
        dx, dy = SPEED[motion]
        for _ in range(count):
            at = (at + np.array([dy, dx])) % np.array([HEIGHT, WIDTH])
            far = [
                np.minimum(np.abs(g - c), n - np.abs(g - c))
                for g, c, n in ((y, at[0], HEIGHT), (x, at[1], WIDTH))
            ]
            blob = np.exp(-(far[0] ** 2 + far[1] ** 2) / 30)[..., None]
            out.append(np.clip(back + 170 * blob, 0, 255).astype(np.uint8))
    return np.stack(out)


def clips(
    root: Path,
    classes: Sequence[str] = ("still", "right", "left"),
    groups: int = 6,
    length: int = 20,
    each: int = 1,
) -> Events:
    """``each`` whole-video clips per class and group."""
    rows, videos = [], []
    for group in range(groups):
        for c, name in enumerate(classes):
            for k in range(each):
                video = f"{name}/g{group}_{k}.mp4"
                seed = 100 * group + 10 * c + k
                write_video(root / video, frames([(name, length)], seed), FPS)
                rows.append({"video": video, "label": name})
                videos.append({"video": video, "group": f"g{group}"})
    return Events.from_frames(pd.DataFrame(rows), pd.DataFrame(videos), root)


def untrimmed(
    root: Path, names: Sequence[str], labelled: str | None = None, seed: int = 0
) -> Events:
    """Long videos of bouts; ``still`` stretches are gaps without an event."""
    rng = np.random.default_rng(seed)
    rows, videos = [], []
    for i, name in enumerate(names):
        plan = [
            (str(rng.choice(["right", "left", "still"])), int(rng.integers(30, 60)))
            for _ in range(8)
        ]
        plan += [("right", 40), ("still", 40), ("left", 40)]
        write_video(root / name, frames(plan, 1000 + i), FPS)
        at = 0
        for motion, count in plan:
            if motion != "still":
                rows.append(
                    {"video": name, "start": at / FPS, "end": (at + count) / FPS, "label": motion}
                )
            at += count
        videos.append({"video": name, "group": name, "labelled": labelled, "duration": at / FPS})
    return Events.from_frames(pd.DataFrame(rows), pd.DataFrame(videos), root)
