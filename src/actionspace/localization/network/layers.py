"""Layers of ActionFormer on ``[batch, time, channels]``.

With channels last, a channel norm and a 1x1 convolution are one fused kernel each. Parameters have
the names and shapes of the original, so that a published checkpoint fits as it is.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

from actionspace.encoders.drop_path import DropPath
from actionspace.localization.network.winograd import convolve_three

#: Channels and cells from which a convolution of three cells is worth Winograd's transforms.
WIDE, LONG = 128, 256


def convolve(x: Tensor, conv: nn.Conv1d) -> Tensor:
    """Return the convolution over time of ``x [B, T, C]``: ``[B, ceil(T / stride), C']``."""
    if x.device.type == "cpu" and torch.is_grad_enabled() and _is_wide(conv) and x.shape[1] >= LONG:
        return convolve_three(x, conv.weight, conv.bias)
    y: Tensor = conv(time_last(x).mT).mT
    return y


def time_last(x: Tensor) -> Tensor:
    """Return ``x [B, T, C]`` as it lies best in memory for convolutions, several of which share it.

    On a CPU that is with a channel's cells side by side.
    """
    return x.mT.contiguous().mT if x.device.type == "cpu" else x


def _is_wide(conv: nn.Conv1d) -> bool:
    plain = conv.kernel_size == (3,) and conv.stride == (1,) and conv.groups == 1
    return plain and min(conv.in_channels, conv.out_channels) >= WIDE


class MaskedConv1d(nn.Module):
    """A convolution whose outputs are zero where the video has ended.

    Its input is not masked: what lies in padded cells (the bias of a norm, say) reaches the last
    valid one, as in the original.

    Args:
        inputs, outputs: channels.
        kernel: odd.
        stride: the time must be a multiple of it.
        groups: of channels that do not mix.
        bias: whether it has one, zero at first.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int,
        *,
        stride: int = 1,
        groups: int = 1,
        bias: bool = True,
    ) -> None:
        super().__init__()
        self.conv = nn.Conv1d(
            inputs, outputs, kernel, stride, padding=kernel // 2, groups=groups, bias=bias
        )
        if self.conv.bias is not None:
            nn.init.zeros_(self.conv.bias)

    def forward(self, x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Return ``[B, T / stride, C']`` and its mask, for ``x [B, T, C]``, ``mask [B, T]``."""
        (stride,) = self.conv.stride
        mask = mask[:, ::stride]
        y = convolve(x, self.conv)
        return y.mul_(mask.unsqueeze(-1)), mask


class Pointwise(nn.Conv1d):
    """A 1x1 convolution of ``[B, T, C]``, done as a matrix product."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs, 1)
        assert self.bias is not None
        nn.init.zeros_(self.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Return ``[B, T, C']``."""
        return functional.linear(x, self.weight.squeeze(-1), self.bias)


class ChannelNorm(nn.Module):
    """Layer normalisation of each cell over its channels (Ba et al., 2016)."""

    def __init__(self, channels: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(1, channels, 1))
        self.bias = nn.Parameter(torch.zeros(1, channels, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Return ``x [B, T, C]`` with mean 0 and variance 1 per cell, scaled and shifted."""
        weight, bias = self.weight.flatten(), self.bias.flatten()
        return functional.layer_norm(x, weight.shape, weight, bias, self.eps)


class RMSNorm(nn.Module):
    """Division of each cell by the root mean square of its channels (Zhang and Sennrich, 2019)."""

    def __init__(self, channels: int, eps: float = 1e-6) -> None:
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(1, channels, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Return ``x [B, T, C]`` with mean square 1 per cell, scaled."""
        weight = self.weight.flatten()
        # Autocast leaves norms of this kind on a CPU in bfloat16.
        return functional.rms_norm(x.to(weight.dtype), weight.shape, weight, self.eps)


def norm(channels: int, wanted: bool = True, *, rms: bool = False) -> nn.Module:
    """Return a channel norm of either kind, or nothing."""
    kind = RMSNorm if rms else ChannelNorm
    return kind(channels) if wanted else nn.Identity()


class _Gate(torch.autograd.Function):
    """``silu(gate) * value``, which keeps these two for its gradient and nothing else as wide."""

    @staticmethod
    def forward(ctx: Any, gate: Tensor, value: Tensor) -> Tensor:
        ctx.save_for_backward(gate, value)
        return functional.silu(gate).mul_(value)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor]:
        gate, value = ctx.saved_tensors
        by_gate = torch.ops.aten.silu_backward(grad * value, gate)
        return by_gate, functional.silu(gate).mul_(grad)


class SwiGLU(nn.Module):
    """A hidden layer for each cell, half of it the gate of the other (Shazeer, 2020).

    Args:
        channels: of input and output.
        hidden: width; None = 8/3 of the channels, rounded up to a multiple of 64.
        dropout: of the output.
    """

    def __init__(self, channels: int, hidden: int | None = None, dropout: float = 0.0) -> None:
        super().__init__()
        width = hidden or -(-(8 * channels // 3) // 64) * 64
        self.w1 = Pointwise(channels, width)
        self.w2 = Pointwise(width, channels)
        self.w3 = Pointwise(channels, width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """Return ``[B, T, C]``."""
        gate, value = self.w3(x), self.w1(x)
        learning = torch.is_grad_enabled()
        gated = _Gate.apply(gate, value) if learning else functional.silu(gate) * value
        y: Tensor = self.dropout(self.w2(gated))
        return y


class Scale(nn.Module):
    """A learnt factor."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(1.0))

    def forward(self, x: Tensor) -> Tensor:
        """Return ``x`` times the factor."""
        return x * self.scale


class AffineDropPath(DropPath):
    """Stochastic depth of a residual branch that a learnt factor per channel scales.

    The factors are small at first (LayerScale: Touvron et al., "Going deeper with Image
    Transformers", ICCV 2021), and apply in evaluation too.
    """

    def __init__(self, channels: int, rate: float) -> None:
        super().__init__(rate)
        self.scale = nn.Parameter(torch.full((1, channels, 1), 1e-4))

    def forward(self, x: Tensor) -> Tensor:
        """Return ``x [B, T, C]`` scaled, whole samples dropped while training."""
        return super().forward(x * self.scale.flatten())


def drop_path(channels: int, rate: float) -> nn.Module:
    """Return stochastic depth with its scales, or nothing where nothing is dropped."""
    return AffineDropPath(channels, rate) if rate else nn.Identity()
