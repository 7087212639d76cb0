"""X3D: a residual network of depthwise 3D convolutions.

Feichtenhofer, "X3D: Expanding Architectures for Efficient Video Recognition", CVPR 2020. Module
names are those of pytorchvideo's checkpoints, of which the head's last linear layer is kept apart
(:class:`PositionHead`).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Literal, cast, get_args

import torch.nn.functional as F
from torch import Tensor, nn

from actionspace.encoders.architectures_x3d import X3DArchitecture, round_width
from actionspace.errors import UsageError

Pool = Literal["global", "sliding", "space"]


class SqueezeExcitation(nn.Module):
    """Scale each channel by a gate computed from the mean of all channels."""

    def __init__(self, dim: int, squeezed: int) -> None:
        super().__init__()
        self.block = nn.Sequential(
            nn.Conv3d(dim, squeezed, 1), nn.ReLU(), nn.Conv3d(squeezed, dim, 1), nn.Sigmoid()
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, C, T, H, W] to the same shape."""
        return x * cast(Tensor, self.block(x.mean(dim=(2, 3, 4), keepdim=True)))


class ResBlock(nn.Module):
    """Widen, convolve each channel in space and time, narrow; add to the shortcut; ReLU."""

    def __init__(
        self, dim: int, out: int, inner: int, *, stride: int, squeezed: int, shortcut_bn: bool
    ) -> None:
        super().__init__()
        self.branch1_conv: nn.Module | None = None
        self.branch1_norm: nn.Module | None = None
        step = (1, stride, stride)
        if stride > 1 or dim != out:
            self.branch1_conv = nn.Conv3d(dim, out, 1, stride=step, bias=False)
            if dim != out or shortcut_bn:
                self.branch1_norm = nn.BatchNorm3d(out)
        gate = SqueezeExcitation(inner, squeezed) if squeezed else nn.Identity()
        depthwise = nn.Conv3d(inner, inner, 3, stride=step, padding=1, groups=inner, bias=False)
        self.branch2 = nn.Sequential(
            OrderedDict(
                conv_a=nn.Conv3d(dim, inner, 1, bias=False),
                norm_a=nn.BatchNorm3d(inner),
                act_a=nn.ReLU(inplace=True),
                conv_b=depthwise,
                norm_b=nn.Sequential(nn.BatchNorm3d(inner), gate),
                act_b=nn.SiLU(),
                conv_c=nn.Conv3d(inner, out, 1, bias=False),
                norm_c=nn.BatchNorm3d(out),
            )
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, C, T, H, W] to [B, C', T, ceil(H / stride), ceil(W / stride)]."""
        shortcut = x if self.branch1_conv is None else self.branch1_conv(x)
        if self.branch1_norm is not None:
            shortcut = self.branch1_norm(shortcut)
        return F.relu(shortcut + self.branch2(x))


class HeadPool(nn.Module):
    """From the last stage's map to features: widen, pool, widen again.

    The ReLU behind the second convolution makes the order matter: pooling windows one by one is
    not pooling once.
    """

    def __init__(
        self,
        dim: int,
        inner: int,
        out: int,
        *,
        bn_lin5: bool,
        pool: Pool,
        window: tuple[int, int, int],
    ) -> None:
        super().__init__()
        self.pool = pool
        self.window = window
        self.pre_conv = nn.Conv3d(dim, inner, 1, bias=False)
        self.pre_norm = nn.BatchNorm3d(inner)
        self.post_conv = nn.Conv3d(inner, out, 1, bias=False)
        self.post_norm = nn.BatchNorm3d(out) if bn_lin5 else None

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, C, T, H, W] to [B, D, T', H', W']."""
        x = self.post_conv(self._pool(self.map(x)))
        if self.post_norm is not None:
            x = self.post_norm(x)
        return F.relu(x, inplace=True)

    def map(self, x: Tensor) -> Tensor:
        """Return what is pooled, [B, C', T, H, W] with C' = 2.25 C."""
        return F.relu(self.pre_norm(self.pre_conv(x)), inplace=True)

    def _pool(self, x: Tensor) -> Tensor:
        if self.pool == "global":
            return x.mean(dim=(2, 3, 4), keepdim=True)
        if self.pool == "space":
            return x.mean(dim=(3, 4), keepdim=True)
        if any(have < need for have, need in zip(x.shape[2:], self.window, strict=True)):
            raise UsageError(
                f"This clip leaves a map of {tuple(x.shape[2:])} (frames, height / 32, width / "
                f"32), smaller than the pooling window {self.window} of the clips that the model "
                "was built for. Feed larger clips, or use pool='global'."
            )
        return F.avg_pool3d(x, self.window, stride=1)


class X3D(nn.Module):
    """The X3D backbone: [B, 3, T, H, W] to features [B, D, T', H', W'].

    The features are the 2048 channels that the published classifiers end on, so that a linear
    layer on their mean over positions is such a classifier. The 432 channels before pooling keep
    time and space: :meth:`feature_map`.

    Args:
        stem_dim, widths, depths, bottleneck, se_ratio, head_dim, shortcut_bn_on_stride, bn_lin5:
            see :class:`~actionspace.encoders.architectures_x3d.X3DArchitecture`.
        in_channels: channels of the input.
        pool: ``global`` = one position per clip, whatever its size; ``space`` = one per frame;
            ``sliding`` = as published: a window of the size of ``built_for`` slides over larger
            clips (which is not the same as ``global``, except for clips of that very size), and
            smaller ones are refused.
        built_for: frames and side of the clips that the window of ``sliding`` covers.

    Raises:
        UsageError: an unknown ``pool``, or widths and depths of different lengths.
    """

    def __init__(
        self,
        *,
        stem_dim: int = 24,
        widths: Sequence[int] = (24, 48, 96, 192),
        depths: Sequence[int] = (3, 5, 11, 7),
        bottleneck: float = 2.25,
        se_ratio: float = 0.0625,
        head_dim: int = 2048,
        shortcut_bn_on_stride: bool = False,
        bn_lin5: bool = False,
        in_channels: int = 3,
        pool: Pool = "global",
        built_for: Sequence[int] = (13, 160),
    ) -> None:
        super().__init__()
        if pool not in get_args(Pool):
            raise UsageError(f"pool is one of {', '.join(get_args(Pool))}, not {pool!r}.")
        if len(widths) != len(depths):
            raise UsageError(f"widths {list(widths)} and depths {list(depths)} must pair up.")
        shape = X3DArchitecture(
            stem_dim, tuple(widths), tuple(depths), bottleneck, se_ratio, head_dim
        )
        self.dim = head_dim
        stages: list[nn.Module] = [_stem(in_channels, stem_dim)]
        dim = stem_dim
        for width, inner, depth in zip(shape.widths, shape.inner, shape.depths, strict=True):
            blocks = [
                ResBlock(
                    dim if i == 0 else width,
                    width,
                    inner,
                    stride=2 if i == 0 else 1,
                    squeezed=round_width(inner, se_ratio) if i % 2 == 0 else 0,
                    shortcut_bn=shortcut_bn_on_stride,
                )
                for i in range(depth)
            ]
            stages.append(nn.Sequential(OrderedDict(res_blocks=nn.Sequential(*blocks))))
            dim = width
        frames, side = built_for
        scale = 2 ** (1 + len(widths))
        window = (frames, -(-side // scale), -(-side // scale))
        head = HeadPool(dim, shape.inner[-1], head_dim, bn_lin5=bn_lin5, pool=pool, window=window)
        stages.append(nn.Sequential(OrderedDict(pool=head)))
        self.blocks = nn.ModuleList(stages)
        self.apply(_initialise)

    def forward(self, x: Tensor) -> Tensor:
        """Encode normalised RGB clips [B, 3, T, H, W] into features [B, D, T', H', W']."""
        return cast(Tensor, self.blocks[-1](self._stages(x)))

    def feature_map(self, x: Tensor) -> Tensor:
        """Return the map before pooling, [B, 432, T, ceil(H / 32), ceil(W / 32)]."""
        return cast(HeadPool, self.blocks[-1].pool).map(self._stages(x))

    def _stages(self, x: Tensor) -> Tensor:
        for stage in self.blocks[:-1]:
            x = stage(x)
        return x


class PositionHead(nn.Module):
    """The classifier of the published networks: one linear layer at every position, then a mean.

    Args:
        dim: channels of the features.
        classes: number of classes.
        dropout: share of features dropped in training.
        softmax: in evaluation, average probabilities instead of logits (PySlowFast).
    """

    def __init__(
        self, dim: int, classes: int, *, dropout: float = 0.5, softmax: bool = False
    ) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.proj = nn.Linear(dim, classes)
        self.softmax = softmax
        nn.init.normal_(self.proj.weight, std=0.01)
        nn.init.zeros_(self.proj.bias)

    def forward(self, features: Tensor) -> Tensor:
        """Map features [B, D, T', H', W'] to logits (or probabilities) [B, classes]."""
        scores = self.proj(self.dropout(features.movedim(1, -1)))
        if self.softmax and not self.training:
            scores = scores.softmax(dim=-1)
        return cast(Tensor, scores.mean(dim=(1, 2, 3)))


def _stem(in_channels: int, dim: int) -> nn.Module:
    """A convolution in space, then one in time of each channel.

    Their names are as published, where they are the wrong way round.
    """
    space = nn.Conv3d(in_channels, dim, (1, 3, 3), stride=(1, 2, 2), padding=(0, 1, 1), bias=False)
    time = nn.Conv3d(dim, dim, (5, 1, 1), padding=(2, 0, 0), groups=dim, bias=False)
    return nn.Sequential(
        OrderedDict(
            conv=nn.Sequential(OrderedDict(conv_t=space, conv_xy=time)),
            norm=nn.BatchNorm3d(dim),
            activation=nn.ReLU(inplace=True),
        )
    )


def _initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Conv3d):
        nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    elif isinstance(module, ResBlock):
        # Blocks begin as their shortcut. (`apply` reaches a block after its parts.)
        nn.init.zeros_(cast(nn.BatchNorm3d, module.branch2.norm_c).weight)
