"""A tiny encoder that says at each step in time which way things move."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from actionspace.encoders.spec import ClipSpec

ENCODER = f"{__name__}:encoder"


class Steps(nn.Module):
    """A step for each pair of frames: ``[B, 8, T - 1, 1, 1]``."""

    dim = 8
    clip = ClipSpec(frames=4, stride=2, size=32, short_side=32, geometry="full", resize="fast")

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, x: Tensor) -> Tensor:
        grey = x.mean(dim=1)
        dt, now = grey[:, 1:] - grey[:, :-1], grey[:, :-1]
        found = []
        for axis in (2, 3):
            slope = now.roll(-1, axis) - now.roll(1, axis)
            flow = (dt * slope).sum(dim=(2, 3)) / ((dt * slope).abs().sum(dim=(2, 3)) + 1e-3)
            found += [flow, -flow, flow.abs()]
        found += [dt.abs().mean(dim=(2, 3)), grey[:, 1:].std(dim=(2, 3))]
        return torch.stack(found, dim=1)[..., None, None] * self.scale


def encoder() -> nn.Module:
    return Steps()
