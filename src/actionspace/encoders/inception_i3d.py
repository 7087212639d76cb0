"""Inception-I3D: the Inception network inflated into time, for RGB or optical flow.

Carreira and Zisserman, Quo Vadis, Action Recognition? A New Model and the Kinetics Dataset, CVPR
2017. Layers carry the paper's names.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from actionspace.encoders.resnet3d import (
    Pool,
    Triple,
    check_pool,
    init_convolutions,
    pool_windows,
)

#: Channels of the branches: 1x1x1; 1x1x1 and 3x3x3; 1x1x1 and 3x3x3; 1x1x1 after pooling.
_MIXED = {
    "Mixed_3b": (64, 96, 128, 16, 32, 32),
    "Mixed_3c": (128, 128, 192, 32, 96, 64),
    "Mixed_4b": (192, 96, 208, 16, 48, 64),
    "Mixed_4c": (160, 112, 224, 24, 64, 64),
    "Mixed_4d": (128, 128, 256, 24, 64, 64),
    "Mixed_4e": (112, 144, 288, 32, 64, 64),
    "Mixed_4f": (256, 160, 320, 32, 128, 128),
    "Mixed_5b": (256, 160, 320, 32, 128, 128),
    "Mixed_5c": (384, 192, 384, 48, 128, 128),
}


class Unit(nn.Module):
    """Convolution, norm, ReLU; padded as TensorFlow pads, by what the input's size leaves over."""

    def __init__(self, dim_in: int, dim: int, kernel: int, stride: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv3d(dim_in, dim, kernel, stride, bias=False)
        self.norm = nn.BatchNorm3d(dim, eps=1e-3, momentum=0.01)
        self._kernel, self._stride = (kernel,) * 3, (stride,) * 3

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[B, dim_in, T, H, W]`` to ``[B, dim, ...]``, sizes over stride, rounded up."""
        return F.relu(self.norm(self.conv(pad_same(x, self._kernel, self._stride))))


class MaxPool(nn.Module):
    """Max pooling with the same padding; what is padded counts as 0."""

    def __init__(self, kernel: Triple, stride: Triple) -> None:
        super().__init__()
        self.kernel, self.stride = kernel, stride

    def forward(self, x: Tensor) -> Tensor:
        """Shrink ``[B, C, T, H, W]`` by ``stride``, rounded up."""
        return F.max_pool3d(pad_same(x, self.kernel, self.stride), self.kernel, self.stride)


class Mixed(nn.Module):
    """Four branches side by side; their channels are concatenated."""

    def __init__(self, dim_in: int, dims: Sequence[int]) -> None:
        super().__init__()
        self.b0 = Unit(dim_in, dims[0], 1)
        self.b1a = Unit(dim_in, dims[1], 1)
        self.b1b = Unit(dims[1], dims[2], 3)
        self.b2a = Unit(dim_in, dims[3], 1)
        self.b2b = Unit(dims[3], dims[4], 3)
        self.b3a = MaxPool((3, 3, 3), (1, 1, 1))
        self.b3b = Unit(dim_in, dims[5], 1)
        self.dim = dims[0] + dims[2] + dims[4] + dims[5]

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[B, dim_in, T, H, W]`` to ``[B, dim, T, H, W]``."""
        branches = [
            self.b0(x),
            self.b1b(self.b1a(x)),
            self.b2b(self.b2a(x)),
            self.b3b(self.b3a(x)),
        ]
        return torch.cat(branches, dim=1)


class InceptionI3D(nn.Module):
    """Inception-I3D up to its last mixed layer.

    Attributes:
        dim: channels of the features.
    """

    def __init__(
        self,
        *,
        in_channels: int = 3,
        window: Sequence[int] = (2, 7, 7),
        pool: Pool = "global",
    ) -> None:
        """Build.

        Args:
            in_channels: 3 for RGB, 2 for optical flow.
            window: positions (time, height, width) of the published head's pooling.
            pool: ``sliding`` averages the features over every place of that window, as
                the published head does; ``global`` leaves all positions to the mean.
        """
        super().__init__()
        stages: OrderedDict[str, nn.Module] = OrderedDict()
        stages["Conv3d_1a_7x7"] = Unit(in_channels, 64, 7, 2)
        stages["MaxPool3d_2a_3x3"] = MaxPool((1, 3, 3), (1, 2, 2))
        stages["Conv3d_2b_1x1"] = Unit(64, 64, 1)
        stages["Conv3d_2c_3x3"] = Unit(64, 192, 3)
        stages["MaxPool3d_3a_3x3"] = MaxPool((1, 3, 3), (1, 2, 2))
        dim = 192
        for name, dims in _MIXED.items():
            if name == "Mixed_4b":
                stages["MaxPool3d_4a_3x3"] = MaxPool((3, 3, 3), (2, 2, 2))
            if name == "Mixed_5b":
                stages["MaxPool3d_5a_2x2"] = MaxPool((2, 2, 2), (2, 2, 2))
            mixed = Mixed(dim, dims)
            stages[name], dim = mixed, mixed.dim
        self.stages = nn.Sequential(stages)
        self.dim = dim
        self.window = check_pool(pool, window)
        init_convolutions(self)

    def blocks(self) -> list[nn.Module]:
        """Return the layers with weights in order of computation."""
        return [stage for stage in self.stages if not isinstance(stage, MaxPool)]

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[B, in_channels, T, H, W]`` to ``[B, 1024, T/8, H/32, W/32]``, rounded up."""
        return pool_windows(self.stages(x), self.window)


def pad_same(x: Tensor, kernel: Triple, stride: Triple) -> Tensor:
    """Pad ``[B, C, T, H, W]`` with zeros so that a window gives size / stride, rounded up."""
    sides: list[int] = []
    for size, k, s in zip(reversed(x.shape[2:]), reversed(kernel), reversed(stride), strict=True):
        missing = max(k - (size % s or s), 0)
        sides += [missing // 2, missing - missing // 2]
    return F.pad(x, sides) if any(sides) else x
