"""A small encoder that can be adapted: motion detectors, then blocks of attention and an MLP.

It has what adapting can get wrong: batch statistics, dropped paths, a ``proj`` that is no
attention's, layers between its two stages and behind them.
"""

from __future__ import annotations

from functools import partial
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from actionspace.encoders.drop_path import DropPath
from tests.recognition.tiny import Motion

ENCODER = "tests.recognition.adaptable:encoder"
CONVOLUTIONS = "tests.recognition.adaptable:convolutions"
WIDTH = 8


class Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.qkv, self.proj = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.qkv(x).chunk(3, dim=-1)
        return cast(Tensor, self.proj(F.scaled_dot_product_attention(q, k, v)))


class Mlp(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(WIDTH, 2 * WIDTH), nn.Linear(2 * WIDTH, WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        return cast(Tensor, self.fc2(F.gelu(self.fc1(x))))


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(WIDTH)
        self.attn, self.mlp, self.drop_path = Attention(), Mlp(), DropPath(0.1)

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm(x.transpose(1, 2)).transpose(1, 2)
        x = x + self.drop_path(self.attn(y))
        return cast(Tensor, x + self.drop_path(self.mlp(x)))


class Stage(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(Block() for _ in range(2))
        self.downsample = nn.Linear(WIDTH, WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        for block in self.blocks:
            x = block(x)
        return x + cast(Tensor, self.downsample(x))


class Embed(nn.Module):
    """Each motion detector is a token."""

    def __init__(self) -> None:
        super().__init__()
        self.motion = Motion()
        self.norm, self.proj = nn.BatchNorm1d(1), nn.Linear(1, WIDTH)
        self.register_buffer("gain", torch.tensor([12.0, 12, 6, 1, 1]), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        seen = self.norm((self.motion(x) * self.gain)[:, None])
        return cast(Tensor, self.proj(seen.transpose(1, 2)))


class Net(nn.Module):
    dim, clip = WIDTH, Motion.clip

    def __init__(self) -> None:
        super().__init__()
        self.patch_embed = Embed()
        self.position = nn.Parameter(torch.randn(Motion.dim, WIDTH) / 4)
        self.layers = nn.ModuleList(Stage() for _ in range(2))
        self.norm = nn.LayerNorm(WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        x = self.patch_embed(x) + self.position
        for stage in self.layers:
            x = stage(x)
        return cast(Tensor, self.norm(x))


class Functional(Net):
    """It reads the weights of its attention without calling it, as torchvision's Swin does."""

    def __init__(self) -> None:
        super().__init__()
        for module in self.modules():
            if isinstance(module, Attention):
                module.forward = partial(_attend, module)  # type: ignore[method-assign]


def _attend(module: Attention, x: Tensor) -> Tensor:
    q, k, v = F.linear(x, module.qkv.weight, module.qkv.bias).chunk(3, dim=-1)
    return cast(Tensor, module.proj(F.scaled_dot_product_attention(q, k, v)))


class Convolutions(nn.Module):
    dim, clip = 6, Motion.clip

    def __init__(self) -> None:
        super().__init__()
        layers = [(3, 6, 1), (6, 6, 6), (6, 6, 1)]  # the second one is depthwise
        self.stages = nn.Sequential(
            *(
                nn.Sequential(
                    nn.Conv3d(a, b, 3, 2, padding=1, groups=g), nn.BatchNorm3d(b), nn.ReLU()
                )
                for a, b, g in layers
            )
        )

    def forward(self, x: Tensor) -> Tensor:
        return cast(Tensor, self.stages(x))


def _seeded(kind: type[nn.Module]) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return kind()


def encoder() -> nn.Module:
    return _seeded(Net)


def functional() -> nn.Module:
    return _seeded(Functional)


def convolutions() -> nn.Module:
    return _seeded(Convolutions)
