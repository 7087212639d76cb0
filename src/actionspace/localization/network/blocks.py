"""The two kinds of blocks a pyramid is made of."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from actionspace.localization.network.attention import Attention
from actionspace.localization.network.layers import (
    MaskedConv1d,
    Pointwise,
    SwiGLU,
    drop_path,
    norm,
)
from actionspace.localization.network.switches import ORIGINAL, Switches


class TransformerBlock(nn.Module):
    """Attention and a small network for each cell, each after a norm and with a shortcut.

    Args:
        channels: of input and output.
        heads: of attention.
        stride: even, or 1; how much coarser the output is. The shortcut takes maxima.
        window: cells a query attends to; at most 1 = all of the video.
        dropout: of projections and hidden layer.
        path: probability with which a branch is dropped while training.
        hidden: channels between the layers behind attention; None = four times as many, or what
            ``SwiGLU`` chooses.
        switches: what else it is made of.
    """

    def __init__(
        self,
        channels: int,
        heads: int,
        *,
        stride: int = 1,
        window: int = -1,
        dropout: float = 0.0,
        path: float = 0.0,
        hidden: int | None = None,
        switches: Switches = ORIGINAL,
    ) -> None:
        super().__init__()
        self.stride = stride
        self.ln1 = norm(channels, rms=switches.rms_norm)
        self.ln2 = norm(channels, rms=switches.rms_norm)
        self.attn = Attention(
            channels, heads, stride=stride, window=window, dropout=dropout, switches=switches
        )
        if switches.swiglu:
            self.mlp: nn.Module = SwiGLU(channels, hidden, dropout)
        else:
            self.mlp = _mlp(channels, hidden or 4 * channels, dropout)
        self.drop_path_attn = drop_path(channels, path)
        self.drop_path_mlp = drop_path(channels, path)

    def forward(self, x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Return ``[B, T / stride, C]`` and its mask, for ``x [B, T, C]``, ``mask [B, T]``."""
        attended, mask = self.attn(self.ln1(x), mask)
        valid = mask.unsqueeze(-1)
        x = self._shortcut(x) * valid + self.drop_path_attn(attended)
        return x + self.drop_path_mlp(self.mlp(self.ln2(x)) * valid), mask

    def _shortcut(self, x: Tensor) -> Tensor:
        """Return ``x`` at the coarser resolution. Padded cells, which are 0, take part."""
        if self.stride == 1:
            return x
        width = self.stride + 1
        return functional.max_pool1d(x.mT, width, self.stride, padding=width // 2).mT


def _mlp(channels: int, hidden: int, dropout: float) -> nn.Module:
    return nn.Sequential(
        Pointwise(channels, hidden),
        nn.GELU(),
        nn.Dropout(dropout),
        Pointwise(hidden, channels),
        nn.Dropout(dropout),
    )


class ConvBlock(nn.Module):
    """Two convolutions, twice as wide in between, with a shortcut.

    Args:
        channels: of input and output.
        stride: how much coarser the output is. The shortcut is a strided 1x1 convolution then.
    """

    def __init__(self, channels: int, *, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = MaskedConv1d(channels, 2 * channels, 3, stride=stride)
        self.conv2 = MaskedConv1d(2 * channels, channels, 3)
        self.downsample: MaskedConv1d | None = None
        if stride > 1:
            self.downsample = MaskedConv1d(channels, channels, 1, stride=stride)

    def forward(self, x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Return ``[B, T / stride, C]`` and its mask, for ``x [B, T, C]``, ``mask [B, T]``."""
        shortcut = x if self.downsample is None else self.downsample(x, mask)[0]
        hidden, mask = self.conv1(x, mask)
        out, _ = self.conv2(hidden.relu(), mask)
        return (out + shortcut).relu(), mask
