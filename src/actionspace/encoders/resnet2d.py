"""ResNet of single pictures (He et al., Deep Residual Learning, CVPR 2016), frame by frame.

The stride of a block lies in its 3x3 convolution and the names are torchvision's, so that weights
trained on ImageNet in any of its usual layouts fit. The classifier is left out.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn


class Bottleneck(nn.Module):
    """Convolutions 1x1, 3x3 and 1x1 beside a shortcut; four times as wide outside as inside."""

    expansion = 4

    def __init__(self, dim_in: int, inner: int, stride: int) -> None:
        super().__init__()
        dim = inner * self.expansion
        self.conv1 = _conv(dim_in, inner, 1)
        self.bn1 = nn.BatchNorm2d(inner)
        self.conv2 = _conv(inner, inner, 3, stride)
        self.bn2 = nn.BatchNorm2d(inner)
        self.conv3 = _conv(inner, dim, 1)
        self.bn3 = nn.BatchNorm2d(dim)
        self.downsample: nn.Module = nn.Identity()
        if dim_in != dim or stride != 1:
            self.downsample = nn.Sequential(_conv(dim_in, dim, 1, stride), nn.BatchNorm2d(dim))

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[N, dim_in, H, W]`` to ``[N, 4 inner, H/stride, W/stride]``."""
        y = F.relu(self.bn1(self.conv1(x)))
        y = F.relu(self.bn2(self.conv2(y)))
        y = self.bn3(self.conv3(y))
        return F.relu(y + self.downsample(x))


class ResNet(nn.Module):
    """A ResNet of bottlenecks whose frames know nothing of each other; the default is ResNet-50.

    Attributes:
        dim: channels of the features.
    """

    def __init__(
        self, *, in_channels: int = 3, width: int = 64, depths: Sequence[int] = (3, 4, 6, 3)
    ) -> None:
        """Build.

        Args:
            in_channels: of the pictures.
            width: channels of the stem; stage i has 4 * 2^i times as many.
            depths: blocks per stage, of which there are four.
        """
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, width, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU()
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        stages, dim = [], width
        for i, depth in enumerate(depths):
            inner = width * 2**i
            blocks = [Bottleneck(dim, inner, 2 if i else 1)]
            dim = inner * Bottleneck.expansion
            blocks += [Bottleneck(dim, inner, 1) for _ in range(depth - 1)]
            stages.append(nn.Sequential(*blocks))
        self.layer1, self.layer2, self.layer3, self.layer4 = stages
        self.dim = dim
        for m in self.modules():
            if isinstance(m, nn.Conv2d):
                nn.init.kaiming_normal_(m.weight, mode="fan_out", nonlinearity="relu")

    def parts(self) -> list[nn.Module]:
        """Return the eight parts that a picture goes through, the four stages last."""
        return list(self.children())

    def blocks(self) -> list[nn.Module]:
        """Return the blocks in order of computation."""
        return [m for m in self.modules() if isinstance(m, Bottleneck)]

    def forward(self, x: Tensor) -> Tensor:
        """Map clips ``[B, in_channels, T, H, W]`` to ``[B, dim, T, H/32, W/32]``."""
        clips, frames = x.shape[0], x.shape[2]
        pictures = x.transpose(1, 2).flatten(0, 1)
        for part in self.parts():
            pictures = part(pictures)
        return pictures.reshape(clips, frames, *pictures.shape[1:]).transpose(1, 2)


def _conv(dim_in: int, dim: int, kernel: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(dim_in, dim, kernel, stride, padding=kernel // 2, bias=False)
