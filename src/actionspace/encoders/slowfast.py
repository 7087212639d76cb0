"""SlowFast: a pathway of few frames and many channels beside one of many frames and few channels.

Feichtenhofer et al., SlowFast Networks for Video Recognition, ICCV 2019.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from actionspace.encoders.resnet3d import (
    Pool,
    Trunk,
    check_pool,
    init_convolutions,
    pool_windows,
)
from actionspace.errors import UsageError


class Fuse(nn.Module):
    """Brings the fast pathway's features to the slow one's frames and twice the channels."""

    def __init__(self, dim: int, frames: int, alpha: int) -> None:
        super().__init__()
        self.conv = nn.Conv3d(
            dim, 2 * dim, (frames, 1, 1), (alpha, 1, 1), (frames // 2, 0, 0), bias=False
        )
        self.norm = nn.BatchNorm3d(2 * dim)

    def forward(self, fast: Tensor) -> Tensor:
        """Map ``[B, dim, T, H, W]`` to ``[B, 2 dim, ceil(T / alpha), H, W]``."""
        return F.relu(self.norm(self.conv(fast)))


class SlowFast(nn.Module):
    """Two pathways, the fast one feeding the slow one before each stage.

    Attributes:
        dim: channels of the features: the slow pathway's, then the fast one's.
    """

    def __init__(
        self,
        *,
        in_channels: int = 3,
        width: int = 64,
        depths: Sequence[int] = (3, 4, 6, 3),
        alpha: int = 4,
        beta_inv: int = 8,
        fuse_frames: int = 7,
        slow_frames: Sequence[Sequence[int]] = ((1,), (1,), (3,), (3,)),
        fast_frames: Sequence[Sequence[int]] = ((3,), (3,), (3,), (3,)),
        window: Sequence[int] = (8, 7, 7),
        pool: Pool = "global",
    ) -> None:
        """Build; the defaults are SlowFast 8x8 R50.

        Args:
            in_channels: of the clips.
            width: channels of the slow stem.
            depths: blocks per stage, of both pathways.
            alpha: how many times fewer frames the slow pathway sees.
            beta_inv: how many times fewer channels the fast pathway has.
            fuse_frames: temporal extent of the fusing kernels.
            slow_frames, fast_frames: per stage, temporal extents of the blocks' first kernels,
                repeated.
            window: positions (time, height, width) of the published head's pooling of the slow
                pathway; the fast one's is ``alpha`` times as long.
            pool: ``sliding`` averages the features over every place of that window, as
                the published head does; ``global`` leaves all positions to the mean.
        """
        super().__init__()
        narrow = width // beta_inv
        into_fuse = [narrow, *(4 * narrow * 2**i for i in range(len(depths) - 1))]
        self.slow = Trunk(
            in_channels=in_channels,
            width=width,
            depths=depths,
            stem_frames=1,
            block_frames=slow_frames,
            fused=[2 * dim for dim in into_fuse],
        )
        self.fast = Trunk(
            in_channels=in_channels,
            width=narrow,
            depths=depths,
            stem_frames=5,
            block_frames=fast_frames,
        )
        self.fuse = nn.ModuleList(Fuse(dim, fuse_frames, alpha) for dim in into_fuse)
        self.dim = self.slow.dim + self.fast.dim
        self.alpha = alpha
        self.window = check_pool(pool, window)
        init_convolutions(self)

    def blocks(self) -> list[nn.Module]:
        """Return the residual blocks in order of computation, the slow one of a pair first."""
        return [
            block
            for slow, fast in zip(self.slow.stages, self.fast.stages, strict=True)
            for pair in zip(slow.children(), fast.children(), strict=True)
            for block in pair
        ]

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[B, in_channels, T, H, W]`` to ``[B, dim, T', H/32, W/32]``, T' = T / alpha."""
        return self.forward_pathways(self.slow_clip(x), x)

    def slow_clip(self, x: Tensor) -> Tensor:
        """Return the slow pathway's ceil(T / alpha) frames of ``[B, C, T, H, W]``.

        They spread evenly from the first frame to the last (rounded down), as published; this
        is not every ``alpha``-th frame.
        """
        frames = x.shape[2]
        count = -(-frames // self.alpha)
        chosen = [i * (frames - 1) // max(count - 1, 1) for i in range(count)]
        return x.index_select(2, torch.tensor(chosen, device=x.device))

    def forward_pathways(self, slow: Tensor, fast: Tensor) -> Tensor:
        """Encode the pathways' own clips, the slow one ``alpha`` times shorter.

        The fast pathway's features are averaged in time to the slow one's grid, and both are
        concatenated: ``[B, dim, T', H/32, W/32]``.
        """
        slow, fast = self.slow.stem(slow), self.fast.stem(fast)
        for fuse, into_slow, into_fast in zip(
            self.fuse, self.slow.stages, self.fast.stages, strict=True
        ):
            slow = into_slow(torch.cat([slow, fuse(fast)], dim=1))
            fast = into_fast(fast)
        return self._join(slow, fast)

    def _join(self, slow: Tensor, fast: Tensor) -> Tensor:
        if self.window is None:
            return torch.cat([slow, _shorten(fast, slow.shape[2])], dim=1)
        t, h, w = self.window
        slow, fast = pool_windows(slow, (t, h, w)), pool_windows(fast, (t * self.alpha, h, w))
        if slow.shape[2:] != fast.shape[2:]:
            raise UsageError(
                f"pool='sliding' leaves {slow.shape[2]} steps of the slow and {fast.shape[2]} "
                f"of the fast pathway; clips of {t * self.alpha} frames fit. Feed those, or use "
                f"pool='global'."
            )
        return torch.cat([slow, fast], dim=1)


def _shorten(x: Tensor, frames: int) -> Tensor:
    """Average ``[B, C, T, H, W]`` in time to ``frames`` steps, in parts that cover all of it."""
    length = x.shape[2]
    starts = [i * length // frames for i in range(frames)]
    ends = [-(-(i + 1) * length // frames) for i in range(frames)]
    parts = [x[:, :, a:b].mean(dim=2) for a, b in zip(starts, ends, strict=True)]
    return torch.stack(parts, dim=2)
