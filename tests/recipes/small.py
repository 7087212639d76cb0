"""What makes runs small in tests: few and short videos, tiny encoders of pictures and of flow."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch
from torch import nn

from actionspace.encoders.convnet import KINETICS_MEAN, KINETICS_STD
from actionspace.encoders.spec import FLOW_SCALE, ClipSpec
from tests.datasets import layouts

PICTURES, FLOW = (f"encoder={__name__}:{name}" for name in ("pictures", "flow"))
TINY, ADAPTABLE, STEPS = (
    f"encoder=tests.recognition.{name}:encoder" for name in ("tiny", "adaptable", "steps")
)
FAST = ["evaluation.bootstrap=20", "head.strengths=[0.001, 0.1]"]
PER_SPLIT = {"train": 3, "val": 1, "test": 1}
EPIC_VIDEOS = {"train": ("P01_01", "P02_101"), "val": ("P01_11", "P18_101")}
_DIM = 6


@contextmanager
def few_videos() -> Iterator[None]:
    """Let the layouts write fewer videos: five of a class instead of nine."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(layouts, "PER_SPLIT", PER_SPLIT)
        patch.setattr(layouts, "EPIC_VIDEOS", EPIC_VIDEOS)
        yield


def _network(clip: ClipSpec) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net = nn.Sequential(
            nn.Conv3d(clip.channels, _DIM, (3, 4, 4), (1, 4, 4), bias=False),
            nn.BatchNorm3d(_DIM),
            nn.ReLU(),
        )
    net.dim, net.clip = _DIM, clip  # type: ignore[assignment]
    return net


def pictures(pool: str = "global") -> nn.Module:
    """``pool`` is there for recipes that set this option of their own encoder."""
    return _network(ClipSpec(8, 2, 32, 32, KINETICS_MEAN, KINETICS_STD, fps=30.0))


def flow() -> nn.Module:
    return _network(ClipSpec(8, 1, 32, 32, FLOW_SCALE, FLOW_SCALE, fps=25.0, input="flow"))


def _steps(frames: int, fps: float | None) -> nn.Module:
    """Means of 8 x 8 pixels and so many frames, per colour: ``[B, 3, T / frames, 4, 4]``."""
    net = nn.AvgPool3d((frames, 8, 8))
    net.dim = 3  # type: ignore[assignment]
    net.clip = ClipSpec(8, 1, 32, 32, KINETICS_MEAN, KINETICS_STD, fps=fps)  # type: ignore[assignment]
    return net


def pairs() -> nn.Module:
    """Two frames to a step in time, as V-JEPA 2 has them."""
    return _steps(2, None)


def singly() -> nn.Module:
    """Frame by frame, as encoders of pictures."""
    return _steps(1, 4.0)
