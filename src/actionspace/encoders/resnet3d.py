"""Slow, C2D and I3D: ResNets with a temporal extent in some of their convolutions.

Feichtenhofer et al., SlowFast Networks for Video Recognition, ICCV 2019 (Slow, C2D); Carreira and
Zisserman, Quo Vadis, Action Recognition?, CVPR 2017, inflated into ResNets as in Wang et al.,
Non-local Neural Networks, CVPR 2018 (I3D). Structure and options are those of pytorchvideo.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch.nn.functional as F
from torch import Tensor, nn

from actionspace.errors import UsageError

Triple = tuple[int, int, int]
Pool = Literal["global", "sliding"]


class Stem(nn.Module):
    """Convolution ``[frames, 7, 7]``, norm, ReLU, max pooling: a quarter of each side remains."""

    def __init__(self, in_channels: int, width: int, frames: int) -> None:
        super().__init__()
        self.conv = conv3d(in_channels, width, (frames, 7, 7), (1, 2, 2))
        self.norm = nn.BatchNorm3d(width)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[B, in_channels, T, H, W]`` to ``[B, width, T, H/4, W/4]``."""
        x = F.relu(self.norm(self.conv(x)))
        return F.max_pool3d(x, (1, 3, 3), (1, 2, 2), (0, 1, 1))


class Bottleneck(nn.Module):
    """Convolutions ``[frames, 1, 1]``, ``[1, 3, 3]`` and ``[1, 1, 1]`` beside a shortcut."""

    def __init__(self, dim_in: int, inner: int, dim: int, frames: int, stride: int) -> None:
        super().__init__()
        self.conv_a = conv3d(dim_in, inner, (frames, 1, 1))
        self.norm_a = nn.BatchNorm3d(inner)
        self.conv_b = conv3d(inner, inner, (1, 3, 3), (1, stride, stride))
        self.norm_b = nn.BatchNorm3d(inner)
        self.conv_c = conv3d(inner, dim, (1, 1, 1))
        self.norm_c = nn.BatchNorm3d(dim)
        self.project = dim_in != dim or stride != 1
        if self.project:
            self.shortcut = conv3d(dim_in, dim, (1, 1, 1), (1, stride, stride))
            self.shortcut_norm = nn.BatchNorm3d(dim)
        nn.init.zeros_(self.norm_c.weight)  # Every block starts as its shortcut.

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[B, dim_in, T, H, W]`` to ``[B, dim, T, H/stride, W/stride]``."""
        y = F.relu(self.norm_a(self.conv_a(x)))
        y = F.relu(self.norm_b(self.conv_b(y)))
        y = self.norm_c(self.conv_c(y))
        kept = self.shortcut_norm(self.shortcut(x)) if self.project else x
        return F.relu(kept + y)


class Trunk(nn.Module):
    """A stem and four stages, each halving the sides but the first; time keeps its length."""

    def __init__(
        self,
        *,
        in_channels: int,
        width: int,
        depths: Sequence[int],
        stem_frames: int,
        block_frames: Sequence[Sequence[int]],
        fused: Sequence[int] = (0, 0, 0, 0),
    ) -> None:
        """Build.

        Args:
            in_channels: of the clips.
            width: channels of the stem; stage i has 4 * 2^i times as many.
            depths: blocks per stage.
            stem_frames: temporal extent of the stem's kernel.
            block_frames: per stage, temporal extents of the blocks' first kernels, repeated.
            fused: channels that another pathway adds to each stage's input.
        """
        super().__init__()
        self.stem = Stem(in_channels, width, stem_frames)
        self.stages = nn.ModuleList()
        dim_in = width
        for i, (depth, frames) in enumerate(zip(depths, block_frames, strict=True)):
            dim, blocks = 4 * width * 2**i, []
            for j in range(depth):
                before = dim_in + fused[i] if j == 0 else dim
                stride = 2 if i and j == 0 else 1
                blocks.append(Bottleneck(before, dim // 4, dim, frames[j % len(frames)], stride))
            self.stages.append(nn.Sequential(*blocks))
            dim_in = dim
        self.dim = dim_in


class ResNet3D(Trunk):
    """One pathway: Slow, C2D or I3D.

    Attributes:
        dim: channels of the features.
    """

    def __init__(
        self,
        *,
        in_channels: int = 3,
        width: int = 64,
        depths: Sequence[int] = (3, 4, 6, 3),
        stem_frames: int = 1,
        block_frames: Sequence[Sequence[int]] = ((1,), (1,), (3,), (3,)),
        halve_time: bool = False,
        window: Sequence[int] = (8, 7, 7),
        pool: Pool = "global",
    ) -> None:
        """Build; the defaults are Slow R50.

        Args:
            in_channels: of the clips.
            width: channels of the stem.
            depths: blocks per stage.
            stem_frames: temporal extent of the stem's kernel.
            block_frames: per stage, temporal extents of the blocks' first kernels, repeated.
            halve_time: pool pairs of frames after the first stage (C2D and I3D).
            window: positions (time, height, width) of the published head's pooling.
            pool: ``sliding`` averages the features over every place of that window, as
                the published head does; ``global`` leaves all positions to the mean.
        """
        super().__init__(
            in_channels=in_channels,
            width=width,
            depths=depths,
            stem_frames=stem_frames,
            block_frames=block_frames,
        )
        self.halve_time = halve_time
        self.window = check_pool(pool, window)
        init_convolutions(self)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[B, in_channels, T, H, W]`` to ``[B, dim, T', H/32, W/32]``.

        T' is T, or T/2 with ``halve_time``; if ``sliding``, one position per place of the window.
        """
        x = self.stem(x)
        for i, stage in enumerate(self.stages):
            x = stage(x)
            if self.halve_time and i == 0:
                x = F.max_pool3d(x, (2, 1, 1), (2, 1, 1))
        return pool_windows(x, self.window)


def conv3d(dim_in: int, dim: int, kernel: Triple, stride: Triple = (1, 1, 1)) -> nn.Conv3d:
    """Return a convolution without bias, padded by half its (odd) kernel."""
    padding = (kernel[0] // 2, kernel[1] // 2, kernel[2] // 2)
    return nn.Conv3d(dim_in, dim, kernel, stride, padding, bias=False)


def init_convolutions(module: nn.Module) -> None:
    """Draw the convolutions as He et al., 2015, by fan-out."""
    for m in module.modules():
        if isinstance(m, nn.Conv3d):
            nn.init.kaiming_normal_(m.weight, mode="fan_out", nonlinearity="relu")


def check_pool(pool: str, window: Sequence[int]) -> Triple | None:
    """Return the window to pool by, None for global pooling.

    Raises:
        UsageError: ``pool`` is neither ``global`` nor ``sliding``.
    """
    if pool not in ("global", "sliding"):
        raise UsageError(f"pool is '{pool}'; expected 'global' or 'sliding'.")
    t, h, w = window
    return (t, h, w) if pool == "sliding" else None


def pool_windows(x: Tensor, window: Triple | None) -> Tensor:
    """Average ``[B, C, T, H, W]`` over every place of ``window`` (one step apart); None = as is.

    Raises:
        UsageError: the features are smaller than the window.
    """
    if window is None:
        return x
    if any(n < k for n, k in zip(x.shape[2:], window, strict=True)):
        raise UsageError(
            f"pool='sliding' pools {list(window)} positions (time, height, width), but these "
            f"clips leave {list(x.shape[2:])}. Feed larger clips, or use pool='global'."
        )
    return F.avg_pool3d(x, window, stride=1)
